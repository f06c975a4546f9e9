"""HTTP on real sockets: order, bounds, ends, clients that misbehave."""

import socket
import threading
import time
from collections.abc import Callable

import pytest

from ledger.enclave.session_limits import SessionLimits
from tests.unit.enclave.edge_server import Server, read_response, read_to_end, running
from tests.unit.enclave.edge_support import get, post, statuses

pytestmark = pytest.mark.e2e

DEADLINE_S = 20.0


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE_S} s for {what}"
        time.sleep(0.005)


def active(server: Server) -> int:
    return server.link.metrics.sessions.active


@pytest.mark.parametrize("name", ["tls", "plain"])
def test_kept_connection_and_pipeline(name: str) -> None:
    with running() as server:
        connection = server.connect_tls() if name == "tls" else server.connect(name)
        with connection:
            buffer = bytearray()
            for number in range(20):
                connection.sendall(post(f"/{number}", b"%d" % number))
                status, headers, body = read_response(connection, buffer)
                assert (status, body) == (200, b"%d" % number)
                assert headers["x-ms-ccf-transaction-id"] == "2.17"
            connection.sendall(b"".join(get(f"/{number}") for number in range(200)))
            bodies = [read_response(connection, buffer)[2] for _ in range(200)]
            assert bodies == [f"/{number}".encode() for number in range(200)]


def test_late_answers_keep_their_place() -> None:
    with running() as server, server.connect_tls() as connection:
        buffer = bytearray()
        connection.sendall((get("/1") + get("/late") + get("/2")) * 30)
        bodies = [read_response(connection, buffer)[2] for _ in range(90)]
        assert bodies == [b"/1", b"late", b"/2"] * 30


def test_large_bodies_both_ways() -> None:
    limits = SessionLimits(max_body_size=8 << 20)
    with running(limits) as server, server.connect_tls() as connection:
        buffer = bytearray()
        body = bytes(range(256)) * (4 << 12)
        connection.sendall(post("/", body))
        assert read_response(connection, buffer)[2] == body
        connection.sendall(get("/size/20000000"))
        assert len(read_response(connection, buffer)[2]) == 20_000_000


@pytest.mark.parametrize("name", ["tls", "plain"])
def test_refusals_reach_a_client_that_is_still_sending(name: str) -> None:
    # The answer to a body that is too large must survive the megabytes already on their way.
    with running() as server:
        for _ in range(5):
            connection = server.connect_tls() if name == "tls" else server.connect(name)
            with connection:
                head = b"POST / HTTP/1.1\r\ncontent-length: 50000000\r\n\r\n"
                connection.sendall(head)
                sender = threading.Thread(target=flood, args=(connection,), daemon=True)
                sender.start()
                status, headers, body = read_response(connection, bytearray())
                assert status == 413
                assert headers["connection"] == "close"
                assert b"RequestBodyTooLarge" in body
                connection.shutdown(socket.SHUT_RDWR)
                sender.join(DEADLINE_S)
        assert server.errors_of(name)["request_payload_too_large"] == 5
        wait_for(lambda: active(server) == 0, "the sessions to end")


def flood(connection: socket.socket) -> None:
    try:
        for _ in range(8):
            connection.sendall(bytes(256 << 10))
    except OSError:
        pass  # the other side has had enough, as it should


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"\x01", 400, b"Unable to parse data as a HTTP request."),
        (b"NOTAVERB ", 400, b"NOTAVERB "),
        (b"POST / HTTP/42.42", 400, b"POST / HTTP/42.42"),
        (b'{"hello": "world"}', 400, b'{"hello": "world"}'),
        (get("/", "a: " + "b" * 20_000), 431, b"RequestHeaderTooLarge"),
        (get("/", *[f"a{number}: b" for number in range(300)]), 431, b"RequestHeaderTooLarge"),
    ],
)
def test_refusal_is_the_last_answer(data: bytes, status: int, code: bytes) -> None:
    with running() as server, server.connect_tls() as connection:
        connection.sendall(get("/1"))
        assert read_response(connection, bytearray())[0] == 200
        connection.sendall(data)
        answers = read_to_end(connection)
        assert statuses(answers) == [status]
        assert code in answers


