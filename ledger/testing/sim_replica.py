"""One simulated schedule of real replicas: what clients and operators do, and what comes of it.

New nodes ask to join before they hear anybody, operators decide on those that wait, and clients
keep transactions open.
"""

from typing_extensions import override

from ledger.base.ids import NodeId
from ledger.host.disk import READ_SIZE
from ledger.testing.cluster import Member
from ledger.testing.faults import ELECTION_TIMEOUT_MS
from ledger.testing.sim_faults import MEMBERS_MAX
from ledger.testing.sim_replica_cluster import ReplicaMember
from ledger.testing.sim_replica_identity import host_of, identity
from ledger.testing.sim_replica_joining import SERVICE
from ledger.testing.sim_replica_machines import ReplicaMachines
from ledger.testing.sim_replica_plan import ReplicaPlan
from ledger.testing.sim_replica_workload import Workload
from ledger.testing.simulation import EQUAL_WITHIN, LivenessError, Outcome

STEPS_UNDER_FAULTS = 6000
WAIT_FOR_COMMIT_SHARE = 0.1
RECEIPTS_AT_THE_END = 3
LOST_AFTER_TRUST = 0.6
REKEY_BEFORE_TRUST = 0.5
"""A node whose trust was rolled back knows ledger secrets that nobody meant it to know."""
OPERATE_AGAIN_MS = 7
"""Operators look again so soon when the service is in the middle of something."""


