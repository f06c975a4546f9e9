"""When each frontend opens: decided by what is committed, never by what is only executed.

``/node`` serves from the start. ``/gov`` opens when this node's endorsed certificate is committed,
``/app`` when the service is committed as Open under the current service key.
"""

from collections.abc import Callable

from ledger.base.ids import TxId
from ledger.kv.store import Store
from ledger.tables.nodes import NODES_ENDORSED_CERTIFICATES
from ledger.tables.service import SERVICE_INFO, ServiceStatus


class Openings:
    """Watches the commit point.

    Args:
        store: The node's store.
        node_id: The node's ID.
        tell: Takes a line for the operator at each opening.

    Attributes:
        gov_open: Whether governance requests are served.
        app_open: Whether user requests are served.
    """

    def __init__(self, store: Store, node_id: str, tell: Callable[[str], None]) -> None:
        self._store = store
        self._tell = tell
        self._node_id = node_id
        self.gov_open = False
        self.app_open = False

    def committed(self, tx_id: TxId) -> None:
        """Look again; cheap once everything is open."""
        del tx_id
        if self.app_open and self.gov_open:
            return
        tx = self._store.begin_committed()
        if not self.gov_open and tx.table(NODES_ENDORSED_CERTIFICATES).has(self._node_id):
            self.gov_open = True
            self._tell("This node serves members")
        service = tx.singleton(SERVICE_INFO).get()
        is_open = service is not None and service.status is ServiceStatus.OPEN
        if is_open and not self.app_open:
            self.app_open = True
            self._tell("The service is open: this node serves users")
