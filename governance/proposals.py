"""Proposals: create, withdraw, read.

Order of a creation: ID, ``validate``, tables, replay window, decision. A constitution may accept
at once, without ballots.
"""

from typing import Any

from governance.decisions import Decision
from governance.parts import GovernanceParts, Steps, answer, not_found, path_id
from governance.proposal_store import archive_closed, find_info, find_proposal, list_infos
from governance.replay_window import admit
from governance.scripting import FailureKind, ScriptFailure
from governance.signed import record_history, signed_request
from ledger.base.errors import FormatError
from ledger.codec import canonical
from ledger.endpoints import query
from ledger.endpoints.context import CallContext
from ledger.endpoints.errors import Code, HttpError, error
from ledger.endpoints.response import Response
from ledger.tables.members import (
    PROPOSALS,
    PROPOSALS_INFO,
    Failure,
    ProposalInfo,
    ProposalState,
)

OPEN_PROPOSALS_MAX = 256
"""Most open proposals of one member: whoever decides anything goes through all of them."""
OPEN_BYTES_MAX = 8 * 1024 * 1024
"""Most bytes of one member's open proposals: every node holds them in memory."""


def create(parts: GovernanceParts, ctx: CallContext) -> Steps:
    """Take a proposal in and decide it as far as it can be decided."""
    request = signed_request(ctx)
    while (wait := parts.ledger.await_root(ctx.tx.read_version)) is not None:
        yield wait
    root = parts.ledger.root_at(ctx.tx.read_version)
    proposal_id = request.proposal_id_under(root)
    _require_room(ctx, request.member, len(request.payload))
    decision = Decision(parts, ctx, parse_proposal(request.payload))
    outcome = yield from decision.validate()
    if outcome.failure is not None:
        return _invalid(outcome.failure)
    ctx.tx.table(PROPOSALS).put(proposal_id, request.payload)
    info = ProposalInfo(proposer_id=request.member, state=ProposalState.OPEN, ballots={})
    ctx.tx.table(PROPOSALS_INFO).put(proposal_id, info)
    record_history(ctx)
    admit(ctx.tx, request, proposal_id, ctx.now)
    info = yield from decision.decide(proposal_id, info)
    return decided(ctx, proposal_id, info)


