"""Requests out of bytes: what is read, what is refused with which status, in any pieces."""

from dataclasses import replace

import pytest

from ledger.enclave.http import RequestParser
from ledger.enclave.session_limits import HEAD_LINES_SIZE_MAX, Refusal, SessionLimits
from ledger.endpoints.request import Request
from tests.unit.enclave.edge_support import Plain, get, post

SESSION = Plain().session
SMALL = SessionLimits(max_body_size=10, max_header_size=20, max_headers_count=3)


def parser(limits: SessionLimits | None = None) -> RequestParser:
    return RequestParser(limits or SessionLimits(), SESSION)


def fields(request: Request) -> tuple[object, ...]:
    return (request.method, request.path, request.query, request.headers, request.body)


def outcome(data: bytes, step: int = 0, limits: SessionLimits | None = None) -> tuple[object, ...]:
    """Return everything that parsing leads to, apart from the text of a refusal."""
    target = parser(limits)
    for at in range(0, len(data), step or max(len(data), 1)):
        target.feed(data[at : at + (step or len(data))])
    return [fields(one) for one in target.requests], target.final, target.refusal


def one(data: bytes, limits: SessionLimits | None = None) -> Request:
    target = parser(limits)
    target.feed(data)
    assert target.refusal is None
    (request,) = target.requests
    return request


def test_request_as_the_dispatcher_sees_it() -> None:
    request = one(
        b"POST /app/log%20x?id=4%202&a HTTP/1.1\r\nHost: a:1\r\n"
        b"Content-TYPE:  application/json\t\r\nX-Two: 1\r\nx-two:2\r\n"
        b"empty:\r\nContent-Length: 4\r\n\r\nbody"
    )
    assert fields(request) == (
        "POST",
        "/app/log%20x",
        "id=4%202&a",
        {
            b"host": b"a:1",
            b"content-type": b"application/json",
            b"x-two": b"1, 2",
            b"empty": b"",
            b"content-length": b"4",
        },
        b"body",
    )
    assert request.session is SESSION


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", ""),
        ("/a/b", "/a/b", ""),
        ("/a?", "/a", ""),
        ("/a?b?c", "/a", "b?c"),
        ("/a?b=/c", "/a", "b=/c"),
        ("/%2e%2e/%00", "/%2e%2e/%00", ""),
        ("/a#fragment", "/a", ""),
        ("/a?b#fragment?x", "/a", "b"),
        ("//a//b", "//a//b", ""),
        ("http://host/a?b", "/a", "b"),
        ("HTTPS://host:1/a/b", "/a/b", ""),
        ("https://host", "/", ""),
        ("https://host?x=/y", "/", "x=/y"),
        ("https://host/?x", "/", "x"),
        ("https://[::1]:80/a", "/a", ""),
    ],
)
def test_targets(target: str, path: str, query: str) -> None:
    request = one(get(target))
    assert (request.path, request.query) == (path, query)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_methods(method: str) -> None:
    assert one(f"{method} / HTTP/1.1\r\n\r\n".encode()).method == method


def test_unusual_method_is_the_routers_business() -> None:
    assert one(b"PROPFIND / HTTP/1.1\r\n\r\n").method == "PROPFIND"


CHUNKED = b"POST /c HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        (b"0\r\n\r\n", b""),
        (b"4\r\nwiki\r\n5\r\npedia\r\n0\r\n\r\n", b"wikipedia"),
        (b"A;name=value\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (b"1\r\nx\r\n0\r\nx-trailer: dropped\r\nhost: too\r\n\r\n", b"x"),
        (b"0004\r\nwiki\r\n000\r\n\r\n", b"wiki"),
    ],
)
def test_chunked_bodies(wire: bytes, body: bytes) -> None:
    request = one(CHUNKED + wire)
    assert request.body == body
    assert list(request.headers) == [b"transfer-encoding"]


def test_trailer_does_not_reach_the_next_request() -> None:
    for trailers in (b"x-evil: 1\r\n", b"x-evil: 1\r\nx-evil-too: 2\r\n"):
        for step in (0, 1):
            requests, _, _ = outcome(CHUNKED + b"0\r\n" + trailers + b"\r\n" + get("/2"), step)
            assert [one[3] for one in requests] == [  # type: ignore[attr-defined]
                {b"transfer-encoding": b"chunked"},
                {b"host": b"x"},
            ]


