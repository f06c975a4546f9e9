"""The five messages between nodes: immutable, safe to deliver twice, late or never.

They are one-way: nothing links a reply to its request, so every field that a receiver needs to
judge a stale message is in the message itself.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

import msgspec

from ledger.consensus.types import Entry

Election = Literal["pre_vote", "regular"]


class AppendEntries(msgspec.Struct, frozen=True, gc=False):
    """Entries of one view from the primary; without entries, a heartbeat.

    Attributes:
        view: View of the sender.
        prev_view: View of the entry before the first one carried, 0 for the start of the ledger.
        prev_seqno: Seqno of that entry.
        last_seqno: Seqno of the last entry carried, ``prev_seqno`` if there is none.
        entries_view: View of ``last_seqno`` at the sender, hence of all entries carried.
        primary_commit: Commit seqno of the sender.
        entries: The entries ``prev_seqno + 1 .. last_seqno``; empty in a message that is not bound
            yet (see :attr:`is_bound`).
    """

    kind: ClassVar[str] = "append_entries"

    view: int
    prev_view: int
    prev_seqno: int
    last_seqno: int
    entries_view: int
    primary_commit: int
    entries: tuple[Entry, ...] = ()

    @property
    def is_bound(self) -> bool:
        """Whether the entries named are present.

        The sender leaves them out when it has released them from memory. Such entries are
        committed, so whoever hands the message to the network reads them from the ledger and
        sends :func:`bind` of it.
        """
        return len(self.entries) == self.last_seqno - self.prev_seqno

    def with_entries(self, entries: tuple[Entry, ...]) -> "AppendEntries":
        """Return a copy that carries these entries."""
        return AppendEntries(
            self.view,
            self.prev_view,
            self.prev_seqno,
            self.last_seqno,
            self.entries_view,
            self.primary_commit,
            entries,
        )


class AppendEntriesResponse(msgspec.Struct, frozen=True, gc=False):
    """Answer to AppendEntries.

    Attributes:
        view: Of the responder; in a refusal, of the entry at ``last_seqno`` there.
        last_seqno: Accepted: agreement up to here. Refused: best estimate of the agreement.
        success: Accepted or refused.
    """

    kind: ClassVar[str] = "append_entries_response"

    view: int
    last_seqno: int
    success: bool


class RequestVote(msgspec.Struct, frozen=True, gc=False):
    """A candidate asks for a vote, or in a pre-vote whether it would get one.

    Attributes:
        view: View of the candidate.
        last_committable_view: View of its newest signature.
        last_committable_seqno: Seqno of its newest signature (its commit seqno if all committed).
        election: ``pre_vote`` or ``regular``.
    """

    kind: ClassVar[str] = "request_vote"

    view: int
    last_committable_view: int
    last_committable_seqno: int
    election: Election = "regular"


class RequestVoteResponse(msgspec.Struct, frozen=True, gc=False):
    """Answer to RequestVote.

    Attributes:
        view: Of the responder.
        granted: Whether the candidate gets (or would get) the vote.
        election: Copied from the request.
    """

    kind: ClassVar[str] = "request_vote_response"

    view: int
    granted: bool
    election: Election = "regular"


class ProposeRequestVote(msgspec.Struct, frozen=True, gc=False):
    """A leaving primary asks a peer to stand at once.

    Attributes:
        view: View of the sender; the proposal holds in that view only.
    """

    kind: ClassVar[str] = "propose_request_vote"

    view: int


Message = (
    AppendEntries | AppendEntriesResponse | RequestVote | RequestVoteResponse | ProposeRequestVote
)


def bind(message: AppendEntries, entries: Sequence[Entry], bytes_max: int) -> list[AppendEntries]:
    """Give a message its entries, in as many parts as the size limit asks for.

    Args:
        message: A message that is not bound.
        entries: Exactly the entries it names, in order.
        bytes_max: Largest sum of entry sizes in one part; a larger single entry goes alone.

    Returns:
        Messages to send in this order; together they carry all entries.
    """
    want = message.last_seqno - message.prev_seqno
    assert len(entries) == want, f"got {len(entries)} entries for a message that names {want}"
    parts: list[AppendEntries] = []
    begin = 0
    while begin < len(entries):
        end, size = begin + 1, len(entries[begin].data)
        while end < len(entries) and size + len(entries[end].data) <= bytes_max:
            size += len(entries[end].data)
            end += 1
        parts.append(
            AppendEntries(
                message.view,
                message.entries_view if begin else message.prev_view,
                message.prev_seqno + begin,
                message.prev_seqno + end,
                message.entries_view,
                message.primary_commit,
                tuple(entries[begin:end]),
            )
        )
        begin = end
    return parts