def withdraw(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Close a proposal on behalf of its proposer."""
    del parts
    request = signed_request(ctx)
    proposal_id = signed_proposal_id(ctx)
    info = find_info(ctx.tx, proposal_id)
    if info is None:
        return Response(204)
    if info.proposer_id != request.member:
        raise HttpError(
            403,
            Code.AUTHORIZATION_FAILED,
            f"Proposal {proposal_id} can only be withdrawn by its proposer {info.proposer_id}, "
            f"not by {request.member}.",
        )
    require_open(proposal_id, info)
    info = ProposalInfo(
        proposer_id=info.proposer_id,
        state=ProposalState.WITHDRAWN,
        ballots=info.ballots,
        vote_failures=info.vote_failures,
    )
    archive_closed(ctx.tx, but=proposal_id)
    ctx.tx.table(PROPOSALS_INFO).put(proposal_id, info)
    record_history(ctx)
    return answer(describe(proposal_id, info))


def get_proposal(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Answer with state, votes and reasons of one proposal."""
    del parts
    proposal_id = path_id(ctx, "proposalId")
    info = find_info(ctx.tx, proposal_id)
    if info is None:
        raise not_found("Proposal", proposal_id, Code.PROPOSAL_NOT_FOUND)
    return answer(describe(proposal_id, info))


def list_proposals(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Answer with all proposals; ``include=closed`` adds those of the archive."""
    del parts
    include = query.parse(ctx.request.query).get("include")
    if include not in {None, "closed"}:
        raise query.invalid("Invalid value for include: want closed, or no such parameter.")
    found = list_infos(ctx.tx, closed=include == "closed")
    return answer({"value": [describe(proposal_id, info) for proposal_id, info in found]})


def get_actions(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Answer with the proposal as it was submitted."""
    del parts
    proposal_id = path_id(ctx, "proposalId")
    data = find_proposal(ctx.tx, proposal_id)
    if data is None:
        raise not_found("Proposal", proposal_id, Code.PROPOSAL_NOT_FOUND)
    return Response(200, data)


def parse_proposal(payload: bytes) -> Any:  # noqa: ANN401 - a proposal's shape is the constitution's
    """Return the proposal object.

    Raises:
        HttpError: 400, the payload is no JSON object.
    """
    try:
        proposal = canonical.loads(payload)
    except FormatError as problem:
        raise HttpError(
            400, Code.PROPOSAL_FAILED_TO_VALIDATE, f"Proposal is not JSON: {problem}."
        ) from problem
    if not isinstance(proposal, dict):
        raise HttpError(
            400, Code.PROPOSAL_FAILED_TO_VALIDATE, "Proposal is no JSON object with actions."
        )
    return proposal


def describe(proposal_id: str, info: ProposalInfo) -> dict[str, Any]:
    """Return a proposal as clients see it."""
    described: dict[str, Any] = {
        "proposalId": proposal_id,
        "proposerId": info.proposer_id,
        "proposalState": info.state.value,
        "ballotCount": len(info.ballots),
    }
    if info.final_votes is not None:
        described["finalVotes"] = info.final_votes
    if info.vote_failures is not None:
        described["voteFailures"] = info.vote_failures
    if info.failure is not None:
        described["failure"] = info.failure
    return described


def decided(ctx: CallContext, proposal_id: str, info: ProposalInfo) -> Response:
    """Answer after a decision. A failed one is kept, unlike CCF's, and answered as CCF does."""
    if info.failure is None:
        return answer(describe(proposal_id, info))
    ctx.apply_writes = True
    return error(
        500,
        Code.INTERNAL_ERROR,
        f"Proposal {proposal_id} failed: {info.failure.reason}",
        [script_details(info.failure)],
    )


def script_details(failure: Failure | ScriptFailure) -> dict[str, Any]:
    """Return the details item for a failed script, with CCF's code for it."""
    details = {"code": "JSException", "message": failure.reason}
    if failure.trace is not None:
        details["trace"] = failure.trace
    return details


def signed_proposal_id(ctx: CallContext) -> str:
    """Return the proposal of the path, which has to be the one that was signed.

    Raises:
        HttpError: 400, no ID or another one.
    """
    proposal_id = path_id(ctx, "proposalId")
    signed_id = signed_request(ctx).proposal_id
    if proposal_id != signed_id:
        raise HttpError(
            400,
            Code.INVALID_RESOURCE_NAME,
            f"Authenticated proposal id does not match URL: {signed_id} was signed.",
        )
    return proposal_id


def require_open(proposal_id: str, info: ProposalInfo) -> None:
    """Let an Open proposal pass.

    Raises:
        HttpError: 400, it is closed.
    """
    if info.state is not ProposalState.OPEN:
        raise HttpError(
            400,
            Code.PROPOSAL_NOT_OPEN,
            f"Proposal {proposal_id} is currently in state {info.state.value} - "
            "only Open proposals can receive votes or be withdrawn.",
        )


def _require_room(ctx: CallContext, member_id: str, size: int) -> None:
    """Refuse another proposal of a member that has too many open ones, or too large ones."""
    proposals = ctx.tx.table(PROPOSALS)
    mine = [
        len(proposals.get(proposal_id) or b"")
        for proposal_id, info in ctx.tx.table(PROPOSALS_INFO).items()
        if info.state is ProposalState.OPEN and info.proposer_id == member_id
    ]
    if len(mine) < OPEN_PROPOSALS_MAX and (not mine or sum(mine) + size <= OPEN_BYTES_MAX):
        return
    raise HttpError(
        400,
        "TooManyOpenProposals",
        f"Member {member_id} has {len(mine)} open proposals of {sum(mine)} bytes, may have "
        f"{OPEN_PROPOSALS_MAX} of {OPEN_BYTES_MAX}: withdraw some of them first.",
    )


def _invalid(failure: ScriptFailure) -> Response:
    if failure.kind is FailureKind.REFUSED:
        return error(
            400,
            Code.PROPOSAL_FAILED_TO_VALIDATE,
            f"Proposal failed to validate: {failure.reason}",
        )
    return error(
        500,
        Code.INTERNAL_ERROR,
        f"Failed to execute validation: {failure.reason}",
        [script_details(failure)],
    )
