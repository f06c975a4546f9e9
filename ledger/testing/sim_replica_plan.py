"""What goes wrong around real replicas, beyond what ``faults`` draws for every simulation."""

from dataclasses import dataclass, replace
from random import Random

from ledger.replica.cadence import SigningSettings
from ledger.replica.settings import ReplicaSettings
from ledger.testing.faults import FaultPlan, draw_plan


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaPlan:
    """The mix of one schedule. Times in simulated milliseconds.

    Attributes:
        faults: What every simulation has.
        replica: Settings of replicas: signing cadence and chunk size.
        read_size: Bytes after which the host ends an answer to a read.
        encodes: Whether messages become bytes on their way.
        turn_ms: Longest time from an input to the end of its loop turn.
        answer_ms: Longest time that an answer of the host is on its way.
        wait_ms: Longest time that a handler waits.
        join_retry_ms: Time between two questions of a node that wants to join.
        secrets: Weight of rekeys and new shares among operators' calls, in ``[0, 4]``.
        receipts: Whether clients ask for receipts.
    """

    faults: FaultPlan
    replica: ReplicaSettings
    read_size: int
    encodes: bool
    turn_ms: int
    answer_ms: int
    wait_ms: int
    join_retry_ms: int
    secrets: int
    receipts: bool


def draw_replica_plan(chance: Random) -> ReplicaPlan:
    """Draw the mix of one schedule."""
    faults = draw_plan(chance)
    settings = replace(
        faults.settings,
        track_persistence=chance.random() < 0.8,
        inflight_bytes_max=chance.choice((0, 0, 3000, 30_000)),
        flush_bytes=chance.choice((600, 4000, 64 << 10)),
        batch_bytes_max=chance.choice((400, 3000, 64 << 10)),
    )
    delay_ms = chance.choice((20, 60, 200))
    return ReplicaPlan(
        faults=replace(faults, settings=settings, joins_from_prefix=False),
        replica=ReplicaSettings(
            SigningSettings(
                tx_count=chance.choice((1, 3, 10, 40)),
                delay_ms=delay_ms,
                min_interval_ms=chance.choice((0, 5, 10, delay_ms)),
            ),
            chance.choice((1, 2000, 20_000, 5_000_000)),
        ),
        read_size=chance.choice((1, 1500, 10_000, 4 << 20)),
        encodes=chance.random() < 0.3,
        turn_ms=chance.choice((0, 0, 1, 3)),
        answer_ms=chance.choice((0, 1, 5)),
        wait_ms=chance.choice((1, 10, 60)),
        join_retry_ms=chance.choice((10, 30, 100)),
        secrets=chance.choice((0, 1, 1, 4)),
        receipts=chance.random() < 0.5,
    )
