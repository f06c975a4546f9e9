"""TLS by the standard ``ssl`` module over memory BIOs, helped by ``tls_libssl``."""

import ssl
from functools import partial
from typing import cast

from ledger.base.errors import FormatError
from ledger.enclave import tls_libssl
from ledger.enclave.tls_types import (
    TLS12_SUITES,
    ClientContext,
    Expiry,
    Identity,
    ServerContext,
    Sessions,
)

RECORD_SIZE_MAX = 16 * 1024
"""Plaintext of one TLS record, RFC 8446, section 5.1; one read returns at most one record."""

_NO_CHECK_TIME = 0x200000
"""``X509_V_FLAG_NO_CHECK_TIME`` of openssl/x509_vfy.h, which the ssl module does not name."""

_TICKETS = 1
"""Tickets after a full TLS 1.3 handshake; the library's two cost a signature's worth of copying."""


class StdlibBackend:
    """TLS by the interpreter's own libssl."""

    @property
    def name(self) -> str:
        """How logs call it."""
        return f"ssl ({ssl.OPENSSL_VERSION})"

    def rpc_server(self, identity: Identity) -> ServerContext:
        """See ``TlsBackend``."""
        context = _server(identity)
        context.set_alpn_protocols(["http/1.1"])
        context.verify_mode = ssl.CERT_OPTIONAL
        tls_libssl.accept_any_client(context)
        return Sessions(partial(StdlibSession, context, server_side=True))

    def peer_server(self, identity: Identity, ca_pem: bytes) -> ServerContext:
        """See ``TlsBackend``."""
        context = _server(identity)
        context.verify_mode = ssl.CERT_REQUIRED
        _trust(context, ca_pem, Expiry.IGNORED)
        return Sessions(partial(StdlibSession, context, server_side=True))

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
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _common(context)
        context.check_hostname = server_name is not None
        context.hostname_checks_common_name = False
        context.verify_mode = ssl.CERT_REQUIRED
        _trust(context, ca_pem, expiry)
        if alpn:
            context.set_alpn_protocols(["http/1.1"])
        if identity is not None:
            tls_libssl.load_identity(context, identity)
        return Sessions(partial(StdlibSession, context, server_name, server_side=False))


def _server(identity: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _common(context)
    context.num_tickets = _TICKETS
    tls_libssl.disable_session_cache(context)
    tls_libssl.load_identity(context, identity)
    return context


def _common(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(TLS12_SUITES)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def _trust(context: ssl.SSLContext, ca_pem: bytes, expiry: Expiry) -> None:
    try:
        context.load_verify_locations(cadata=ca_pem.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise FormatError(f"got no trusted certificate in PEM: {error}") from error
    if expiry is Expiry.IGNORED:
        context.verify_flags |= cast("ssl.VerifyFlags", _NO_CHECK_TIME)


class StdlibSession:
    """One end of a connection. See ``TlsSession`` for the contract."""

    __slots__ = (
        "_certificate", "_engine", "_incoming", "_outgoing", "ended", "established", "failure",
    )  # fmt: skip

    def __init__(
        self, context: ssl.SSLContext, server_name: str | None = None, *, server_side: bool
    ) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._engine = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_name
        )
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
        incoming = self._incoming
        incoming.write(data)
        try:
            if not self.established:
                self._engine.do_handshake()
                self.established = True
                # Kept, because the library does not tell it any more once a record was bad.
                self._certificate = self._engine.getpeercert(binary_form=True)
                if not incoming.pending:
                    return b""
            plaintext = self._engine.read(RECORD_SIZE_MAX)
            # One read takes one whole record out of the buffer: when nothing is left, a further
            # read could only raise, which costs more than the read itself.
            if incoming.pending or not plaintext:
                return self._read_on(plaintext)
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLError as error:
            self._fail(error)
            return b""
        return plaintext

    def _read_on(self, first: bytes) -> bytes:
        """Read record after record until the buffer holds no whole one."""
        parts = []
        plaintext = first
        try:
            while plaintext:
                parts.append(plaintext)
                plaintext = self._engine.read(RECORD_SIZE_MAX)
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as error:
            self._fail(error)
        return b"".join(parts)

    def send(self, plaintext: bytes) -> None:
        """See ``TlsSession``."""
        assert self.established, "nothing is sent before the handshake is done"
        if self.failure is None and plaintext:
            try:
                self._engine.write(plaintext)
            except ssl.SSLError as error:
                self._fail(error)

    def close(self) -> None:
        """See ``TlsSession``."""
        if self.failure is not None or not self.established:
            return
        try:
            self._engine.unwrap()
        except ssl.SSLWantReadError:
            pass  # our notice is out, the peer's is not in: nobody waits for it
        except ssl.SSLError as error:
            self._fail(error)

    def output(self) -> bytes:
        """See ``TlsSession``."""
        return self._outgoing.read()

    def peer_certificate(self) -> bytes | None:
        """See ``TlsSession``."""
        return self._certificate

    def _fail(self, error: ssl.SSLError) -> None:
        self.failure = error.reason or str(error)
        if isinstance(error, ssl.SSLCertVerificationError):
            self.failure = f"{self.failure} ({error.verify_message})"
