"""TLS ends here: which implementation does it, and what an interface needs of it.

Clients may show any certificate, known or not, because who they are is decided per endpoint
(an unknown one gets a 401, not a broken handshake). The standard ``ssl`` module cannot say so
by itself; ``tls_libssl`` makes it, and since that rests on the interpreter's insides,
``choose_backend`` proves it at every start with a handshake in memory, or takes pyOpenSSL.
Contexts for anything but RPC clients never get the accept-any rule; the proof covers that too.

Worked session, without wire::

    backend = choose_backend()
    interface = TlsContext(backend)
    interface.replace(Identity(chain_pem, key_pem))     # again whenever the certificate changes
    session = interface.session()
    plaintext = session.feed(bytes_from_wire)
    session.send(answer)
    wire.write(session.output())
"""

from collections.abc import Iterator

from ledger.base.errors import UnavailableError
from ledger.crypto.certs import Certificate, self_signed_caller
from ledger.crypto.keys import Curve, SigningKey
from ledger.enclave import tls_libssl
from ledger.enclave.tls_stdlib import StdlibBackend
from ledger.enclave.tls_types import (
    ClientContext,
    Expiry,
    Identity,
    ServerContext,
    TlsBackend,
    TlsSession,
)

_FLIGHTS_MAX = 8
"""Turns after which a handshake in memory has succeeded or never will; TLS 1.2 needs four."""

_PROBE_BEGIN = 1_700_000_000
_PROBE_DAYS = 36_500
"""Validity of the throwaway certificates: long, so that no clock is needed."""


class TlsContext:
    """The server side of one interface, whose certificate comes late and may change.

    Sessions keep the certificate they began with; new ones get the newest.
    """

    def __init__(self, backend: TlsBackend) -> None:
        self._backend = backend
        self._context: ServerContext | None = None

    def replace(self, identity: Identity) -> None:
        """Use this certificate and key from now on.

        Raises:
            FormatError: they do not parse or do not belong together. The old ones stay.
        """
        self._context = self._backend.rpc_server(identity)

    def session(self) -> TlsSession | None:
        """Return the server's end of a new connection, or None without a certificate yet."""
        return None if self._context is None else self._context.session()


def choose_backend() -> TlsBackend:
    """Return the fastest implementation that passes ``self_test``.

    Raises:
        UnavailableError: none does.
    """
    problems: list[str] = []
    for backend in _candidates(problems):
        problem = self_test(backend)
        if problem is None:
            return backend
        problems.append(f"{backend.name}: {problem}")
    raise UnavailableError(f"no TLS implementation passed its test: {'; '.join(problems)}")


def _candidates(problems: list[str]) -> Iterator[TlsBackend]:
    if tls_libssl.available():
        yield StdlibBackend()
    else:
        problems.append("ssl: this interpreter's libssl is not known")
    try:
        from ledger.enclave.tls_pyopenssl import PyOpenSslBackend  # noqa: PLC0415 - optional
    except ImportError as error:
        problems.append(f"pyOpenSSL: {error}")
    else:
        yield PyOpenSslBackend()


def self_test(backend: TlsBackend) -> str | None:
    """Prove by handshakes in memory that the implementation accepts and refuses as it should.

    An RPC server must take an unknown self-signed client certificate and show it to us, and
    take a client without one. A server and a client of node connections must refuse it.

    Returns:
        None when everything holds, else what does not.
    """
    (server, _), (known, _), (unknown, shown) = map(throwaway, ("server", "known", "unknown"))
    rpc = backend.rpc_server(server)
    peers = backend.peer_server(server, known.chain_pem)

    def dial(identity: Identity | None, ca_pem: bytes = server.chain_pem) -> TlsSession:
        return backend.client(ca_pem, identity, expiry=Expiry.IGNORED, alpn=True).session()

    session = rpc.session()
    if not handshake(session, dial(unknown)):
        return "an unknown client certificate breaks the handshake"
    if session.peer_certificate() != shown.der:
        return "the client's certificate is not seen"
    session = rpc.session()
    if not handshake(session, dial(None)) or session.peer_certificate() is not None:
        return "a client without certificate is not served"
    if not handshake(peers.session(), dial(known)):
        return "a node with an endorsed certificate is refused"
    if handshake(peers.session(), dial(unknown)) or handshake(peers.session(), dial(None)):
        return "a node with an unknown certificate is accepted"
    if handshake(rpc.session(), dial(None, known.chain_pem)):
        return "a server with an unknown certificate is accepted"
    return None


def handshake(server: TlsSession, client: TlsSession) -> bool:
    """Carry bytes between two ends in memory and say whether both established the session."""
    for _ in range(_FLIGHTS_MAX):
        server.feed(client.output())
        client.feed(server.output())
    # A TLS 1.3 client is done before the server has judged its certificate.
    ends = (server, client)
    return all(end.established and end.failure is None for end in ends)


def throwaway(name: str) -> tuple[Identity, Certificate]:
    """Return a fresh self-signed identity for a session in memory, and its certificate."""
    key = SigningKey.generate(Curve.P256)
    certificate = self_signed_caller(key, f"CN={name}", _PROBE_DAYS, _PROBE_BEGIN)
    return Identity(certificate.pem.encode(), key.to_pem().encode()), certificate


__all__ = [
    "ClientContext",
    "Expiry",
    "Identity",
    "ServerContext",
    "TlsBackend",
    "TlsContext",
    "TlsSession",
    "choose_backend",
    "handshake",
    "self_test",
    "throwaway",
]
