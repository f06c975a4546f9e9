"""A random walk over everything that could happen next, without a clock.

Where :class:`~ledger.testing.simulation.Schedule` is a plausible network, this is an adversary: any
message that was ever sent may arrive next, any node's patience may end next. For some steps at a
time only some links are open, so that groups of nodes get far apart while their messages wait.
Walks are short and many; some of them end in restored health and must get on.
"""

from random import Random

from typing_extensions import override

from ledger.base.ids import NodeId
from ledger.consensus.messages import Message
from ledger.testing.cluster import Member
from ledger.testing.faults import (
    ELECTION_TIMEOUT_MS,
    MESSAGE_TIMEOUT_MS,
    FaultPlan,
    draw_plan,
    draw_settings,
)
from ledger.testing.network import Envelope, Link, draw_cut
from ledger.testing.simulation import Outcome, Schedule

PENDING_MAX = 300
STEPS = (150, 300, 600, 1000)


class Walk(Schedule):
    """Runs one seed as a walk."""

    def __init__(self, seed: int) -> None:
        chance = Random(seed)  # noqa: S311
        super().__init__(seed, _draw_walk_plan(chance))
        self._walk_chance = chance
        self._keeps_order = chance.random() < 0.5
        self._is_walking = False
        self._pending: list[Envelope] = []
        self._unwritten: list[tuple[Member, int, int, int]] = []
        self._closed: set[Link] = set()
        self._cleaning: list[Member] = []

    @override
    def run(self) -> Outcome:
        """Set the service up, walk, and now and then restore health."""
        self._set_up()
        self._is_walking = True
        self._is_healed = False
        actions, weights = self._draw_actions()
        chance = self._walk_chance
        end = self.cluster.steps + chance.choice(STEPS)
        epoch = 0
        idle = 0
        while self.cluster.steps < end and idle < 1000:
            before = self.cluster.steps
            if epoch == 0:
                epoch = chance.randint(5, 100)
                self._open_links()
            epoch -= 1
            self.cluster.chance = chance.getrandbits(20)
            chance.choices(actions, weights)[0]()
            idle = 0 if self.cluster.steps > before else idle + 1
        self._is_walking = False
        demanded = False
        if chance.random() < 0.15:
            demanded = self._resume()
        self.clients.check()
        return self._outcome(demanded=demanded)

    def _resume(self) -> bool:
        """Let the clock go on, with everything that still waits, and require progress."""
        for envelope in self._pending:
            self.at(self.now + 1, self._deliver, envelope)
        for report in self._unwritten:
            self.at(self.now + 1, self._persist, report)
        for member in self._cleaning:
            self.at(self.now + 1, self._clean, member)
        self.at(self.now + 1, self._client)
        demanded = self._heal()
        if demanded:
            self._require_progress()
        return demanded

    def _draw_actions(self) -> tuple[list, list[float]]:  # type: ignore[type-arg]
        chance = self._walk_chance
        weight = chance.choice
        table = [
            (self._deliver_one, 30.0),
            (self._heartbeat, weight((2.0, 6.0, 12.0))),
            (self._time_out, weight((0.2, 0.5, 2.0))),
            (self._write_one, weight((1.0, 3.0, 6.0))),
            (self._sign_one, weight((1.0, 3.0, 6.0))),
            (self._lose_one, weight((0.0, 1.0, 4.0))),
            (self._repeat_one, weight((0.0, 1.0, 4.0))),
            (self._replay_one, weight((0.0, 2.0, 8.0))),
            (self._change, weight((0.0, 0.2, 0.6))),
            (self._clean_one, 2.0),
            (self._persist_one, weight((3.0, 10.0))),
            (self._stop, weight((0.0, 0.0, 0.15))),
            (self._hand_over_one, weight((0.0, 0.3))),
            (self._ask, 1.0),
        ]
        return [act for act, _ in table], [share for _, share in table]

    # What the cluster tells

    @override
    def _put(self, source: NodeId, to: NodeId, message: Message) -> None:
        if not self._is_walking:
            super()._put(source, to, message)
            return
        if self.watcher is not None:
            self.watcher(source, to, message)
        for _, envelope in self.network.send(self.now, source, to, message):
            self._pending.append(envelope)
        if len(self._pending) > PENDING_MAX:
            del self._pending[self._walk_chance.randrange(PENDING_MAX)]

    @override
    def appended(self, member: Member, last: int, view: int) -> None:
        """Let the disk write some time."""
        if self._is_walking:
            self._unwritten.append((member, last, view, member.generation))
        else:
            super().appended(member, last, view)

    @override
    def became_primary(self, member: Member) -> None:
        """Let a new primary sign some time."""
        if not self._is_walking:
            super().became_primary(member)

    @override
    def wants_cleanup(self, member: Member) -> None:
        """Let a primary mark the nodes that have left, some time."""
        if self._is_walking:
            self._cleaning.append(member)
        else:
            super().wants_cleanup(member)

    # Actions

    def _open_links(self) -> None:
        """Choose which links work for the next steps."""
        chance = self._walk_chance
        nodes = [member.node_id for member in self.cluster.alive()]
        primaries = self.cluster.primaries()
        self._closed = set()
        if nodes and chance.random() < 0.7:
            primary = chance.choice(primaries).node_id if primaries else None
            self._closed = draw_cut(chance, nodes, primary)

    def _pick(self) -> int | None:
        """Choose a waiting message whose link is open; the first of its link if order is kept."""
        pending = self._pending
        if not pending:
            return None
        position = self._walk_chance.randrange(len(pending))
        source, to = pending[position].source, pending[position].to
        if (source, to) in self._closed:
            return None
        if self._keeps_order:
            for first, envelope in enumerate(pending):
                if envelope.source == source and envelope.to == to:
                    return first
        return position

    def _deliver_one(self) -> None:
        position = self._pick()
        if position is not None:
            self._deliver(self._pending.pop(position))

    def _repeat_one(self) -> None:
        position = self._pick()
        if position is not None:
            self._deliver(self._pending[position])

    def _lose_one(self) -> None:
        if self._pending:
            self._pending.pop(self._walk_chance.randrange(len(self._pending)))

    def _replay_one(self) -> None:
        """Let a message of any age arrive (again), mostly at a primary."""
        primary = self._primary() if self._walk_chance.random() < 0.7 else None
        envelope = self.network.old_message(None if primary is None else primary.node_id)
        if envelope is not None and (envelope.source, envelope.to) not in self._closed:
            self._deliver(envelope)

    def _heartbeat(self) -> None:
        member = self._any_member()
        if member is not None:
            self.cluster.tick(member, MESSAGE_TIMEOUT_MS)

    def _time_out(self) -> None:
        member = self._any_member()
        if member is not None and not (member.raft.is_primary and self._walk_chance.random() < 0.7):
            self.cluster.tick(member, ELECTION_TIMEOUT_MS)

    def _primary(self) -> Member | None:
        primaries = self.cluster.primaries()
        return self._walk_chance.choice(primaries) if primaries else None

    def _write_one(self) -> None:
        member = self._primary()
        if member is not None:
            self.clients.write(member)

    def _sign_one(self) -> None:
        member = self._primary()
        if member is not None:
            self.cluster.sign(member)

    def _clean_one(self) -> None:
        if self._cleaning:
            member = self._cleaning.pop(0)
            if member.is_alive:
                self.cluster.clean_up(member)

    def _persist_one(self) -> None:
        if self._unwritten:
            position = self._walk_chance.randrange(len(self._unwritten))
            self._persist(self._unwritten.pop(position))

    def _hand_over_one(self) -> None:
        member = self._primary()
        if member is not None:
            self.cluster.hand_over(member)

    def _ask(self) -> None:
        alive = self.cluster.alive()
        if alive:
            self.clients.poll(self._walk_chance.choice(alive))
            self.clients.read(self._walk_chance.choice(alive))


def _draw_walk_plan(chance: Random) -> FaultPlan:
    """Draw a small service whose network itself loses and delays nothing."""
    plan = draw_plan(chance)
    return FaultPlan(
        nodes=chance.choice((2, 3, 3, 3, 4, 5)),
        settings=draw_settings(chance),
        loss=0.0,
        duplication=0.0,
        replay=chance.choice((0.0, 0.0, 0.05)),
        latency=1,
        keeps_order=False,
        slow_link_ms=0,
        slow_node_ms=0,
        drift=0.0,
        disk_ms=0,
        fault_gap_ms=0,
        cuts=0,
        pauses=0,
        jumps=0,
        stops=1,
        changes=1,
        hand_overs=1,
        stalls=0,
        write_gap_ms=10,
        burst=1,
        sign_delay_ms=5,
        cleanup_delay_ms=plan.cleanup_delay_ms,
        joins_from_prefix=plan.joins_from_prefix,
    )


def simulate(seed: int) -> Outcome:
    """Run one seed: one in five is a schedule on a clock, the others are walks."""
    return make_schedule(seed).run()


def make_schedule(seed: int) -> Schedule:
    """Prepare the run of one seed."""
    return Schedule(seed) if seed % 5 == 0 else Walk(seed)
