"""Which nodes count: those that vote, or hear entries, or may lead."""

from ledger.kv.tx import Tx
from ledger.tables.nodes import NODES_INFO, NodeInfo, NodeStatus


def nodes_taking_part(tx: Tx) -> dict[str, NodeInfo]:
    """Return the nodes that vote, or hear entries, or may lead: they need every ledger secret.

    A Retired node goes on taking part until it is committed that it is ``retired_committed``.
    """
    return {
        node: info for node, info in tx.table(NODES_INFO).items() if _takes_part(tx, node, info)
    }


def takes_part(tx: Tx, node: str) -> bool:
    """Say whether a node is one of ``nodes_taking_part``."""
    info = tx.table(NODES_INFO).get(node)
    return info is not None and _takes_part(tx, node, info)


def _takes_part(tx: Tx, node: str, info: NodeInfo) -> bool:
    if info.status is NodeStatus.PENDING:
        return False
    committed = tx.table(NODES_INFO).get_committed(node) if info.retired_committed else None
    return committed is None or not committed.retired_committed
