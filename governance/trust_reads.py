"""Reading what the service trusts: nodes, join policy, token issuers."""

from typing import Any

from governance.jwk import public_key_pem
from governance.parts import GovernanceParts, answer, not_found, path_id
from ledger.base.errors import FormatError
from ledger.codec import canonical
from ledger.endpoints.context import CallContext
from ledger.endpoints.response import Response
from ledger.kv.tx import Tx
from ledger.tables.nodes import (
    NODES_ENDORSED_CERTIFICATES,
    NODES_INFO,
    SNP_HOST_DATA,
    SNP_MEASUREMENTS,
    SNP_TCB_VERSIONS,
    SNP_UVM_ENDORSEMENTS,
    VIRTUAL_HOST_DATA,
    VIRTUAL_MEASUREMENTS,
    NodeInfo,
    QuoteInfo,
)
from ledger.tables.service import CA_CERT_BUNDLES, JWT_ISSUERS, JWT_SIGNING_KEYS

VIRTUAL_FORMAT = "Insecure_Virtual"


def list_nodes(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Answer with all nodes."""
    del parts
    tx = ctx.tx
    return answer(
        {"value": [_node(tx, node_id, info) for node_id, info in tx.table(NODES_INFO).items()]}
    )


def get_node(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Answer with one node."""
    del parts
    node_id = path_id(ctx, "nodeId")
    info = ctx.tx.table(NODES_INFO).get(node_id)
    if info is None:
        raise not_found("Node", node_id)
    return answer(_node(ctx.tx, node_id, info))


def _node(tx: Tx, node_id: str, info: NodeInfo) -> dict[str, Any]:
    described: dict[str, Any] = {
        "nodeId": node_id,
        "status": info.status.value,
        "nodeData": info.node_data,
        "retiredCommitted": info.retired_committed,
        "quoteInfo": _quote(info.quote_info),
        "rpcInterfaces": {
            name: _interface(interface) for name, interface in info.rpc_interfaces.items()
        },
    }
    certificate = tx.table(NODES_ENDORSED_CERTIFICATES).get(node_id)
    if certificate is not None:
        described["certificate"] = certificate
    return described


def _interface(interface: dict[str, Any]) -> dict[str, Any]:
    described = {"publishedAddress": interface.get("published_address")}
    if interface.get("protocol") is not None:
        described["protocol"] = interface["protocol"]
    return described


def _quote(quote: QuoteInfo) -> dict[str, Any]:
    described: dict[str, Any] = {"format": quote.format, "rawQuote": quote.quote}
    if quote.format == VIRTUAL_FORMAT:
        described["details"] = _virtual_details(quote.quote)
        return described
    described["endorsements"] = quote.endorsements
    if quote.uvm_endorsements is not None:
        described["uvmEndorsements"] = quote.uvm_endorsements
    if quote.endorsed_tcb is not None:
        described["endorsedTcb"] = quote.endorsed_tcb
    return described


def _virtual_details(quote: str) -> dict[str, Any]:
    try:
        evidence = canonical.loads(canonical.b64decode(quote))
    except FormatError:
        return {}
    if not isinstance(evidence, dict):
        return {}
    names = {"measurement": "measurement", "reportData": "report_data", "hostData": "host_data"}
    return {ours: evidence.get(theirs) for ours, theirs in names.items()}


def get_join_policy(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Answer with what a joining node's evidence may say, by platform."""
    del parts
    tx = ctx.tx
    return answer(
        {
            "sgx": {"measurements": []},
            "virtual": {
                "measurements": [name for name, _ in tx.table(VIRTUAL_MEASUREMENTS).items()],
                "hostData": list(tx.set(VIRTUAL_HOST_DATA).keys()),
            },
            "snp": {
                "measurements": [name for name, _ in tx.table(SNP_MEASUREMENTS).items()],
                "hostData": dict(tx.table(SNP_HOST_DATA).items()),
                "uvmEndorsements": dict(tx.table(SNP_UVM_ENDORSEMENTS).items()),
                "tcbVersions": dict(tx.table(SNP_TCB_VERSIONS).items()),
            },
        }
    )


def get_jwk(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Answer with token issuers, their keys, and CA bundles."""
    del parts
    tx = ctx.tx
    issuers: dict[str, dict[str, Any]] = {}
    for name, issuer in tx.table(JWT_ISSUERS).items():
        issuers[name] = {"autoRefresh": issuer.auto_refresh}
        if issuer.ca_cert_bundle_name is not None:
            issuers[name]["caCertBundleName"] = issuer.ca_cert_bundle_name
    keys = {kid: [_key(row) for row in rows] for kid, rows in tx.table(JWT_SIGNING_KEYS).items()}
    bundles = dict(tx.table(CA_CERT_BUNDLES).items())
    return answer({"issuers": issuers, "keys": keys, "caCertBundles": bundles})


def _key(row: dict[str, Any]) -> dict[str, Any]:
    pem = public_key_pem(canonical.b64decode(row["public_key"]))
    return {"publicKey": pem, "issuer": row["issuer"], "constraint": row.get("constraint")}
