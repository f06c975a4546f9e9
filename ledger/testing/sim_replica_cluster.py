"""A simulated service of real replicas, and what is checked after each of their steps.

Everything that happens is one of the methods below and can be recorded; the cluster decides
nothing. To what :mod:`ledger.testing.cluster` checks of consensus it adds what holds for a replica:
its store, tree, secrets and disk agree with the shadow of where it says it is.
"""

from dataclasses import dataclass
from functools import partial
from typing import Protocol, cast
from zlib import crc32

from typing_extensions import override

from ledger.base.ids import NodeId
from ledger.consensus.messages import AppendEntriesResponse, Message
from ledger.consensus.roles import PRIMARY
from ledger.consensus.types import Settings
from ledger.crypto.sealing import EntrySealer
from ledger.replica.peer_messages import from_wire, to_wire
from ledger.replica.settings import ReplicaSettings
from ledger.tables.nodes import NODES_INFO, NodeStatus
from ledger.testing.checkers import require
from ledger.testing.cluster import Cluster, Member, Surroundings
from ledger.testing.sim_node import ChainMaker, SimulatedNode
from ledger.testing.sim_replica_identity import SeededEntropy, identity, peer_address
from ledger.testing.sim_replica_node import ReplicaNode
from ledger.testing.sim_replica_sealing import SealedOnce
from ledger.testing.sim_replica_shadow import Shadow, Shadows, total_of_newest

TAKING_PART = (NodeStatus.TRUSTED, NodeStatus.RETIRED)
DROP_ROWS_EVERY = 64
"""Rows of shadows are dropped after so many commits."""
WHOLE_STATE_EVERY = 97
"""So many steps apart, one node's newest state is compared row by row."""


@dataclass(frozen=True, slots=True)
class ReplicaOptions:
    """What replicas of one schedule are made with.

    Attributes:
        settings: Of consensus.
        replica: Of the replica.
        read_size: Bytes after which the host ends an answer to a read.
        encodes: Whether messages become bytes on their way.
    """

    settings: Settings
    replica: ReplicaSettings
    read_size: int
    encodes: bool


class ReplicaSurroundings(Surroundings, Protocol):
    """What a cluster of replicas tells its schedule."""

    def transmit(self, source: NodeId, to: NodeId, message: Message) -> None:
        """Put a message on its way."""
        ...

    def stepped(self, member: "ReplicaMember") -> None:
        """Learn that a node has made a step, and may have work for its shell."""
        ...


class ReplicaMember(Member):
    """A replica and what surrounds it.

    Attributes:
        replica_node: The node.
        checked: How many entries in its ledger files were compared with what was written.
    """

    __slots__ = ("checked", "replica_node")

    def __init__(self, index: int, node: ReplicaNode) -> None:
        # A replica takes writes as transactions, not in the ways that schedules of the
        # light-weight node use; everything else of the protocol it has.
        super().__init__(index, node.node_id, cast("SimulatedNode", node))
        self.replica_node = node
        self.checked = 0


