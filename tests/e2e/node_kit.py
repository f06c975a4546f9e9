"""A running service as strangers see it: a process, certificates in files, bytes on connections.

with service(directory, overlay) as running:
    with running.wire(user=0) as wire:
        reply = wire.ask("GET", "/app/log/private?id=1")
"""

import contextlib
import json
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ledger.base.ids import TxId

ROOT = Path(__file__).parents[2]
DEADLINE_S = 120.0
TX_HEADER = "x-ms-ccf-transaction-id"
_READ_SIZE = 1 << 16


def wait_until(what: str, holds: Callable[[], bool], timeout_s: float = DEADLINE_S) -> None:
    """Look until something holds; fails after the timeout."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a node answered; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def tx_id(self) -> TxId:
        return TxId.parse(self.headers[TX_HEADER])

    @property
    def code(self) -> str:
        """The code in an error's body."""
        return str(self.json()["error"]["code"])

    def json(self) -> Any:  # noqa: ANN401 - JSON has every shape
        return json.loads(self.body)


def request(
    method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> bytes:
    """Return the bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "host: x", f"content-length: {len(body)}"]
    lines += [f"{name}: {text}" for name, text in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def json_request(method: str, path: str, value: object, **headers: str) -> bytes:
    """Return the bytes of a request with a JSON body."""
    sent = {"content-type": "application/json"} | {
        name.replace("_", "-"): text for name, text in headers.items()
    }
    return request(method, path, json.dumps(value, ensure_ascii=False).encode(), sent)


class Wire:
    """One connection, TLS or plain; replies come in order."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._buffer = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send one request and wait for its reply."""
        self.send(request(method, path, body, headers))
        return self.reply(method)

    def ask_json(self, method: str, path: str, value: object, **headers: str) -> Reply:
        """Send one request with a JSON body and wait for its reply."""
        self.send(json_request(method, path, value, **headers))
        return self.reply(method)

    def reply(self, method: str = "GET") -> Reply:
        """Read one reply. ``EOFError``: the connection ended before."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            self._more()
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, text = line.partition(":")
            name, text = name.lower(), text.strip()
            assert name not in headers or name == "www-authenticate", f"{name} comes once"
            headers[name] = f"{headers[name]}, {text}" if name in headers else text
        size = 0 if method == "HEAD" else int(headers.get("content-length", "0"))
        while len(self._buffer) < end + 4 + size:
            self._more()
        body = bytes(self._buffer[end + 4 : end + 4 + size])
        del self._buffer[: end + 4 + size]
        return Reply(int(first.split()[1]), headers, body)

    def at_end(self) -> bool:
        """Whether the node ends the connection without another word."""
        try:
            return not self._buffer and self.socket.recv(1) == b""
        except (ConnectionError, ssl.SSLError):
            return True

    def _more(self) -> None:
        data = self.socket.recv(_READ_SIZE)
        if not data:
            raise EOFError(f"connection ended with {bytes(self._buffer)!r} left")
        self._buffer += data


@dataclass(frozen=True, slots=True)
class Caller:
    """Certificate and key files."""

    certificate: str
    key: str


class Running:
    """``quorate sandbox`` of one node, open."""

    def __init__(self, directory: Path, process: subprocess.Popen[bytes]) -> None:
        self.directory = directory
        self.process = process
        described = json.loads((directory / "sandbox.json").read_text())
        (node,) = described["nodes"]
        self.node_id = str(node["id"])
        self.address = str(node["address"])
        self.host_pid = int(node["pid"])
        self.ledger = Path(node["ledger"])
        self.node_directory = Path(node["directory"])
        self.service_certificate = Path(described["service_certificate"])
        self.users = [Caller(each["certificate"], each["key"]) for each in described["users"]]
        self.members = [Caller(each["certificate"], each["key"]) for each in described["members"]]

    @property
    def log(self) -> str:
        """What the node has logged."""
        return (self.node_directory / "out").read_text()

    @property
    def complaints(self) -> str:
        """What the node wrote to standard error."""
        return (self.node_directory / "err").read_text()

    def addresses(self) -> dict[str, str]:
        """All RPC interfaces, name to ``host:port``."""
        read: dict[str, str] = json.loads((self.node_directory / "rpc_addresses.json").read_text())
        return read

    def wire(
        self, user: int | None = None, caller: Caller | None = None, interface: str | None = None
    ) -> Wire:
        """Connect over TLS, as a user, as anybody, or without a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.service_certificate)
        who = self.users[user] if user is not None else caller
        if who is not None:
            context.load_cert_chain(who.certificate, who.key)
        address = self.address if interface is None else self.addresses()[interface]
        host, _, port = address.rpartition(":")
        plain = socket.create_connection((host, int(port)), timeout=DEADLINE_S)
        return Wire(context.wrap_socket(plain, server_hostname=host))

    def stop(self) -> None:
        """Ctrl-C, and wait for the end; the node must have ended well."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            assert self.process.wait(DEADLINE_S) == 0


@contextlib.contextmanager
def service(
    directory: Path, overlay: Mapping[str, Any] | None = None, *options: str
) -> Iterator[Running]:
    """Run an open service in a new directory; stop it in order, or by force after a failure."""
    overlay_file = directory.with_name(f"{directory.name}.overlay.json")
    overlay_file.write_text(json.dumps(overlay or {}))
    out_file = directory.with_name(f"{directory.name}.out")
    command = [sys.executable, "-m", "ledger.cli.main", "sandbox", "--dir", str(directory)]
    command += ["--port", "0", "--overlay", str(overlay_file), *options]
    with out_file.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
    try:

        def is_open() -> bool:
            assert process.poll() is None, out_file.read_text()
            return (directory / "sandbox.json").exists() and "Ctrl-C" in out_file.read_text()

        wait_until("the service is open", is_open)
        running = Running(directory, process)
        yield running
        running.stop()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