def test_client_that_closes_its_half_gets_the_rest() -> None:
    with running() as server:
        for name in ("plain", "tls"):
            connection = server.connect_tls() if name == "tls" else server.connect(name)
            with connection:
                connection.sendall(get("/1") + get("/late") + get("/3") + b"GET /never")
                if name == "plain":
                    connection.shutdown(socket.SHUT_WR)
                    assert statuses(read_to_end(connection)) == [200] * 3
                else:
                    socket.socket.shutdown(connection, socket.SHUT_WR)
                    assert statuses(read_to_end(connection)) == [200] * 3


def test_thousand_connections_opened_and_dropped() -> None:
    with running(SessionLimits(max_open_sessions_soft=5000, max_open_sessions_hard=5000)) as server:
        for number in range(1000):
            connection = server.connect("tls" if number % 2 else "plain")
            if number % 3 == 0:
                connection.sendall(b"GET /")
            if number % 5 == 0:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
        wait_for(lambda: active(server) == 0, "the dropped sessions to end")
        with server.connect_tls() as connection:
            connection.sendall(get("/1"))
            assert read_response(connection, bytearray())[0] == 200


def test_soft_and_hard_cap() -> None:
    limits = SessionLimits(max_open_sessions_soft=3, max_open_sessions_hard=5)
    with running(limits) as server:
        served = [server.connect_tls() for _ in range(3)]
        for connection in served:
            connection.sendall(get("/1"))
            assert read_response(connection, bytearray())[0] == 200
        over = [server.connect_tls() for _ in range(2)]
        closed = server.connect()
        assert read_to_end(closed) == b""
        for connection in over:
            connection.sendall(get("/1"))
            answer = read_to_end(connection)
            assert statuses(answer) == [503]
            assert b"SessionCapExhausted" in answer
            connection.close()
        closed.close()
        document = server.link.metrics.document()["sessions"]["interfaces"]["tls"]
        assert (document["soft_cap"], document["hard_cap"], document["peak"]) == (3, 5, 5)
        for connection in served:
            connection.close()
        wait_for(lambda: active(server) == 0, "the sessions to end")
        with server.connect_tls() as connection:
            connection.sendall(get("/1"))
            assert read_response(connection, bytearray())[0] == 200


def test_idle_and_creeping_clients_are_cut() -> None:
    with running(SessionLimits(idle_timeout_ms=500)) as server:
        idle, creeping, silent = server.connect_tls(), server.connect("plain"), server.connect()
        busy = server.connect("plain")
        cut: list[float] = []
        begin = time.monotonic()

        def creep() -> None:
            try:
                for byte in get("/", "x: " + "y" * 1000):
                    creeping.sendall(bytes([byte]))
                    creeping.settimeout(0.05)
                    try:
                        if creeping.recv(100) == b"":
                            break
                    except TimeoutError:
                        continue
            except OSError:
                pass
            cut.append(time.monotonic() - begin)

        thread = threading.Thread(target=creep, daemon=True)
        thread.start()
        while thread.is_alive():
            busy.sendall(get("/1"))
            assert read_response(busy, bytearray())[0] == 200
            thread.join(0.1)
        assert cut[0] < 5
        assert read_to_end(idle) == b""
        assert read_to_end(silent) == b""
        busy.sendall(get("/1"))
        assert read_response(busy, bytearray())[0] == 200
        for connection in (idle, creeping, silent, busy):
            connection.close()


def test_client_that_does_not_read_holds_nobody_up() -> None:
    with running() as server:
        greedy = server.connect("plain")
        greedy.settimeout(0.2)
        try:
            while True:
                greedy.sendall(get("/size/1000000") * 50)
        except TimeoutError:
            pass
        handled = server.site.handled
        with server.connect_tls() as other:
            other.sendall(get("/1"))
            assert read_response(other, bytearray())[0] == 200
        # A few megabytes fit into buffers; the rest of the requests waits for the reader.
        assert handled <= 40
        greedy.close()
        wait_for(lambda: active(server) == 0, "the session to end")


def test_stop_says_goodbye_to_clients_that_are_connected() -> None:
    with running() as server:
        idle = server.connect_tls()
        idle.sendall(get("/1"))
        assert read_response(idle, bytearray())[0] == 200
    assert read_to_end(idle) == b""
    idle.close()
