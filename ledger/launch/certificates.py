"""Which certificate each interface shows: its own at once, the endorsed one once committed.

``Node`` interfaces show the self-signed certificate. ``Service`` interfaces show the one that the
service endorsed, with the newest the committed store holds; before it is committed they close
connections, so that nobody trusts a service that may never be.
"""

from collections.abc import Callable

from ledger.base.ids import TxId
from ledger.boundary.settings import Settings
from ledger.crypto.certificate import Certificate
from ledger.enclave.link import Link
from ledger.enclave.tls import Identity
from ledger.kv.store import Store
from ledger.launch.identity import ServiceIdentity
from ledger.launch.keys import Keys
from ledger.tables.nodes import NODES_ENDORSED_CERTIFICATES
from ledger.tables.service import SERVICE_INFO


class Certificates:
    """Keeps interfaces and the held service certificate in step with the committed store."""

    def __init__(
        self,
        link: Link,
        settings: Settings,
        keys: Keys,
        store: Store,
        on_endorsed: Callable[[str], None],
    ) -> None:
        self._link = link
        self._on_endorsed = on_endorsed
        self._interfaces = settings.interfaces
        self._keys = keys
        self._store = store
        self._shown = ""
        self._service_shown = ""
        self._seen = (-1, -1)

    def show_self_signed(self) -> None:
        """Show the self-signed certificate where the configuration says so."""
        self._show("Node", self._keys.node.self_signed.pem)

    def committed(self, tx_id: TxId) -> None:
        """Look for a new certificate of this node or of the service."""
        del tx_id
        versions = (
            self._store.map_version(NODES_ENDORSED_CERTIFICATES.name),
            self._store.map_version(SERVICE_INFO.name),
        )
        if versions == self._seen:
            return
        if max(versions) <= self._store.committed:
            self._seen = versions
        tx = self._store.begin_committed()
        own = tx.table(NODES_ENDORSED_CERTIFICATES).get(self._keys.node.id)
        service = tx.singleton(SERVICE_INFO).get()
        if service is not None and service.cert != self._service_shown and self._keys.has_service:
            self._service_shown = service.cert
            held = self._keys.service
            self._keys.hold_service(ServiceIdentity(held.key, Certificate.parse(service.cert)))
        if own is not None and own != self._shown:
            self._shown = own
            self._show("Service", own)
            self._on_endorsed(own)

    def _show(self, authority: str, certificate: str) -> None:
        key = self._keys.node.key.to_pem().encode()
        for interface in self._interfaces:
            if interface.authority == authority:
                self._link.set_certificate(interface.name, Identity(certificate.encode(), key))