class ReplicaCluster(Cluster):
    """All nodes that ever were.

    Attributes:
        shadows: The state after every entry.
        seals: Everything that was ever sealed.
    """

    def __init__(self, seed: int, options: ReplicaOptions, around: ReplicaSurroundings) -> None:
        super().__init__(options.settings, around, ChainMaker())
        self._options = options
        self._around = around
        self._first_secret = SeededEntropy(seed).random_bytes(32)
        self.shadows = Shadows(self._first_secret)
        self.seals = SealedOnce()
        self._rows_dropped_at = 0

    # -- making nodes ------------------------------------------------------------------

    def create(self, node_id: NodeId, number: int) -> ReplicaMember:
        """Start a process that has an identity and nothing else."""
        self._record("create", node_id, number)
        own = identity(number)
        assert own.node_id == node_id, "an id comes from its key"
        options = self._options
        node = ReplicaNode(
            own,
            options.settings,
            options.replica,
            options.read_size,
            self._first_secret,
            self._sealer,
            self.shadows,
            self.jitter,
            partial(self._transmit, node_id),
        )
        member = ReplicaMember(len(self.members), node)
        self.members[node_id] = member
        return member

    def _sealer(self, secret: bytes) -> EntrySealer:
        return self.seals.sealer(secret)

    def start(self, member: ReplicaMember) -> None:
        """Make a node the first primary of a new service."""
        self._record("start", member.node_id)
        member.replica_node.start_service()
        self._after(member)

    # -- steps of a node ---------------------------------------------------------------

    @override
    def tick(self, member: Member, elapsed_ms: int) -> None:
        """Let a node's clock advance."""
        self._record("tick", member.node_id, elapsed_ms)
        state = member.raft.state
        was_primary, view = state.role is PRIMARY, state.view
        replica_of(member).tick(elapsed_ms)
        if was_primary and state.role is not PRIMARY:
            self.counters["primary stepped down without a quorum"] += 1
        member.local.ticked(state, view, elapsed_ms)
        self._after(member)

    @override
    def deliver(self, source: NodeId, to: Member, message: Message, number: int) -> None:
        """Hand a node a message, unless it does not listen to its sender."""
        self._record("deliver", source, to.node_id, number)
        node = replica_of(to)
        if not node.has_joined or not node.book.may_speak(source):
            self.counters["sender not heard"] += 1
            return
        node.book.introduced(source, peer_address(source))  # with every connection
        self.probes.before_delivery(to.raft.state, message)
        if type(message) is AppendEntriesResponse:
            to.local.heard_from(source)
        node.replica.receive(source, message)
        self._after(to)

    def turn(self, member: ReplicaMember) -> None:
        """End a turn of a node's loop."""
        self._record("turn", member.node_id)
        member.replica_node.runtime.turn()
        self._after(member)

    def host_turn(self, member: ReplicaMember) -> None:
        """Let a node's host do what waits."""
        self._record("host_turn", member.node_id)
        host = member.replica_node.host
        host.turn()
        self._check_disk(member)
        self.steps += 1
        self._around.stepped(member)

    def take_answer(self, member: ReplicaMember) -> None:
        """Let a node take its host's next answer."""
        self._record("take_answer", member.node_id)
        member.replica_node.take_answer()
        self._after(member)

    def sign_next(self, member: ReplicaMember) -> None:
        """Let a node's signing thread finish a job."""
        self._record("sign_next", member.node_id)
        node = member.replica_node
        if node.replica.store.version > node.raft.last + 1:
            self.counters["entries held behind a signature"] += 1
        node.sign_next()
        self._after(member)

    def ask_to_join(self, member: ReplicaMember, target: ReplicaMember | None) -> None:
        """Let a new node ask another for the secrets; None when nobody hears it."""
        self._record("ask_to_join", member.node_id, target and target.node_id)
        entrance, had = member.replica_node.entrance, member.replica_node.has_joined
        if target is None:
            entrance.ask(None)
            return
        answer = entrance.ask(target.replica_node.entrance.answer)
        if answer is not None and b"priv_key" in answer.body:
            self._check_keys_given(member, target, had=had)
        if entrance.ended is not None:
            is_gone = member in self.removable()
            require(is_gone, "Joining", f"{member.node_id} gives up: {entrance.ended}")
            self.counters["node that left is refused"] += 1
            member.is_alive = False
        self._after(member)
        self._after(target)

    def _check_keys_given(self, member: ReplicaMember, target: ReplicaMember, *, had: bool) -> None:
        """Check that a node may have what another has just given it."""
        asked, raft = target.replica_node.replica, target.raft
        status = self.statuses_at(target).get(member.node_id)
        require(
            status in ("Trusted", "Retired") and (raft.is_primary or raft.primary_id is None),
            "Keys",
            f"{target.node_id}, whose primary is {raft.primary_id}, gives the keys to "
            f"{member.node_id}, which is {status}",
        )
        if not raft.is_primary:
            self.counters["secrets given by a backup"] += 1
        if status == "Retired":
            self.counters["secrets given to a node that leaves"] += 1
        if had:
            self.counters["joined node asks again"] += 1
        elif asked.store.version > asked.commit_id.seqno:
            self.counters["secrets given before trust is committed"] += 1

    @override
    def hand_over(self, member: Member) -> None:
        """Let a primary ask a successor to stand, as before a planned stop."""
        self._record("hand_over", member.node_id)
        if replica_of(member).replica.hand_over():
            self.counters["hand-over before a stop"] += 1
        self._after(member)

    def end_chunk(self, member: ReplicaMember) -> None:
        """Let a node end its chunk with the next signature."""
        self._record("end_chunk", member.node_id)
        member.replica_node.replica.chunking.request_end()

    def member(self, node_id: NodeId) -> ReplicaMember:
        """Return a member by its id."""
        member = self.members[node_id]
        assert isinstance(member, ReplicaMember), "all members are replicas"
        return member

    def note_event(self, kind: str, *arguments: object) -> None:
        """Record an event that clients make."""
        self._record(kind, *arguments)

    def after_call(self, member: ReplicaMember) -> None:
        """Check a node after clients called it."""
        self._after(member)

    def statuses_at(self, member: ReplicaMember) -> dict[NodeId, str]:
        """Return the nodes and their status in a node's newest state."""
        rows = member.replica_node.replica.begin_read_only().table(NODES_INFO).items()
        return {NodeId(node): info.status.value for node, info in rows}

    # -- messages ----------------------------------------------------------------------

    def _transmit(self, source: NodeId, to: NodeId, message: Message) -> None:
        address = self.member(source).replica_node.book.address_of(to)
        if address is None:
            self.counters["address not known"] += 1
            return
        require(address == peer_address(to), "Address", f"{to} is looked for at {address}")
        if self._options.encodes:
            header, tail = to_wire(message)
            copy = from_wire(header, memoryview(b"".join(tail)))
            require(copy == message, "Wire", f"{message!r} becomes {copy!r}")
            assert copy is not None, "consensus messages come out as such"
            message = copy
        self._around.transmit(source, to, message)

    # -- after each step ---------------------------------------------------------------

    @override
    def _after(self, member: Member) -> None:
        """Check a node after a step."""
        super()._after(member)
        assert isinstance(member, ReplicaMember), "all members are replicas"
        self._check_replica(member)
        if self.steps % WHOLE_STATE_EVERY == 0:
            self.check_whole_state(member)
        commits = len(self.invariants.commits)
        if commits - self._rows_dropped_at > DROP_ROWS_EVERY:
            self._rows_dropped_at = commits
            self.shadows.drop_rows(self.invariants.committed)
        self._around.stepped(member)

    def _check_replica(self, member: ReplicaMember) -> None:
        """Check how store, tree, secrets and consensus of a node stand to each other."""
        node = member.replica_node
        replica, raft = node.replica, member.raft
        name = node.node_id
        version, last = replica.store.version, raft.last
        signing = replica.outstanding_signature
        leads = raft.state.role is PRIMARY
        require(replica.is_primary == leads, "Role", f"{name} primary: {replica.is_primary}")
        if leads:
            leaves = version + 1 - replica.unsealed if signing is None else signing.seqno
            require(replica.view == raft.view, "Role", f"{name} writes in {replica.view}")
            require(
                last < replica.tree.count == leaves,
                "Order",
                f"{name} holds {replica.tree.count} leaves, want {leaves}, consensus is at {last}",
            )
        else:
            require(
                signing is None and version == last and replica.tree.count == last + 1,
                "Order",
                f"{name}: store at {version}, {replica.tree.count} leaves, consensus at {last}",
            )
        commit = replica.commit_id
        require(
            commit.seqno == raft.commit == replica.store.committed
            and commit.view == (raft.view_at(raft.commit) if raft.commit else 0),
            "Commit",
            f"{name}: {commit}, store at {replica.store.committed}, consensus at {raft.commit}",
        )
        shadow = self.shadows.at(raft.view_at(last), last)
        if version == last:
            self._check_secrets(name, node, shadow)
        self._trace_step(member, shadow)

    def _check_secrets(self, name: NodeId, node: ReplicaNode, shadow: Shadow) -> None:
        if not node.has_joined:
            return
        held = node.replica.sealers.chain.secrets
        if held == shadow.secrets:
            return
        require(
            held == shadow.secrets[: len(held)] and node.replica.sealers.lacks_latest,
            "Secrets",
            f"{name} at {shadow.view}.{shadow.seqno} holds {held}, want {shadow.secrets}",
        )
        announced_at = shadow.secrets[len(held)].stored_at
        assert announced_at is not None, "a later secret was announced"
        while shadow.seqno > announced_at:
            assert shadow.before is not None, "the announcement is in the log"
            shadow = shadow.before
        status = shadow.statuses.get(name)
        require(
            status not in TAKING_PART,
            "Secrets",
            f"{name} is {status} at {announced_at} and has not got the secret announced there",
        )
        self.counters["secret not given to a node"] += 1

    def _trace_step(self, member: ReplicaMember, shadow: Shadow) -> None:
        node = member.replica_node
        self.trace = crc32(
            b"%d %d %d %s"
            % (member.index, node.replica.store.version, len(node.host.entries), shadow.root[:8]),
            self.trace,
        )

    def check_whole_state(self, member: ReplicaMember) -> None:
        """Compare everything a node holds, committed or not, with the shadow of its log."""
        replica, raft = member.replica_node.replica, member.raft
        last = raft.last
        shadow = self.shadows.at(raft.view_at(last), last)
        name = member.node_id
        require(replica.tree.root(last) == shadow.root, "Root", f"{name} differs at {last}")
        if replica.store.version == last:
            total = total_of_newest(replica.store)
            require(total == shadow.total, "State", f"{name} differs at {last}")

    def _check_disk(self, member: ReplicaMember) -> None:
        """Compare what came to a node's disk with what was written, and see how far it is ours."""
        host, views = member.replica_node.host, member.log.views
        register = self.invariants.register
        member.checked = min(member.checked, host.untouched)
        for seqno in range(member.checked + 1, len(host.entries) + 1):
            data = host.entries[seqno - 1]
            record = register.get((_view_of(data), seqno))
            require(
                record is not None and record.data == data,
                "LedgerBytes",
                f"{member.node_id} has an entry {seqno} in its files that nobody wrote",
            )
        host.untouched = member.checked = len(host.entries)
        safe = min(host.durable, len(views) - 1)
        while safe and _view_of(host.entries[safe - 1]) != views[safe]:
            safe -= 1
        member.durable = safe


def replica_of(member: Member) -> ReplicaNode:
    """Return the replica of a member of a cluster of replicas."""
    assert isinstance(member, ReplicaMember), "all members are replicas"
    return member.replica_node


def _view_of(data: bytes) -> int:
    """Return the view in an entry's IV."""
    return int.from_bytes(data[32:36], "little")
