"""Endpoints of every frontend: ``/commit``, ``/tx``, ``/receipt``, ``/receipt/cose``, ``/api``.

They ask for no authentication and touch no table, so their answers carry no transaction ID. An
application that declares one of the paths itself keeps its own.
"""

from collections.abc import Callable, Generator
from typing import Any, Protocol

import msgspec

from ledger.base.errors import FormatError
from ledger.base.ids import TxId
from ledger.endpoints import openapi, query
from ledger.endpoints.auth import no_auth
from ledger.endpoints.context import CallContext
from ledger.endpoints.endpoint import (
    Endpoint,
    Forwarding,
    Handler,
    Mode,
    Redirection,
    Suspension,
)
from ledger.endpoints.errors import Code, error
from ledger.endpoints.log import TransactionLog
from ledger.endpoints.registry import Registry
from ledger.endpoints.response import JSON, Response
from ledger.frontends import common_docs

_encode = msgspec.json.Encoder(order="deterministic").encode


class ReceiptProvider(Protocol):
    """Makes receipts of committed transactions."""

    def receipt(self, tx_id: TxId) -> Response | Suspension:
        """Return the JSON receipt, an answer that says why not, or what to wait for.

        Whoever waits is handed a Response.
        """
        ...

    def cose_receipt(self, tx_id: TxId) -> Response | Suspension:
        """Return the COSE receipt, on the same terms."""
        ...


def add_common(registry: Registry, log: TransactionLog, receipts: ReceiptProvider | None) -> None:
    """Add the common endpoints to a frontend, after all its own.

    Args:
        registry: Where to add; paths it already has are left alone. Changes to it afterwards do
            not show in ``/api``.
        log: Answers what is committed.
        receipts: Makes receipts; None adds no receipt endpoints.
    """
    _add(registry, "/commit", _commit(log), common_docs.COMMIT)
    _add(registry, "/tx", _status(log), common_docs.TX)
    if receipts is not None:
        _add(registry, "/receipt", _receipt(log, receipts.receipt), common_docs.RECEIPT)
        _add(registry, "/receipt/cose", _receipt(log, receipts.cose_receipt), common_docs.COSE)
    pages: list[bytes] = []

    def api(context: CallContext) -> Response:
        del context
        if not pages:
            pages.append(_encode(openapi.document(registry)))
        return Response(200, pages[0], JSON)

    _add(registry, "/api", api, common_docs.API)


def _add(registry: Registry, path: str, handler: Handler, document: dict[str, Any]) -> None:
    if registry.has("GET", path):
        return
    registry.add(
        Endpoint(
            method="GET",
            path=path,
            handler=handler,
            auth=(no_auth,),
            mode=Mode.COMMAND,
            forwarding=Forwarding.SOMETIMES,
            redirection=Redirection.NONE,
            openapi=document,
        )
    )


def _commit(log: TransactionLog) -> Handler:
    def commit(context: CallContext) -> Response:
        parameters = query.parse(context.request.query)
        wanted = query.boolean(parameters, "view_history")
        since = parameters.get("view_history_since")
        answer: dict[str, Any] = {"transaction_id": str(log.committed())}
        if since is not None:
            view = _view_of(since)
            if view > log.view:
                message = f"View {view} is in the future, the current view is {log.view}."
                return error(404, Code.INVALID_QUERY_PARAMETER_VALUE, message)
            answer["view_history"] = _history(log, view)
        if wanted:
            answer["view_history"] = _history(log, 1)
        return Response(200, _encode(answer), JSON)

    return commit


def _history(log: TransactionLog, since: int) -> list[str]:
    return [str(first) for first in log.view_history() if first.view >= since]


def _view_of(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) >= 1):
        raise query.invalid("Invalid value for view_history_since, must be a view of at least 1.")
    return int(text)


def _status(log: TransactionLog) -> Handler:
    def status(context: CallContext) -> Response:
        tx_id = _asked_for(context)
        answer = {"transaction_id": str(tx_id), "status": log.status(*tx_id)}
        return Response(200, _encode(answer), JSON)

    return status


def _asked_for(context: CallContext) -> TxId:
    text = query.required(query.parse(context.request.query), "transaction_id")
    try:
        return TxId.parse(text)
    except FormatError:
        raise query.invalid(
            f"The value '{text[:60]}' passed as 'transaction_id' is not a transaction ID."
        ) from None


def _receipt(log: TransactionLog, provide: Callable[[TxId], Response | Suspension]) -> Handler:
    def receipt(context: CallContext) -> Generator[Suspension, Any, Response]:
        tx_id = _asked_for(context)
        status = log.status(*tx_id)
        if status == "Invalid":
            message = f"Transaction {tx_id} is invalid."
            return error(404, Code.TRANSACTION_INVALID, message)
        if status != "Committed":
            message = f"Transaction {tx_id} is not known to be committed: it is {status.lower()}."
            no_cache = [(b"cache-control", b"no-cache")]  # the next answer may be a receipt
            return error(404, Code.TRANSACTION_PENDING_OR_UNKNOWN, message, headers=no_cache)
        outcome = provide(tx_id)
        if isinstance(outcome, Response):
            return outcome
        answer = yield outcome
        assert isinstance(answer, Response), "a receipt provider hands back a Response"
        return answer

    return receipt
