"""What can be checked without running scripts: who signed, whether they might, what it is about.

For ledgers whose constitution is in another language. Ballots and results are not judged.
"""

import msgspec

from governance.replay.compare import RowDifference
from governance.replay.past import PastLedger
from governance.replay.signed_message import SignedMessage
from governance.replay.verdict import Verdict
from ledger.base.errors import FormatError, VerificationError
from ledger.codec.writeset import Changes
from ledger.crypto.certificate import Certificate
from ledger.crypto.cose_governance import MessageType, verify_request
from ledger.crypto.hashing import sha256
from ledger.kv.tx import Tx
from ledger.tables.members import MEMBER_CERTS, MEMBER_INFO, PROPOSALS, PROPOSALS_INFO, MemberStatus

_ANY_MEMBER = frozenset({MessageType.ACK, MessageType.STATE_DIGEST})
"""What a member that is not active yet may send."""


class _Ballot(msgspec.Struct):
    ballot: str


_decode_ballot = msgspec.json.Decoder(_Ballot).decode


def judge_signed(
    message: SignedMessage, changes: Changes, past: PastLedger, proposal_id: str | None
) -> Verdict:
    """Judge a signed message without running anything.

    Args:
        message: The message.
        changes: Public changes of its entry.
        past: The state before it.
        proposal_id: The proposal that it is about, as the entry says.
    """
    what = message.kind.value
    problem = _signer_problem(message, past.begin_read_only())
    if problem is not None or proposal_id is None:
        return Verdict(what, problem)
    row = None
    if message.kind is MessageType.PROPOSAL:
        row = _proposal_row(message, changes, past, proposal_id)
    elif message.kind is MessageType.BALLOT:
        row = _ballot_row(message, changes, proposal_id)
    return Verdict(what, None if row is None else row.message, row)


def _signer_problem(message: SignedMessage, before: Tx) -> str | None:
    member = message.request.member
    pem = before.table(MEMBER_CERTS).get(member)
    if pem is None:
        return "the signer is not a known member"
    try:
        verify_request(message.request, Certificate.parse(pem).public_key)
        info = before.table(MEMBER_INFO).get(member)
    except (FormatError, VerificationError) as error:
        return f"the message is not signed by its member: {error}"
    if message.kind in _ANY_MEMBER:
        return None
    active = info is not None and info.status is MemberStatus.ACTIVE
    return None if active else "the signer is not an active member"


def _proposal_row(
    message: SignedMessage, changes: Changes, past: PastLedger, proposal_id: str
) -> RowDifference | None:
    key = proposal_id.encode()
    payload = changes.get(PROPOSALS.name, {}).get(key)
    if payload is not None and payload != message.request.payload:
        return RowDifference(PROPOSALS.name, key, "the proposal is not what was signed")
    info = _info(changes, key)
    if info is not None and info.get("proposer_id") != message.request.member:
        return RowDifference(PROPOSALS_INFO.name, key, "the proposer is not who signed")
    tail = sha256(message.request.message.signature)
    if any(sha256(root + tail).hex() == proposal_id for root in past.roots()):
        return None
    return RowDifference(
        PROPOSALS.name, key, "the proposal's ID is bound to no earlier state of this ledger"
    )


def _ballot_row(message: SignedMessage, changes: Changes, proposal_id: str) -> RowDifference | None:
    key = proposal_id.encode()
    info = _info(changes, key)
    ballots = None if info is None else info.get("ballots")
    if not isinstance(ballots, dict):
        return None
    try:
        signed = _decode_ballot(message.request.payload).ballot
    except msgspec.MsgspecError:
        return RowDifference(PROPOSALS_INFO.name, key, "the signed message holds no ballot")
    if ballots.get(message.request.member) != signed:
        return RowDifference(PROPOSALS_INFO.name, key, "the ballot is not what was signed")
    return None


def _info(changes: Changes, key: bytes) -> dict[str, object] | None:
    """Return the row of a proposal as it is, since other services have other fields in it."""
    value = changes.get(PROPOSALS_INFO.name, {}).get(key)
    if value is None:
        return None
    try:
        found = msgspec.json.decode(value)
    except msgspec.MsgspecError:
        return None
    return found if isinstance(found, dict) else None
