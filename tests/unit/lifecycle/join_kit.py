"""A joiner's request in all its parts, each of which a test can bend."""

from typing import Any

import msgspec

from ledger.codec import canonical
from ledger.crypto.certs import certificate_request
from ledger.crypto.hashing import sha256
from ledger.crypto.keys import Curve, SigningKey
from ledger.crypto.rsa import RsaPrivateKey
from ledger.kv.tx import Tx
from ledger.lifecycle.join import VIRTUAL_FORMAT, JoinRequest, NetworkInfo
from ledger.tables.nodes import (
    ALLOWED_TO_JOIN,
    NODES_INFO,
    VIRTUAL_HOST_DATA,
    VIRTUAL_MEASUREMENTS,
    NodeInfo,
    NodeStatus,
    QuoteInfo,
)
from ledger.tables.service import SERVICE_INFO, ServiceInfo, ServiceStatus

MEASUREMENT = "measured"
HOST_DATA = "ab" * 32
ADDRESS = "127.0.0.1:7000"
ENCRYPTION_KEY = RsaPrivateKey.generate().public.pem


def allow(tx: Tx, status: ServiceStatus = ServiceStatus.OPEN) -> None:
    """Write what a service allows to join."""
    tx.table(VIRTUAL_MEASUREMENTS).put(MEASUREMENT, ALLOWED_TO_JOIN)
    tx.set(VIRTUAL_HOST_DATA).add(HOST_DATA)
    tx.singleton(SERVICE_INFO).put(ServiceInfo(cert="", status=status))


def quote(key: SigningKey, **changes: object) -> QuoteInfo:
    evidence = {
        "measurement": MEASUREMENT,
        "host_data": HOST_DATA,
        "report_data": canonical.b64encode(sha256(key.public.der)),
        **changes,
    }
    return QuoteInfo(
        format=VIRTUAL_FORMAT,
        quote=canonical.b64encode(canonical.dumps(evidence)),
        endorsements="",
    )


def join_request(key: SigningKey, **changes: Any) -> JoinRequest:  # noqa: ANN401 - any field
    interface = {"bind_address": ADDRESS, "published_address": ADDRESS}
    request = JoinRequest(
        node_info_network=NetworkInfo(
            node_to_node_interface=interface, rpc_interfaces={"rpc": interface}
        ),
        quote_info=quote(key),
        public_encryption_key=ENCRYPTION_KEY,
        certificate_signing_request=certificate_request(key, "CN=Node", ["dNSName:x"]).pem,
        node_data={"operator": "x"},
    )
    return msgspec.structs.replace(request, **changes)


def put_node(tx: Tx, node_id: str, status: NodeStatus, address: str) -> None:
    """Write a row of the nodes table."""
    interface = {"bind_address": address, "published_address": address}
    info = NodeInfo(
        node_to_node_interface=interface,
        rpc_interfaces={"rpc": interface},
        quote_info=QuoteInfo(format=VIRTUAL_FORMAT, quote="", endorsements=""),
        encryption_pub_key="",
        status=status,
    )
    tx.table(NODES_INFO).put(node_id, info)


def new_key() -> SigningKey:
    return SigningKey.generate(Curve.P256)
