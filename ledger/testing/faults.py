"""What goes wrong in one simulated schedule, and how much of it: drawn from the seed.

The fault model. Messages may be lost, delayed, reordered, duplicated and replayed long after. Links
may be cut one way or both, in any pattern, for any time, and come back. Nodes may be slow, pause
and go on, and have clocks that drift and jump forwards. A node that stops never comes back under
its id; a disk that fails stops its node; until then it may be slow. What a node sent is what
arrives, and whom a message is from is certain: nobody lies.

Every schedule has a mix of its own, with some faults turned off entirely, because a fault that is
always there hides what happens without it.
"""

from dataclasses import dataclass
from random import Random

from ledger.consensus.types import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """The mix of one schedule. Probabilities are per message, times in simulated milliseconds.

    Attributes:
        nodes: Members of the service once it is set up.
        settings: Of all nodes.
        loss: Probability that a message is lost.
        duplication: Probability that it arrives twice.
        replay: Probability that an old message arrives once more after it.
        latency: Longest delay of a message; its delay is uniform from 1.
        keeps_order: Whether messages of one link arrive in the order of sending.
        slow_link_ms: Extra delay of one link; 0 for none.
        slow_node_ms: Extra delay of all messages to one node; 0 for none.
        drift: Largest deviation of a clock's rate, as a fraction.
        disk_ms: Longest time that a write takes to be on disk.
        fault_gap_ms: Mean time between two faults that the schedule makes; 0 for none.
        cuts: Weight of cutting links.
        pauses: Weight of pausing a node.
        jumps: Weight of a clock that jumps forwards.
        stops: Weight of stopping a node, or a few at once.
        changes: Weight of changing the configuration.
        hand_overs: Weight of a planned hand-over.
        stalls: Weight of a disk that stalls.
        write_gap_ms: Mean time between two writes of clients.
        burst: Most writes executed at once.
        sign_delay_ms: Longest time from a write to the signature over it.
        cleanup_delay_ms: Longest time from a request for clean-up to its entry.
        joins_from_prefix: Whether some new nodes start from an older committed prefix.
    """

    nodes: int
    settings: Settings
    loss: float
    duplication: float
    replay: float
    latency: int
    keeps_order: bool
    slow_link_ms: int
    slow_node_ms: int
    drift: float
    disk_ms: int
    fault_gap_ms: int
    cuts: int
    pauses: int
    jumps: int
    stops: int
    changes: int
    hand_overs: int
    stalls: int
    write_gap_ms: int
    burst: int
    sign_delay_ms: int
    cleanup_delay_ms: int
    joins_from_prefix: bool


MESSAGE_TIMEOUT_MS = 10
ELECTION_TIMEOUT_MS = 100


def draw_plan(chance: Random) -> FaultPlan:
    """Draw the mix of one schedule."""
    sometimes = chance.random
    return FaultPlan(
        nodes=chance.choice((1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 7)),
        settings=draw_settings(chance),
        loss=chance.choice((0.0, 0.0, 0.02, 0.1, 0.3)),
        duplication=chance.choice((0.0, 0.0, 0.05, 0.2)),
        replay=chance.choice((0.0, 0.0, 0.02, 0.1)),
        latency=chance.choice((1, 2, 5, 15, 40)),
        keeps_order=sometimes() < 0.4,
        slow_link_ms=chance.choice((0, 0, 0, 60, 400)),
        slow_node_ms=chance.choice((0, 0, 0, 20, 80)),
        drift=chance.choice((0.0, 0.0, 0.1, 0.4)),
        disk_ms=chance.choice((0, 1, 5, 40)),
        fault_gap_ms=chance.choice((0, 30, 60, 120, 250)),
        cuts=chance.choice((0, 2, 4)),
        pauses=chance.choice((0, 0, 2)),
        jumps=chance.choice((0, 1, 3)),
        stops=chance.choice((0, 0, 1)),
        changes=chance.choice((0, 1, 2, 4)),
        hand_overs=chance.choice((0, 0, 1)),
        stalls=chance.choice((0, 0, 1)),
        write_gap_ms=chance.choice((2, 5, 10, 30)),
        burst=chance.choice((1, 1, 3, 10)),
        sign_delay_ms=chance.choice((0, 5, 20, 60)),
        cleanup_delay_ms=chance.choice((0, 10, 100)),
        joins_from_prefix=sometimes() < 0.5,
    )


def draw_settings(chance: Random) -> Settings:
    """Draw the settings of one schedule's nodes; small batches make more ways to go wrong."""
    is_eager = chance.random() < 0.4
    return Settings(
        message_timeout_ms=MESSAGE_TIMEOUT_MS,
        election_timeout_ms=ELECTION_TIMEOUT_MS,
        pre_vote=chance.random() < 0.6,
        eager_send=is_eager,
        resend_on_nack=is_eager and chance.random() < 0.8,
        track_persistence=chance.random() < 0.3,
        max_uncommitted=chance.choice((0, 50, 400)),
        inflight_bytes_max=chance.choice((0, 0, 100, 1000)),
        flush_bytes=chance.choice((60, 400, 20_000)),
        batch_bytes_max=chance.choice((1, 40, 400, 64 << 10)),
        batch_entries_max=chance.choice((1, 2, 3, 5, 20, 1000)),
        retained_entries=chance.choice((None, None, 0, 40)),
    )
