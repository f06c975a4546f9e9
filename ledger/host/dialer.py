"""Connecting to peers on behalf of the enclave, which never opens a socket by itself."""

import errno
import os
import socket
import threading
from collections.abc import Callable

from ledger.host.loop import Loop, Timer
from ledger.host.schema import Refused
from ledger.host.values import join_host_port, split_host_port

Address = tuple[socket.AddressFamily, str, int]
OnDialled = Callable[[socket.socket | None, str | None], None]
"""Called once with a connected socket, or with why there is none."""

_DIALS_MAX = 256
"""Connections being made at the same time; a node has a few dozen peers."""


class Dialer:
    """Makes stream connections without blocking the loop.

    Args:
        loop: Calls back.
        client_interface: Local host to connect from, or None for any.
    """

    def __init__(self, loop: Loop, client_interface: str | None = None) -> None:
        self._loop = loop
        self._client_interface = client_interface
        self._running = 0

    def dial(self, address: str, timeout_ms: int, on_dialled: OnDialled) -> None:
        """Connect to ``host:port``; names are resolved in a thread."""
        try:
            host, port = split_host_port(address)
        except Refused as refused:
            on_dialled(None, f"got address {address[:80]!r}, want {refused.want}")
            return
        if self._running >= _DIALS_MAX:
            on_dialled(None, f"{_DIALS_MAX} connections are being made already")
            return
        self._running += 1
        dial = _Dial(self._loop, timeout_ms / 1000, self._finished(on_dialled))
        dial.source = self._client_interface
        numeric = _resolve(host, port, socket.AI_NUMERICHOST)
        if isinstance(numeric, list):
            dial.connect(numeric)
            return
        # A thread per name: resolution blocks for seconds when a name server is away.
        resolver = threading.Thread(
            target=lambda: self._loop.post(_bound(dial.resolved, _resolve(host, port, 0))),
            name=f"resolve {host}",
            daemon=True,
        )
        resolver.start()

    def _finished(self, on_dialled: OnDialled) -> OnDialled:
        def finished(connected: socket.socket | None, problem: str | None) -> None:
            self._running -= 1
            on_dialled(connected, problem)

        return finished


def _bound(
    take: Callable[[list[Address] | str], None], found: list[Address] | str
) -> Callable[[], None]:
    return lambda: take(found)


def _resolve(host: str, port: int, flags: int) -> list[Address] | str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except (OSError, UnicodeError) as error:
        return f"cannot resolve {host}: {error}"
    return [(family, str(place[0]), int(place[1])) for family, _, _, _, place in found]


def _new_socket(family: socket.AddressFamily) -> socket.socket:
    return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)


class _Dial:
    """One attempt: the addresses of a name, one after the other, until the timeout."""

    def __init__(self, loop: Loop, timeout_s: float, on_dialled: OnDialled) -> None:
        self.source: str | None = None
        self._loop = loop
        self._on_dialled: OnDialled | None = on_dialled
        self._socket: socket.socket | None = None
        self._left: list[Address] = []
        self._problem = "no address"
        self._timer: Timer = loop.call_later(timeout_s, self._time_out)

    def resolved(self, found: list[Address] | str) -> None:
        """Take the answer of the name service."""
        if isinstance(found, str):
            self._finish(None, found)
        else:
            self.connect(found)

    def connect(self, addresses: list[Address]) -> None:
        """Try the addresses in order."""
        self._left = list(addresses)
        self._next()

    def _next(self) -> None:
        while self._left and self._on_dialled is not None:
            family, host, port = self._left.pop(0)
            if self._start(family, host, port):
                return
        self._finish(None, self._problem)

    def _start(self, family: socket.AddressFamily, host: str, port: int) -> bool:
        where = join_host_port(host, port)
        try:
            stream = _new_socket(family)
        except OSError as error:  # no IPv6 here, or no descriptor left
            self._problem = f"cannot connect to {where}: {error.strerror}"
            return False
        try:
            if self.source is not None:
                stream.bind((self.source, 0))
            code = stream.connect_ex((host, port))
        except OSError as error:
            code = error.errno or errno.EINVAL
        if code not in (0, errno.EINPROGRESS):
            stream.close()
            self._problem = f"cannot connect to {where}: {os.strerror(code)}"
            return False
        self._socket = stream
        self._loop.write_when_ready(stream.fileno(), lambda: self._connected(stream, where))
        return True

    def _connected(self, stream: socket.socket, where: str) -> None:
        self._loop.forget(stream.fileno())
        self._socket = None
        code = stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == 0:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._finish(stream, None)
            return
        stream.close()
        self._problem = f"cannot connect to {where}: {os.strerror(code)}"
        self._next()

    def _time_out(self) -> None:
        if self._socket is not None:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None
        self._finish(None, "timed out")

    def _finish(self, stream: socket.socket | None, problem: str | None) -> None:
        on_dialled, self._on_dialled = self._on_dialled, None
        if on_dialled is None:
            if stream is not None:
                stream.close()
            return
        self._timer.cancel()
        on_dialled(stream, problem)
