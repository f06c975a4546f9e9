"""Responses as bytes: framing, the headers that are ours, what never leaves."""

import pytest

from ledger.enclave.http_response import CLOSE, KEEP_ALIVE, NO_OPTION, encode
from ledger.endpoints.response import JSON, Response


@pytest.mark.parametrize(
    ("response", "connection", "wire"),
    [
        (
            Response(200, b"true", JSON),
            NO_OPTION,
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4\r\n\r\ntrue",
        ),
        (
            Response(200, b"true", JSON, tx_id=b"2.17"),
            NO_OPTION,
            (
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4\r\n"
                b"x-ms-ccf-transaction-id: 2.17\r\n\r\ntrue"
            ),
        ),
        (
            Response(404, b"", None, [(b"allow", b"GET"), (b"x-a", b"")]),
            CLOSE,
            (
                b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nallow: GET\r\nx-a: \r\n"
                b"connection: close\r\n\r\n"
            ),
        ),
        (
            Response(204, b"ignored"),
            KEEP_ALIVE,
            b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n",
        ),
        (
            Response(304, b"1234", None, [(b"etag", b'"x"')]),
            NO_OPTION,
            b'HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\netag: "x"\r\n\r\n',
        ),
        (
            Response(200, b"ab", None, [(b"content-length", b"99"), (b"x-b", b"1")]),
            NO_OPTION,
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-b: 1\r\n\r\nab",
        ),
        (
            Response(
                200,
                b"ab",
                None,
                [
                    (b"Content-Length", b"99"),
                    (b"Transfer-Encoding", b"chunked"),
                    (b"Connection", b"keep-alive"),
                    (b"Upgrade", b"h2c"),
                    (b"X-Kept", b"1"),
                ],
            ),
            CLOSE,
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-kept: 1\r\nconnection: close\r\n\r\nab",
        ),
        (Response(799, b""), NO_OPTION, b"HTTP/1.1 799 \r\ncontent-length: 0\r\n\r\n"),
    ],
)
def test_wire_form(response: Response, connection: bytes, wire: bytes) -> None:
    assert encode(response, connection) == wire


def test_head_has_the_length_and_not_the_body() -> None:
    wire = encode(Response(200, b"12345"), NO_OPTION, head=True)
    assert wire == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"


@pytest.mark.parametrize(
    "response",
    [
        Response(200, b"secret", None, [(b"x", b"a\r\nset-cookie: b")]),
        Response(200, b"secret", None, [(b"x\r\ny", b"a")]),
        Response(200, b"secret", None, [(b"x: y\n", b"a")]),
        Response(200, b"secret", None, [(b"x:", b"a")]),
        Response(200, b"secret", None, [(b"x y", b"a")]),
        Response(200, b"secret", None, [(b"\xe9", b"a")]),
        Response(200, b"secret", None, [(b"", b"a")]),
        Response(200, b"secret", None, [(b"x", b"\0")]),
        Response(200, b"secret", b"text/plain\r\nx: y"),
    ],
)
def test_header_that_breaks_the_framing_never_leaves(response: Response) -> None:
    for head in (False, True):
        wire = encode(response, CLOSE, head=head)
        assert wire.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        assert wire.count(b"\r\n\r\n") == 1
        assert b"connection: close\r\n" in wire
        assert b"secret" not in wire


def test_any_number_of_content_types() -> None:
    for number in range(3000):
        kind = b"text/x-%d" % number
        assert b"content-type: %b\r\n" % kind in encode(Response(200, b"", kind), NO_OPTION)
