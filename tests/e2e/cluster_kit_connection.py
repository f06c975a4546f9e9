"""One TLS connection to a node, so that a test knows which session its requests belong to."""

import asyncio
import json
import ssl
from dataclasses import dataclass
from typing import Any

from ledger.base.ids import TxId

TX_HEADER = "x-ms-ccf-transaction-id"
ANSWER_TIMEOUT_S = 6.0
"""Longer than a backup waits for the primary."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a node answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def tx_id(self) -> TxId | None:
        text = self.headers.get(TX_HEADER)
        return None if text is None else TxId.parse(text)

    @property
    def code(self) -> str:
        """The code in an error's body, empty for other bodies."""
        try:
            return str(json.loads(self.body)["error"]["code"])
        except (ValueError, KeyError, TypeError):
            return ""

    def json(self) -> Any:  # noqa: ANN401 - JSON has every shape
        return json.loads(self.body)


class LostError(Exception):
    """The connection ended, or no answer came in time: nobody knows what was done."""


class Connection:
    """Requests one after the other on one connection."""

    def __init__(
        self, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.address = address
        self.closed = False
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(
        cls, address: str, context: ssl.SSLContext, timeout_s: float = ANSWER_TIMEOUT_S
    ) -> "Connection":
        """Connect; raises ``LostError``."""
        host, _, port = address.rpartition(":")
        try:
            async with asyncio.timeout(timeout_s):
                return cls(address, *await asyncio.open_connection(host, int(port), ssl=context))
        except (OSError, TimeoutError) as error:
            raise LostError(f"no connection to {address}: {error!r}") from error

    async def call(
        self,
        method: str,
        path: str,
        value: object = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> Reply:
        """Send a request and return its answer; raises ``LostError``, after which all is over."""
        body = b"" if value is None else json.dumps(value).encode()
        sent = {"host": self.address, "content-length": str(len(body)), **(headers or {})}
        if body:
            sent.setdefault("content-type", "application/json")
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {text}" for name, text in sent.items())]
        try:
            async with asyncio.timeout(timeout_s):
                self._writer.write("\r\n".join([*lines, "", ""]).encode() + body)
                await self._writer.drain()
                return await self._reply(method)
        except (OSError, TimeoutError, EOFError) as error:
            self.close()
            raise LostError(f"no answer from {self.address}: {error!r}") from error

    async def _reply(self, method: str) -> Reply:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        headers = {}
        for line in lines:
            name, _, text = line.partition(":")
            headers[name.strip().lower()] = text.strip()
        size = 0 if method == "HEAD" else int(headers.get("content-length", "0"))
        body = await self._reader.readexactly(size)
        if headers.get("connection") == "close":
            self.close()
        return Reply(int(first.split()[1]), headers, body)

    def close(self) -> None:
        """End the connection without a word."""
        if not self.closed:
            self.closed = True
            self._writer.transport.abort()


def client_context(service_certificate: str, certificate: str, key: str) -> ssl.SSLContext:
    """Return a context that trusts the service and shows a user's certificate (files)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=service_certificate)
    context.load_cert_chain(certificate, key)
    return context
