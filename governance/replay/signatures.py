"""What can be checked without running scripts: who signed, whether they might, what it is about.

For ledgers whose constitution is in another language. Ballots and results are not judged. CCF
keeps a member's acknowledgement beside its state digest and not among the other messages; its
old services kept signed HTTP requests, which are only counted.
"""

from typing import Any

import msgspec

from governance.replay.compare import RowDifference
from governance.replay.past import PastLedger
from governance.replay.signed_message import SignedMessage
from governance.replay.verdict import Verdict
from ledger.base.errors import FormatError, VerificationError
from ledger.codec import canonical
from ledger.codec.writeset import Changes
from ledger.crypto.certificate import Certificate
from ledger.crypto.cose_governance import MessageType, parse_request, verify_request
from ledger.crypto.hashing import sha256
from ledger.kv.tx import Tx
from ledger.tables.members import (
    MEMBER_ACKS,
    MEMBER_CERTS,
    MEMBER_INFO,
    PROPOSALS,
    PROPOSALS_INFO,
    MemberStatus,
)

HISTORY = "public:ccf.gov.history"
"""Where old services kept signed HTTP requests."""
_ANY_MEMBER = frozenset({MessageType.ACK, MessageType.STATE_DIGEST})
"""What a member that is not active yet may send."""


class _Ballot(msgspec.Struct):
    ballot: str


class _Acknowledged(msgspec.Struct, rename="camel"):
    state_digest: str


_decode_digest = msgspec.json.Decoder(_Acknowledged).decode
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


def judge_acknowledgement(changes: Changes, past: PastLedger) -> Verdict | None:
    """Judge the acknowledgement in an entry without another message; None when there is none.

    Args:
        changes: Public changes of the entry.
        past: The state before it.
    """
    for key in changes.get(HISTORY, {}):
        return _old_message(key)
    for key, value in changes.get(MEMBER_ACKS.name, {}).items():
        known = past.begin_read_only().map(MEMBER_ACKS.name).get(key)
        old, row = _object(known), _object(value)
        if row.get("signed_req", old.get("signed_req")) != old.get("signed_req"):
            return _old_message(key)
        text = row.get("cose_sign1_req")
        if text is not None and text != old.get("cose_sign1_req"):
            problem = _acknowledgement_problem(text, key, row.get("state_digest"), past)
            wrong = None if problem is None else RowDifference(MEMBER_ACKS.name, key, problem)
            return Verdict("ack", problem, wrong, member=_id(key))
    return None


def _old_message(key: bytes) -> Verdict:
    taken = ("a signed HTTP request, not checked",)
    return Verdict("old message", taken=taken, member=_id(key))


def _id(key: bytes) -> str:
    return key.decode("ascii", "replace")


def _acknowledgement_problem(
    text: object, key: bytes, digest: object, past: PastLedger
) -> str | None:
    try:
        body = canonical.b64decode(text if isinstance(text, str) else "")
        message = SignedMessage(parse_request(body), body)
        acknowledged = _decode_digest(message.request.payload).state_digest
    except (FormatError, VerificationError, msgspec.MsgspecError) as error:
        return f"the acknowledgement is no signed message: {error}"
    if message.kind is not MessageType.ACK or message.request.member.encode() != key:
        return "the acknowledgement is another message, or another member's"
    problem = _signer_problem(message, past.begin_read_only())
    if problem is None and acknowledged != digest:
        problem = "the acknowledged digest is not the one that was given out"
    return problem


def _object(value: bytes | None) -> dict[str, Any]:
    """Return a JSON object, an empty one for anything else."""
    if value is None:
        return {}
    try:
        found = canonical.loads(value)
    except FormatError:
        return {}
    return found if isinstance(found, dict) else {}


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
    info = _object(changes.get(PROPOSALS_INFO.name, {}).get(key))
    if info and info.get("proposer_id") != message.request.member:
        return RowDifference(PROPOSALS_INFO.name, key, "the proposer is not who signed")
    tail = sha256(message.request.message.signature)
    if any(sha256(root + tail).hex() == proposal_id for root in past.roots()):
        return None
    return RowDifference(
        PROPOSALS.name, key, "the proposal's ID is bound to no earlier state of this ledger"
    )


def _ballot_row(message: SignedMessage, changes: Changes, proposal_id: str) -> RowDifference | None:
    key = proposal_id.encode()
    ballots = _object(changes.get(PROPOSALS_INFO.name, {}).get(key)).get("ballots")
    if not isinstance(ballots, dict):
        return None
    try:
        signed = _decode_ballot(message.request.payload).ballot
    except msgspec.MsgspecError:
        return RowDifference(PROPOSALS_INFO.name, key, "the signed message holds no ballot")
    if ballots.get(message.request.member) != signed:
        return RowDifference(PROPOSALS_INFO.name, key, "the ballot is not what was signed")
    return None
