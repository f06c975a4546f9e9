"""One simulated schedule: a cluster, its clients and faults, from one seed; then health restored.

Simulated time is in milliseconds. Everything that is to happen waits in one queue, ordered by time
and then by the order in which it was planned, so equal seeds give equal schedules.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import Any

from ledger.base.errors import LedgerError
from ledger.base.ids import NodeId
from ledger.consensus.messages import AppendEntries, Message, bind
from ledger.consensus.quorum import quorum_size
from ledger.testing.checkers_full import FullChecker, Whole
from ledger.testing.cluster import Cluster, Member
from ledger.testing.faults import ELECTION_TIMEOUT_MS, FaultPlan, draw_plan
from ledger.testing.network import Envelope, Network, draw_cut
from ledger.testing.sim_clients import Clients
from ledger.testing.sim_machine import role_of

TICK_MS = 5
STEPS_UNDER_FAULTS = 4000
PRIMARY_WITHIN = 5 * ELECTION_TIMEOUT_MS
COMMIT_WITHIN = 10 * ELECTION_TIMEOUT_MS
EQUAL_WITHIN = 20 * ELECTION_TIMEOUT_MS
MEMBERS_MAX = 7


class LivenessError(LedgerError):
    """Faults have ended and the service does not get on."""


@dataclass(slots=True)
class Outcome:
    """What a schedule came to.

    Attributes:
        seed: It was drawn from this.
        steps: Steps of nodes.
        trace: Digest of all of them.
        committed: Length of the committed log.
        demanded: Whether the nodes left could be asked to go on.
        counters: States reached.
    """

    seed: int
    steps: int
    trace: int
    committed: int
    demanded: bool
    counters: Counter[str] = field(default_factory=Counter)


class Schedule:
    """Runs one seed.

    Attributes:
        plan: Its mix of faults.
        cluster: The nodes.
        now: Simulated time.
        healed_at: Number of recorded events before the faults ended, None as long as they last.
        watcher: Told of every message before the network takes it.
    """

    def __init__(self, seed: int, plan: FaultPlan | None = None) -> None:
        self.seed = seed
        self._chance = Random(seed)  # noqa: S311
        self.plan = plan or draw_plan(self._chance)
        self.cluster = Cluster(self.plan.settings, self)
        self.network = Network(self.plan, self._chance)
        self.clients = Clients(self.cluster, self._chance)
        self.now = 0
        self._queue: list[tuple[int, int, Callable[..., None], Any]] = []
        self._planned = 0
        self._is_healed = True
        self._paused: dict[NodeId, int] = {}
        self._stalled: dict[NodeId, int] = {}
        self._rates: dict[NodeId, float] = {}
        self._signing: set[NodeId] = set()
        self._full_checker = FullChecker(lambda entry: role_of(entry.data))
        self._writes = True
        self._created = 0
        self.healed_at: int | None = None
        self.watcher: Callable[[NodeId, NodeId, Message], None] | None = None

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

    # The phases

    def run(self) -> Outcome:
        """Run the whole schedule.

        Raises:
            InvariantError: safety is lost.
            LivenessError: progress is lost.
        """
        self._set_up()
        self._is_healed = False
        self._begin_faults()
        while self.cluster.steps < STEPS_UNDER_FAULTS and self.cluster.alive():
            self._advance()
        demanded = self._heal()
        if demanded:
            self._require_progress()
        else:
            self._run_until(lambda: False, self.now + 5 * ELECTION_TIMEOUT_MS)
        self.clients.check()
        return self._outcome(demanded=demanded)

    def check_everything(self) -> None:
        """Check all invariants by their slow definitions."""
        wholes = {
            name: Whole(
                member.raft,
                [entry for entry in member.ledger if entry is not None],
                is_alive=member.is_alive,
            )
            for name, member in self.cluster.members.items()
        }
        self._full_checker.check(wholes)

    def _outcome(self, *, demanded: bool) -> Outcome:
        self.check_everything()
        return Outcome(
            self.seed,
            self.cluster.steps,
            self.cluster.trace,
            len(self.cluster.invariants.committed) - 1,
            demanded,
            self.cluster.counters,
        )

    def _set_up(self) -> None:
        """Start the service and bring it to its planned size, without faults."""
        first = self.cluster.bootstrap(self._new_id())
        self.cluster.configure(first, frozenset({first.node_id}))
        self.cluster.sign(first)
        self._start_clock(first)
        members = [first] + [self._new_member(None) for _ in range(self.plan.nodes - 1)]
        if len(members) > 1:
            self.cluster.configure(first, frozenset(member.node_id for member in members))
            self.cluster.sign(first)
        want = first.raft.last
        done = self._run_until(
            lambda: all(member.raft.commit >= want for member in members),
            self.now + EQUAL_WITHIN,
        )
        if not done:
            raise LivenessError(f"the service did not reach its {len(members)} nodes")
        self.network.begin_faults()

    def _begin_faults(self) -> None:
        plan, chance = self.plan, self._chance
        nodes = sorted(self.cluster.members)
        if plan.slow_link_ms and len(nodes) > 1:
            source, to = chance.sample(nodes, 2)
            self.network.delays[source, to] = plan.slow_link_ms
        if plan.slow_node_ms:
            self.network.node_delays[chance.choice(nodes)] = plan.slow_node_ms
        if plan.fault_gap_ms:
            self.at(self._soon(plan.fault_gap_ms), self._fault)
        self.at(self._soon(plan.write_gap_ms), self._client)

    def _heal(self) -> bool:
        """End all faults.

        Returns:
            Whether the nodes that are left can be asked for progress: some of them hold all that is
            committed, and those have a quorum in each of their configurations.
        """
        self._is_healed = True
        self.healed_at = self.cluster.recorded
        self.network.heal()
        self._paused.clear()
        self._stalled.clear()
        self._rates = dict.fromkeys(self._rates, 1.0)
        invariants = self.cluster.invariants
        newest = len(invariants.committed) - 1
        view = invariants.committed[newest]
        holders = [m for m in self.cluster.alive() if m.log.holds(view, newest)]
        for member in holders:
            for _, nodes in member.log.active():
                running = sum(1 for node in nodes if self.cluster.members[node].is_alive)
                if running < quorum_size(len(nodes)):
                    return False
        return bool(holders)

    def _require_progress(self) -> None:
        healed = self.now
        # Without pre-votes, nodes that cannot win keep raising the view, which restarts the timers
        # of those that can: who comes first is chance, so a bound needs room.
        slack = 1 if self.plan.settings.pre_vote else 5
        before = len(self.cluster.invariants.committed)
        self.at(self.now + ELECTION_TIMEOUT_MS, self._operate)
        if not self._run_until(self._has_primary, healed + slack * PRIMARY_WITHIN):
            raise LivenessError("no primary within 5 election timeouts after the last fault")
        wanted = len(self.clients.operations) + 1
        if not self._run_until(
            lambda: self._has_committed(before, wanted), healed + slack * COMMIT_WITHIN
        ):
            raise LivenessError("no commit within 10 election timeouts after the last fault")
        self._writes = False
        if not self._run_until(self._has_equal_logs, healed + slack * EQUAL_WITHIN):
            raise LivenessError("logs differ 20 election timeouts after the last fault")

    def _has_primary(self) -> bool:
        return bool(self.cluster.primaries())

    def _has_committed(self, before: int, operation: int) -> bool:
        committed = self.cluster.invariants.committed
        if len(committed) <= before or len(self.clients.operations) <= operation:
            return False
        for written in self.clients.operations[operation:]:
            view, seqno = written.tx_id
            if seqno < len(committed) and committed[seqno] == view:
                return True
        return False

    def _has_equal_logs(self) -> bool:
        primary = max(self.cluster.primaries(), key=lambda m: m.raft.view, default=None)
        if primary is None:
            return False
        views = primary.log.views
        for node in sorted(primary.raft.state.configurations.newest):
            member = self.cluster.members[node]
            if member.is_alive and (
                member.log.views != views
                or member.log.commit != len(views) - 1
                or member.raft.view != primary.raft.view
            ):
                return False
        return True

    def _operate(self, _: object) -> None:
        """Switch off, as an operator would, the nodes that a working service does not list."""
        self.at(self.now + ELECTION_TIMEOUT_MS, self._operate)
        primary = max(self.cluster.primaries(), key=lambda m: m.raft.view, default=None)
        if primary is None:
            return
        state = primary.raft.state
        if state.view_at(state.commit) != state.view:
            return
        for member in self.cluster.alive():
            listed = member is primary or member.node_id in state.configurations.others
            if not listed and member.node_id not in state.peers:
                self.cluster.stop(member)

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

    # Faults

    def _fault(self, _: object) -> None:
        if self._is_healed:
            return
        plan, chance = self.plan, self._chance
        self.at(self._soon(plan.fault_gap_ms), self._fault)
        kinds: list[tuple[int, Callable[[], None]]] = [
            (plan.cuts, self._cut),
            (plan.pauses, self._pause),
            (plan.jumps, self._jump),
            (plan.stops, self._stop),
            (plan.changes, self._change),
            (plan.hand_overs, self._hand_over),
            (plan.stalls, self._stall),
        ]
        weights = [weight for weight, _ in kinds]
        if any(weights):
            chance.choices([act for _, act in kinds], weights)[0]()

    def _cut(self) -> None:
        """Cut links for a while; sometimes on and off again."""
        chance = self._chance
        nodes = [member.node_id for member in self.cluster.alive()]
        if not nodes:
            return
        primaries = self.cluster.primaries()
        primary = chance.choice(primaries).node_id if primaries else None
        links = draw_cut(chance, nodes, primary)
        at = self.now
        for _ in range(chance.choice((1, 1, 1, 5))):
            self.at(at, self._begin_cut, links)
            at += chance.randint(10, 300)
            self.at(at, self._end_cut, links)
            at += chance.randint(10, 60)

    def _begin_cut(self, links: set[tuple[NodeId, NodeId]]) -> None:
        if not self._is_healed:
            self.network.cut |= links

    def _end_cut(self, links: set[tuple[NodeId, NodeId]]) -> None:
        self.network.cut -= links

    def _pause(self) -> None:
        member = self._any_member()
        if member is not None:
            self._paused[member.node_id] = self.now + self._chance.randint(20, 400)

    def _jump(self) -> None:
        member = self._any_member()
        if member is not None and not self._is_asleep(member):
            self.cluster.counters["clock jumped"] += 1
            self.cluster.tick(member, self._chance.randint(20, 3 * ELECTION_TIMEOUT_MS))

    def _stop(self) -> None:
        """Stop a primary or any node, mostly one that is not missed; rarely, a majority."""
        chance, alive = self._chance, self.cluster.alive()
        primaries = self.cluster.primaries()
        if not alive:
            return
        if chance.random() < 0.03:
            self.cluster.counters["majority stopped"] += 1
            for member in chance.sample(alive, quorum_size(len(alive))):
                self.cluster.stop(member)
            return
        victim = chance.choice(primaries if primaries and chance.random() < 0.5 else alive)
        if self._is_spare(victim) or chance.random() < 0.03:
            self.cluster.stop(victim)

    def _is_spare(self, victim: Member) -> bool:
        """Say whether every configuration of every other node keeps a quorum without a node."""
        members = self.cluster.members
        for member in self.cluster.alive():
            for nodes in member.raft.state.configurations.node_sets:
                left = sum(1 for node in nodes if members[node].is_alive and node != victim.node_id)
                if left < quorum_size(len(nodes)):
                    return False
        return True

    def _change(self) -> None:
        """Change the configuration at a primary; now and then switch off what has left for good."""
        chance, members = self._chance, self.cluster.members
        for member in self.cluster.removable():
            if chance.random() < 0.5:
                self.cluster.counters["removable node switched off"] += 1
                self.cluster.stop(member)
        primaries = [m for m in self.cluster.primaries() if not self._is_asleep(m)]
        if not primaries:
            return
        primary = chance.choice(primaries)
        nodes = set(primary.raft.state.configurations.newest)
        dead = sorted(node for node in nodes if not members[node].is_alive)
        leaving = set(dead) if chance.random() < 0.7 else set()
        for _ in range(chance.choice((0, 0, 1, 1, 2, MEMBERS_MAX))):
            leaving.add(chance.choice(sorted(nodes)))
        entering = chance.choice((0, 0, 1, 1, 2, 3)) + (len(dead) if leaving else 0)
        room = MEMBERS_MAX - len(nodes - leaving)
        for _ in range(min(entering, room)):
            nodes.add(self._new_member(primary).node_id)
        nodes -= leaving
        if nodes and self.cluster.configure(primary, frozenset(nodes)):
            self._sign_soon(primary)

    def _hand_over(self) -> None:
        primaries = self.cluster.primaries()
        if primaries:
            member = self._chance.choice(primaries)
            self.cluster.hand_over(member)
            if self._chance.random() < 0.3:
                self.cluster.stop(member)

    def _stall(self) -> None:
        member = self._any_member()
        if member is not None:
            self._stalled[member.node_id] = self.now + self._chance.randint(50, 400)

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
