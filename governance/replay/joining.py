"""Nodes that joined: would the primary have taken them in?"""

from ledger.base.errors import FormatError
from ledger.crypto.certificate import CertificateRequest
from ledger.kv.tx import Tx
from ledger.lifecycle.join import Admitted, JoinRequest, Known, NetworkInfo, Refused, judge
from ledger.tables.nodes import NodeInfo, NodeStatus


def admission_problem(tx: Tx, node_id: str, info: NodeInfo) -> str | None:
    """Say why a node would not have been taken in with this row, or None.

    Its request is rebuilt from the row, and judged by the code that judges it on a primary. Where
    the node started from is not in the ledger, so that is not judged.

    Args:
        tx: The tables before it joined.
        node_id: The key of the row.
        info: The row.
    """
    try:
        pem = info.certificate_signing_request
        if pem is None:
            return "the node has no request for a certificate"
        key = CertificateRequest.parse(pem).public_key
    except FormatError as error:
        return f"the node's request for a certificate is refused: {error}"
    if key.id != node_id:
        return f"the node's ID is {node_id}, want that of its key, {key.id}"
    request = JoinRequest(
        node_info_network=NetworkInfo(
            node_to_node_interface=info.node_to_node_interface, rpc_interfaces=info.rpc_interfaces
        ),
        quote_info=info.quote_info,
        public_encryption_key=info.encryption_pub_key,
        certificate_signing_request=pem,
        node_data=info.node_data,
    )
    at_once = info.status is NodeStatus.TRUSTED
    match judge(tx, request, key, startup_seqno=0, trust_at_once=at_once):
        case Refused(message=message):
            return f"the node would be refused: {message}"
        case Known():
            return "the node was there already"
        case Admitted(info=admitted):
            if admitted != info:
                return "the node's row says what no join request says"
            return None
