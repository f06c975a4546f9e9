"""Sets of nodes: the committed one and those that wait for commit, all of them active.

One entry moves the service from any set to any other. From the moment a node appends it, that node
counts quorums in the old *and* in the new set, until commit passes the entry.
"""

from collections.abc import Collection

import msgspec

from ledger.base.ids import NodeId


class Configuration(msgspec.Struct, frozen=True, gc=False):
    """A set of nodes and the entry that set it.

    Attributes:
        seqno: Seqno of that entry.
        nodes: Ids of its members; at least one.
    """

    seqno: int
    nodes: frozenset[NodeId]


class Configurations:
    """The active configurations of one node, ascending by seqno.

    Invariant: the first is the newest committed one (or the oldest known), the rest are pending.

    Attributes:
        active: The configurations; read only.
        node_sets: Their members, in the same order; read only.
        others: All members of all active ones but this node, ascending; read only.
        has_own: Whether this node is in one of them; read only.
    """

    __slots__ = ("_left", "_own", "active", "has_own", "node_sets", "others")

    def __init__(self, own: NodeId) -> None:
        self._own = own
        self._left: set[NodeId] = set()
        """Nodes of dropped configurations that no later one has: their ids never come back."""
        self.active: list[Configuration] = []
        self.node_sets: list[frozenset[NodeId]] = []
        self.others: list[NodeId] = []
        self.has_own = False

    @property
    def newest(self) -> frozenset[NodeId]:
        """Members of the newest configuration; empty if there is none."""
        return self.node_sets[-1] if self.node_sets else frozenset()

    @property
    def former(self) -> frozenset[NodeId]:
        """Nodes that were in a configuration and are not in the newest one."""
        return frozenset(self._left.union(*self.node_sets) - self.newest)

    def has_left(self, node: NodeId) -> bool:
        """Say whether a node was in a configuration and is not in the newest one.

        The one that it was in may still be active: a node that begins to lead may not know yet how
        much of its log is committed.
        """
        return node in self.former

    def note_left(self, nodes: Collection[NodeId]) -> None:
        """Learn of nodes that left before the first configuration known here."""
        self._left.update(nodes)

    def add(self, seqno: int, nodes: frozenset[NodeId]) -> bool:
        """Take a configuration over, unless it has the members of the newest one.

        Returns:
            Whether there was a change.
        """
        assert nodes, "a configuration has at least one node"
        assert not self.active or seqno >= self.active[-1].seqno, (
            f"configuration {seqno} comes after configuration {self.active[-1].seqno}"
        )
        if self.active and nodes == self.newest:
            return False
        self._set([*self.active, Configuration(seqno, nodes)])
        return True

    def drop_committed(self, commit: int) -> bool:
        """Drop leading configurations once commit has reached their successor.

        Returns:
            Whether one was dropped. The last one left never is.
        """
        keep = 0
        while keep + 1 < len(self.active) and self.active[keep + 1].seqno <= commit:
            keep += 1
        if not keep:
            return False
        dropped = self.active[:keep]
        self._set(self.active[keep:])
        for configuration in dropped:
            self._left |= configuration.nodes - self.active[0].nodes
        return True

    def rollback(self, seqno: int) -> None:
        """Drop the configurations above ``seqno``."""
        if self.active and self.active[-1].seqno > seqno:
            self._set([held for held in self.active if held.seqno <= seqno])

    def newest_seqno_of(self, node: NodeId) -> int:
        """Return the seqno of the newest configuration that has the node, 0 if none has."""
        for configuration in reversed(self.active):
            if node in configuration.nodes:
                return configuration.seqno
        return 0

    def _set(self, active: list[Configuration]) -> None:
        self.active = active
        self.node_sets = [configuration.nodes for configuration in active]
        members = {node for nodes in self.node_sets for node in nodes}
        self.has_own = self._own in members
        self.others = sorted(members - {self._own})
