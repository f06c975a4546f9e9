"""``GET /node/jwt_keys/refresh/metrics``: how refreshing the keys of token issuers goes."""

from typing import Protocol

from ledger.codec import canonical
from ledger.endpoints.auth import no_auth
from ledger.endpoints.context import CallContext
from ledger.endpoints.endpoint import Endpoint, Forwarding, Mode, Redirection
from ledger.endpoints.registry import Registry
from ledger.endpoints.response import JSON, Response


class Metrics(Protocol):
    """Numbers of this node; see ``lifecycle.jwt_refresh.RefreshMetrics``."""

    attempts: int
    successes: int
    failures: int
    last_error: str | None


def add_jwt_metrics(registry: Registry, metrics: Metrics) -> None:
    """Add the endpoint to ``/node``. The numbers are this node's, so nothing is forwarded."""

    def answer(ctx: CallContext) -> Response:
        del ctx
        document = {
            "attempts": metrics.attempts,
            "successes": metrics.successes,
            "failures": metrics.failures,
            "last_error": metrics.last_error,
        }
        return Response(200, canonical.dumps(document), JSON)

    registry.add(
        Endpoint(
            method="GET",
            path="/jwt_keys/refresh/metrics",
            handler=answer,
            auth=(no_auth,),
            mode=Mode.COMMAND,
            forwarding=Forwarding.NEVER,
            redirection=Redirection.NONE,
            openapi={"summary": "How refreshing the keys of token issuers goes on this node"},
        )
    )