PIPELINE = (
    get("/1", "accept: */*")
    + post("/2?x=y", b'{"id":42}', "content-type: application/json")
    + CHUNKED
    + b"3\r\nabc\r\n0\r\n\r\n"
    + get("/4")
    + b"\r\n"
    + post("/5", b"")
)


def test_pipelined_requests_of_one_read() -> None:
    requests, final, refusal = outcome(PIPELINE)
    assert [one[1] for one in requests] == ["/1", "/2", "/c", "/4", "/5"]  # type: ignore[attr-defined]
    assert not final
    assert refusal is None


def test_every_split_gives_the_same_requests() -> None:
    whole = outcome(PIPELINE)
    for cut in range(1, len(PIPELINE)):
        target = parser()
        target.feed(PIPELINE[:cut])
        target.feed(PIPELINE[cut:])
        assert ([fields(one) for one in target.requests], target.final, target.refusal) == whole
    for step in (1, 2, 3, 7):
        assert outcome(PIPELINE, step) == whole


BAD = {
    "no version": b"GET /\r\n\r\n",
    "lower-case method": b"get / HTTP/1.1\r\n\r\n",
    "unknown method": b"NOTAVERB / HTTP/1.1\r\n\r\n",
    "TLS on a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "binary": b"\x01",
    "version 2": b"GET / HTTP/2.0\r\n\r\n",
    "version 2 kept alive": b"GET / HTTP/2.0\r\nconnection: keep-alive\r\n\r\n",
    "version 0.9": b"GET / HTTP/0.9\r\n\r\n",
    "version 42": b"POST / HTTP/42.42",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "space in target": b"GET /a b HTTP/1.1\r\n\r\n",
    "relative target": b"GET a HTTP/1.1\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\n\r\n",
    "another scheme": b"GET ftp://a/b HTTP/1.1\r\n\r\n",
    "no host": b"GET https:///a HTTP/1.1\r\n\r\n",
    "no host and no path": b"GET https://?a HTTP/1.1\r\n\r\n",
    "non-ASCII target": b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n",
    "control in target": b"GET /\x01 HTTP/1.1\r\n\r\n",
    "tunnel": b"CONNECT a:1 HTTP/1.1\r\n\r\n",
    "bare LF": b"GET / HTTP/1.1\r\na: b\nc: d\r\n\r\n",
    "bare LFs only": b"GET / HTTP/1.1\n\n",
    "bare CR": b"GET / HTTP/1.1\r\na: b\rc\r\n\r\n",
    "folded line": b"GET / HTTP/1.1\r\na: b\r\n c\r\n\r\n",
    "NUL in value": b"GET / HTTP/1.1\r\na: b\0c\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\na : b\r\n\r\n",
    "no name": b"GET / HTTP/1.1\r\n: b\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nabc\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx",
    "differing lengths": b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxy",
    "list of lengths": b"POST / HTTP/1.1\r\ncontent-length: 1, 1\r\n\r\nx",
    "signed length": b"POST / HTTP/1.1\r\ncontent-length: +1\r\n\r\nx",
    "negative length": b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\nx",
    "hexadecimal length": b"POST / HTTP/1.1\r\ncontent-length: 0x1\r\n\r\nx",
    "empty length": b"POST / HTTP/1.1\r\ncontent-length:\r\n\r\nx",
    "huge length": b"POST / HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\nx",
    "length and chunked": b"POST / HTTP/1.1\r\ncontent-length: 5\r\n"
    b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n"
    b"content-length: 5\r\n\r\n0\r\n\r\n",
    "other coding": b"POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n",
    "coding before chunked": b"POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked"
    b"\r\n\r\n0\r\n\r\n",
    "chunked not last": b"POST / HTTP/1.1\r\ntransfer-encoding: chunked, gzip\r\n\r\n",
    "identity": b"POST / HTTP/1.1\r\ntransfer-encoding: identity\r\n\r\n",
    "chunked twice": b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n"
    b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "obscured chunked": b"POST / HTTP/1.1\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked in 1.0": b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunk size": CHUNKED + b"G\r\n",
    "empty chunk size": CHUNKED + b"\r\n",
    "signed chunk size": CHUNKED + b"-1\r\n",
    "chunk too long": CHUNKED + b"1\r\nxy\r\n",
    "chunk without CR": CHUNKED + b"1\nx\r\n",
    "space after chunk size": CHUNKED + b"1 \r\nx\r\n",
    "huge chunk size": CHUNKED + b"fffffffffffffffff\r\n",
    "length in a trailer": CHUNKED + b"0\r\ncontent-length: 5\r\n\r\n",
    "upgrade with a body": post("/", b"xyz", "connection: upgrade", "upgrade: websocket"),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_bad_requests_are_refused_whole_and_in_pieces(data: bytes) -> None:
    whole = outcome(data)
    assert whole == ([], True, Refusal.PARSING)
    assert outcome(data, 1) == whole
    assert outcome(get("/1") + data)[2] is Refusal.PARSING


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_nothing_behind_a_refusal_is_read(data: bytes) -> None:
    # What a confused middleman might take for the next request must never be one.
    requests, _, _ = outcome(data + get("/smuggled"))
    assert requests == []


def test_answer_to_the_unparsable_shows_what_was_sent() -> None:
    target = parser()
    target.feed(b"POST / HTTP/42.42 and more")
    response = target.refusal_response()
    assert response.status == 400
    assert response.content_type == b"text/plain"
    assert response.body.startswith(b"Unable to parse data as a HTTP request. Error message is: ")
    assert response.body.endswith(b"POST / HTTP/42.42 and more")
    target = parser()
    target.feed(b"\x01" * 100_000)
    assert len(target.refusal_response().body) < 5000


def test_answer_to_the_unparsable_does_not_show_requests_before_it() -> None:
    target = parser()
    target.feed(get("/", "authorization: Bearer secret") + b"\x01")
    assert len(target.requests) == 1
    assert target.refusal is Refusal.PARSING
    assert b"secret" not in target.refusal_response().body


@pytest.mark.parametrize(
    ("data", "final"),
    [
        (get("/"), False),
        (get("/", "connection: keep-alive"), False),
        (get("/", "connection: close"), True),
        (get("/", "connection: Close"), True),
        (get("/", "connection: x, close"), True),
        (b"GET / HTTP/1.0\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", False),
    ],
)
def test_which_request_is_the_last(data: bytes, *, final: bool) -> None:
    requests, got_final, refusal = outcome(data)
    assert len(requests) == 1  # type: ignore[arg-type]
    assert (got_final, refusal) == (final, None)


def test_nothing_behind_the_last_request_is_read() -> None:
    for last in (get("/1", "connection: close"), b"GET /1 HTTP/1.0\r\n\r\n"):
        for step in (0, 1):
            requests, final, refusal = outcome(last + get("/2") + b"\x00garbage", step)
            assert [one[1] for one in requests] == ["/1"]  # type: ignore[attr-defined]
            assert final
            assert refusal is None


def test_old_client_that_keeps_the_connection_is_told() -> None:
    target = parser()
    target.feed(get("/"))
    assert not target.keep_alive_asked
    target.feed(b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
    assert target.keep_alive_asked


def test_upgrade_without_a_body_is_an_ordinary_request() -> None:
    upgrade = get("/1", "connection: upgrade", "upgrade: h2c")
    requests, final, refusal = outcome(upgrade + get("/2"))
    assert [one[1] for one in requests] == ["/1", "/2"]  # type: ignore[attr-defined]
    assert not final
    assert refusal is None


def test_continue_is_wanted_only_while_the_body_is_missing() -> None:
    head = b"POST / HTTP/1.1\r\nexpect: 100-Continue\r\ncontent-length: 3\r\n\r\n"
    target = parser()
    target.feed(head)
    wanted = [target.wants_continue]
    target.feed(b"a")
    assert [*wanted, target.wants_continue] == [True, False]
    target.feed(b"bc")
    assert [one.body for one in target.requests] == [b"abc"]
    for data in (head + b"a", head + b"abc", head.replace(b"3", b"0"), get("/", "expect: 100-x")):
        target = parser()
        target.feed(data)
        assert not target.wants_continue
    target = parser(replace(SMALL, max_body_size=2))
    target.feed(head)
    assert not target.wants_continue
    assert target.refusal is Refusal.BODY_TOO_LARGE


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        (b"POST / HTTP/1.1\r\ncontent-length: 10\r\n\r\n0123456789", None),
        (b"POST / HTTP/1.1\r\ncontent-length: 11\r\n\r\n", Refusal.BODY_TOO_LARGE),
        (CHUNKED + b"a\r\n0123456789\r\n0\r\n\r\n", None),
        (CHUNKED + b"a\r\n0123456789\r\n1\r\nx", Refusal.BODY_TOO_LARGE),
        (CHUNKED + b"ffff\r\n" + b"x" * 11, Refusal.BODY_TOO_LARGE),
        (b"GET / HTTP/1.1\r\na: " + b"x" * 20 + b"\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\na: " + b"x" * 21 + b"\r\n\r\n", Refusal.HEADER_TOO_LARGE),
        (b"GET / HTTP/1.1\r\n" + b"n" * 20 + b": x\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\n" + b"n" * 21 + b": x\r\n\r\n", Refusal.HEADER_TOO_LARGE),
        (b"GET / HTTP/1.1\r\n" + b"n: x\r\n" * 3 + b"\r\n", None),
        (b"GET / HTTP/1.1\r\n" + b"n: x\r\n" * 4 + b"\r\n", Refusal.HEADER_TOO_LARGE),
    ],
)
def test_bounds_of_the_interface(data: bytes, refusal: Refusal | None) -> None:
    whole = outcome(data, 0, SMALL)
    assert whole[2] is refusal
    assert outcome(data, 1, SMALL) == whole