class ReplicaSchedule(ReplicaMachines):
    """Runs one seed.

    Attributes:
        workload: The clients.
    """

    def __init__(self, seed: int, plan: ReplicaPlan | None = None) -> None:
        super().__init__(seed, plan)
        self.workload = Workload(self.replicas)
        self._next_call = 0
        self._calls_before_healing = 0

    # -- the phases --------------------------------------------------------------------

    @override
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
            self._ask_for_last_receipts()
        else:
            self._run_until(lambda: False, self.now + 5 * ELECTION_TIMEOUT_MS)
        self.check_at_the_end()
        return self._outcome(demanded=demanded)

    def check_at_the_end(self) -> None:
        """Check what is too slow to be checked all the time."""
        for member in self.cluster.members.values():
            if member.is_alive:
                self.replicas.check_whole_state(self._own(member))
        self.workload.check()

    @override
    def _set_up(self) -> None:
        """Start the service, open it, and bring it to its planned size, without faults."""
        first = self._own(self._new_member(None))
        self.replicas.start(first)
        self._call(first, "genesis", self._created - 1)
        self._run_to_commit([first])
        self._call(first, "open")
        members = [first] + [self._own(self._new_member(None)) for _ in range(self.plan.nodes - 1)]
        numbers = tuple(range(1, self._created))
        if numbers:
            self._run_until(lambda: self._all_wait(first, members), self.now + EQUAL_WITHIN)
            self._call(first, "change_nodes", numbers, ())
        self._run_to_commit(members)
        self.network.begin_faults()

    def _all_wait(self, first: ReplicaMember, members: list[ReplicaMember]) -> bool:
        """Say whether all nodes but the first have asked to join."""
        return len(self.replicas.statuses_at(first)) == len(members)

    def _run_to_commit(self, members: list[ReplicaMember]) -> None:
        want = members[0].replica_node.replica.store.version

        def is_done() -> bool:
            return all(member.raft.commit >= want for member in members)

        if not self._run_until(is_done, self.now + EQUAL_WITHIN):
            raise LivenessError(f"the service did not reach its {len(members)} nodes")

    def _ask_for_last_receipts(self) -> None:
        """Ask every node for some receipts, and wait for them."""
        for member in self._alive():
            for _ in range(RECEIPTS_AT_THE_END if member.raft.commit else 0):
                seqno = self._chance.randint(1, member.raft.commit)
                self.workload.ask_for_receipt(member, seqno)
        limit = self.now + EQUAL_WITHIN
        if not self._run_until(lambda: not self.workload.receipts_awaited, limit):
            raise LivenessError(f"{self.workload.receipts_awaited} receipts never came")

    @override
    def _has_committed(self, before: int, operation: int) -> bool:
        committed = self.cluster.invariants.committed
        for written in self.workload.operations[self._calls_before_healing :]:
            assert written.tx_id is not None, "calls in the list have an ID"
            view, seqno = written.tx_id
            if before <= seqno < len(committed) and committed[seqno] == view:
                return True
        return False

    @override
    def _heal(self) -> bool:
        self._calls_before_healing = len(self.workload.operations)
        for member in self._alive():
            member.replica_node.host.read_size = READ_SIZE
        return super()._heal()

    @override
    def _has_equal_logs(self) -> bool:
        if not super()._has_equal_logs():
            return False
        return not any(
            member.replica_node.replica.store.version > member.raft.last for member in self._alive()
        )

    @override
    def _operate(self, argument: object) -> None:
        """Switch off nodes that are not listed, but none that an operator is about to trust."""
        waiting = self.workload.waiting.values()
        primaries = [each.replica_node for each in self._primaries()]
        if any(call.kind == "change_nodes" for call in waiting) or any(
            node.replica.store.version > node.raft.last for node in primaries
        ):
            self.at(self.now + OPERATE_AGAIN_MS, self._operate)
        else:
            super()._operate(argument)

    # -- clients and operators ---------------------------------------------------------

    def _call(
        self, member: ReplicaMember, kind: str, *arguments: object, wait: bool = False
    ) -> None:
        """Make a call, and let it go on when it waits."""
        number = self._next_call
        self._next_call += 1
        self.workload.begin(member, number, kind, *arguments, wait=wait)
        self._want_turn(member)
        self._resume_later(number, member)

    def _resume_later(self, number: int, member: ReplicaMember) -> None:
        if number in self.workload.waiting:
            delay = self._chance.randint(1, self.replica_plan.wait_ms)
            self.at(self.now + delay, self._resume, (number, member))

    def _resume(self, call: tuple[int, ReplicaMember]) -> None:
        number, member = call
        if not member.is_alive or self._is_paused(member, self._resume, call):
            return
        self.workload.resume(number)
        self._want_turn(member)
        self._resume_later(number, member)

    @override
    def _client(self, _: object) -> None:
        """Let clients call, ask for statuses and receipts."""
        chance = self._chance
        self.at(self._soon(self.plan.write_gap_ms), self._client)
        awake = [member for member in self._alive() if not self._is_asleep(member)]
        if not awake:
            return
        for _ in range(3):
            self.workload.poll(chance.choice(awake), chance.randrange(1 << 20))
        self._call(chance.choice(awake), "read")
        if self.replica_plan.receipts and chance.random() < 0.1:
            member = chance.choice(awake)
            self.workload.ask_for_receipt(member, chance.randint(0, member.raft.commit))
            self._want_turn(member)
        if not self._writes:
            return
        primaries = [member for member in awake if member.raft.is_primary]
        if not primaries or chance.random() < 0.02:
            self._call(chance.choice(awake), "write")
            return
        member = chance.choice(primaries)
        if member.replica_node.replica.at_capacity:
            self.cluster.counters["primary at capacity"] += 1
            return
        for _ in range(chance.randint(1, self.plan.burst)):
            wait = chance.random() < WAIT_FOR_COMMIT_SHARE
            self._call(member, self._draw_kind(), wait=wait)

    def _draw_kind(self) -> str:
        chance = self._chance
        if chance.random() < 0.95:
            return "write"
        secrets = self.replica_plan.secrets
        kinds = ("write", "describe_node", "forget_nodes", "rekey", "reshare")
        return chance.choices(kinds, (3, 1, 1, secrets, secrets))[0]

    # -- nodes come and go -------------------------------------------------------------

    @override
    def _change(self) -> None:
        """Trust new nodes and retire others; now and then switch off what has left for good."""
        chance, members = self._chance, self.cluster.members
        for gone in self.cluster.removable():
            if chance.random() < 0.5:
                self.cluster.counters["removable node switched off"] += 1
                self.cluster.stop(gone)
        primaries = [m for m in self._primaries() if not self._is_asleep(m)]
        if not primaries:
            return
        primary = chance.choice(primaries)
        nodes = set(primary.raft.state.configurations.newest)
        dead = sorted(node for node in nodes if not members[node].is_alive)
        leaving = set(dead) if chance.random() < 0.7 else set()
        for _ in range(chance.choice((0, 0, 1, 1, 2, MEMBERS_MAX))):
            leaving.add(chance.choice(sorted(nodes)))
        waiting = self._waiting_at(primary)
        entering = chance.choice((0, 0, 1, 1, 2, 3)) + (len(dead) if leaving else 0)
        room = MEMBERS_MAX - len(nodes - leaving)
        for _ in range(min(entering, room - len(waiting))):
            self._new_member(primary)
        alive = [each.index for each in waiting if each.is_alive]
        trusting = tuple(n for n in alive[:room] if chance.random() < 0.6)
        leaving |= {each.node_id for each in waiting if not each.is_alive}
        self._change_at(primary, trusting, tuple(sorted(leaving)))

    def _change_at(
        self, primary: ReplicaMember, trusting: tuple[int, ...], leaving: tuple[NodeId, ...]
    ) -> None:
        """Trust nodes, by their numbers, and remove others; the primary may not outlive it long."""
        self._call(primary, "change_nodes", trusting, leaving)
        if trusting and self.plan.stops and self._chance.random() < LOST_AFTER_TRUST:
            nodes = frozenset(identity(number).node_id for number in trusting)
            until = self.now + ELECTION_TIMEOUT_MS
            self.at(self.now + 1, self._lose, (primary, nodes, until))

    def _lose(self, loss: tuple[ReplicaMember, frozenset[NodeId], int]) -> None:
        """Stop a primary as soon as another node holds, signed, whom it has trusted."""
        primary, nodes, until = loss
        if not primary.raft.is_primary or self._is_healed or self.now > until:
            return
        if any(_holds_signed(m, nodes) for m in self._alive() if m is not primary):
            if primary.is_alive and self._is_spare(primary):
                self.cluster.counters["primary stopped after it trusted others"] += 1
                self.cluster.stop(primary)
            return
        self.at(self.now + 1, self._lose, loss)

    def _waiting_at(self, member: ReplicaMember) -> list[ReplicaMember]:
        """Return the nodes that a node lists as Pending, in the order of their creation."""
        statuses = self.replicas.statuses_at(member)
        pending = [self.replicas.member(n) for n, s in statuses.items() if s == "Pending"]
        return sorted(pending, key=lambda each: each.index)

    @override
    def _new_id(self) -> NodeId:
        self._created += 1
        return identity(self._created - 1).node_id

    @override
    def _new_member(self, source: Member | None) -> Member:
        """Start a process, which asks to join."""
        node_id = self._new_id()
        member = self.replicas.create(node_id, self._created - 1)
        self._start_clock(member)
        if member.index:
            self.cluster.counters["joiner from nothing"] += 1
            self._ask_later(member)
        return member

    def _ask_later(self, member: ReplicaMember) -> None:
        retry_ms = 10 if self._is_healed else self.replica_plan.join_retry_ms
        self.at(self.now + self._chance.randint(1, retry_ms), self._ask, member)

    def _ask(self, member: ReplicaMember) -> None:
        """Let a new node ask to join, until it has read that it is trusted."""
        if not member.is_alive:
            return
        if self._is_asleep(member):
            self._ask_later(member)
            return
        address = member.replica_node.entrance.wants()
        if address is None:
            return
        self._ask_later(member)
        target = self._at_address(member, address)
        self.replicas.ask_to_join(member, target)
        if target is None:
            return
        self._want_turn(target)
        self._want_turn(member)
        if target.raft.is_primary and self._chance.random() < 0.3:
            self._admit(member, target)

    def _at_address(self, member: ReplicaMember, address: str) -> ReplicaMember | None:
        """Return the node that answers at an address, None when a node does not reach it now."""
        others = [m for m in self._alive() if m is not member]
        if address != SERVICE:
            host = address.partition(":")[0]
            others = [other for other in others if host_of(other.node_id) == host]
        if not others:
            return None
        target = self._chance.choice(others)
        is_cut = self.network.is_cut(member.node_id, target.node_id)
        return None if is_cut or self._is_asleep(target) else target

    def _admit(self, member: ReplicaMember, primary: ReplicaMember) -> None:
        """Let operators trust a node that waits; before they trust one again, they may rekey."""
        newest = primary.raft.state.configurations.newest
        if member in self._waiting_at(primary) and len(newest) < MEMBERS_MAX:
            if member.replica_node.has_joined and self._chance.random() < REKEY_BEFORE_TRUST:
                self._call(primary, "rekey")
            self._change_at(primary, (member.index,), ())


def _holds_signed(member: ReplicaMember, nodes: frozenset[NodeId]) -> bool:
    """Say whether a node holds a signed configuration that has some nodes."""
    state = member.raft.state
    return any(
        nodes <= held.nodes and held.seqno < state.last_committable
        for held in state.configurations.active
    )


def simulate(seed: int) -> Outcome:
    """Run one seed."""
    return ReplicaSchedule(seed).run()
