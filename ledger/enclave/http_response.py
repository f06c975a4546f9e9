"""A response as the bytes of HTTP/1.1.

Names are lower case. How the answer is framed and whether the connection stays is ours to say:
``content-length`` is always sent, and what a handler says about either is left out. HEAD, 204
and 304 carry no body (RFC 9110, section 6.4.1): HEAD and 304 keep the length of what they leave
out, 204 says 0 as CCF does. A header that would break the framing never leaves: the answer
becomes a bare 500.
"""

import re
from http import HTTPStatus

from ledger.endpoints.errors import Code, error
from ledger.endpoints.response import Response

CLOSE = b"connection: close\r\n"
KEEP_ALIVE = b"connection: keep-alive\r\n"
"""Said to HTTP/1.0 clients that asked for it; HTTP/1.1 keeps connections unless told."""
NO_OPTION = b""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_OURS = frozenset(
    (b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"trailer", b"upgrade")
)
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A token, RFC 9110, section 5.6.2."""

_BODILESS = frozenset((204, 304))
_PREFIXES_MAX = 1024
"""Handlers choose content types freely: past this many the prefix is built each time."""
_prefixes: dict[tuple[int, bytes | None], bytes] = {}


def encode(response: Response, connection: bytes, *, head: bool = False) -> bytes:
    """Return the whole response.

    Args:
        response: What to answer.
        connection: ``CLOSE``, ``KEEP_ALIVE`` or ``NO_OPTION``.
        head: Whether the request was a HEAD.
    """
    body = response.body
    status = response.status
    prefix = _prefixes.get((status, response.content_type))
    if prefix is None:
        prefix = _prefix(status, response.content_type)
        if prefix is None:
            return _broken(connection, head=head)
    further = connection
    if response.headers is not None:
        lines = _lines(response.headers)
        if lines is None:
            return _broken(connection, head=head)
        further = lines + connection
    size = len(body)
    if head or status in _BODILESS:
        body = b""
        if status == HTTPStatus.NO_CONTENT:
            size = 0
    tx_id = response.tx_id
    if tx_id is None:
        return b"%b%d\r\n%b\r\n%b" % (prefix, size, further, body)
    return b"%b%d\r\nx-ms-ccf-transaction-id: %b\r\n%b\r\n%b" % (
        prefix, size, tx_id, further, body,
    )  # fmt: skip


def _prefix(status: int, content_type: bytes | None) -> bytes | None:
    """Return everything up to the length, or None when the content type is no header value."""
    try:
        reason = HTTPStatus(status).phrase.encode()
    except ValueError:
        reason = b""
    if content_type is None:
        kind = b""
    elif _breaks_framing(content_type):
        return None
    else:
        kind = b"content-type: %b\r\n" % content_type
    prefix = b"HTTP/1.1 %d %b\r\n%bcontent-length: " % (status, reason, kind)
    if len(_prefixes) < _PREFIXES_MAX:
        _prefixes[status, content_type] = prefix
    return prefix


def _lines(headers: list[tuple[bytes, bytes]]) -> bytes | None:
    """Return the header lines apart from ours, or None when one would break the framing."""
    parts = []
    for name, value in headers:
        if _NAME.fullmatch(name) is None or _breaks_framing(value):
            return None
        lower = name.lower()
        if lower not in _OURS:
            parts.append(b"%b: %b\r\n" % (lower, value))
    return b"".join(parts)


def _breaks_framing(text: bytes) -> bool:
    return b"\r" in text or b"\n" in text or b"\0" in text


def _broken(connection: bytes, *, head: bool) -> bytes:
    response = error(500, Code.INTERNAL_ERROR, "The response could not be sent.")
    return encode(response, connection, head=head)
