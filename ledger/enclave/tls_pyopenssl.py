"""TLS by pyOpenSSL over memory BIOs, where the standard module does not pass its self-test.

About half as fast per record as ``tls_stdlib``; the same contract, see ``tls_types``. pyOpenSSL
is an optional dependency, so this module is imported only when it is chosen.
"""

import ipaddress
from functools import partial
from typing import Any, cast

from OpenSSL import SSL, crypto

from ledger.base.errors import FormatError
from ledger.enclave.server_names import certificate_is_for
from ledger.enclave.tls_types import (
    TLS12_SUITES,
    ClientContext,
    Expiry,
    Identity,
    ServerContext,
    Sessions,
)

_DER = crypto.FILETYPE_ASN1
_READ_SIZE = 64 * 1024
_NO_CHECK_TIME = 0x200000
"""``X509_V_FLAG_NO_CHECK_TIME`` of openssl/x509_vfy.h, which pyOpenSSL does not name."""
_BEGIN = b"-----BEGIN CERTIFICATE-----"
_SESSION_CONTEXT = b"quorate"
"""Any constant: a server that asks for certificates resumes no session without one."""


class PyOpenSslBackend:
    """TLS by the libssl inside the ``cryptography`` package."""

    @property
    def name(self) -> str:
        """How logs call it."""
        return f"pyOpenSSL ({SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode()})"

    def rpc_server(self, identity: Identity) -> ServerContext:
        """See ``TlsBackend``."""
        context = _server(identity)
        context.set_alpn_select_callback(_select_http)
        context.set_verify(SSL.VERIFY_PEER, _accept_any)
        return Sessions(partial(PyOpenSslSession, context, server_side=True))

    def peer_server(self, identity: Identity, ca_pem: bytes) -> ServerContext:
        """See ``TlsBackend``."""
        context = _server(identity)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
        _trust(context, ca_pem, Expiry.IGNORED)
        return Sessions(partial(PyOpenSslSession, context, server_side=True))

    def client(
        self,
        ca_pem: bytes,
        identity: Identity | None,
        *,
        expiry: Expiry,
        alpn: bool,
        server_name: str | None = None,
    ) -> ClientContext:
        """See ``TlsBackend``."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        _common(context)
        context.set_verify(SSL.VERIFY_PEER)
        _trust(context, ca_pem, expiry)
        if alpn:
            context.set_alpn_protos([b"http/1.1"])
        if identity is not None:
            _load_identity(context, identity)
        return Sessions(partial(PyOpenSslSession, context, server_name, server_side=False))


def _server(identity: Identity) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    _common(context)
    context.set_session_id(_SESSION_CONTEXT)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    _load_identity(context, identity)
    return context


def _common(context: SSL.Context) -> None:
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(TLS12_SUITES.encode())
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)


def _load_identity(context: SSL.Context, identity: Identity) -> None:
    parts = identity.chain_pem.split(_BEGIN)[1:]
    try:
        chain = [crypto.load_certificate(crypto.FILETYPE_PEM, _BEGIN + part) for part in parts]
        key = crypto.load_privatekey(crypto.FILETYPE_PEM, identity.key_pem, b"")
    except (crypto.Error, ValueError, TypeError) as error:
        raise FormatError("got no certificate and key in PEM, want both, not encrypted") from error
    if not chain:
        raise FormatError("got no certificate in PEM, want one and its chain")
    try:
        context.use_certificate(chain[0].to_cryptography())
        for certificate in chain[1:]:
            context.add_extra_chain_cert(certificate.to_cryptography())
        context.use_privatekey(cast("Any", key.to_cryptography_key()))
        context.check_privatekey()
    except SSL.Error as error:
        raise FormatError("got a private key that does not belong to the certificate") from error


def _trust(context: SSL.Context, ca_pem: bytes, expiry: Expiry) -> None:
    parts = ca_pem.split(_BEGIN)[1:]
    try:
        trusted = [crypto.load_certificate(crypto.FILETYPE_PEM, _BEGIN + part) for part in parts]
    except (crypto.Error, ValueError) as error:
        raise FormatError("got no trusted certificate in PEM") from error
    if not trusted:
        raise FormatError("got no trusted certificate in PEM")
    store = context.get_cert_store()
    assert store is not None, "every context has a certificate store"
    for certificate in trusted:
        store.add_cert(certificate)
    if expiry is Expiry.IGNORED:
        store.set_flags(_NO_CHECK_TIME)


def _accept_any(
    _connection: SSL.Connection, _certificate: crypto.X509, _error: int, _depth: int, _ok: int
) -> bool:
    return True


def _select_http(
    _connection: SSL.Connection, offered: list[bytes]
) -> bytes | SSL._NoOverlappingProtocols:
    return b"http/1.1" if b"http/1.1" in offered else SSL.NO_OVERLAPPING_PROTOCOLS


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _der(certificate: crypto.X509 | None) -> bytes | None:
    return None if certificate is None else crypto.dump_certificate(_DER, certificate)


class PyOpenSslSession:
    """One end of a connection. See ``TlsSession`` for the contract."""

    __slots__ = ("_certificate", "_engine", "_server_name", "ended", "established", "failure")

    def __init__(
        self, context: SSL.Context, server_name: str | None = None, *, server_side: bool
    ) -> None:
        self._engine = SSL.Connection(context, None)
        self._server_name = server_name
        if server_side:
            self._engine.set_accept_state()
        else:
            self._engine.set_connect_state()
        if server_name is not None and not _is_address(server_name):
            self._engine.set_tlsext_host_name(server_name.encode("ascii", "replace"))
        self._certificate: bytes | None = None
        self.established = False
        self.ended = False
        self.failure: str | None = None
        if not server_side:
            self.feed(b"")  # makes the first flight

    def feed(self, data: bytes) -> bytes:
        """See ``TlsSession``."""
        if self.failure is not None:
            return b""
        parts: list[bytes] = []
        try:
            view = memoryview(data)
            while view:
                view = view[self._engine.bio_write(bytes(view)) :]
            if not self.established:
                self._engine.do_handshake()
                self.established = True
                self._certificate = _der(self._engine.get_peer_certificate())
                if not self._is_wanted():
                    return b""
            while True:
                parts.append(self._engine.recv(_READ_SIZE))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.ended = True
        except SSL.Error as error:
            self._fail(error)
        return b"".join(parts)

    def send(self, plaintext: bytes) -> None:
        """See ``TlsSession``."""
        assert self.established, "nothing is sent before the handshake is done"
        if self.failure is None and plaintext:
            try:
                self._engine.sendall(plaintext)
            except SSL.Error as error:
                self._fail(error)

    def close(self) -> None:
        """See ``TlsSession``."""
        if self.failure is not None or not self.established:
            return
        try:
            self._engine.shutdown()
        except SSL.Error as error:
            self._fail(error)

    def output(self) -> bytes:
        """See ``TlsSession``."""
        parts = []
        try:
            while True:
                parts.append(self._engine.bio_read(_READ_SIZE))
        except SSL.WantReadError:
            return b"".join(parts)

    def peer_certificate(self) -> bytes | None:
        """See ``TlsSession``."""
        return self._certificate

    def _is_wanted(self) -> bool:
        """Compare the server's certificate with the name that was dialled, if it matters."""
        name = self._server_name
        if name is None or certificate_is_for(self._certificate or b"", name):
            return True
        self.established = False
        self.failure = f"certificate verify failed (the certificate is not for {name})"
        return False

    def _fail(self, error: SSL.Error) -> None:
        reasons = error.args[0] if error.args else None
        self.failure = str(reasons[-1][-1]) if reasons else type(error).__name__
