"""The signed message in an entry."""

from dataclasses import dataclass

from ledger.base.errors import FormatError, VerificationError
from ledger.codec import canonical
from ledger.codec.writeset import Changes
from ledger.crypto.cose_governance import MemberRequest, MessageType, parse_request
from ledger.tables.members import (
    COSE_HISTORY,
    COSE_RECENT_PROPOSALS,
    PROPOSALS,
    PROPOSALS_INFO,
    ProposalInfo,
)


@dataclass(frozen=True, slots=True)
class SignedMessage:
    """A member's message as an entry keeps it.

    Attributes:
        request: The message, parsed; its signature is not checked yet.
        body: Its bytes.
    """

    request: MemberRequest
    body: bytes

    @property
    def kind(self) -> MessageType:
        """What it asks for."""
        return self.request.type


def signed_message(changes: Changes) -> SignedMessage | None:
    """Return the message of an entry, None for an entry without one.

    Raises:
        FormatError: the entry keeps several messages, removes one, or keeps something that is no
            message of the member under whose ID it is kept.
    """
    rows = changes.get(COSE_HISTORY.name)
    if not rows:
        return None
    if len(rows) != 1:
        raise FormatError(f"got {len(rows)} signed messages in one entry, want one")
    ((key, value),) = rows.items()
    if value is None:
        raise FormatError("got a removal from the history of messages, which only grows")
    body = canonical.b64decode(COSE_HISTORY.value.decode(value))
    try:
        request = parse_request(body)
    except VerificationError as error:
        raise FormatError(f"got a message that no member can have sent: {error}") from error
    if request.member.encode() != key:
        raise FormatError(f"got a message of member {request.member} kept under another ID")
    return SignedMessage(request, body)


def proposal_of(message: SignedMessage, changes: Changes) -> str | None:
    """Return the proposal that a message is about, as far as its entry says.

    A ballot and a withdrawal name it. A proposal gets its ID when it is taken in: it is what the
    window of recent messages has under the message's key.
    """
    if message.kind is not MessageType.PROPOSAL:
        return message.request.proposal_id
    value = changes.get(COSE_RECENT_PROPOSALS.name, {}).get(message.request.replay_key.encode())
    if value is not None:
        try:
            return COSE_RECENT_PROPOSALS.value.decode(value)
        except FormatError:
            return None
    added = [key for key, data in changes.get(PROPOSALS.name, {}).items() if data is not None]
    return added[0].decode("utf-8", "replace") if len(added) == 1 else None


def info_of(proposal_id: str | None, changes: Changes) -> ProposalInfo | None:
    """Return what an entry says came of a proposal; None when it says nothing readable."""
    if proposal_id is None:
        return None
    value = changes.get(PROPOSALS_INFO.name, {}).get(proposal_id.encode("utf-8", "replace"))
    try:
        return None if value is None else PROPOSALS_INFO.value.decode(value)
    except FormatError:
        return None
