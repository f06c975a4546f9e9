"""Ballots: a member's script that says, whenever it is asked, how the member votes."""

import msgspec

from governance.decisions import Decision
from governance.parts import (
    GovernanceParts,
    Steps,
    answer,
    answer_text,
    not_found,
    path_id,
    payload_reader,
)
from governance.proposal_store import find_info
from governance.proposals import (
    decided,
    describe,
    parse_proposal,
    require_open,
    signed_proposal_id,
)
from governance.signed import record_history, signed_request
from ledger.endpoints.context import CallContext
from ledger.endpoints.errors import Code, HttpError
from ledger.endpoints.response import Response
from ledger.tables.members import PROPOSALS, PROPOSALS_INFO, ProposalState

BALLOT_SIZE_MAX = 64 * 1024
"""Longest ballot, in bytes: every member's ballots are kept in the proposal's one row."""
OPEN_BYTES_MAX = 4 * BALLOT_SIZE_MAX
"""Most bytes of one member's ballots on open proposals: every decision reads all of them."""


class _BallotBody(msgspec.Struct):
    ballot: str


_decode_ballot = payload_reader(_BallotBody)


def submit(parts: GovernanceParts, ctx: CallContext) -> Steps:
    """Take a ballot in and decide the proposal as far as it can be decided."""
    request = signed_request(ctx)
    proposal_id = signed_proposal_id(ctx)
    member_id = path_id(ctx, "memberId")
    if member_id != request.member:
        raise HttpError(
            400, Code.INVALID_AUTHENTICATION_INFO, "Authenticated member id does not match URL."
        )
    info = find_info(ctx.tx, proposal_id)
    if info is None:
        raise not_found("Proposal", proposal_id, Code.PROPOSAL_NOT_FOUND)
    ballot = _ballot_of(request.payload)
    if info.ballots.get(member_id) == ballot:
        return answer(describe(proposal_id, info))
    require_open(proposal_id, info)
    if member_id in info.ballots:
        raise HttpError(
            400,
            Code.VOTE_ALREADY_EXISTS,
            f"Member {member_id} has submitted another ballot for proposal {proposal_id}.",
        )
    _require_room(ctx, member_id, ballot)
    payload = ctx.tx.table(PROPOSALS).get(proposal_id)
    assert payload is not None, "an Open proposal is in the table of proposals"
    info = msgspec.structs.replace(info, ballots={**info.ballots, member_id: ballot})
    record_history(ctx)
    decision = Decision(parts, ctx, parse_proposal(payload))
    info = yield from decision.decide(proposal_id, info)
    return decided(ctx, proposal_id, info)


def get_ballot(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Answer with a ballot as it was submitted."""
    del parts
    proposal_id, member_id = path_id(ctx, "proposalId"), path_id(ctx, "memberId")
    info = find_info(ctx.tx, proposal_id)
    if info is None:
        raise not_found("Proposal", proposal_id, Code.PROPOSAL_NOT_FOUND)
    ballot = info.ballots.get(member_id)
    if ballot is None:
        raise not_found(
            f"Ballot of proposal {proposal_id} by member", member_id, Code.VOTE_NOT_FOUND
        )
    return answer_text(ballot)


def _require_room(ctx: CallContext, member_id: str, ballot: str) -> None:
    """Refuse another ballot of a member whose ballots are too long together."""
    open_size = sum(
        _size(info.ballots.get(member_id, ""))
        for _, info in ctx.tx.table(PROPOSALS_INFO).items()
        if info.state is ProposalState.OPEN
    )
    if open_size + _size(ballot) > OPEN_BYTES_MAX:
        raise HttpError(
            400,
            Code.INVALID_INPUT,
            f"Member {member_id} has ballots of {open_size} bytes on open proposals, may have "
            f"{OPEN_BYTES_MAX}: send shorter ones.",
        )


def _ballot_of(payload: bytes) -> str:
    ballot = _decode_ballot(payload).ballot
    size = _size(ballot)
    if size > BALLOT_SIZE_MAX:
        raise HttpError(
            400,
            Code.INVALID_INPUT,
            f"Invalid body: got a ballot of {size} bytes, want at most {BALLOT_SIZE_MAX}.",
        )
    return ballot


def _size(ballot: str) -> int:
    return len(ballot.encode("utf-8", "surrogatepass"))
