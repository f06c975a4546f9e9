"""Join: what a new node asks for, how it is judged, what it is given.

The joiner proves its key by its TLS client certificate; its node ID is the digest of that key.
While the service is Opening it is trusted at once, afterwards it waits as Pending until members
trust it. Keys and secrets are only handed to a node that takes part in the newest state of the one
that gives them: Trusted there, or Retired and still needed, as its vote may be the one that lets
the service go on. Its evidence has been checked when its row was written, or is now.
"""

import enum
from dataclasses import dataclass
from typing import Any

import msgspec

from ledger.base.errors import FormatError
from ledger.boundary.sentences import QUOTE_HOST_DATA_REFUSED, QUOTE_MEASUREMENT_UNKNOWN
from ledger.codec import canonical
from ledger.crypto.certificate import CertificateRequest
from ledger.crypto.hashing import sha256
from ledger.crypto.keys import PublicKey
from ledger.crypto.rsa import RsaPublicKey
from ledger.kv.tx import Tx
from ledger.lifecycle.taking_part import takes_part
from ledger.tables.nodes import (
    NODES_INFO,
    VIRTUAL_HOST_DATA,
    VIRTUAL_MEASUREMENTS,
    NodeInfo,
    NodeStatus,
    QuoteInfo,
)
from ledger.tables.service import SERVICE_INFO, ServiceStatus

PENDING_NODES_MAX = 64
"""Nodes that may wait for trust at one time; anybody who can reach the service may ask to join."""
INTERFACES_MAX = 64
"""RPC interfaces of one node."""
ADDRESS_SIZE_MAX = 300
"""Characters: a host name has at most 253."""
PORT_MAX = 65_535
VIRTUAL_FORMAT = "Insecure_Virtual"


class NetworkInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses of the joiner, as the nodes table holds them."""

    node_to_node_interface: dict[str, Any]
    rpc_interfaces: dict[str, Any]


class JoinRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Body of ``POST /node/join``.

    Attributes:
        node_info_network: Addresses.
        quote_info: Evidence of what the node runs.
        public_encryption_key: RSA key that ledger secrets are encrypted to, PEM.
        startup_seqno: Seqno of the state the node starts from, None from nothing.
        certificate_signing_request: PEM, by the node's key.
        node_data: Free JSON.
    """

    node_info_network: NetworkInfo
    quote_info: QuoteInfo
    public_encryption_key: str
    startup_seqno: int | None = None
    certificate_signing_request: str | None = None
    node_data: Any = None


class LedgerSecretInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One ledger secret: base64 of 32 bytes, its first seqno, where it was announced."""

    secret: str
    version: int
    previous_secret_stored_version: int | None = None


class IdentityInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The service's certificate and private key, PEM."""

    cert: str
    priv_key: str


class CoseConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """Issuer and subject of COSE signatures."""

    issuer: str
    subject: str


