"""The load generator against a server that cuts its answers anywhere and refuses some requests."""

import random
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ledger.crypto.certs import self_signed_caller, self_signed_node
from ledger.crypto.keys import Curve, SigningKey
from tests.bench.caller import Caller
from tests.bench.load import Load, run
from tests.bench.lone import lone_writes

_REFUSE_EVERY = 7


class SplittingServer:
    """Answers requests of the logging sample; every seventh with 503; in pieces of any size."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.refuse = True
        self.answered = 0
        self.hang_up_after: int | None = None
        self.certificates: list[bytes | None] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        chance = random.Random(1)
        with suppress(OSError), self._context.wrap_socket(plain, server_side=True) as session:
            self.certificates.append(session.getpeercert(binary_form=True))
            data = b""
            while self.answered != self.hang_up_after and (received := session.recv(65536)):
                data += received
                data, out = self._answers(data)
                while out:
                    size = chance.choice((1, 5, 100, 4096))
                    session.sendall(out[:size])
                    out = out[size:]

    def _answers(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what is left of the received bytes, and the answers to the whole requests."""
        out = b""
        while (head_end := data.find(b"\r\n\r\n")) >= 0:
            head = data[:head_end].decode()
            length = 0
            for line in head.split("\r\n"):
                if line.startswith("content-length:"):
                    length = int(line.partition(":")[2])
            if len(data) < head_end + 4 + length:
                break
            data = data[head_end + 4 + length :]
            out += self._answer(head)
        return data, out

    def _answer(self, head: str) -> bytes:
        self.answered += 1
        if self.refuse and self.answered % _REFUSE_EVERY == 0:
            return b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\n{}"
        if "/app/tx" in head:
            return b'HTTP/1.1 200 OK\r\ncontent-length: 22\r\n\r\n{"status":"Committed"}'
        return (
            b"HTTP/1.1 200 OK\r\nx-ms-ccf-transaction-id: 2.%d\r\nContent-Length: 4\r\n\r\ntrue"
            % self.answered
        )


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    """A directory with certificates and keys of a server and of a caller."""
    now = int(time.time())
    server, caller = SigningKey.generate(Curve.P256), SigningKey.generate(Curve.P256)
    node = self_signed_node(server, "CN=server", ["iPAddress:127.0.0.1"], 1, now)
    (tmp_path / "server.pem").write_text(node.pem)
    (tmp_path / "server.key").write_text(server.to_pem())
    (tmp_path / "caller.pem").write_text(self_signed_caller(caller, "CN=user", 1, now).pem)
    (tmp_path / "caller.key").write_text(caller.to_pem())
    return tmp_path


@pytest.fixture
def server(identity: Path) -> Iterator[SplittingServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity / "server.pem", identity / "server.key")
    context.load_verify_locations(identity / "caller.pem")
    context.verify_mode = ssl.CERT_OPTIONAL
    server = SplittingServer(context)
    yield server
    server.close()


def load_on(server: SplittingServer, identity: Path, **what: object) -> Load:
    return Load(
        server.address,
        str(identity / "server.pem"),
        str(identity / "caller.pem"),
        str(identity / "caller.key"),
        **what,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("workload", ["private write", "public write", "read", "commit"])
@pytest.mark.parametrize(("connections", "depth"), [(1, 1), (3, 1), (1, 16), (3, 5)])
def test_every_answer_is_counted_once(
    server: SplittingServer, identity: Path, workload: str, connections: int, depth: int
) -> None:
    load = load_on(
        server,
        identity,
        workload=workload,
        distinct=10,
        connections=connections,
        depth=depth,
        count=200,
    )
    result = run(load)
    assert (result.answers, result.failed) == (200, {"503": 200 // _REFUSE_EVERY})
    assert server.answered == 200
    assert result.rate == pytest.approx((200 - 28) / result.seconds)
    assert len(server.certificates) == connections
    assert None not in server.certificates
    latency = [result.latency_ms[percentile] for percentile in ("50", "90", "99", "99.9", "100")]
    assert 0 < latency[0] <= latency[1] <= latency[2] <= latency[3] <= latency[4]


def test_a_timed_load_ends_and_leaves_nothing_outstanding(
    server: SplittingServer, identity: Path
) -> None:
    server.refuse = False
    load = load_on(
        server, identity, connections=2, depth=4, seconds=0.2, warm_up_seconds=0.05, distinct=3
    )
    result = run(load)
    assert result.failed == {}
    assert 0.2 <= result.seconds < 5
    assert 0 < result.answers <= server.answered
    assert 0 < result.cpu_share <= 1.1


def test_lone_writes(server: SplittingServer, identity: Path) -> None:
    server.refuse = False
    times = lone_writes(load_on(server, identity), 3)
    assert {kind: len(measured) for kind, measured in times.items()} == {
        "answered": 3,
        "on_wire": 3,
        "committed": 3,
        "preferred": 3,
        "overslept": 3,
    }
    kinds = zip(times["on_wire"], times["answered"], times["committed"], strict=True)
    assert all(0 < on_wire < answered < committed for on_wire, answered, committed in kinds)


def test_a_server_that_says_nothing_is_an_error_in_time() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(OSError, match=r"got nothing for 0\.05 s, want an answer"):
            Caller(address, context, patience_s=0.05)


def test_a_server_that_hangs_up_is_an_error(server: SplittingServer, identity: Path) -> None:
    server.hang_up_after = 5
    with pytest.raises(OSError, match="end of a connection"):
        run(load_on(server, identity, count=10))
