"""Whether an answer can be sent: checked before a transaction is ordered."""

import re
from typing import Any

from ledger.base.errors import MisuseError
from ledger.endpoints.response import Response

_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_RESERVED = frozenset(
    {"connection", "content-length", "transfer-encoding", "x-ms-ccf-transaction-id"}
)


def check_status(status: Any) -> None:  # noqa: ANN401
    """Refuse what is no status of a final answer.

    Raises:
        MisuseError: no number, or outside ``[200, 599]``.
    """
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise MisuseError(f"got status {status!r:.40}, want a number in [200, 599]")


def is_header_name(name: str) -> bool:
    """Say whether a name in lower case is a token (RFC 9110, 5.6.2) that the node does not set."""
    return _NAME.fullmatch(name) is not None and name not in _RESERVED


def is_header_value(value: str) -> bool:
    """Say whether a value has only characters that HTTP allows, each at most U+00FF."""
    return _VALUE.fullmatch(value) is not None


def sendable(given: Any) -> Response:  # noqa: ANN401
    """Return a checked copy: the node writes into it, and one object may be answered twice.

    Raises:
        MisuseError: HTTP cannot carry it; says which part and why.
    """
    if not isinstance(given, Response):
        raise MisuseError(f"got {_type(given)} for an answer, want a Response")
    check_status(given.status)
    if type(given.body) is not bytes:
        raise MisuseError(f"got a Response with a body of type {_type(given.body)}, want bytes")
    if given.content_type is not None and not _is_value(given.content_type):
        raise MisuseError(
            f"got a Response with content type {given.content_type!r:.80}, want bytes or None"
        )
    if given.tx_id is not None:
        raise MisuseError("got a Response with a transaction ID, want None: the node sets it")
    return Response(given.status, given.body, given.content_type, _headers(given.headers))


def _headers(given: Any) -> list[tuple[bytes, bytes]] | None:  # noqa: ANN401
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
