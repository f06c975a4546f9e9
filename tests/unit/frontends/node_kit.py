"""The ``/node`` frontend on a log without a ledger, with facts that a test sets."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ledger.crypto.certs import self_signed_caller
from ledger.crypto.keys import SigningKey
from ledger.endpoints.local_log import LocalLog
from ledger.endpoints.pipeline import Frontend, Pipeline
from ledger.endpoints.registry import Registry
from ledger.frontends.join import add_join
from ledger.frontends.node import add_node_endpoints
from ledger.frontends.node_removal import add_node_removal
from ledger.lifecycle.join import IdentityInfo, LedgerSecretInfo, ServiceSecrets
from ledger.tables.nodes import NODES_INFO, NodeInfo, NodeStatus, QuoteInfo
from ledger.testing.app_client import Caller

if TYPE_CHECKING:
    from ledger.crypto.certificate import Certificate

NOW = 1_750_000_000.0
OWN = "a" * 64
OTHER = "b" * 64


def info(status: NodeStatus = NodeStatus.TRUSTED, number: int = 1, **changes: Any) -> NodeInfo:  # noqa: ANN401
    interface = {
        "bind_address": f"127.0.0.1:{number}",
        "published_address": f"127.0.0.{number}:4{number}",
    }
    return NodeInfo(
        node_to_node_interface=interface,
        rpc_interfaces={"app_client": interface},
        quote_info=QuoteInfo(format="Insecure_Virtual", quote="cXVvdGU=", endorsements="ZQ=="),
        encryption_pub_key="",
        status=status,
        **changes,
    )


@dataclass
class Facts:
    """See ``NodeFacts``."""

    node_id: str = OWN
    node_info: NodeInfo = field(default_factory=lambda: info(NodeStatus.PENDING))
    state: str = "PartOfNetwork"
    startup_seqno: int = 0
    last_signed_seqno: int = 5
    stop_notice: bool = False
    view: int = 2
    primary_id: str | None = OWN
    self_signed_certificate: str = "PEM"
    ready: bool = True
    details: dict[str, Any] = field(default_factory=lambda: {"configs": []})

    def app_ready(self) -> bool:
        return self.ready

    def gov_ready(self) -> bool:
        return self.ready

    def session_metrics(self) -> dict[str, Any]:
        return {"sessions": {}}

    def consensus_details(self) -> dict[str, Any]:
        return self.details


class FakeAdmission:
    """See ``Admission``."""

    def __init__(self) -> None:
        self.startup_seqno = 0
        self.trust_at_once = False
        self.is_primary = True
        self.stands_in = False
        self.primary: str | None = "127.0.0.9:9"
        self.left: set[str] = set()
        self.told: list[tuple[str, NodeStatus]] = []

    def primary_address(self, interface: str) -> str | None:
        assert interface == "app_client"
        return self.primary

    def has_left(self, node_id: str) -> bool:
        return node_id in self.left

    def endorse(self, request_pem: str) -> str:
        assert "CERTIFICATE REQUEST" in request_pem
        return "endorsed"

    def secrets_for(self, certificate: str | None) -> ServiceSecrets:
        return ServiceSecrets(
            public_only=False,
            last_recovered_signed_idx=0,
            ledger_secrets=[LedgerSecretInfo(secret="c2VjcmV0", version=1)],
            identity=IdentityInfo(cert="cert", priv_key="key"),
            endorsed_certificate=certificate,
        )

    def admitted(self, node_id: str, status: NodeStatus) -> None:
        self.told.append((node_id, status))


class NodeKit:
    """Everything that a test of ``/node`` needs."""

    def __init__(self) -> None:
        self.log = LocalLog(commits_at_once=False)
        self.facts = Facts()
        self.admission = FakeAdmission()
        self.failures: list[str] = []
        registry = Registry("/node")
        add_node_endpoints(registry, self.facts)
        add_node_removal(registry)
        add_join(registry, self.admission)
        frontend = Frontend(registry, lambda: True, back_pressured=False)
        self.pipeline = Pipeline(
            self.log, [frontend], now=lambda: NOW, on_failure=self.failures.append
        )

    def caller(self, key: SigningKey | None = None) -> Caller:
        certificate: Certificate | None = None
        if key is not None:
            certificate = self_signed_caller(key, "CN=joiner", 1, int(NOW))
        return Caller(self.pipeline, certificate)

    def put(self, *nodes: tuple[str, NodeInfo | None], commit: bool = True) -> None:
        """Write rows of the nodes table."""
        tx = self.log.begin()
        for node, row in nodes:
            if row is None:
                tx.table(NODES_INFO).remove(node)
            else:
                tx.table(NODES_INFO).put(node, row)
        assert self.log.commit(tx, None) is not None
        if commit:
            self.log.commit_all()
