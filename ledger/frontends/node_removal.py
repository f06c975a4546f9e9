"""``DELETE /node/network/nodes/{node_id}``: forget a node whose retirement is over."""

from ledger.endpoints.auth import no_auth
from ledger.endpoints.context import CallContext
from ledger.endpoints.endpoint import Endpoint
from ledger.endpoints.errors import Code, error
from ledger.endpoints.registry import Registry
from ledger.endpoints.response import JSON, Response
from ledger.tables.nodes import NODES_ENDORSED_CERTIFICATES, NODES_INFO, NodeStatus

_REASONS = {
    NodeStatus.PENDING: "it is Pending, members have to remove it",
    NodeStatus.TRUSTED: "it is Trusted, members have to remove it first",
    NodeStatus.RETIRED: "its retirement is not committed everywhere yet",
}


def add_node_removal(registry: Registry) -> None:
    """Add the endpoint to ``/node``."""
    registry.add(
        Endpoint(
            method="DELETE",
            path="/network/nodes/{node_id}",
            handler=_delete,
            auth=(no_auth,),
            openapi={"summary": "Forget a node that is retired for good"},
        )
    )


def _delete(ctx: CallContext) -> Response:
    """Delete the record of a node, decided by the committed state: nobody needs it any more.

    Without authentication, as in CCF: a node is removable only after the members removed it.
    """
    node_id = ctx.params["node_id"]
    table = ctx.tx.table(NODES_INFO)
    info = table.get(node_id)
    if info is None:
        return error(404, Code.RESOURCE_NOT_FOUND, f"No such node: {node_id[:80]}.")
    committed = table.get_committed(node_id)
    if committed is None or not committed.retired_committed:
        return error(
            400,
            Code.NODE_NOT_RETIRED_COMMITTED,
            f"Node {node_id[:80]} is not removable: {_REASONS[info.status]}. Removable nodes are "
            "listed by /node/network/removable_nodes.",
        )
    table.remove(node_id)
    ctx.tx.table(NODES_ENDORSED_CERTIFICATES).remove(node_id)
    return Response(200, b"true", JSON)
