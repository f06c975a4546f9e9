"""A link serving a scripted dispatcher on loopback, in a thread of the test."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile

from ledger.enclave.link import HOST_GONE, Link
from ledger.enclave.session_limits import SessionLimits
from ledger.enclave.system import SystemClock
from ledger.enclave.tls import TlsContext
from ledger.enclave.tls_types import Identity, TlsBackend
from ledger.endpoints.request import Request
from ledger.endpoints.response import JSON, Response
from tests.unit.enclave.edge_support import BACKENDS, node_identity


class Site:
    """What a small service might answer.

    ``/who`` tells the caller's certificate in hex; ``/late`` answers at the end of the turn;
    ``/size/N`` answers N bytes; the rest echoes the body, or the path where there is none.
    """

    def __init__(self) -> None:
        self.handled = 0
        self.late: list[Request] = []

    def handle(self, request: Request) -> Response | None:
        self.handled += 1
        if request.path == "/late":
            self.late.append(request)
            return None
        if request.path == "/who":
            certificate = request.session.peer_certificate()
            if certificate is None:
                return Response(401, b'{"error":{"code":"InvalidAuthenticationInfo"}}', JSON)
            return Response(200, certificate.hex().encode())
        if request.path.startswith("/size/"):
            return Response(200, b"x" * int(request.path[6:]))
        return Response(200, request.body or request.path.encode(), tx_id=b"2.17")

    def turn(self) -> None:
        late, self.late = self.late, []
        for request in late:
            request.session.complete(request, Response(200, b"late"))


@dataclass
class Server:
    """A running link and how to reach it."""

    link: Link
    site: Site
    addresses: Mapping[str, tuple[str, int]]
    identity: Identity
    errors: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.addresses["tls"][1]

    def connect(self, name: str = "tls") -> socket.socket:
        connection = socket.create_connection(self.addresses[name], timeout=20)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def connect_tls(self, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        return (context or self.client()).wrap_socket(self.connect())

    def client(self, identity: Identity | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(cadata=self.identity.chain_pem.decode())
        if identity is not None:
            with NamedTemporaryFile() as file:
                Path(file.name).write_bytes(identity.chain_pem + identity.key_pem)
                context.load_cert_chain(file.name)
        return context

    def errors_of(self, name: str) -> Mapping[str, int]:
        errors: Mapping[str, int] = self.link.metrics.interfaces[name].document()["errors"]
        return errors


@contextlib.contextmanager
def running(
    limits: SessionLimits | None = None,
    backend: TlsBackend = BACKENDS[0],
    identity: Identity | None = None,
) -> Iterator[Server]:
    """Serve ``tls`` and ``plain``; a failure inside fails the test."""
    link, site = Link(SystemClock()), Site()
    ours, host = socket.socketpair()
    link.attach_host(ours, lambda *_: None)
    link.on_turn = site.turn
    addresses = {}
    for name in ("tls", "plain", "late"):
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        sock.listen(1024)
        addresses[name] = sock.getsockname()
        tls = None if name == "plain" else TlsContext(backend)
        link.listen(name, sock, tls, limits or SessionLimits(), site)
    identity = identity or node_identity()
    link.set_certificate("tls", identity)
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(link.run()), daemon=True)
    thread.start()
    try:
        yield Server(link, site, addresses, identity)
    finally:
        host.close()
        thread.join(20)
        link.close()
    assert [(one.reason, one.error) for one in outcomes] == [(HOST_GONE, None)]
    sessions = link.metrics.document()["sessions"]
    assert sessions["active"] == 0, "every session that began has ended"


def read_response(stream: socket.socket, buffer: bytearray) -> tuple[int, dict[str, str], bytes]:
    """Read one response; what comes behind it stays in the buffer."""
    while b"\r\n\r\n" not in buffer:
        data = stream.recv(65536)
        assert data, f"the connection ended after {bytes(buffer)!r}"
        buffer += data
    head, _, rest = bytes(buffer).partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    size = int(headers["content-length"])
    while len(rest) < size:
        data = stream.recv(65536)
        assert data, "the connection ended inside a body"
        rest += data
    buffer[:] = rest[size:]
    return int(status.split(" ")[1]), headers, rest[:size]


def read_to_end(stream: socket.socket) -> bytes:
    """Read until the other side ends, however it ends."""
    parts = []
    with contextlib.suppress(ConnectionResetError, ssl.SSLError):
        while data := stream.recv(65536):
            parts.append(data)
    return b"".join(parts)
