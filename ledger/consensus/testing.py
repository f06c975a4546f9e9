"""The factory by which test drivers get nodes: production code with every option off."""

from collections.abc import Callable

from ledger.base.ids import NodeId
from ledger.consensus.raft import Raft
from ledger.consensus.types import Applied, Entry, EntryRole, Proposed, Settings

__all__ = ["Applied", "Entry", "Proposed", "make_node"]

FLUSH_BYTES = 20_000
"""A primary sends without waiting for a tick once it has appended this much."""


def make_node(
    node_id: str,
    *,
    message_timeout_ms: int,
    election_timeout_ms: int,
    pre_vote_enabled: bool,
    jitter: Callable[[int], int],
    apply_entry: Callable[[int, int, bytes], EntryRole | None],
) -> Raft:
    """Make a node without log, configuration or view, not ticking.

    Args:
        node_id: Any text.
        message_timeout_ms: Interval of heartbeats.
        election_timeout_ms: Longest silence before the node stands.
        pre_vote_enabled: Whether it asks for pre-votes first.
        jitter: ``jitter(n)`` returns an integer in [0, n]; the only randomness.
        apply_entry: Says what an entry does, from its view, seqno and data; None refuses it.
    """
    settings = Settings(
        message_timeout_ms=message_timeout_ms,
        election_timeout_ms=election_timeout_ms,
        pre_vote=pre_vote_enabled,
        eager_send=False,
        resend_on_nack=False,
        track_persistence=False,
        max_uncommitted=0,
        inflight_bytes_max=0,
        flush_bytes=FLUSH_BYTES,
        trusts_once=False,
        retained_entries=None,
    )
    return Raft(NodeId(node_id), settings, apply_entry, jitter)
