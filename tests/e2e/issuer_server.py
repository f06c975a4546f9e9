"""A local HTTPS server that publishes token keys, and others that behave badly."""

import json
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from ledger.crypto.certs import self_signed_node
from ledger.crypto.keys import Curve, SigningKey

WELL_KNOWN = "/.well-known/openid-configuration"
READ_SIZE = 65536

Reply = Callable[[ssl.SSLSocket, str], None]
"""Writes an answer to a request for a path."""


class Issuer:
    """Serves ``https://localhost:PORT`` from a thread per connection.

    Attributes:
        ca_pem: The one certificate that vouches for it.
        port: Its port.
        asked: Paths that were asked for, in order.
        replies: What else than keys is answered, by path.
        keys: The published key set.
    """

    def __init__(self, directory: Path, name: str = "localhost") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        key = SigningKey.generate(Curve.P256)
        certificate = self_signed_node(key, f"CN={name}", [f"dNSName:{name}"], 3650, 1_700_000_000)
        self.ca_pem = certificate.pem
        (directory / "cert.pem").write_text(certificate.pem)
        (directory / "key.pem").write_text(key.to_pem())
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.asked: list[str] = []
        self.replies: dict[str, Reply] = {}
        self.keys: list[dict[str, object]] = []
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def url(self, path: str = "", host: str = "localhost") -> str:
        """Return an address of this server."""
        return f"https://{host}:{self.port}{path}"

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(20)

    def wait_until_stopped(self) -> None:
        """Do nothing as long as the server runs: a server that is slow."""
        self._stopping.wait()

    def _run(self, body: Callable[[], None]) -> None:
        thread = threading.Thread(target=body, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                plain, _ = self._listening.accept()
            except OSError:
                return
            self._run(lambda plain=plain: self._serve(plain))  # type: ignore[misc]

    def _serve(self, plain: socket.socket) -> None:
        plain.settimeout(15)
        try:
            with self._context.wrap_socket(plain, server_side=True) as tls:
                request = b""
                while b"\r\n\r\n" not in request:
                    data = tls.recv(READ_SIZE)
                    if not data:
                        return
                    request += data
                path = request.split(b" ")[1].decode()
                self.asked.append(path)
                self.replies.get(path, self._publish)(tls, path)
        except OSError:
            plain.close()

    def _publish(self, tls: ssl.SSLSocket, path: str) -> None:
        if path.endswith(WELL_KNOWN):
            document = {"issuer": self.url(), "jwks_uri": self.url("/keys")}
            respond(tls, json.dumps(document).encode())
        elif path == "/keys":
            respond(tls, json.dumps({"keys": self.keys}).encode())
        else:
            respond(tls, b"{}", 404)


def respond(tls: ssl.SSLSocket, body: bytes, status: int = 200, extra: str = "") -> None:
    """Write a whole answer."""
    head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
    tls.sendall(head.encode() + body)
