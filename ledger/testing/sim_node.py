"""One simulated node: what the simulation asks of it, and the light-weight one built on a chain.

A node with a real store plugs in by offering :class:`SimulatedNode`.
"""

from typing import Protocol

from ledger.base.ids import NodeId, TxId
from ledger.consensus.raft import Raft
from ledger.consensus.ready import Ready, Rollback
from ledger.consensus.types import Entry, EntryRole, Jitter, Proposed, Settings
from ledger.testing import scenario_payload as payload
from ledger.testing.sim_machine import ChainMachine, encode_write, role_of


class SimulatedNode(Protocol):
    """What the simulation needs of a node.

    Attributes:
        raft: Its consensus core, which the simulation feeds with messages and ticks.
    """

    raft: Raft

    def write(self, key: int, operation: int) -> tuple[TxId, TxId] | None:
        """Execute a client's write of a key.

        Returns:
            Its transaction id and the version of the key that it saw; None when refused.
        """
        ...

    def read(self, key: int) -> TxId:
        """Return the transaction that wrote a key last, as this node has it."""
        ...

    def sign(self) -> bool:
        """Append a signature; False when refused."""
        ...

    def configure(self, nodes: frozenset[NodeId]) -> bool:
        """Append a configuration; False when refused."""
        ...

    def mark_removable(self, nodes: frozenset[NodeId]) -> bool:
        """Append an entry that marks nodes as removable; False when refused."""
        ...

    def drain(self) -> Ready:
        """Drain the core, do the effects on the node's own state, and hand the outputs out."""
        ...

    def role_of(self, entry: Entry) -> EntryRole:
        """Return the role of an entry in its log."""
        ...

    def digest(self, seqno: int) -> bytes:
        """Return something that names the state at ``seqno``, a seqno that it has."""
        ...


class ChainNode:
    """A node over :class:`~ledger.testing.sim_machine.ChainMachine`.

    Attributes:
        raft: Its consensus core.
        machine: What it replicates.
    """

    __slots__ = ("machine", "raft")

    def __init__(
        self,
        node_id: NodeId,
        settings: Settings,
        jitter: Jitter,
        machine: ChainMachine | None = None,
    ) -> None:
        self.machine = machine or ChainMachine()
        self.raft = Raft(node_id, settings, self.machine.apply, jitter)

    def write(self, key: int, operation: int) -> tuple[TxId, TxId] | None:
        """Execute a client's write of a key."""
        raft, machine = self.raft, self.machine
        seqno, view = raft.last + 1, raft.view
        seen = machine.read(key)
        data = encode_write(key, operation, seen)
        if not self._append(Proposed(seqno, data)):
            return None
        return TxId(view, seqno), seen

    def read(self, key: int) -> TxId:
        """Return the transaction that wrote a key last."""
        return self.machine.read(key)

    def sign(self) -> bool:
        """Append a signature."""
        return self._append(payload.signature(self.raft.last + 1))

    def configure(self, nodes: frozenset[NodeId]) -> bool:
        """Append a configuration."""
        return self._append(payload.configuration(self.raft.last + 1, nodes))

    def mark_removable(self, nodes: frozenset[NodeId]) -> bool:
        """Append an entry that marks nodes as removable."""
        return self._append(payload.retired_committed(self.raft.last + 1, nodes))

    def drain(self) -> Ready:
        """Drain the core and keep the machine in step."""
        ready = self.raft.ready()
        for effect in ready.effects:
            if type(effect) is Rollback and self.machine.version > self.raft.last:
                self.machine.rollback(self.raft.last)
        return ready

    def role_of(self, entry: Entry) -> EntryRole:
        """Return the role of an entry."""
        return role_of(entry.data)

    def digest(self, seqno: int) -> bytes:
        """Return the name of the state at ``seqno``."""
        return self.machine.digest(seqno)

    def _append(self, proposed: Proposed) -> bool:
        """Execute first, as a primary does; take it back if consensus refuses."""
        view = self.raft.view
        if not self.raft.is_primary:
            return False
        self.machine.apply(view, proposed.seqno, proposed.data)
        if not self.raft.replicate([proposed], view):
            self.machine.rollback(proposed.seqno - 1)
            return False
        return True


class NodeMaker(Protocol):
    """Makes the nodes of a cluster; a real replica plugs in with one of its own."""

    def fresh(self, node_id: NodeId, settings: Settings, jitter: Jitter) -> SimulatedNode:
        """Make a node that has nothing."""
        ...

    def copy(
        self, node_id: NodeId, settings: Settings, jitter: Jitter, source: SimulatedNode, seqno: int
    ) -> SimulatedNode:
        """Make a node with the state of another at a committed signature, its core still empty."""
        ...


class ChainMaker:
    """Makes light-weight nodes."""

    def fresh(self, node_id: NodeId, settings: Settings, jitter: Jitter) -> SimulatedNode:
        """See :class:`NodeMaker`."""
        return ChainNode(node_id, settings, jitter)

    def copy(
        self, node_id: NodeId, settings: Settings, jitter: Jitter, source: SimulatedNode, seqno: int
    ) -> SimulatedNode:
        """See :class:`NodeMaker`."""
        assert isinstance(source, ChainNode), "a light-weight node copies its like"
        return ChainNode(node_id, settings, jitter, source.machine.copy_until(seqno))
