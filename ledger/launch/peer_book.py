"""What a node knows of the others: where they are, and who is heard.

The nodes table decides: a node listed as Trusted is heard, or as Retired until it is committed that
it is ``retired_committed`` (until then nothing could commit without it, that mark included). But
the table may be old. A node that was away, or still catches up, does
not know who was trusted meanwhile, and must hear exactly them to learn of it. So

* until it is committed that it was trusted, a joiner also hears the nodes that its target named,
  and while its table is empty only those. A row that is not committed may be rolled back by
  nodes that the joiner does not know, and without a signature after the row it never loses
  patience with the primary that it heard last, which may be gone;
* a node that knows of no primary also hears others that the service has endorsed (the handshake
  proves that), and goes on hearing the one that it then follows.

Consensus needs no more: it judges messages of any sender, and counts only members.
"""

from collections.abc import Mapping

from ledger.base.ids import NodeId
from ledger.replica.replica import Replica
from ledger.tables.nodes import NODES_INFO, NodeStatus


class PeerBook:
    """Addresses and who may speak, by the newest state of this node."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._named: Mapping[NodeId, str] = {}
        self._said: dict[NodeId, str] = {}
        self._heard: dict[NodeId, bool] = {}
        self._is_empty = True
        self._read_at: tuple[int, int] | None = None

    def name(self, peers: Mapping[str, str]) -> None:
        """Take the trusted nodes that the service names to a joiner, and their addresses."""
        self._named = {NodeId(node): address for node, address in peers.items()}

    def introduced(self, node: NodeId, address: str) -> None:
        """Note where a node says it is reached; used until the table knows."""
        self._said[node] = address

    @property
    def is_settled(self) -> bool:
        """Whether this node's own row is Trusted or Retired in its own committed table."""
        row = self._replica.store.begin_committed().table(NODES_INFO).get(self._replica.node_id)
        return row is not None and row.status is not NodeStatus.PENDING

    def address_of(self, node: NodeId) -> str | None:
        """Return the published node-to-node address of a node, None when it is not known."""
        info = self._replica.begin_read_only().table(NODES_INFO).get(node)
        if info is not None:
            address = info.node_to_node_interface.get("published_address")
            if isinstance(address, str):
                return address
        return self._named.get(node) or self._said.get(node)

    def may_speak(self, node: NodeId) -> bool:
        """Say whether a node is heard now."""
        self._look()
        heard = self._heard.get(node)
        if heard is not None:
            return heard
        if node in self._named and not self.is_settled:
            return True
        if self._is_empty:
            return False
        primary = self._replica.raft.primary_id
        return primary is None or primary == node

    def _is_marked_for_good(self, node: str) -> bool:
        info = self._replica.store.begin_committed().table(NODES_INFO).get(node)
        return info is not None and info.retired_committed

    def _look(self) -> None:
        """Read the table again when it changed; a roll-back may bring back a version."""
        replica = self._replica
        version = replica.store.map_version(NODES_INFO.name)
        self._is_empty = version == 0
        read_at = (version, replica.view_at(version))
        if read_at == self._read_at:
            return
        self._read_at = read_at
        rows = dict(replica.begin_read_only().table(NODES_INFO).items())
        self._heard = {
            NodeId(node): not info.retired_committed or not self._is_marked_for_good(node)
            for node, info in rows.items()
            if info.status is not NodeStatus.PENDING
        }
        if any(self._heard[NodeId(node)] for node, info in rows.items() if info.retired_committed):
            self._read_at = None  # Commit will change this, not another version of the table.
