"""Tables of nodes: identity, status, certificates, and what may join."""

import enum
from typing import Any

import msgspec

from ledger.codec.tables import JSON, JSON_TEXT, STR, SetTable, Table


class NodeStatus(enum.Enum):
    """A node waits as Pending, takes part as Trusted, leaves as Retired."""

    PENDING = "Pending"
    TRUSTED = "Trusted"
    RETIRED = "Retired"


class QuoteInfo(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True):
    """Attestation evidence of a node; byte strings in base64."""

    format: str
    quote: str
    endorsements: str
    uvm_endorsements: str | None = None
    endorsed_tcb: str | None = None


class NodeInfo(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True):
    """What the service knows of a node.

    Attributes:
        node_to_node_interface: ``bind_address`` and ``published_address``.
        rpc_interfaces: Interface name → its published configuration.
        quote_info: Attestation evidence.
        encryption_pub_key: RSA public key that ledger secrets are encrypted to, PEM.
        status: Status of the node.
        ledger_secret_seqno: First seqno of the secret the node was given.
        code_digest: Measurement, hex, of platforms that have one.
        certificate_signing_request: PEM; endorsed at trust and at renewal.
        public_key: Public key, PEM.
        node_data: Free JSON.
        retired_committed: Set once the retirement is committed.
    """

    node_to_node_interface: dict[str, Any]
    rpc_interfaces: dict[str, Any]
    quote_info: QuoteInfo
    encryption_pub_key: str
    status: NodeStatus
    ledger_secret_seqno: int | None = None
    code_digest: str | None = None
    certificate_signing_request: str | None = None
    public_key: str | None = None
    node_data: Any = None
    retired_committed: bool = False


ALLOWED_TO_JOIN = "AllowedToJoin"

NODES_INFO = Table("public:ccf.gov.nodes.info", STR, NodeInfo)
NODES_ENDORSED_CERTIFICATES = Table("public:ccf.gov.nodes.endorsed_certificates", STR, STR)
VIRTUAL_MEASUREMENTS = Table("public:ccf.gov.nodes.virtual.measurements", STR, JSON_TEXT)
VIRTUAL_HOST_DATA = SetTable("public:ccf.gov.nodes.virtual.host_data", STR)
SNP_MEASUREMENTS = Table("public:ccf.gov.nodes.snp.measurements", STR, JSON_TEXT)
SNP_HOST_DATA = Table("public:ccf.gov.nodes.snp.host_data", STR, JSON_TEXT)
SNP_UVM_ENDORSEMENTS = Table("public:ccf.gov.nodes.snp.uvm_endorsements", STR, JSON)
SNP_TCB_VERSIONS = Table("public:ccf.gov.nodes.snp.tcb_versions", STR, JSON)
