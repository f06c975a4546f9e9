"""What a TLS implementation gives: sessions over memory, and the three kinds of contexts.

Two implementations exist, see ``tls``. Both obey the same rules:

* bytes in, bytes out: no socket, no clock, no file. Private keys are handed over in memory.
* whatever the peer sends, ``feed`` returns; a broken handshake or record is the value
  ``failure`` of the session, and what is left to tell the peer (an alert) is in ``output``.
* TLS 1.2 at least, of its suites only ``TLS12_SUITES``, no renegotiation, ALPN ``http/1.1``
  where HTTP is spoken.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

TLS12_SUITES = (
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256"
    ":ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256"
)
"""What TLS 1.2 may agree on, in OpenSSL's names: forward secrecy and authenticated encryption, as
CCF offers. The library's own list goes on to CBC with HMAC-SHA1. TLS 1.3 has only such suites."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What one end shows of itself.

    Attributes:
        chain_pem: Own certificate first, then those that lead to the root, as PEM.
        key_pem: Private key of the first certificate, unencrypted PEM. Never printed.
    """

    chain_pem: bytes
    key_pem: bytes = field(repr=False)


class TlsSession(Protocol):
    """One end of one TLS connection."""

    established: bool
    """Whether the handshake is done."""
    ended: bool
    """Whether the peer said that it sends nothing more (``close_notify``)."""
    failure: str | None
    """Why the session is broken, or None. A broken session takes and gives nothing more, apart
    from what ``output`` still holds."""

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the wire and return the plaintext they completed, maybe empty."""
        ...

    def send(self, plaintext: bytes) -> None:
        """Encrypt; the records wait in ``output``. Only on an established session."""
        ...

    def close(self) -> None:
        """Say that nothing more is sent. The peer may still be read."""
        ...

    def output(self) -> bytes:
        """Return and forget the bytes that are to be written to the wire."""
        ...

    def peer_certificate(self) -> bytes | None:
        """Return the DER of the peer's certificate, or None when it showed none.

        Also known after a resumed handshake: the session ticket carries it.
        """
        ...


class ServerContext(Protocol):
    """Makes the sessions of accepted connections."""

    def session(self) -> TlsSession:
        """Return the server's end of a new connection."""
        ...


class ClientContext(Protocol):
    """Makes the sessions of connections that we dialled."""

    def session(self) -> TlsSession:
        """Return the client's end of a new connection; its ``output`` holds the first flight."""
        ...


@dataclass(frozen=True, slots=True)
class Sessions:
    """A context of either side, by the function that makes its sessions."""

    make: Callable[[], TlsSession]

    def session(self) -> TlsSession:
        """See ``ServerContext`` and ``ClientContext``."""
        return self.make()


class TlsBackend(Protocol):
    """An implementation of TLS.

    Every method raises ``FormatError`` when a certificate or key does not parse, or when the
    key does not belong to the certificate.
    """

    @property
    def name(self) -> str:
        """How logs call it."""
        ...

    def rpc_server(self, identity: Identity) -> ServerContext:
        """Return a server that asks for a client certificate, needs none and accepts any.

        Possession of the private key is still proved by the handshake; who the holder is,
        the endpoints decide.
        """
        ...

    def peer_server(self, identity: Identity, ca_pem: bytes) -> ServerContext:
        """Return a server whose clients must show a certificate endorsed by ``ca_pem``.

        Names are not compared and expiry is ignored on purpose: the caller looks the key up.
        """
        ...

    def client(
        self,
        ca_pem: bytes,
        identity: Identity | None,
        *,
        expiry: "Expiry",
        alpn: bool,
        server_name: str | None = None,
    ) -> ClientContext:
        """Return a client that wants a server certificate endorsed by ``ca_pem``.

        Args:
            ca_pem: Trusted certificates.
            identity: What to show when the server asks.
            expiry: Whether dates count.
            alpn: Whether to ask for ``http/1.1``.
            server_name: Host name or IP address that the certificate has to be for, and the
                name that is asked for (SNI). None compares none: the caller looks the key up.
        """
        ...


class Expiry(enum.Enum):
    """Whether the validity dates of certificates count."""

    CHECKED = "checked"
    IGNORED = "ignored"
