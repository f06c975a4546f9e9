"""What a transaction says about the set of nodes: a new configuration, or retirements to close.

Rule: the configuration is the set of Trusted nodes in the nodes table after the transaction; an
entry that marks nodes ``retired_committed`` is no configuration. A row that bore the mark before,
and is written again with it, says nothing new.
"""

from dataclasses import dataclass

from ledger.base.ids import NodeId
from ledger.codec.writeset import Changes
from ledger.kv.store import Store
from ledger.tables.nodes import NODES_INFO, NodeInfo, NodeStatus


@dataclass(frozen=True, slots=True)
class MembershipChange:
    """At most one of the two is set."""

    configuration: frozenset[NodeId] | None = None
    retired_committed: frozenset[NodeId] | None = None


NO_CHANGE = MembershipChange()


def membership_change(changes: Changes, store: Store) -> MembershipChange:
    """Read the role of a transaction that has just been applied to ``store``."""
    nodes = changes.get(NODES_INFO.name)
    if nodes is None:
        return NO_CHANGE
    marked = [
        NodeId(NODES_INFO.key.decode(key))
        for key, value in nodes.items()
        if value is not None and NODES_INFO.value.decode(value).retired_committed
    ]
    if marked:
        before = store.begin_previous().table(NODES_INFO)
        newly = frozenset(node for node in marked if not _is_marked(before.get(node)))
        if newly:
            return MembershipChange(retired_committed=newly)
    return MembershipChange(configuration=trusted_nodes(store))


def _is_marked(info: NodeInfo | None) -> bool:
    return info is not None and info.retired_committed


def trusted_nodes(store: Store) -> frozenset[NodeId]:
    """Return the IDs of all Trusted nodes at the store's newest version."""
    table = store.begin().table(NODES_INFO)
    return frozenset(
        NodeId(node) for node, info in table.items() if info.status is NodeStatus.TRUSTED
    )
