"""What an endpoint gave back, as an answer that can be sent.

Everything is checked here, before the transaction is ordered: an answer that HTTP cannot carry is
an exception of the endpoint, and its writes are dropped.
"""

from typing import Any

from ledger.app.context import Context
from ledger.app.headers import check_status, is_header_name, is_header_value
from ledger.base.errors import MisuseError
from ledger.endpoints.adapters import JSON_PACKING, Packing, octets, text
from ledger.endpoints.response import JSON, Response


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
        response = _checked_copy(value)
    else:
        response = Response(200, packing.encode(value), packing.content_type)
    if context.status is not None:
        response.status = context.status
    if context.content_type is not None:
        response.content_type = context.content_type
    if context.extra_headers is not None:
        response.headers = [*(response.headers or ()), *context.extra_headers]
    return response


def _checked_copy(given: Response) -> Response:
    """Return a copy: the node writes into it, and an application may answer one object twice."""
    check_status(given.status)
    if type(given.body) is not bytes:
        raise MisuseError(f"got a Response with a body of type {_type(given.body)}, want bytes")
    if given.content_type is not None and not _is_value(given.content_type):
        raise MisuseError(
            f"got a Response with content type {given.content_type!r:.80}, want bytes or None"
        )
    if given.tx_id is not None:
        raise MisuseError("got a Response with a transaction ID, want None: the node sets it")
    return Response(given.status, given.body, given.content_type, _checked_headers(given.headers))


def _checked_headers(given: Any) -> list[tuple[bytes, bytes]] | None:  # noqa: ANN401
    if given is None:
        return None
    if not isinstance(given, list | tuple):
        raise MisuseError(f"got Response headers of type {_type(given)}, want a list of pairs")
    headers = []
    for pair in given:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise MisuseError(f"got {_type(pair)} among Response headers, want pairs of bytes")
        name, value = pair
        if type(name) is not bytes or not is_header_name(name.decode("latin-1").lower()):
            raise MisuseError(f"got Response header {name!r:.80}, want bytes the node does not set")
        if not _is_value(value):
            raise MisuseError(f"got a value of Response header {name!r} that is no header value")
        headers.append((name, value))
    return headers


def _is_value(value: Any) -> bool:  # noqa: ANN401
    return type(value) is bytes and is_header_value(value.decode("latin-1"))


def _type(value: object) -> str:
    return type(value).__name__
