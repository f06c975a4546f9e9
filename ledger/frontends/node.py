"""The ``/node`` endpoints: what this node is, and what it knows of network and service."""

from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from typing import Any
from urllib.parse import parse_qs

from ledger.base.addresses import host_of
from ledger.codec import canonical
from ledger.endpoints.auth import no_auth
from ledger.endpoints.context import CallContext
from ledger.endpoints.endpoint import Endpoint, Forwarding, Mode, Redirection
from ledger.endpoints.errors import Code, error
from ledger.endpoints.registry import Registry
from ledger.endpoints.response import JSON, Response
from ledger.frontends.node_facts import NodeFacts
from ledger.tables.nodes import NODES_INFO, NodeInfo, NodeStatus
from ledger.tables.service import (
    PREVIOUS_SERVICE_IDENTITY,
    SERVICE_CONFIG,
    SERVICE_INFO,
)

NodeHandler = Callable[[NodeFacts, CallContext], Response]

NO_CONTENT = 204
UNAVAILABLE = 503


def add_node_endpoints(registry: Registry, facts: NodeFacts) -> None:
    """Add every ``/node`` endpoint of this module to ``registry``."""
    registry.add(
        Endpoint(
            method="HEAD",
            path="/primary",
            handler=partial(_head_primary, facts),
            auth=(no_auth,),
            mode=Mode.READONLY,
            forwarding=Forwarding.NEVER,
            redirection=Redirection.NONE,
        )
    )
    for path, handler, mode in _ENDPOINTS:
        local = mode is Mode.COMMAND or path in _LOCAL
        registry.add(
            Endpoint(
                method="GET",
                path=path,
                handler=partial(handler, facts),
                auth=(no_auth,),
                mode=mode,
                forwarding=Forwarding.NEVER if local else Forwarding.SOMETIMES,
                redirection=Redirection.NONE,
            )
        )


def _json(value: object, status: int = 200) -> Response:
    return Response(status, canonical.dumps(value), JSON)


def _state(facts: NodeFacts, ctx: CallContext) -> Response:
    del ctx
    return _json(
        {
            "node_id": facts.node_id,
            "state": facts.state,
            "last_signed_seqno": facts.last_signed_seqno,
            "startup_seqno": facts.startup_seqno,
            "stop_notice": facts.stop_notice,
        }
    )


def _version(facts: NodeFacts, ctx: CallContext) -> Response:
    del facts, ctx
    text = f"quorate-{version('quorate')}"
    return _json({"ccf_version": text, "quickjs_version": "none", "unsafe": False})


def _network(facts: NodeFacts, ctx: CallContext) -> Response:
    service = ctx.tx.singleton(SERVICE_INFO).get()
    if service is None:
        return error(404, Code.RESOURCE_NOT_FOUND, "Service state not available.")
    return _json(
        {
            "service_status": service.status.value,
            "service_certificate": service.cert,
            "current_view": facts.view or None,
            "primary_id": facts.primary_id,
            "recovery_count": service.recovery_count or 0,
            "service_data": service.service_data,
            "current_service_create_txid": service.current_service_create_txid,
        }
    )


def _node_object(
    facts: NodeFacts, ctx: CallContext, node_id: str, info: NodeInfo
) -> dict[str, Any]:
    written = ctx.tx.table(NODES_INFO).version_of(node_id)
    return {
        "node_id": node_id,
        "status": info.status.value,
        "primary": node_id == facts.primary_id,
        "rpc_interfaces": info.rpc_interfaces,
        "node_data": info.node_data,
        "last_written": written or 0,
    }


def _nodes(facts: NodeFacts, ctx: CallContext) -> Response:
    query = parse_qs(ctx.request.query)
    wanted = query.get("status", [None])[0]
    if wanted is not None and wanted not in {status.value for status in NodeStatus}:
        return error(
            400,
            Code.INVALID_QUERY_PARAMETER_VALUE,
            f"Query parameter 'status' is {wanted[:60]!r}, want Pending, Trusted or Retired.",
        )
    host, port = query.get("host", [None])[0], query.get("port", [None])[0]
    nodes = [
        _node_object(facts, ctx, node_id, info)
        for node_id, info in ctx.tx.table(NODES_INFO).items()
        if wanted in {None, info.status.value} and _listens_at(info, host, port)
    ]
    return _json({"nodes": nodes})


def _listens_at(info: NodeInfo, host: str | None, port: str | None) -> bool:
    if host is None and port is None:
        return True
    return any(
        host in {None, host_of(address), address.rpartition(":")[0]}  # [::1] or ::1
        and port in {None, address.rpartition(":")[2]}
        for address in _addresses(info)
    )


def _addresses(info: NodeInfo) -> Iterator[str]:
    for interface in info.rpc_interfaces.values():
        yield interface.get("published_address") or interface["bind_address"]


def _node(facts: NodeFacts, ctx: CallContext) -> Response:
    return _node_by_id(facts, ctx, ctx.params["node_id"])


def _node_by_id(facts: NodeFacts, ctx: CallContext, node_id: str) -> Response:
    info = ctx.tx.table(NODES_INFO).get(node_id)
    if info is None:
        return error(404, Code.RESOURCE_NOT_FOUND, f"Node not found: {node_id[:80]}.")
    return _json(_node_object(facts, ctx, node_id, info))


def _self(facts: NodeFacts, ctx: CallContext) -> Response:
    info = ctx.tx.table(NODES_INFO).get(facts.node_id) or facts.node_info
    return _json(_node_object(facts, ctx, facts.node_id, info))


def _network_primary(facts: NodeFacts, ctx: CallContext) -> Response:
    if facts.primary_id is None:
        return error(500, Code.INTERNAL_ERROR, "Primary unknown.")
    return _node_by_id(facts, ctx, facts.primary_id)


