"""Heads that are known: same requests as the parser makes, and nothing special is remembered."""

import pytest

from ledger.enclave.http import RequestParser
from ledger.enclave.http_heads import HEADS_MAX, KnownHeads
from ledger.enclave.session_limits import SessionLimits
from ledger.endpoints.request import Request
from ledger.endpoints.response import Response


class NoSession:
    """A session that is never asked."""

    interface = "rpc"
    pinned_view = 0
    forwarded = False

    def peer_certificate(self) -> bytes | None:
        return None

    def complete(self, request: Request, response: Response) -> None:
        raise AssertionError(f"{request.path} is completed with {response.status}")

    def close_after_response(self) -> None:
        raise AssertionError("nothing is closed")


SESSION = NoSession()


def _post(body: bytes, extra: bytes = b"") -> bytes:
    return b"POST /log HTTP/1.1\r\nHost: h\r\n%scontent-length: %d\r\n\r\n%s" % (
        extra, len(body), body,
    )  # fmt: skip


def _seen(requests: list[Request]) -> list[tuple[str, str, str, dict[bytes, bytes], bytes]]:
    return [(r.method, r.path, r.query, r.headers, r.body) for r in requests]


def _parsed(*feeds: bytes) -> tuple[RequestParser, list[Request]]:
    parser = RequestParser(SessionLimits(), SESSION)
    requests: list[Request] = []
    for data in feeds:
        parser.feed(data)
        requests += parser.requests
        parser.requests = []
    return parser, requests


def test_repeated_heads_give_what_the_parser_gives() -> None:
    messages = [_post(b'{"id":%d}' % number) for number in range(8)]
    _, repeated = _parsed(*messages)
    fresh = [_parsed(message)[1][0] for message in messages]
    assert _seen(repeated) == _seen(fresh)
    _, pipelined = _parsed(messages[0], b"".join(messages[1:]))
    assert _seen(pipelined) == _seen(fresh)


def test_every_split_of_known_messages_gives_the_same() -> None:
    data = b"".join(_post(b'{"id":%d}' % number) for number in range(3))
    _, expected = _parsed(data)
    for cut in range(len(data) + 1):
        _, requests = _parsed(_post(b'{"id":7}'), data[:cut], data[cut:])
        assert _seen(requests[1:]) == _seen(expected), cut


def test_same_split_of_many_messages_gives_the_same() -> None:
    """What is fed may end within a method again and again: its rest is no head by itself."""
    messages = [_post(b'{"id":%d}' % number) for number in range(5)]
    data, size = b"".join(messages), len(messages[0])
    _, expected = _parsed(data)
    for cut in range(1, size):
        starts = range(cut, len(data), size)
        feeds = [data[:cut], *(data[start : start + size] for start in starts)]
        parser, requests = _parsed(*feeds)
        assert parser.refusal is None, cut
        assert _seen(requests) == _seen(expected), cut


def test_headers_of_one_request_are_not_those_of_the_next() -> None:
    _, requests = _parsed(_post(b"a"), _post(b"b"), _post(b"c"))
    requests[0].headers[b"x"] = b"y"
    requests[1].headers.clear()
    assert requests[2].headers == {b"host": b"h", b"content-length": b"1"}


@pytest.mark.parametrize(
    "message",
    [
        _post(b"a", b"connection: close\r\n"),
        _post(b"a", b"expect: 100-continue\r\n"),
        b"POST /log HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        b"GET /log HTTP/1.0\r\nhost: h\r\nconnection: keep-alive\r\n\r\n",
        b"GET /log?id=1 HTTP/1.1\r\nhost: h\r\n\r\n",
        b"GET /log HTTP/1.1\r\nhost: h\r\nx: %s\r\n\r\n" % (b"y" * 2000),
        b"GET /log HTTP/1.1\r\nhost: h\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ],
)
def test_special_heads_are_not_remembered(message: bytes) -> None:
    _, (request, *_) = _parsed(message)
    known = KnownHeads()
    known.learn(message, request)
    assert known.take(message, SESSION, []) == 0


def test_a_body_that_is_not_complete_is_left_to_the_parser() -> None:
    message = _post(b"abc")
    _, (request,) = _parsed(message)
    known = KnownHeads()
    known.learn(message, request)
    for cut in range(len(message)):
        assert known.take(message[:cut], SESSION, []) == 0
    assert known.take(message + b"more", SESSION, []) == len(message)


def test_what_is_kept_is_bounded() -> None:
    parser = RequestParser(SessionLimits(), SESSION)
    for number in range(10 * HEADS_MAX):
        parser.feed(b"GET /log/%d HTTP/1.1\r\nhost: h\r\n\r\n" % number)
    assert len(parser.requests) == 10 * HEADS_MAX
    assert len(parser._heads._heads) <= HEADS_MAX


def test_a_body_counts_as_progress_either_way() -> None:
    parser, _ = _parsed(_post(b"abc"), _post(b"def"))
    assert parser.body_size_total == 6
