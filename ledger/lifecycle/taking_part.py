"""Which nodes count: those that vote, or hear entries, or may lead."""

from ledger.kv.tx import Tx
from ledger.tables.nodes import NODES_INFO, NodeInfo, NodeStatus


def nodes_taking_part(tx: Tx) -> dict[str, NodeInfo]:
    """Return the nodes that vote, or hear entries, or may lead: they need every ledger secret.

    A Retired node goes on taking part until it is committed that it is ``retired_committed``.
    """
    table = tx.table(NODES_INFO)
    found = {}
    for node, info in table.items():
        committed = table.get_committed(node) if info.retired_committed else None
        is_gone = committed is not None and committed.retired_committed
        if info.status is not NodeStatus.PENDING and not is_gone:
            found[node] = info
    return found
