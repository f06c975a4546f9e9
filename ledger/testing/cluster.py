"""A simulated cluster: nodes, their disks, and what is checked after each of their steps.

Everything that happens to it is one of the methods below, each of which is one step of one node and
can be recorded as an event. The cluster decides nothing: schedules (``simulation``) do.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol
from zlib import crc32

from ledger.base.ids import NodeId, TxId
from ledger.consensus.messages import AppendEntries, AppendEntriesResponse, Message
from ledger.consensus.ready import (
    Append,
    BecameBackup,
    BecamePrimary,
    Commit,
    Effect,
    RequestRetirementCleanup,
    Truncate,
)
from ledger.consensus.roles import CANDIDATE, PRIMARY
from ledger.consensus.types import Entry, Role, Settings
from ledger.testing.checkers import InvariantError, Invariants, ObservedLog
from ledger.testing.checkers_local import (
    LocalChecker,
    check_commit_bound,
    check_duties,
    check_message,
)
from ledger.testing.sim_node import NodeMaker, SimulatedNode
from ledger.testing.sim_probes import Probes


class Surroundings(Protocol):
    """What a cluster tells its schedule while it runs."""

    def sent(self, source: "Member", to: NodeId, message: Message) -> None:
        """Take a message that a node sends."""
        ...

    def appended(self, member: "Member", last: int, view: int) -> None:
        """Learn that a node wants entries up to ``last`` on its disk."""
        ...

    def became_primary(self, member: "Member") -> None:
        """Learn that a node leads now and owes a signature."""
        ...

    def wants_cleanup(self, member: "Member") -> None:
        """Learn that a primary wants to mark nodes as removable."""
        ...


class Member:
    """A node of the cluster and what surrounds it.

    Attributes:
        node_id: Its id.
        index: Its place in the order of creation.
        node: The node.
        raft: Its core.
        log: What it said that it holds.
        ledger: The entries it wrote, by seqno; index 0 is unused, a joiner's prefix is copied.
        is_alive: Whether it runs.
        durable: Highest seqno on its disk.
        generation: How often entries were removed from its disk.
        local: Checks of this node by itself.
    """

    __slots__ = (
        "durable",
        "generation",
        "index",
        "is_alive",
        "ledger",
        "local",
        "log",
        "node",
        "node_id",
        "raft",
    )

    def __init__(self, index: int, node_id: NodeId, node: SimulatedNode) -> None:
        self.index = index
        self.node_id = node_id
        self.node = node
        self.raft = node.raft
        self.log = ObservedLog()
        self.ledger: list[Entry | None] = [None]
        self.is_alive = True
        self.durable = 0
        self.generation = 0
        self.local = LocalChecker()

    def digest(self, seqno: int) -> bytes:
        """Return something that names its state at ``seqno``."""
        return self.node.digest(seqno)


class Cluster:
    """All nodes that ever were.

    Attributes:
        members: By id, in order of creation.
        invariants: What is checked across nodes.
        probes: Counts of the states that were reached.
        steps: Node steps so far.
        trace: Digest of everything that happened, equal for equal schedules.
        chance: The nodes' next random number is derived from it; schedules set it.
        recorder: Called with each event when a schedule is to be written down.
        recorded: Number of those calls.
        after_step: Called after each step, for further checks.
    """

    def __init__(self, settings: Settings, surroundings: Surroundings, maker: NodeMaker) -> None:
        self.settings = settings
        self.members: dict[NodeId, Member] = {}
        self.invariants = Invariants(self.members, tracks_persistence=settings.track_persistence)
        self.probes = Probes()
        self.steps = 0
        self.trace = 0
        self.chance = 0
        self.recorder: Callable[..., None] | None = None
        self.recorded = 0
        self.after_step: Callable[[], None] | None = None
        self._surroundings = surroundings
        self._maker = maker

    @property
    def counters(self) -> Counter[str]:
        """How often each interesting state was reached."""
        return self.probes.counters

    def jitter(self, limit: int) -> int:
        """Give a node its random number in [0, limit]."""
        return self.chance % (limit + 1)

    # Making nodes

    def bootstrap(self, node_id: NodeId) -> Member:
        """Start the service on its first node, which owes a configuration and a signature."""
        self._record("bootstrap", node_id)
        member = self._add(node_id, self._maker.fresh(node_id, self.settings, self.jitter))
        member.raft.bootstrap_primary()
        self._after(member)
        return member

    def join_empty(self, node_id: NodeId) -> Member:
        """Make a node that has nothing and waits to be contacted."""
        self._record("join_empty", node_id)
        return self._add(node_id, self._maker.fresh(node_id, self.settings, self.jitter))

    def join_from(self, node_id: NodeId, source: Member, seqno: int) -> Member:
        """Make a node that starts from the committed prefix of another, up to a signature."""
        self._record("join_from", node_id, source.node_id, seqno)
        node = self._maker.copy(node_id, self.settings, self.jitter, source.node, seqno)
        member = self._add(node_id, node)
        log = source.log.copy_until(seqno)
        member.log = log
        member.ledger = source.ledger[: seqno + 1]
        member.durable = seqno
        view = log.views[seqno]
        starts = _view_starts(log.views)
        member.raft.initialise(seqno, view, starts, seqno, log.active(), self._retiring(log))
        self._after(member)
        return member

    def _add(self, node_id: NodeId, node: SimulatedNode) -> Member:
        member = Member(len(self.members), node_id, node)
        self.members[node_id] = member
        return member

    # Steps of a node

    def tick(self, member: Member, elapsed_ms: int) -> None:
        """Let a node's clock advance."""
        if self.recorder is not None:
            self._record("tick", member.node_id, elapsed_ms)
        state = member.raft.state
        was_primary = state.role is PRIMARY
        view = state.view
        member.raft.tick(elapsed_ms)
        if was_primary and state.role is not PRIMARY:
            self.counters["primary stepped down without a quorum"] += 1
        member.local.ticked(state, view, elapsed_ms)
        self._after(member)

    def deliver(self, source: NodeId, to: Member, message: Message, number: int) -> None:
        """Hand a node a message, the ``number``-th from its sender to it."""
        if self.recorder is not None:
            self._record("deliver", source, to.node_id, number)
        self.probes.before_delivery(to.raft.state, message)
        if type(message) is AppendEntriesResponse:
            to.local.heard_from(source)
        bound = to.log.commit
        impossible = to.raft.contradiction(source, message)
        if impossible is not None:
            raise InvariantError("Honesty", f"{to.node_id} got from {source} {impossible}")
        to.raft.step(source, message)
        if type(message) is AppendEntries:
            check_commit_bound(to, max(bound, message.last_seqno))
        self._after(to)

    def write(self, member: Member, key: int, operation: int) -> tuple[TxId, TxId] | None:
        """Let a node execute a client's write, if it is primary."""
        self._record("write", member.node_id, key, operation)
        done = member.node.write(key, operation)
        self._after(member)
        return done

    def sign(self, member: Member) -> bool:
        """Let a node sign, if it is primary."""
        self._record("sign", member.node_id)
        done = member.node.sign()
        self._after(member)
        return done

    def configure(self, member: Member, nodes: frozenset[NodeId]) -> bool:
        """Let a node set the configuration, if it is primary."""
        self._record("configure", member.node_id, nodes)
        done = member.node.configure(nodes)
        self._after(member)
        return done

    def clean_up(self, member: Member) -> bool:
        """Let a node mark the nodes that have left for good, if it is primary."""
        nodes = self.unmarked(member)
        return bool(nodes) and self.mark_removable(member, nodes)

    def mark_removable(self, member: Member, nodes: frozenset[NodeId]) -> bool:
        """Let a node mark nodes as removable, if it is primary."""
        if not member.raft.is_primary:
            return False
        self._record("mark_removable", member.node_id, nodes)
        done = member.node.mark_removable(nodes)
        self._after(member)
        return done

    def persist(self, member: Member, seqno: int, view: int) -> None:
        """Tell a node what its disk has."""
        self._record("persist", member.node_id, seqno)
        member.durable = max(member.durable, min(seqno, len(member.log.views) - 1))
        member.raft.persisted(seqno, view)
        self._after(member)

    def hand_over(self, member: Member) -> None:
        """Let a primary ask a successor to stand, as before a planned stop."""
        self._record("hand_over", member.node_id)
        if member.raft.hand_over() is not None:
            self.counters["hand-over before a stop"] += 1
        self._after(member)

    def stop(self, member: Member) -> None:
        """End a node for ever."""
        self._record("stop", member.node_id)
        self.counters["primary stopped" if member.raft.is_primary else "node stopped"] += 1
        member.is_alive = False

    # What schedules ask

    def alive(self) -> list[Member]:
        """Return the nodes that run."""
        return [member for member in self.members.values() if member.is_alive]

    def primaries(self) -> list[Member]:
        """Return the nodes that run and believe to lead."""
        return [
            member
            for member in self.members.values()
            if member.is_alive and member.raft.state.role is PRIMARY
        ]

    def unmarked(self, member: Member) -> frozenset[NodeId]:
        """Return the nodes whose retirement a node knows to be committed, and not yet marked."""
        retired, marked = self._retired_and_marked(member.log)
        return frozenset(retired - marked)

    def removable(self) -> list[Member]:
        """Return the running nodes whose removal the service has announced as safe."""
        committed = ObservedLog()
        committed.views = self.invariants.committed
        committed.commit = len(committed.views) - 1
        marked = self._marked(committed, committed.commit)
        return [member for member in self.alive() if member.node_id in marked]

    def _retired_and_marked(self, log: ObservedLog) -> tuple[set[NodeId], set[NodeId]]:
        retired: set[NodeId] = set()
        previous: frozenset[NodeId] = frozenset()
        for seqno, nodes in log.configurations:
            if seqno <= log.commit:
                retired |= previous - nodes
            previous = nodes
        return retired, self._marked(log, len(log.views) - 1)

    def _marked(self, log: ObservedLog, last: int) -> set[NodeId]:
        """Return the nodes that entries of a log up to ``last`` mark as removable."""
        marked: set[NodeId] = set()
        for view, seqno in self.invariants.marks:
            if seqno <= last and log.views[seqno] == view:
                marked |= self.invariants.register[view, seqno].role.retired_committed or set()
        return marked

    def _retiring(self, log: ObservedLog) -> frozenset[NodeId]:
        retired, marked = self._retired_and_marked(log)
        return frozenset(retired - marked)

    # After each step

    def _record(self, *event: object) -> None:
        if self.recorder is not None:
            self.recorded += 1
            self.recorder(*event)

    def _after(self, member: Member) -> None:
        """Drain a node, check it, and pass its outputs on."""
        self.steps += 1
        ready = member.node.drain()
        was = member.local.role
        state = member.raft.state
        check_duties(member, was, ready)
        if ready.effects:
            self._take_effects(member, ready.effects, was)
        if member.local.check(member):
            for other in self.members.values():
                if other.raft.state.role is CANDIDATE:
                    self.invariants.check_candidate(other)
        self.trace = crc32(
            b"%d %d %d %d %s"
            % (member.index, state.view, state.log.last, state.commit, state.role.encode()),
            self.trace,
        )
        tracks = self.settings.track_persistence
        for to, message in ready.messages:
            check_message(member, message, tracks_persistence=tracks)
            self.probes.sent(state, message)
            self._surroundings.sent(member, to, message)
        if self.after_step is not None:
            self.after_step()

    def _take_effects(self, member: Member, effects: Iterable[Effect], was: Role) -> None:
        invariants, log = self.invariants, member.log
        begin = len(log.views)
        for effect in effects:
            match effect:
                case Append(entry):
                    is_new = (entry.view, entry.seqno) not in invariants.register
                    role = member.node.role_of(entry) if is_new else None
                    invariants.appended(member, entry, role)
                    member.ledger.append(entry)
                case Truncate(seqno):
                    self._truncate(member, seqno, was)
                    begin = min(begin, seqno + 1)
                case Commit(seqno):
                    self.probes.committed(member.raft.state, log.active(), log.commit, seqno, was)
                    invariants.committed_up_to(member, seqno, was)
                case BecamePrimary(view):
                    if len(self.primaries()) > 1:
                        self.counters["two primaries at once"] += 1
                    self.probes.elected(log.active(), log.commit)
                    invariants.became_primary(member, view)
                    self._surroundings.became_primary(member)
                case BecameBackup(view):
                    invariants.became_backup(member, view)
                case RequestRetirementCleanup():
                    self._surroundings.wants_cleanup(member)
                case _:
                    pass
        if self.settings.track_persistence and len(log.views) > begin:
            self._surroundings.appended(member, len(log.views) - 1, log.views[-1])

    def _truncate(self, member: Member, seqno: int, was: Role) -> None:
        log = member.log
        if log.signatures and log.signatures[-1] > seqno:
            self.counters["roll-back of a signed suffix"] += 1
        if log.configurations and log.configurations[-1][0] > seqno:
            self.counters["roll-back of a configuration"] += 1
        self.counters["roll-back"] += 1
        self.invariants.rolled_back(member, seqno, was)
        del member.ledger[seqno + 1 :]
        member.generation += 1
        member.durable = min(member.durable, seqno)


def _view_starts(views: list[int]) -> list[int]:
    """Return the first seqno of each view of a log."""
    starts: list[int] = []
    for seqno, view in enumerate(views):
        while len(starts) < view:
            starts.append(seqno)
    return starts
