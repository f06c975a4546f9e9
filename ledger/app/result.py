"""What an endpoint gave back, as an answer that can be sent.

Everything is checked here, before the transaction is ordered: an answer that HTTP cannot carry is
an exception of the endpoint, and its writes are dropped.
"""

from typing import Any

from ledger.app.context import Context
from ledger.endpoints.adapters import JSON_PACKING, Packing, octets, text
from ledger.endpoints.response import JSON, Response
from ledger.endpoints.sendable import sendable


def answer(context: Context, value: Any, packing: Packing) -> Response:  # noqa: ANN401
    """Return the answer for what an endpoint gave back.

    Raises:
        MisuseError: a ``Response`` that HTTP cannot carry.
        TypeError, ValueError: a value that has no JSON or MessagePack.
    """
    kind = type(value)
    if value is True and packing is JSON_PACKING:
        response = Response(200, b"true", JSON)
    elif kind is str:
        response = text(value)
    elif kind is bytes:
        response = octets(value)
    elif value is None:
        response = Response(204)
    elif kind is Response:
        response = sendable(value)
    else:
        response = Response(200, packing.encode(value), packing.content_type)
    status, content_type, headers = context.status, context.content_type, context.extra_headers
    if status is None and content_type is None and headers is None:
        return response
    if status is not None:
        response.status = status
    if content_type is not None:
        response.content_type = content_type
    if headers is not None:
        response.headers = [*(response.headers or ()), *headers]
    return sendable(response)
