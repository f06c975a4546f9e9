"""The load generator: connections times pipeline depth over TLS, from one process of its own.

Reads a ``Load`` as JSON from standard input and writes a ``Result`` as JSON to standard output::

    echo '{"address": "127.0.0.1:8000", …}' | python -m tests.bench.load

It keeps ``depth`` requests outstanding on every connection: as many as were answered are sent at
once. Requests are ready-made bytes and answers are counted, not parsed one by one, so it costs
about 10 µs a request at depth 1 and 2 µs at depth 16, and says how much of a core it used.
"""

import json
import re
import select
import socket
import ssl
import sys
import time
from array import array
from collections import deque
from dataclasses import asdict, dataclass, field

from tests.bench.workloads import DISTINCT, Workload

_READ_SIZE = 1 << 16
_HEAD_END = b"\r\n\r\n"
_STATUS = b"HTTP/1.1 "
_STATUS_OK = b"HTTP/1.1 200 "
_ANY_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
SILENCE_MAX_S = 30.0
"""Longest time without any answer before the generator gives up."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to send, where, how.

    Attributes:
        address: ``host:port`` of an interface of a node.
        service_certificate: PEM file; the node's certificate has to chain to it.
        certificate: PEM file of the caller, None to send none.
        key: PEM file of the caller's key, None without a certificate.
        workload: One of ``workloads.WORKLOADS``.
        distinct: Different records to go round.
        connections: Open connections.
        depth: Outstanding requests on each connection.
        seconds: How long to measure, after the warm-up.
        warm_up_seconds: How long to send before measuring.
        count: Send exactly this many instead, and measure from the first to the last; 0: do not.
    """

    address: str
    service_certificate: str
    certificate: str | None = None
    key: str | None = None
    workload: str = "private write"
    distinct: int = DISTINCT
    connections: int = 1
    depth: int = 1
    seconds: float = 5.0
    warm_up_seconds: float = 0.5
    count: int = 0


@dataclass(slots=True)
class Result:
    """What happened between the end of the warm-up and the end of the load.

    Attributes:
        answers: Complete answers, of any status.
        seconds: Length of the measurement.
        rate: Answers per second with status 200.
        failed: Answers by other status.
        latency_ms: Percentile (50, 90, 99, 99.9, 100 as text) to milliseconds from sending to
            answer.
        warm_up_answers: Answers before that.
        cpu_share: Share of one core that the generator used.
        connect_seconds: How long all handshakes took, one after the other.
    """

    answers: int
    seconds: float
    rate: float
    failed: dict[str, int]
    latency_ms: dict[str, float]
    warm_up_answers: int
    cpu_share: float
    connect_seconds: float


def client_context(load: Load) -> ssl.SSLContext:
    """Return the TLS settings of a caller: trusts the service, shows the certificate.

    Raises:
        OSError: a file cannot be read, or holds something else.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(load.service_certificate)
    context.check_hostname = False  # the chain to the service says enough
    if load.certificate is not None:
        context.load_cert_chain(load.certificate, load.key)
    return context


def connect(address: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Open one connection, handshake included.

    Raises:
        OSError: the node cannot be reached or is not the service's.
    """
    host = address.rpartition(":")[0].strip("[]")
    return context.wrap_socket(connect_plain(address), server_hostname=host)


def connect_plain(address: str) -> socket.socket:
    """Open one connection without TLS.

    Raises:
        OSError: the node cannot be reached.
    """
    host, _, port = address.rpartition(":")
    plain = socket.create_connection((host.strip("[]"), int(port)), timeout=SILENCE_MAX_S)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return plain


def run(load: Load) -> Result:
    """Send a load and wait for its end.

    Raises:
        OSError: a connection failed, or nothing was answered for long.
    """
    context = client_context(load)
    started = time.perf_counter()
    connections = [_Connection(connect(load.address, context)) for _ in range(load.connections)]
    connect_seconds = time.perf_counter() - started
    try:
        result = _Generator(load, connections).run()
    finally:
        for connection in connections:
            connection.socket.close()
    result.connect_seconds = connect_seconds
    return result


