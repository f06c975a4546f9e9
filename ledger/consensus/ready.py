"""What a step leaves behind: messages to send and operations on the ledger and the store.

Order rule: a message may promise what an earlier effect does (an acknowledgement, a granted vote),
so the effects of one ``ready`` are done before its messages leave. With the setting
``track_persistence`` an acknowledgement that depends on the disk is not even queued before
``persisted`` was called, so "done" then means handed to the host in order.
"""

import msgspec

from ledger.base.ids import NodeId
from ledger.consensus.messages import Message
from ledger.consensus.types import Entry


class Append(msgspec.Struct, frozen=True, gc=False):
    """Write the entry at the end of the ledger."""

    entry: Entry


class Truncate(msgspec.Struct, frozen=True, gc=False):
    """Remove the ledger's entries above ``seqno``."""

    seqno: int


class Rollback(msgspec.Struct, frozen=True, gc=False):
    """Return the store to the state at ``view.seqno``; later writes belong to ``next_view``."""

    view: int
    seqno: int
    next_view: int


class Commit(msgspec.Struct, frozen=True, gc=False):
    """Everything up to ``seqno`` is committed: compact the store, mark the ledger."""

    seqno: int


class InitialiseView(msgspec.Struct, frozen=True, gc=False):
    """The node is about to write entries in this view."""

    view: int


class RequestRetirementCleanup(msgspec.Struct, frozen=True, gc=False):
    """Mark every node whose retirement is committed as removable, if some are not marked yet."""


class BecamePrimary(msgspec.Struct, frozen=True, gc=False):
    """The node is primary of this view. Its first signature is due at once."""

    view: int


class BecameBackup(msgspec.Struct, frozen=True, gc=False):
    """The node follows in this view, or waits for a primary of it, or has left for good."""

    view: int


Effect = (
    Append
    | Truncate
    | Rollback
    | Commit
    | InitialiseView
    | RequestRetirementCleanup
    | BecamePrimary
    | BecameBackup
)


class Ready:
    """Outputs produced since the last call, each list in the order of production.

    Attributes:
        messages: Pairs of destination and message.
        effects: Operations to carry out before the messages leave.
    """

    __slots__ = ("effects", "messages")

    def __init__(self, messages: list[tuple[NodeId, Message]], effects: list[Effect]) -> None:
        self.messages = messages
        self.effects = effects


class Outbox:
    """Collects outputs until they are drained."""

    __slots__ = ("effects", "messages")

    def __init__(self) -> None:
        self.messages: list[tuple[NodeId, Message]] = []
        self.effects: list[Effect] = []

    def drain(self) -> Ready:
        """Hand out everything collected and start afresh."""
        ready = Ready(self.messages, self.effects)
        self.messages = []
        self.effects = []
        return ready
