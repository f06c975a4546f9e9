"""What nodes say to each other, as frames: consensus messages and forwarded requests.

Framing and bounds are those of ``boundary.frames``. The entries of an AppendEntries are the
ledger's own bytes, back to back in the tail: nothing is encoded again. Who speaks is known from
the mutually authenticated channel, never from a message.
"""

from typing import Annotated, ClassVar, Literal

import msgspec

from ledger.base.errors import FormatError
from ledger.base.limits import VIEW_MAX
from ledger.boundary.frames import Direction
from ledger.boundary.messages import (
    ENTRIES_SIZE_MAX,
    Counter,
    Message,
    SeqnoOrZero,
    ShortText,
)
from ledger.codec.entry import entry_size, iv_for
from ledger.consensus import messages as consensus
from ledger.consensus.types import Entry

ViewField = Annotated[int, msgspec.Meta(ge=0, le=VIEW_MAX)]
Election = Literal["pre_vote", "regular"]

BODY_SIZE_MAX = 32 << 20
"""Largest body of a forwarded request or response."""


class AppendEntries(Message, frozen=True):
    """See ``consensus.messages.AppendEntries``; the tail holds the entries."""

    TAIL_SIZE_MAX: ClassVar[int] = ENTRIES_SIZE_MAX

    view: ViewField
    prev_view: ViewField
    prev_seqno: SeqnoOrZero
    last_seqno: SeqnoOrZero
    entries_view: ViewField
    primary_commit: SeqnoOrZero


class AppendEntriesResponse(Message, frozen=True):
    """See ``consensus.messages.AppendEntriesResponse``."""

    view: ViewField
    last_seqno: SeqnoOrZero
    success: bool


class RequestVote(Message, frozen=True):
    """See ``consensus.messages.RequestVote``."""

    view: ViewField
    last_committable_view: ViewField
    last_committable_seqno: SeqnoOrZero
    election: Election


class RequestVoteResponse(Message, frozen=True):
    """See ``consensus.messages.RequestVoteResponse``."""

    view: ViewField
    granted: bool
    election: Election


class ProposeRequestVote(Message, frozen=True):
    """See ``consensus.messages.ProposeRequestVote``."""

    view: ViewField


class Hello(Message, frozen=True):
    """The first message on a connection: where its sender takes connections of other nodes.

    Attributes:
        address: Published node-to-node address, ``host:port``. What is dialled there has to show
            the certificate of the node that said so.
    """

    address: ShortText


class ForwardedRequest(Message, frozen=True):
    """A client's request that a backup passes to the primary; the tail holds the body.

    Attributes:
        id: Chosen by the sender, returned in the answer.
        method: Verb.
        path: Raw path.
        query: Raw query.
        headers: Lower-case names and values.
        certificate: Client certificate as DER, or None.
        interface: RPC interface it came in on.
        view: View that the client's session is pinned to, 0 for none.
    """

    HEADER_SIZE_MAX: ClassVar[int] = 8 << 20
    TAIL_SIZE_MAX: ClassVar[int] = BODY_SIZE_MAX

    id: Counter
    method: ShortText
    path: str
    query: str
    headers: dict[bytes, bytes]
    certificate: bytes | None
    interface: ShortText
    view: ViewField


class ForwardedResponse(Message, frozen=True):
    """The primary's answer; the tail holds the body.

    Attributes:
        id: Of the request.
        status: HTTP status.
        content_type: As in the response, or None.
        tx_id: As in the response, or None.
        headers: Further headers.
        view: View the session is pinned to from now on, 0 for none.
        ends_session: Whether the client's session ends with this answer.
    """

    HEADER_SIZE_MAX: ClassVar[int] = 1 << 20
    TAIL_SIZE_MAX: ClassVar[int] = BODY_SIZE_MAX

    id: Counter
    status: Annotated[int, msgspec.Meta(ge=100, le=599)]
    content_type: bytes | None
    tx_id: bytes | None
    headers: list[tuple[bytes, bytes]]
    view: ViewField
    ends_session: bool


PeerMessage = (
    AppendEntries
    | AppendEntriesResponse
    | RequestVote
    | RequestVoteResponse
    | ProposeRequestVote
    | Hello
    | ForwardedRequest
    | ForwardedResponse
)
"""Every message between nodes."""

FROM_PEER: Direction[PeerMessage] = Direction("from a peer", msgspec.msgpack.Decoder(PeerMessage))


def to_wire(message: consensus.Message) -> tuple[PeerMessage, list[bytes]]:
    """Return a consensus message as a peer message and the pieces of its tail."""
    match message:
        case consensus.AppendEntries():
            assert message.is_bound, "entries are read back before the message is sent"
            header = AppendEntries(
                message.view,
                message.prev_view,
                message.prev_seqno,
                message.last_seqno,
                message.entries_view,
                message.primary_commit,
            )
            return header, [entry.data for entry in message.entries]
        case consensus.AppendEntriesResponse(view=view, last_seqno=last, success=success):
            return AppendEntriesResponse(view, last, success), []
        case consensus.RequestVote(view=view, election=election):
            seqno = message.last_committable_seqno
            return RequestVote(view, message.last_committable_view, seqno, election), []
        case consensus.RequestVoteResponse(view=view, granted=granted, election=election):
            return RequestVoteResponse(view, granted, election), []
        case consensus.ProposeRequestVote(view=view):
            return ProposeRequestVote(view), []


def from_wire(message: PeerMessage, tail: memoryview) -> consensus.Message | None:
    """Return the consensus message in a frame, None when it is none.

    Raises:
        FormatError: the entries in the tail are not the ones the header names.
    """
    match message:
        case AppendEntries():
            return consensus.AppendEntries(
                message.view,
                message.prev_view,
                message.prev_seqno,
                message.last_seqno,
                message.entries_view,
                message.primary_commit,
                _entries(message, tail),
            )
        case AppendEntriesResponse(view=view, last_seqno=last, success=success):
            return consensus.AppendEntriesResponse(view, last, success)
        case RequestVote(view=view, election=election):
            seqno = message.last_committable_seqno
            return consensus.RequestVote(view, message.last_committable_view, seqno, election)
        case RequestVoteResponse(view=view, granted=granted, election=election):
            return consensus.RequestVoteResponse(view, granted, election)
        case ProposeRequestVote(view=view):
            return consensus.ProposeRequestVote(view)
        case Hello() | ForwardedRequest() | ForwardedResponse():
            return None


def _entries(header: AppendEntries, tail: memoryview) -> tuple[Entry, ...]:
    """Cut the tail into entries; what is in them is checked when they are applied."""
    data = bytes(tail)
    entries = []
    offset = 0
    seqno = header.prev_seqno
    view = header.entries_view
    while offset < len(data):
        end = offset + entry_size(data, offset)
        seqno += 1
        if data[offset + 24 : offset + 36] != iv_for(view, seqno):
            raise FormatError(f"got another entry than {view}.{seqno}")
        entries.append(Entry(view, seqno, data[offset:end]))
        offset = end
    if seqno != header.last_seqno:
        raise FormatError(f"got entries up to {seqno}, want {header.last_seqno}")
    return tuple(entries)
