"""Certificates, dispatchers and wires for the tests of the enclave's edge."""

import functools
import time
from typing import TYPE_CHECKING

from ledger.crypto.certificate import Certificate
from ledger.crypto.certs import (
    certificate_request,
    endorse,
    self_signed_caller,
    self_signed_node,
    self_signed_service,
)
from ledger.crypto.keys import Curve, SigningKey
from ledger.enclave.plain_session import PlainSession
from ledger.enclave.session_limits import InterfaceMetrics, SessionLimits
from ledger.enclave.sessions import HttpSession, State
from ledger.enclave.tls_pyopenssl import PyOpenSslBackend
from ledger.enclave.tls_stdlib import StdlibBackend
from ledger.enclave.tls_types import Identity, TlsBackend, TlsSession
from ledger.endpoints.request import Request
from ledger.endpoints.response import JSON, Response

if TYPE_CHECKING:
    from collections.abc import Callable

BACKENDS: list[TlsBackend] = [StdlibBackend(), PyOpenSslBackend()]
BACKEND_IDS = ["stdlib", "pyopenssl"]

YEAR = 365
_DAY = 86_400


def _now() -> int:
    """Return a time that has passed for OpenSSL too: its seconds begin some ms later than ours."""
    return int(time.time()) - 1


def _identity(key: SigningKey, *chain: Certificate) -> Identity:
    pem = "".join(certificate.pem for certificate in chain)
    return Identity(pem.encode(), key.to_pem().encode())


def der_of(identity: Identity) -> bytes:
    return Certificate.parse(identity.chain_pem.split(b"-----END")[0] + _END).der


_END = b"-----END CERTIFICATE-----\n"


@functools.cache
def node_identity(curve: Curve = Curve.P256, host: str = "127.0.0.1") -> Identity:
    key = SigningKey.generate(curve)
    now = _now()
    return _identity(key, self_signed_node(key, "CN=node", [f"iPAddress:{host}"], YEAR, now))


@functools.cache
def caller_identity(name: str) -> Identity:
    key = SigningKey.generate(Curve.P256)
    return _identity(key, self_signed_caller(key, f"CN={name}", YEAR, _now()))


@functools.cache
def expired_identity(name: str) -> Identity:
    key = SigningKey.generate(Curve.P256)
    return _identity(key, self_signed_caller(key, f"CN={name}", 1, _now() - 9 * _DAY))


class Service:
    """A service identity and nodes endorsed by it."""

    def __init__(self, name: str) -> None:
        self._key = SigningKey.generate(Curve.P256)
        now = _now()
        self._certificate = self_signed_service(self._key, f"CN={name}", YEAR, now)
        self.ca_pem = self._certificate.pem.encode()

    def node(self, days_ago: int = 0) -> Identity:
        key = SigningKey.generate(Curve.P256)
        begin = _now() - days_ago * _DAY
        request = certificate_request(key, "CN=node", ["iPAddress:127.0.0.1"])
        certificate = endorse(request, self._key, self._certificate, begin, 1)
        return _identity(key, certificate, self._certificate)


def pump(server: TlsSession, client: TlsSession, rounds: int = 8) -> None:
    """Carry bytes between two ends until both fall silent."""
    for _ in range(rounds):
        server.feed(client.output())
        client.feed(server.output())


class Script:
    """A dispatcher that records requests and answers by path.

    ``/late…`` gets no answer at once; ``/bye`` closes; ``/size/N`` answers N bytes; everything
    else echoes method and path.
    """

    def __init__(self) -> None:
        self.seen: list[Request] = []
        self.late: list[Request] = []
        self.before: Callable[[Request], None] | None = None

    def handle(self, request: Request) -> Response | None:
        self.seen.append(request)
        if self.before is not None:
            self.before(request)
        if request.path.startswith("/late"):
            self.late.append(request)
            if request.path == "/late/bye":
                request.session.close_after_response()
            return None
        if request.path.startswith("/bye"):
            request.session.close_after_response()
        return self.answer(request)

    def answer(self, request: Request) -> Response:
        if request.path.startswith("/size/"):
            return Response(200, b"x" * int(request.path[6:]))
        text = f"{request.method} {request.path}"
        return Response(200, b'"' + text.encode() + b'"', JSON, tx_id=b"2.17")

    def finish(self, path: str) -> None:
        """Complete the late request with this path."""
        request = next(one for one in self.late if one.path == path)
        self.late.remove(request)
        request.session.complete(request, self.answer(request))


class CountingWire:
    """Counts how often a session asked to be flushed."""

    def __init__(self) -> None:
        self.asked = 0

    def answers_wait(self) -> None:
        self.asked += 1


def through(session: HttpSession, data: bytes) -> bytes:
    """Take what was read through all stages and return what is to be written."""
    session.take(data)
    session.advance()
    return session.output()


class Plain:
    """A session over plain TCP with everything around it, driven by hand."""

    def __init__(self, *, over_soft_cap: bool = False, limits: SessionLimits | None = None) -> None:
        self.script = Script()
        self.wire = CountingWire()
        self.metrics = InterfaceMetrics(limits or SessionLimits())
        self.session = HttpSession(
            "rpc",
            PlainSession(),
            self.script,
            self.metrics,
            self.wire,
            over_soft_cap=over_soft_cap,
        )

    def send(self, data: bytes) -> bytes:
        return through(self.session, data)

    # Calls, because a type checker takes an attribute that was looked at for a constant.

    def state(self) -> State:
        return self.session.state

    def reading(self) -> bool:
        return self.session.reading

    def backlog(self) -> bool:
        return self.session.backlog


def get(path: str, *headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "host: x", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: x", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def statuses(data: bytes) -> list[int]:
    """Return the status of every response in a stream whose bodies hold no status lines."""
    parts = data.split(b"HTTP/1.1 ")[1:]
    return [int(part[:3]) for part in parts]
