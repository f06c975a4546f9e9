"""What the node that is asked brings to a join: implements ``frontends.join.Admission``."""

import ipaddress
from dataclasses import dataclass

from ledger.base.addresses import host_of
from ledger.base.clock import Clock
from ledger.base.ids import NodeId
from ledger.boundary.settings import Settings
from ledger.codec import canonical
from ledger.crypto.certificate import CertificateRequest
from ledger.launch.keys import Keys
from ledger.launch.shell import NodeLog
from ledger.lifecycle.join import (
    CoseConfiguration,
    IdentityInfo,
    LedgerSecretInfo,
    ServiceSecrets,
)
from ledger.lifecycle.taking_part import nodes_taking_part, takes_part
from ledger.replica.replica import Replica
from ledger.tables.nodes import NODES_INFO, NodeStatus
from ledger.tables.service import SERVICE_INFO


@dataclass(slots=True)
class NodeAdmission:
    """Takes nodes in, with the keys of this one.

    Attributes:
        replica: State machine.
        keys: Keys that a node is given once it takes part.
        settings: This node's configuration.
        clock: Time.
        log: Told of every node that is taken in.
        startup_seqno: Seqno this node started from.
    """

    replica: Replica
    keys: Keys
    settings: Settings
    clock: Clock
    log: NodeLog
    startup_seqno: int = 0

    @property
    def trust_at_once(self) -> bool:
        """Only on loopback: virtual evidence proves nothing about a node from elsewhere."""
        host = host_of(self.settings.node_to_node.published_address)
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    @property
    def is_primary(self) -> bool:
        """Whether this node can take nodes in."""
        return self.replica.is_primary

    @property
    def stands_in(self) -> bool:
        """Whether this backup gives the keys to nodes that take part, for want of a primary.

        Not when this node has left itself, or was never trusted: what it knows is of the past. Nor
        when it lacks a ledger secret: it cannot lead those that would hear it.
        """
        replica = self.replica
        if replica.raft.primary_id is not None or replica.sealers.lacks_latest:
            return False
        return takes_part(replica.begin_read_only(), replica.node_id)

    def primary_address(self, interface: str) -> str | None:
        """Return the primary's address of an interface; None when it is not known."""
        primary = self.replica.raft.primary_id
        info = None
        if primary is not None:
            info = self.replica.begin_read_only().table(NODES_INFO).get(primary)
        if info is None:
            return None
        record = info.rpc_interfaces.get(interface) or next(iter(info.rpc_interfaces.values()))
        address = record.get("published_address")
        return address if isinstance(address, str) else None

    def has_left(self, node_id: str) -> bool:
        """Say whether a node took part and was removed: no ID is trusted twice."""
        return self.replica.raft.state.configurations.has_left(NodeId(node_id))

    def endorse(self, request_pem: str) -> str:
        """Return a first node certificate for a checked request, PEM."""
        now = int(self.clock.unix_seconds())
        days = self.settings.node_certificate.initial_validity_days
        return self.keys.service.endorse(CertificateRequest.parse(request_pem), now, days).pem

    def secrets_for(self, certificate: str | None) -> ServiceSecrets:
        """Return what a node that takes part is given."""
        service = self.replica.begin_read_only().singleton(SERVICE_INFO).get()
        held = self.keys.service
        return ServiceSecrets(
            public_only=False,
            last_recovered_signed_idx=0,
            ledger_secrets=[
                LedgerSecretInfo(
                    secret=canonical.b64encode(secret.key),
                    version=secret.first,
                    previous_secret_stored_version=secret.stored_at,
                )
                for secret in self.replica.sealers.chain.secrets
            ],
            identity=IdentityInfo(cert=held.certificate.pem, priv_key=held.key.to_pem()),
            service_status=None if service is None else service.status.value,
            endorsed_certificate=certificate,
            cose_signatures_config=CoseConfiguration(
                issuer=self.keys.cose_issuer, subject=self.keys.cose_subject
            ),
            peers={
                node: str(info.node_to_node_interface.get("published_address", ""))
                for node, info in nodes_taking_part(self.replica.begin_read_only()).items()
            },
        )

    def admitted(self, node_id: str, status: NodeStatus) -> None:
        """Tell the operator."""
        if status is NodeStatus.TRUSTED:
            text = "is trusted at once: the service is opening, and virtual evidence proves nothing"
        else:
            text = "waits for transition_node_to_trusted"
        line = f"Node {node_id} asks to join and {text}"
        self.log.info(line)
