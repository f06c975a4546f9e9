"""Closing retirements: the primary marks nodes whose retirement is committed as removable."""

import msgspec

from ledger.replica.replica import Replica
from ledger.tables.nodes import NODES_INFO, NodeStatus


def mark_retired_committed(replica: Replica) -> list[str]:
    """Set ``retired_committed`` on every node whose Retired status is committed; idempotent.

    Returns:
        The nodes marked, maybe none; then nothing is written.
    """
    if not replica.is_primary:
        return []
    tx = replica.begin()
    table = tx.table(NODES_INFO)
    marked = []
    for node, info in table.items():
        committed = table.get_committed(node)
        if (
            info.status is NodeStatus.RETIRED
            and not info.retired_committed
            and committed is not None
            and committed.status is NodeStatus.RETIRED
        ):
            marked.append(node)
            table.put(node, msgspec.structs.replace(info, retired_committed=True))
    if marked:
        tx_id = replica.commit(tx, None)
        assert tx_id is not None, "nothing runs between begin and commit"
    return marked
