"""Receipts as answers: JSON and COSE, built of what ``history.receipts`` found and checked."""

from collections.abc import Callable
from typing import Any

import msgspec

from ledger.base.ids import TxId
from ledger.endpoints.endpoint import Suspension
from ledger.endpoints.errors import Code, error
from ledger.endpoints.response import COSE, JSON, Response
from ledger.history.receipts import ReceiptParts, ReceiptSource, Unavailable
from ledger.receipts.build import cose_receipt, signature_receipt, transaction_receipt

_encode = msgspec.json.Encoder(order="deterministic").encode

Render = Callable[[ReceiptParts], Response]


class Receipts:
    """Implements ``common.ReceiptProvider``."""

    def __init__(self, source: ReceiptSource) -> None:
        self._source = source

    def receipt(self, tx_id: TxId) -> Response | Suspension:
        """Return what to wait for: the JSON receipt."""
        return _Wait(self._source, tx_id, _json)

    def cose_receipt(self, tx_id: TxId) -> Response | Suspension:
        """Return what to wait for: the COSE receipt."""
        return _Wait(self._source, tx_id, _cose)


class _Wait:
    """A wait for the parts of one receipt."""

    __slots__ = ("_render", "_source", "_tx_id")

    def __init__(self, source: ReceiptSource, tx_id: TxId, render: Render) -> None:
        self._source = source
        self._tx_id = tx_id
        self._render = render

    def start(self, resume: Callable[[Any], None]) -> None:
        """See ``Suspension``."""

        def found(outcome: ReceiptParts | Unavailable) -> None:
            if isinstance(outcome, Unavailable):
                message = f"No receipt for {self._tx_id} here: {outcome.reason}."
                resume(error(500, Code.INTERNAL_ERROR, message))
            else:
                resume(self._render(outcome))

        self._source.find(self._tx_id, found)


def _json(parts: ReceiptParts) -> Response:
    if parts.leaf is None:
        receipt = signature_receipt(parts.signed)
    else:
        receipt = transaction_receipt(parts.leaf, parts.path, parts.signed)
    return Response(200, _encode(receipt), JSON)


def _cose(parts: ReceiptParts) -> Response:
    data = None if parts.leaf is None else cose_receipt(parts.leaf, parts.path, parts.signed)
    if data is None:
        message = "There is no COSE receipt of a signature transaction."
        return error(404, Code.RESOURCE_NOT_FOUND, message)
    return Response(200, data, COSE)