class ServiceSecrets(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a trusted node is given; never logged.

    Attributes:
        public_only: Whether private records are not readable yet (disaster recovery).
        last_recovered_signed_idx: 0 outside of a recovery.
        ledger_secrets: All secrets, oldest first.
        identity: The service's key.
        service_status: Status at that time.
        endorsed_certificate: The joiner's certificate, PEM.
        cose_signatures_config: Claims of COSE signatures.
        peers: Nodes that take part, and their node-to-node addresses: who may speak to the
            joiner, and where it answers, until it has a nodes table of its own.
    """

    public_only: bool
    last_recovered_signed_idx: int
    ledger_secrets: list[LedgerSecretInfo]
    identity: IdentityInfo
    service_status: str | None = None
    endorsed_certificate: str | None = None
    cose_signatures_config: CoseConfiguration | None = None
    peers: dict[str, str] = {}


class JoinResponse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Answer to a join request; ``network_info`` only for a trusted node."""

    node_status: str
    node_id: str | None = None
    network_info: ServiceSecrets | None = None


class Refusal(enum.Enum):
    """Why a joiner is refused, with the HTTP error code of each."""

    INVALID_QUOTE = "InvalidQuote"
    CSR_KEY = "CSRPublicKeyInvalid"
    STARTUP_SEQNO = "StartupSeqnoIsOld"
    ALREADY_EXISTS = "NodeAlreadyExists"
    NODE_STATE = "InvalidNodeState"
    SHAPE = "InvalidInput"
    TOO_MANY = "TooManyPendingNodes"


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal with what to do about it."""

    why: Refusal
    message: str


@dataclass(frozen=True, slots=True)
class Admitted:
    """A new node: the row to write."""

    info: NodeInfo


@dataclass(frozen=True, slots=True)
class Known:
    """A node that asked before.

    Attributes:
        info: Its row.
        takes_part: Whether it is given the keys.
    """

    info: NodeInfo
    takes_part: bool


def judge(
    tx: Tx,
    request: JoinRequest,
    key: PublicKey,
    *,
    startup_seqno: int,
    trust_at_once: bool,
    has_left: bool = False,
) -> Admitted | Known | Refused:
    """Judge a join request against the tables.

    Args:
        tx: The state of the node that is asked.
        request: What was asked.
        key: The joiner's key, from its client certificate.
        startup_seqno: Seqno that node itself started from.
        trust_at_once: Whether a node may be trusted without the members while the service opens.
        has_left: Whether the joiner took part before and was removed; its row may be forgotten.
    """
    known = tx.table(NODES_INFO).get(key.id)
    if known is not None and takes_part(tx, key.id):
        return _check_same(tx, request, key, known) or Known(known, takes_part=True)
    if has_left or (known is not None and known.status is NodeStatus.RETIRED):
        return Refused(Refusal.NODE_STATE, f"Node {key.id} was removed; start a new one.")
    if known is not None:
        return Known(known, takes_part=False)
    refused = (
        _check_shape(request)
        or _check_evidence(tx, request.quote_info, key)
        or _check_request(request, key)
        or _check_start(request, startup_seqno)
        or _check_place(tx, request)
    )
    if refused is not None:
        return refused
    service = tx.singleton(SERVICE_INFO).get()
    opening = service is not None and service.status is ServiceStatus.OPENING
    status = NodeStatus.TRUSTED if opening and trust_at_once else NodeStatus.PENDING
    return Admitted(
        NodeInfo(
            node_to_node_interface=request.node_info_network.node_to_node_interface,
            rpc_interfaces=request.node_info_network.rpc_interfaces,
            quote_info=request.quote_info,
            encryption_pub_key=request.public_encryption_key,
            status=status,
            certificate_signing_request=request.certificate_signing_request,
            public_key=key.pem,
            node_data=request.node_data,
        )
    )


def _check_same(tx: Tx, request: JoinRequest, key: PublicKey, known: NodeInfo) -> Refused | None:
    """Check that who asks for the keys is the node that its row was written for.

    The evidence in the row was checked when it was written. What a node then ran may not be allowed
    to join any more, and the node still counts; only other evidence is judged anew.
    """
    if known.public_key not in {None, key.pem}:
        return Refused(Refusal.NODE_STATE, f"Node {key.id} is listed with another public key.")
    if request.quote_info == known.quote_info:
        return None
    return _check_evidence(tx, request.quote_info, key)


def _check_shape(request: JoinRequest) -> Refused | None:
    """Check what other nodes and readers of the nodes table rely on: anybody may ask to join."""
    network = request.node_info_network
    interfaces: dict[str, Any] = {"node_to_node_interface": network.node_to_node_interface}
    interfaces |= {f"rpc_interfaces.{name}": each for name, each in network.rpc_interfaces.items()}
    for name, interface in interfaces.items():
        if not isinstance(interface, dict) or not is_address(interface.get("published_address")):
            return Refused(
                Refusal.SHAPE, f"{name[:80]} has no published_address of the form host:port."
            )
    if len(interfaces) - 1 not in range(1, INTERFACES_MAX + 1):
        return Refused(
            Refusal.SHAPE, f"Got {len(interfaces) - 1} rpc_interfaces, want 1 to {INTERFACES_MAX}."
        )
    try:
        RsaPublicKey.from_pem(request.public_encryption_key)
    except FormatError as error:
        return Refused(Refusal.SHAPE, f"public_encryption_key is refused: {error}.")
    return None


def is_address(value: object) -> bool:
    """Say whether a value is ``host:port`` with a port that can be dialled."""
    if not isinstance(value, str) or len(value) > ADDRESS_SIZE_MAX:
        return False
    host, _, port = value.rpartition(":")
    return bool(host) and port.isascii() and port.isdigit() and 0 < int(port) <= PORT_MAX


def _check_evidence(tx: Tx, quote: QuoteInfo, key: PublicKey) -> Refused | None:
    if quote.format != VIRTUAL_FORMAT:
        return Refused(
            Refusal.INVALID_QUOTE,
            f"Quote format {quote.format[:40]!r} is not verified by this version, "
            f"want {VIRTUAL_FORMAT}.",
        )
    try:
        evidence = canonical.loads(canonical.b64decode(quote.quote))
        measurement, host_data = evidence["measurement"], evidence["host_data"]
        report_data = canonical.b64decode(evidence["report_data"])
    except (FormatError, KeyError, TypeError) as error:
        return Refused(Refusal.INVALID_QUOTE, f"Quote cannot be read: {error}.")
    if report_data.rstrip(b"\0") != sha256(key.der).rstrip(b"\0"):
        return Refused(Refusal.INVALID_QUOTE, "Quote report data is not for this node's key.")
    if not isinstance(measurement, str) or not tx.table(VIRTUAL_MEASUREMENTS).has(measurement):
        return Refused(
            Refusal.INVALID_QUOTE,
            f"{QUOTE_MEASUREMENT_UNKNOWN}: members can allow it with add_virtual_measurement.",
        )
    if not isinstance(host_data, str) or not tx.set(VIRTUAL_HOST_DATA).has(host_data):
        return Refused(
            Refusal.INVALID_QUOTE,
            f"{QUOTE_HOST_DATA_REFUSED}: the node runs other code or has another application, log "
            "level or interface limits than the nodes allowed so far; members can allow "
            f"{str(host_data)[:64]} with add_virtual_host_data.",
        )
    return None


def _check_request(request: JoinRequest, key: PublicKey) -> Refused | None:
    pem = request.certificate_signing_request
    if pem is None:
        return Refused(Refusal.CSR_KEY, "The request lacks certificate_signing_request.")
    try:
        csr = CertificateRequest.parse(pem)
    except FormatError as error:
        return Refused(Refusal.CSR_KEY, f"The certificate signing request is refused: {error}.")
    if csr.public_key.id != key.id:
        return Refused(Refusal.CSR_KEY, "The certificate signing request is for another key.")
    return None


def _check_start(request: JoinRequest, startup_seqno: int) -> Refused | None:
    if (request.startup_seqno or 0) >= startup_seqno:
        return None
    return Refused(
        Refusal.STARTUP_SEQNO,
        f"StartupSeqnoIsOld: the node starts from seqno {request.startup_seqno or 0}, this service "
        f"can only supply what comes after {startup_seqno}: start it from a newer snapshot.",
    )


def _check_place(tx: Tx, request: JoinRequest) -> Refused | None:
    address = request.node_info_network.node_to_node_interface.get("published_address")
    pending = 0
    for node_id, info in tx.table(NODES_INFO).items():
        if info.status is NodeStatus.PENDING:
            pending += 1
        taken = info.node_to_node_interface.get("published_address")
        if info.status is not NodeStatus.RETIRED and taken == address:
            return Refused(
                Refusal.ALREADY_EXISTS,
                f"Node {node_id} has the node-to-node address {address} and is "
                f"{info.status.value}: remove it first or use another address.",
            )
    if pending >= PENDING_NODES_MAX:
        return Refused(
            Refusal.TOO_MANY,
            f"{pending} nodes wait for trust already: members can remove some with remove_node.",
        )
    return None