@dataclass(slots=True)
class _Connection:
    """One connection, the beginning of an answer that is not complete, and when was sent what."""

    socket: ssl.SSLSocket
    tail: bytes = b""
    sent: deque[float] = field(default_factory=deque)

    def send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self.socket.send(view) :]
            except ssl.SSLWantWriteError:
                select.select([], [self.socket], [], SILENCE_MAX_S)
            except ssl.SSLWantReadError:
                select.select([self.socket], [], [], SILENCE_MAX_S)

    def receive(self) -> tuple[int, bytes]:
        """Return how many answers are complete now, and the bytes that hold them."""
        try:
            data = self.socket.recv(_READ_SIZE)
        except ssl.SSLWantReadError:
            return 0, b""
        if not data:
            raise OSError("got the end of a connection with answers outstanding")
        data = self.tail + data
        head_end = data.rfind(_HEAD_END)
        if head_end < 0:
            self.tail = data
            return 0, b""
        heads = data.count(_HEAD_END)
        head = data.rfind(_STATUS, 0, head_end)
        length = _CONTENT_LENGTH.search(data, head, head_end)
        end = head_end + len(_HEAD_END) + (0 if length is None else int(length[1]))
        if end > len(data):
            self.tail = data[head:]
            return heads - 1, data[:head]
        self.tail = data[end:]
        return heads, data[:end]


class _Generator:
    """Drives the connections, counts, and takes the times."""

    def __init__(self, load: Load, connections: list[_Connection]) -> None:
        self._load = load
        self._connections = connections
        self._requests = Workload(load.workload, load.distinct).requests(load.address)
        self._cursor = 0
        self._unsent = load.count or sys.maxsize
        self._latencies = array("f")
        self._warm_up_answers = 0
        self._failed: dict[str, int] = {}

    def run(self) -> Result:
        load = self._load
        poll = select.epoll()
        by_descriptor = {}
        for connection in self._connections:
            connection.socket.setblocking(False)
            by_descriptor[connection.socket.fileno()] = connection
            poll.register(connection.socket.fileno(), select.EPOLLIN)
        start, cpu = time.perf_counter(), time.thread_time()
        for connection in self._connections:
            self._send(connection, load.depth, start)
        if not load.count:
            self._pump(poll, by_descriptor, start + load.warm_up_seconds)
            self._warm_up_answers = len(self._latencies)
            self._latencies, self._failed = array("f"), {}
            start, cpu = time.perf_counter(), time.thread_time()
        end = start + (load.seconds if not load.count else 1e9)
        self._pump(poll, by_descriptor, end)
        seconds, used = time.perf_counter() - start, time.thread_time() - cpu
        result = self._result(seconds, used)
        self._unsent = 0
        self._pump(poll, by_descriptor, time.perf_counter() + SILENCE_MAX_S)
        poll.close()
        return result

    def _pump(self, poll: select.epoll, connections: dict[int, _Connection], end: float) -> None:
        """Answer every answer with as many new requests, until the time or the work is over."""
        clock = time.perf_counter
        now = clock()
        while now < end and (self._unsent or self._outstanding()):
            events = poll.poll(SILENCE_MAX_S)
            if not events:
                raise OSError(f"got no answer for {SILENCE_MAX_S:.0f} s")
            for descriptor, _ in events:
                connection = connections[descriptor]
                complete, data = connection.receive()
                if complete:
                    now = clock()
                    self._count(connection, complete, data, now)
                    self._send(connection, complete, now)
            now = clock()

    def _send(self, connection: _Connection, count: int, now: float) -> None:
        count = min(count, self._unsent)
        if not count:
            return
        self._unsent -= count
        requests, cursor = self._requests, self._cursor
        if count == 1:
            data = requests[cursor]
        else:
            data = b"".join([requests[(cursor + n) % len(requests)] for n in range(count)])
        self._cursor = (cursor + count) % len(requests)
        connection.sent.extend([now] * count)
        connection.send(data)

    def _count(self, connection: _Connection, complete: int, data: bytes, now: float) -> None:
        if data.count(_STATUS_OK) != complete:
            statuses = [status.decode() for status in _ANY_STATUS.findall(data)]
            if len(statuses) != complete:
                raise OSError(f"got {len(statuses)} status lines in {complete} answers")
            for status in statuses:
                if status != "200":
                    self._failed[status] = self._failed.get(status, 0) + 1
        sent, latencies = connection.sent, self._latencies
        for _ in range(complete):
            latencies.append(now - sent.popleft())

    def _outstanding(self) -> bool:
        return any(connection.sent for connection in self._connections)

    def _result(self, seconds: float, cpu: float) -> Result:
        ordered = sorted(self._latencies)
        answers = len(ordered)
        latency_ms = {}
        for percentile in ("50", "90", "99", "99.9", "100"):
            place = min(int(answers * float(percentile) / 100), answers - 1)
            latency_ms[percentile] = ordered[place] * 1e3 if answers else 0.0
        return Result(
            answers=answers,
            seconds=seconds,
            rate=(answers - sum(self._failed.values())) / seconds,
            failed=self._failed,
            latency_ms=latency_ms,
            warm_up_answers=self._warm_up_answers,
            cpu_share=cpu / seconds,
            connect_seconds=0.0,
        )


if __name__ == "__main__":
    json.dump(asdict(run(Load(**json.load(sys.stdin)))), sys.stdout)
