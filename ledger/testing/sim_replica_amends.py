"""Where the simulation does for real parts what they still have to learn to do themselves.

Each function names what it makes up for; once the part does it, the function changes nothing and
can go. Everything else is simulated as it is.
"""

from typing_extensions import override

from ledger.boundary.to_enclave import Persisted, ToEnclave
from ledger.consensus.types import Leadership
from ledger.kv.tx import Tx
from ledger.replica.replica import Replica
from ledger.tables.internal import HISTORICAL_LEDGER_SECRET
from ledger.tables.nodes import NODES_INFO, NodeStatus
from ledger.testing.checkers import Invariants, Observed


def speaks_of_entries_gone(message: ToEnclave, replica: Replica) -> bool:
    """Say whether a report of the disk is older than a roll-back that consensus has decided.

    ``enclave.runtime`` learns of the roll-back at the end of the turn only; in between, the report
    would stop the node or count for entries that took the place of those it means.
    """
    return isinstance(message, Persisted) and message.truncations != replica.truncations


def nodes_that_take_part(tx: Tx) -> list[str]:
    """Return the nodes that have to hear, to be heard, and to know the ledger secrets.

    A Retired node goes on voting, or leading, until it is committed that it is retired for good.
    ``launch.admission``, ``lifecycle.join`` and ``lifecycle.secrets_in_ledger`` take Trusted nodes
    only.
    """
    table = tx.table(NODES_INFO)
    found = []
    for node, info in table.items():
        committed = table.get_committed(node)
        is_gone = info.retired_committed and committed is not None and committed.retired_committed
        if info.status is not NodeStatus.PENDING and not is_gone:
            found.append(node)
    return found


def read_newest_secret(tx: Tx) -> None:
    """Have a transaction conflict with every other that brings a ledger secret.

    ``lifecycle.secrets_in_ledger`` uses the newest secret without reading where it came from.
    """
    tx.singleton(HISTORICAL_LEDGER_SECRET).get()


def may_hand_out(replica: Replica) -> bool:
    """Say whether a node gives the secrets to a joiner that it lists as Trusted.

    ``frontends.join`` has primaries do so only. But when a primary is lost after it trusted nodes,
    there may be no other before these nodes vote, and they cannot hear of it without the secrets.
    """
    return replica.is_primary or (
        replica.raft.primary_id is None and not replica.sealers.lacks_latest
    )


class ReplicaInvariants(Invariants):
    """Lets a primary that its own retirement ends keep its unsigned entries: it follows nobody."""

    __slots__ = ()

    @override
    def became_backup(self, node: Observed, view: int) -> None:
        """Check a node that has just begun to follow."""
        if node.raft.state.leadership is not Leadership.NONE:
            super().became_backup(node, view)