def test_answers_to_what_is_too_large() -> None:
    cases = {
        b"POST / HTTP/1.1\r\ncontent-length: 11\r\n\r\n": (413, b"RequestBodyTooLarge"),
        b"GET / HTTP/1.1\r\na: " + b"x" * 21 + b"\r\n\r\n": (431, b"RequestHeaderTooLarge"),
        b"GET / HTTP/1.1\r\n" + b"n: x\r\n" * 4 + b"\r\n": (431, b"RequestHeaderTooLarge"),
    }
    for data, (status, code) in cases.items():
        target = parser(SMALL)
        target.feed(data)
        response = target.refusal_response()
        assert response.status == status
        assert response.content_type == b"application/json"
        assert response.body.startswith(b'{"error":{"code":"' + code + b'","message":"')


ENDLESS = {
    "target": (b"GET /", b"a" * 1000),
    "header name": (b"GET / HTTP/1.1\r\n", b"a" * 1000),
    "header value": (b"GET / HTTP/1.1\r\na: ", b"b" * 1000),
    "headers": (b"GET / HTTP/1.1\r\n", b"a: b\r\n" * 100),
    "long headers": (b"GET / HTTP/1.1\r\n", b"a: " + b"b" * 10_000 + b"\r\n"),
    "chunk extension": (CHUNKED + b"1", b";a=b" * 250),
    "trailer": (CHUNKED + b"0\r\na: ", b"b" * 1000),
    "trailers": (CHUNKED + b"0\r\n", b"a: b\r\n" * 100),
}


