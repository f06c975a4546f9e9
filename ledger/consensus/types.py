"""Values of the protocol: entries, roles, phases, settings, and what a node says of itself.

The words of the published protocol appear only as the text of the enumerations, which is what
operators see in ``/node/consensus``.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from ledger.base.ids import NodeId


class Role(enum.StrEnum):
    """What a node currently does in its view; the value is the published name."""

    NONE = "None"
    BACKUP = "Follower"
    PRE_VOTE_CANDIDATE = "PreVoteCandidate"
    CANDIDATE = "Candidate"
    PRIMARY = "Leader"


class Membership(enum.StrEnum):
    """Whether a configuration without this node follows one that had it."""

    ACTIVE = "Active"
    RETIRED = "Retired"


class RetirementPhase(enum.StrEnum):
    """How far a leaving node has got; only ``Ordered`` and ``Signed`` can be taken back."""

    ORDERED = "Ordered"
    SIGNED = "Signed"
    COMPLETED = "Completed"
    RETIRED_COMMITTED = "RetiredCommitted"


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One entry of the ledger.

    Attributes:
        view: View of the primary that wrote it.
        seqno: Position in the ledger, from 1.
        data: Its bytes, opaque here.
    """

    view: int
    seqno: int
    data: bytes


class EntryRole(Protocol):
    """What an entry does beside carrying data; at most one of the three."""

    @property
    def committable(self) -> bool:
        """Whether it is a signature over everything before it."""
        ...

    @property
    def configuration(self) -> frozenset[NodeId] | None:
        """The complete new set of nodes, when it changes the set."""
        ...

    @property
    def retired_committed(self) -> frozenset[NodeId] | None:
        """Nodes that it marks as removable, when it marks some."""
        ...


class Proposed(msgspec.Struct, frozen=True):
    """What the primary is asked to append.

    Attributes:
        seqno: Must follow the newest entry held.
        data: Bytes of the entry.
        committable: It is a signature.
        configuration: The complete new set of nodes, if it changes the set.
        retired_committed: Nodes that it marks as removable, if it marks some.
    """

    seqno: int
    data: bytes
    committable: bool = False
    configuration: frozenset[NodeId] | None = None
    retired_committed: frozenset[NodeId] | None = None


class Applied(msgspec.Struct, frozen=True):
    """What a backup learns by applying an entry; the fields are those of :class:`Proposed`."""

    committable: bool = False
    configuration: frozenset[NodeId] | None = None
    retired_committed: frozenset[NodeId] | None = None


PLAIN = Applied()
"""An entry without a role: what almost every entry applies to."""

ApplyEntry = Callable[[int, int, bytes], EntryRole | None]
"""``apply_entry(view, seqno, data)``: apply one entry on a backup; None means it cannot be applied.

When it is called with ``seqno``, whatever was applied at ``seqno`` or above before has been rolled
back (its ``Rollback`` effect may still be waiting in the queue), so the callee must first return to
the state at ``seqno - 1``.
"""

Jitter = Callable[[int], int]
"""``jitter(n)`` returns an integer in [0, n]: the only chance there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Timing and optional behaviour of a node. The defaults are those of production.

    Attributes:
        message_timeout_ms: A primary sends at least one message per peer in this time.
        election_timeout_ms: Longest silence before a backup stands; the real timeout is uniform
            between half and all of it.
        pre_vote: Ask whether an election could be won before starting one.
        eager_send: Send at once when a signature is appended, not on the next tick.
        resend_on_nack: Send at once from the point that a refused peer names.
        track_persistence: Count an entry as held by us only after ``persisted`` named it, and hold
            back acknowledgements of signatures until then.
        max_uncommitted: Backlog of uncommitted entries at which ``at_capacity`` turns true;
            0 for no limit.
        inflight_bytes_max: Bytes sent to one peer and not acknowledged at which only heartbeats
            go out; 0 for no limit.
        flush_bytes: Appended bytes after which a primary sends without waiting for a tick.
        batch_bytes_max: Size of the entries of one message; a larger single entry goes alone.
        batch_entries_max: Number of entries of one message.
        trusts_once: Assert what the layer above owes: no id is trusted twice, and nodes are marked
            as removable only once their retirement is committed. Scripted scenarios may break it.
        retained_entries: Committed entries to keep for slow peers, older ones are released on
            commit; None keeps all until ``release`` is called.
    """

    message_timeout_ms: int = 100
    election_timeout_ms: int = 5000
    pre_vote: bool = True
    eager_send: bool = True
    resend_on_nack: bool = True
    track_persistence: bool = True
    max_uncommitted: int = 10_000
    inflight_bytes_max: int = 16 << 20
    flush_bytes: int = 64 << 10
    batch_bytes_max: int = 64 << 10
    batch_entries_max: int = 1000
    trusts_once: bool = True
    retained_entries: int | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """A node's view of itself at one moment, in the published words.

    Attributes:
        leadership_state: ``None``, ``Leader``, ``Follower``, ``PreVoteCandidate``, ``Candidate``.
        membership_state: ``Active`` or ``Retired``.
        retirement_phase: None unless retired: ``Ordered``, ``Signed``, ``Completed``,
            ``RetiredCommitted``.
        current_view: 0 until the node has heard from anybody.
        last_seqno: Highest seqno held.
        commit_seqno: Highest seqno known to be committed.
        primary_id: The primary of this view, if known.
        ticking: Whether silence makes this node stand for election.
        configs: Active configurations, ascending: seqno and the ids.
        acks: On the primary, per peer: ``seqno`` it acknowledged, ``last_received_ms`` since.
    """

    leadership_state: str
    membership_state: str
    retirement_phase: str | None
    current_view: int
    last_seqno: int
    commit_seqno: int
    primary_id: str | None
    ticking: bool
    configs: list[tuple[int, set[NodeId]]]
    acks: dict[NodeId, dict[str, int]]
