"""A simulated cluster with a clock: what happens when, on a network that the schedule can disturb.

Simulated time is in milliseconds. Everything that is to happen waits in one queue, ordered by time
and then by the order in which it was planned, so equal seeds give equal schedules.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any

from ledger.base.ids import NodeId
from ledger.consensus.messages import AppendEntries, Message, bind
from ledger.testing.cluster import Cluster, Member
from ledger.testing.faults import FaultPlan, draw_plan
from ledger.testing.network import Envelope, Network
from ledger.testing.sim_clients import Clients
from ledger.testing.sim_node import ChainMaker, NodeMaker

TICK_MS = 5


class Clocked:
    """A cluster, its clients, and the queue of what is to happen.

    Attributes:
        seed: What everything is drawn from.
        plan: Its mix of faults.
        cluster: The nodes.
        network: What is between them.
        clients: Those who write, read and ask.
        now: Simulated time.
        watcher: Told of every message before the network takes it.
    """

    def __init__(
        self, seed: int, plan: FaultPlan | None = None, maker: NodeMaker | None = None
    ) -> None:
        self.seed = seed
        self._chance = Random(seed)  # noqa: S311
        self.plan = plan or draw_plan(self._chance)
        self.cluster = Cluster(self.plan.settings, self, maker or ChainMaker())
        self.network = Network(self.plan, self._chance)
        self.clients = Clients(self.cluster, self._chance)
        self.now = 0
        self.watcher: Callable[[NodeId, NodeId, Message], None] | None = None
        self._queue: list[tuple[int, int, Callable[..., None], Any]] = []
        self._planned = 0
        self._is_healed = True
        self._paused: dict[NodeId, int] = {}
        self._stalled: dict[NodeId, int] = {}
        self._rates: dict[NodeId, float] = {}
        self._signing: set[NodeId] = set()
        self._writes = True
        self._created = 0

    # The clock

    def at(self, time: int, action: Callable[[Any], None], argument: object = None) -> None:
        """Plan something."""
        self._planned += 1
        heappush(self._queue, (time, self._planned, action, argument))

    def _advance(self) -> None:
        """Let the next thing happen."""
        self.now, _, action, argument = heappop(self._queue)
        self.cluster.chance = self._chance.getrandbits(20)
        action(argument)

    def _run_until(self, condition: Callable[[], bool], limit: int) -> bool:
        """Let things happen until a condition holds or time is up; says whether it holds."""
        while not condition():
            if self._queue[0][0] > limit:
                return False
            self._advance()
        return True

    # What the cluster tells

    def sent(self, source: Member, to: NodeId, message: Message) -> None:
        """Put a message on its way."""
        if type(message) is AppendEntries and not message.is_bound:
            entries = source.ledger[message.prev_seqno + 1 : message.last_seqno + 1]
            held = [entry for entry in entries if entry is not None]
            for part in bind(message, held, self.plan.settings.batch_bytes_max):
                self._put(source.node_id, to, part)
        else:
            self._put(source.node_id, to, message)

    def _put(self, source: NodeId, to: NodeId, message: Message) -> None:
        if self.watcher is not None:
            self.watcher(source, to, message)
        for time, envelope in self.network.send(self.now, source, to, message):
            self.at(time, self._deliver, envelope)

    def appended(self, member: Member, last: int, view: int) -> None:
        """Let the disk write."""
        delay = 0 if self._is_healed else self._chance.randint(0, self.plan.disk_ms)
        at = max(self.now + delay, self._stalled.get(member.node_id, 0))
        self.at(at, self._persist, (member, last, view, member.generation))

    def became_primary(self, member: Member) -> None:
        """Let a new primary sign soon."""
        self._sign_soon(member)

    def wants_cleanup(self, member: Member) -> None:
        """Let a primary mark the nodes that have left, soon."""
        self.at(self.now + self._chance.randint(0, self.plan.cleanup_delay_ms), self._clean, member)

    # What happens

    def _deliver(self, envelope: Envelope) -> None:
        member = self.cluster.members.get(envelope.to)
        if member is None or not member.is_alive:
            return
        if self.network.is_cut(envelope.source, envelope.to):
            return
        if self._is_paused(member, self._deliver, envelope):
            return
        self.cluster.deliver(envelope.source, member, envelope.message, envelope.number)

    def _tick(self, member: Member) -> None:
        if not member.is_alive or self._is_paused(member, self._tick, member):
            return
        self.at(self.now + max(1, round(TICK_MS / self._rates[member.node_id])), self._tick, member)
        self.cluster.tick(member, TICK_MS)

    def _persist(self, report: tuple[Member, int, int, int]) -> None:
        member, last, view, generation = report
        if not member.is_alive or generation != member.generation:
            return
        stalled = self._stalled.get(member.node_id, 0)
        if stalled > self.now:
            self.at(stalled, self._persist, report)
            return
        self.cluster.persist(member, last, view)

    def _sign_soon(self, member: Member) -> None:
        if member.node_id not in self._signing:
            self._signing.add(member.node_id)
            delay = self._chance.randint(0, self.plan.sign_delay_ms)
            self.at(self.now + delay, self._sign, member)

    def _sign(self, member: Member) -> None:
        if self._is_paused(member, self._sign, member):
            return
        self._signing.discard(member.node_id)
        raft = member.raft
        is_due = raft.should_sign or raft.last > raft.last_committable
        if member.is_alive and raft.is_primary and is_due:
            self.cluster.sign(member)

    def _clean(self, member: Member) -> None:
        if member.is_alive and self.cluster.clean_up(member):
            self._sign_soon(member)

    def _client(self, _: object) -> None:
        """Let clients write at a node that calls itself primary, read, and ask for statuses."""
        chance, clients = self._chance, self.clients
        self.at(self._soon(self.plan.write_gap_ms), self._client)
        alive = self.cluster.alive()
        if not alive:
            return
        for _ in range(3):
            clients.poll(chance.choice(alive))
        clients.read(chance.choice(alive))
        primaries = [m for m in self.cluster.primaries() if not self._is_asleep(m)]
        if not primaries or not self._writes:
            return
        member = chance.choice(primaries)
        if member.raft.at_capacity:
            self.cluster.counters["primary at capacity"] += 1
        else:
            for _ in range(chance.randint(1, self.plan.burst)):
                clients.write(member)
        self._sign_soon(member)

    # Helpers

    def _soon(self, mean_ms: int) -> int:
        return self.now + 1 + int(self._chance.random() * 2 * mean_ms)

    def _any_member(self) -> Member | None:
        alive = self.cluster.alive()
        return self._chance.choice(alive) if alive else None

    def _is_asleep(self, member: Member) -> bool:
        return self._paused.get(member.node_id, 0) > self.now

    def _is_paused(self, member: Member, action: Callable[[Any], None], argument: object) -> bool:
        """Put an action off until its node goes on; says whether it did."""
        until = self._paused.get(member.node_id, 0)
        if until <= self.now:
            return False
        self.at(until, action, argument)
        return True

    def _new_id(self) -> NodeId:
        self._created += 1
        return NodeId(f"n{self._created - 1}")

    def _new_member(self, source: Member | None) -> Member:
        """Make a node that waits to be contacted, from nothing or from an older prefix."""
        node_id = self._new_id()
        if source is not None and self.plan.joins_from_prefix and self._chance.random() < 0.7:
            seqno = self._signature_below(source, self._chance.randint(1, source.raft.commit))
        else:
            seqno = 0
        if source is not None and seqno:
            self.cluster.counters["joiner from an older prefix"] += 1
            member = self.cluster.join_from(node_id, source, seqno)
        else:
            self.cluster.counters["joiner from nothing"] += 1
            member = self.cluster.join_empty(node_id)
        self._start_clock(member)
        return member

    def _signature_below(self, source: Member, seqno: int) -> int:
        register, views = self.cluster.invariants.register, source.log.views
        while seqno and not register[views[seqno], seqno].role.committable:
            seqno -= 1
        return seqno

    def _start_clock(self, member: Member) -> None:
        drift = 0.0 if self._is_healed else self.plan.drift
        self._rates[member.node_id] = 1.0 + self._chance.uniform(-drift, drift)
        self.at(self.now + self._chance.randint(1, TICK_MS), self._tick, member)