@pytest.mark.parametrize(("begin", "more"), ENDLESS.values(), ids=ENDLESS.keys())
def test_endless_parts_end(begin: bytes, more: bytes) -> None:
    target = parser()
    target.feed(begin)
    fed = 0
    while target.refusal is None:
        target.feed(more)
        fed += len(more)
        assert fed < 4 * HEAD_LINES_SIZE_MAX
    assert target.refusal is Refusal.HEADER_TOO_LARGE
    assert target.requests == []


def test_body_of_tiny_chunks_is_no_attack() -> None:
    request = one(CHUNKED + b"1\r\nx\r\n" * 200_000 + b"0\r\n\r\n")
    assert request.body == b"x" * 200_000
    target = parser()
    target.feed(CHUNKED)
    for _ in range(2000):
        target.feed(b"1\r\nx\r\n" * 100)
    target.feed(b"0\r\n\r\n")
    assert [len(one.body) for one in target.requests] == [200_000]


def test_large_pipeline_before_a_body_does_not_count_against_it() -> None:
    data = post("/", b"x" * 1_000_000) + CHUNKED + b"1\r\nx"
    target = parser()
    target.feed(data)
    target.feed(b"\r\n0\r\n\r\n")
    assert [len(one.body) for one in target.requests] == [1_000_000, 1]


def test_released_parser_keeps_nobody_alive() -> None:
    target = parser()
    target.feed(get("/")[:-1])
    target.release()
    target.feed(b"\n")
    assert target.requests == []
