"""A simulated schedule of whole replicas: their loops, hosts and threads take their time."""

from random import Random
from typing import Any

from typing_extensions import override

from ledger.base.ids import NodeId
from ledger.consensus.messages import Message
from ledger.testing.cluster import Member
from ledger.testing.network import Envelope
from ledger.testing.sim_replica_cluster import (
    ReplicaCluster,
    ReplicaMember,
    ReplicaOptions,
)
from ledger.testing.sim_replica_plan import ReplicaPlan, draw_replica_plan
from ledger.testing.simulation import Schedule


class ReplicaMachines(Schedule):
    """The machines of one schedule.

    Attributes:
        replica_plan: Its mix of faults.
        replicas: The nodes.
    """

    def __init__(self, seed: int, plan: ReplicaPlan | None = None) -> None:
        self.replica_plan = plan or draw_replica_plan(Random(seed))  # noqa: S311
        super().__init__(seed, self.replica_plan.faults)
        options = ReplicaOptions(
            self.plan.settings,
            self.replica_plan.replica,
            self.replica_plan.read_size,
            self.replica_plan.encodes,
        )
        self.replicas = ReplicaCluster(seed, options, self)
        self.cluster = self.replicas
        self._planned_of: set[tuple[str, NodeId]] = set()

    # -- what the cluster tells --------------------------------------------------------

    @override
    def sent(self, source: Member, to: NodeId, message: Message) -> None:
        """Do nothing: a message leaves at the end of its node's turn."""

    def transmit(self, source: NodeId, to: NodeId, message: Message) -> None:
        """Put a message on its way."""
        self._put(source, to, message)

    @override
    def appended(self, member: Member, last: int, view: int) -> None:
        """Do nothing: what comes to the disk goes there as frames."""

    @override
    def became_primary(self, member: Member) -> None:
        """Do nothing: replicas sign by themselves."""

    @override
    def wants_cleanup(self, member: Member) -> None:
        """Do nothing: replicas mark retired nodes by themselves."""

    def stepped(self, member: ReplicaMember) -> None:
        """Plan what a node's shell has to do."""
        node, plan = member.replica_node, self.replica_plan
        if node.host.has_work:
            delay = 0 if self._is_healed else self._chance.randint(0, self.plan.disk_ms)
            self._plan("host", member, delay, self._host_turn)
        if node.host.answers:
            # A joiner may need an answer for every few entries that it lacks.
            delay = 0 if self._is_healed else self._chance.randint(0, plan.answer_ms)
            self._plan("answer", member, delay, self._answer)
        if node.shell.jobs:
            delay = self._chance.randint(0, 1 if self._is_healed else self.plan.sign_delay_ms)
            self._plan("sign", member, delay, self._sign_next)

    def _plan(self, what: str, member: ReplicaMember, delay: int, action: Any) -> None:  # noqa: ANN401
        """Plan something for a node, unless it is planned already."""
        key = (what, member.node_id)
        if key not in self._planned_of:
            self._planned_of.add(key)
            self.at(self.now + delay, action, member)

    def _want_turn(self, member: Member) -> None:
        delay = 0 if self._is_healed else self._chance.randint(0, self.replica_plan.turn_ms)
        self._plan("turn", self._own(member), delay, self._turn)

    # -- what happens ------------------------------------------------------------------

    def _turn(self, member: ReplicaMember) -> None:
        if not self._is_paused(member, self._turn, member):
            self._planned_of.discard(("turn", member.node_id))
            if member.is_alive:
                self.replicas.turn(member)

    def _host_turn(self, member: ReplicaMember) -> None:
        stalled = self._stalled.get(member.node_id, 0)
        if stalled > self.now:
            self.at(stalled, self._host_turn, member)
            return
        self._planned_of.discard(("host", member.node_id))
        if member.is_alive:
            self.replicas.host_turn(member)

    def _answer(self, member: ReplicaMember) -> None:
        if not self._is_paused(member, self._answer, member):
            self._planned_of.discard(("answer", member.node_id))
            if member.is_alive:
                self.replicas.take_answer(member)
                self._want_turn(member)

    def _sign_next(self, member: ReplicaMember) -> None:
        self._planned_of.discard(("sign", member.node_id))
        if member.is_alive:
            self.replicas.sign_next(member)
            self._want_turn(member)

    @override
    def _deliver(self, envelope: Envelope) -> None:
        super()._deliver(envelope)
        member = self.cluster.members.get(envelope.to)
        if member is not None and member.is_alive:
            self._want_turn(member)

    @override
    def _tick(self, member: Member) -> None:
        super()._tick(member)
        if member.is_alive:
            self._want_turn(member)

    # -- helpers -----------------------------------------------------------------------

    def _own(self, member: Member) -> ReplicaMember:
        return self.replicas.member(member.node_id)

    def _alive(self) -> list[ReplicaMember]:
        return [self._own(member) for member in self.cluster.alive()]

    def _primaries(self) -> list[ReplicaMember]:
        return [self._own(member) for member in self.cluster.primaries()]