def _removable(facts: NodeFacts, ctx: CallContext) -> Response:
    table = ctx.tx.table(NODES_INFO)
    nodes = []
    for node_id, _info in table.items():  # noqa: PERF102 - a table handle is no dict
        committed = table.get_committed(node_id)
        if committed is not None and committed.retired_committed:
            nodes.append(_node_object(facts, ctx, node_id, committed))
    return _json({"nodes": nodes})


def _self_signed(facts: NodeFacts, ctx: CallContext) -> Response:
    del ctx
    return _json({"self_signed_certificate": facts.self_signed_certificate})


def _previous_identity(facts: NodeFacts, ctx: CallContext) -> Response:
    del facts
    identity = ctx.tx.singleton(PREVIOUS_SERVICE_IDENTITY).get()
    if identity is None:
        return error(404, Code.RESOURCE_NOT_FOUND, "This service is not a recovered service.")
    return _json({"previous_service_identity": identity})


def _configuration(facts: NodeFacts, ctx: CallContext) -> Response:
    del facts
    configuration = ctx.tx.singleton(SERVICE_CONFIG).get()
    if configuration is None:
        return error(404, Code.RESOURCE_NOT_FOUND, "Service state not available.")
    return Response(200, SERVICE_CONFIG.value.encode(configuration), JSON)


def _attestation(node_id: str, info: NodeInfo) -> dict[str, Any]:
    quote = info.quote_info
    return {
        "node_id": node_id,
        "raw": quote.quote,
        "endorsements": quote.endorsements,
        "format": quote.format,
    }


def _attestations(key: str, facts: NodeFacts, ctx: CallContext) -> Response:
    del facts
    values = [
        _attestation(node_id, info)
        for node_id, info in ctx.tx.table(NODES_INFO).items()
        if info.status is NodeStatus.TRUSTED
    ]
    return _json({key: values})


def _own_attestation(facts: NodeFacts, ctx: CallContext) -> Response:
    del ctx
    return _json(_attestation(facts.node_id, facts.node_info))


def _head_primary(facts: NodeFacts, ctx: CallContext) -> Response:
    """Answer 200 on the primary, else point to it, on the interface of the same name."""
    primary = facts.primary_id
    if primary == facts.node_id:
        return Response(200)
    info = None if primary is None else ctx.tx.table(NODES_INFO).get(primary)
    record = None if info is None else info.rpc_interfaces.get(ctx.request.session.interface)
    if record is None:
        return error(500, Code.INTERNAL_ERROR, "Primary unknown.")
    location = f"https://{record['published_address']}/node/primary".encode()
    return Response(308, headers=[(b"location", location)])


def _primary(facts: NodeFacts, ctx: CallContext) -> Response:
    del ctx
    if facts.primary_id == facts.node_id:
        return Response(200)
    return error(404, Code.RESOURCE_NOT_FOUND, "Node is not primary.")


def _backup(facts: NodeFacts, ctx: CallContext) -> Response:
    del ctx
    if facts.primary_id != facts.node_id:
        return Response(200)
    return error(404, Code.RESOURCE_NOT_FOUND, "Node is not backup.")


def _ready_app(facts: NodeFacts, ctx: CallContext) -> Response:
    del ctx
    return Response(NO_CONTENT if facts.app_ready() else UNAVAILABLE)


def _ready_gov(facts: NodeFacts, ctx: CallContext) -> Response:
    del ctx
    return Response(NO_CONTENT if facts.gov_ready() else UNAVAILABLE)


def _metrics(facts: NodeFacts, ctx: CallContext) -> Response:
    del ctx
    return _json(facts.session_metrics())


def _consensus(facts: NodeFacts, ctx: CallContext) -> Response:
    del ctx
    return _json({"details": facts.consensus_details()})


def _consensus_configuration(facts: NodeFacts, ctx: CallContext) -> Response:
    """Answer the newest active configuration, as CCF: what the service is becoming."""
    del ctx
    configurations = facts.consensus_details()["configs"]
    return _json(configurations[-1]["nodes"] if configurations else {})


_LOCAL = frozenset({"/network/nodes/self", "/service/configuration"})

_ENDPOINTS: tuple[tuple[str, NodeHandler, Mode], ...] = (
    ("/state", _state, Mode.COMMAND),
    ("/version", _version, Mode.COMMAND),
    ("/network", _network, Mode.READONLY),
    ("/network/nodes", _nodes, Mode.READONLY),
    ("/network/nodes/self", _self, Mode.READONLY),
    ("/network/nodes/primary", _network_primary, Mode.READONLY),
    ("/network/nodes/{node_id}", _node, Mode.READONLY),
    ("/network/removable_nodes", _removable, Mode.READONLY),
    ("/self_signed_certificate", _self_signed, Mode.COMMAND),
    ("/service/previous_identity", _previous_identity, Mode.READONLY),
    ("/service/configuration", _configuration, Mode.READONLY),
    ("/quotes", partial(_attestations, "quotes"), Mode.READONLY),
    ("/attestations", partial(_attestations, "attestations"), Mode.READONLY),
    ("/quotes/self", _own_attestation, Mode.COMMAND),
    ("/attestations/self", _own_attestation, Mode.COMMAND),
    ("/primary", _primary, Mode.COMMAND),
    ("/backup", _backup, Mode.COMMAND),
    ("/ready/app", _ready_app, Mode.COMMAND),
    ("/ready/gov", _ready_gov, Mode.COMMAND),
    ("/metrics", _metrics, Mode.COMMAND),
    ("/consensus", _consensus, Mode.COMMAND),
    ("/config", _consensus_configuration, Mode.COMMAND),
)
