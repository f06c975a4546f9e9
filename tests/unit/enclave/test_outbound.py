"""One HTTPS request from inside: the answer in any pieces, its bounds, and every way to fail."""

import pytest

from ledger.enclave.outbound import (
    ANSWER_TIME_MAX_MS,
    HEAD_SIZE_MAX,
    Answer,
    Exchange,
    request_bytes,
)
from ledger.enclave.tls_stdlib import StdlibBackend
from ledger.enclave.tls_types import Expiry, TlsSession
from tests.unit.enclave.edge_support import Service, caller_identity, der_of

BACKEND = StdlibBackend()
SERVICE = Service("served")
REQUEST = request_bytes("POST", "127.0.0.1:8000", "/node/join", b"body", [(b"a", b"b")])


class Server:
    """The other end of an exchange, and the wire between them."""

    def __init__(self, service: Service = SERVICE, body_size_max: int = 1000) -> None:
        self.identity = service.node()
        self.tls: TlsSession = BACKEND.rpc_server(self.identity).session()
        self.received = b""
        self.closed = False
        self.outcomes: list[Answer | str] = []
        self._to_server: list[bytes] = []
        client = BACKEND.client(
            SERVICE.ca_pem, caller_identity("joiner"), expiry=Expiry.CHECKED, alpn=True
        )
        self.exchange = Exchange(self, client, REQUEST, body_size_max, self.outcomes.append)
        self.pump()

    def write(self, data: bytes) -> None:
        self._to_server.append(data)

    def buffered(self) -> int:
        return 0

    def keep(self) -> None:
        raise AssertionError("only accepted connections are kept")

    def close(self) -> None:
        self.closed = True

    def pump(self) -> None:
        for _ in range(10):
            pieces, self._to_server = self._to_server, []
            for piece in pieces:
                self.received += self.tls.feed(piece)
            output = self.tls.output()
            if output and not self.closed:
                self.exchange.received(output)

    def say(self, data: bytes, piece: int = 1 << 20) -> None:
        for begin in range(0, len(data), piece):
            self.tls.send(data[begin : begin + piece])
            self.pump()

    def end(self) -> None:
        self.tls.close()
        self.pump()

    @property
    def answer(self) -> Answer:
        (outcome,) = self.outcomes
        assert isinstance(outcome, Answer)
        return outcome

    @property
    def problem(self) -> str:
        (outcome,) = self.outcomes
        assert isinstance(outcome, str)
        return outcome


SHORT = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\ntrue"


def test_the_request_is_sent_once_the_server_is_known() -> None:
    server = Server()
    assert server.received == REQUEST
    assert REQUEST == (
        b"POST /node/join HTTP/1.1\r\nhost: 127.0.0.1:8000\r\nconnection: close\r\n"
        b"content-length: 4\r\na: b\r\n\r\nbody"
    )
    assert server.outcomes == []


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_an_answer_in_any_pieces(piece: int) -> None:
    server = Server()
    server.say(SHORT, piece)
    assert (server.answer.status, server.answer.body) == (200, b"true")
    assert server.answer.headers[b"content-type"] == b"application/json"
    assert server.answer.certificate == der_of(server.identity)
    assert server.closed
    assert server.exchange.is_over


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\ntr\r\n2\r\nue\r\n0\r\n\r\n"
OPEN_END = b"HTTP/1.1 200 OK\r\n\r\ntrue"


@pytest.mark.parametrize("data", [SHORT, CHUNKED, OPEN_END])
@pytest.mark.parametrize("said", [True, False])
def test_every_way_to_end_a_body(data: bytes, said: bool) -> None:
    server = Server()
    server.say(data)
    if said:
        server.end()
    else:
        server.exchange.lost("reset")
    assert (server.answer.status, server.answer.body) == (200, b"true")


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\n", SHORT[:-1]])
def test_an_answer_that_breaks_off_is_none(data: bytes) -> None:
    server = Server()
    server.say(data)
    server.exchange.lost("reset")
    assert "before the answer was complete" in server.problem


def test_another_service_is_not_spoken_to() -> None:
    server = Server(Service("another"))
    assert "TLS failed" in server.problem
    assert server.received == b""
    assert server.closed


@pytest.mark.parametrize("data", [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\0" * 100])
def test_what_is_no_http_is_said_to_be_none(data: bytes) -> None:
    server = Server()
    server.say(data)
    assert "not HTTP" in server.problem


def test_a_body_is_bounded_whatever_its_length_says() -> None:
    for head in (b"content-length: 5000", b"transfer-encoding: chunked"):
        server = Server()
        server.say(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
        server.say(b"1388\r\n" * (b"chunked" in head) + b"x" * 5000, 100)
        assert server.problem == "the answer is larger than 1000 bytes"
        assert server.closed


@pytest.mark.parametrize("line", [b"x: " + b"y" * 1000 + b"\r\n", b"y" * 1000, b"x:\r\n"])
def test_headers_are_bounded(line: bytes) -> None:
    server = Server()
    server.say(b"HTTP/1.1 200 OK\r\nx: " + line * (HEAD_SIZE_MAX // len(line) + 5), 4000)
    assert "headers are larger" in server.problem


def test_time_is_bounded() -> None:
    server = Server()
    server.exchange.tick(ANSWER_TIME_MAX_MS)
    assert server.outcomes == []
    server.exchange.tick(1)
    assert "no complete answer within 10 s" in server.problem


def test_the_outcome_is_told_once() -> None:
    server = Server()
    server.say(SHORT + SHORT)
    server.exchange.tick(2 * ANSWER_TIME_MAX_MS)
    server.exchange.lost("reset")
    server.exchange.received(b"more")
    assert len(server.outcomes) == 1
