"""Every stream socket on the event loop: listening ones, clients' and other nodes' connections."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from ledger.enclave.connections import Connection
from ledger.enclave.peer_wires import PeerWire, Wires

T = TypeVar("T")
OnFailure = Callable[[str], None]

BACKLOG = 1024
"""Connections the kernel completes before we accept them; it caps this at ``somaxconn``."""

_CLOSE_TIME_MAX_S = 1.0
"""How long ``close`` waits for clients to take their last answers."""


class Streams:
    """Opens nothing: listening sockets are inherited, connected ones are handed over.

    Attributes:
        accepted: Connections that other nodes dialled.
        dialled: Connections to other nodes.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, failed: Callable[[BaseException], None]
    ) -> None:
        self._loop = loop
        self._failed = failed
        self._servers: list[asyncio.AbstractServer] = []
        self._connections: set[Connection] = set()
        self.accepted: Wires = {}
        self.dialled: Wires = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._last_closed: asyncio.Event | None = None

    def serve(self, sock: socket.socket, factory: Callable[[], Connection | PeerWire]) -> None:
        """Accept connections, each with a protocol object of its own."""
        protocol_factory = cast("Callable[[], asyncio.BaseProtocol]", factory)
        serve = self._loop.create_server(protocol_factory, sock=sock, backlog=BACKLOG)
        self._start(serve, self._servers.append)

    def adopt(self, sock: socket.socket, wire: PeerWire, failed: OnFailure) -> None:
        """Put a connected socket on the loop, or say why that is not possible."""
        self._start(self._connect(sock, wire, failed), _ignore)

    def stop_accepting(self) -> None:
        """Close the listening sockets; connections that are up go on."""
        for server in self._servers:
            server.close()
        self._servers.clear()

    def opened(self, connection: Connection) -> None:
        """Keep a client's connection and let time pass for it."""
        self._connections.add(connection)

    def closed(self, connection: Connection) -> None:
        """Forget a client's connection."""
        self._connections.discard(connection)
        if self._last_closed is not None and not self._connections:
            self._last_closed.set()

    def sweep(self, elapsed_ms: float) -> None:
        """Let time pass."""
        for connection in tuple(self._connections):
            connection.sweep(elapsed_ms)
        for wire in tuple(self.accepted):
            wire.sweep(elapsed_ms)

    async def close(self) -> None:
        """Close everything, giving clients a moment to take their last answers."""
        self.stop_accepting()
        for wire in (*self.accepted, *self.dialled):
            wire.close()
        for connection in tuple(self._connections):
            connection.close()
        if self._connections:
            self._last_closed = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._last_closed.wait(), _CLOSE_TIME_MAX_S)

    def _start(self, work: Coroutine[Any, Any, T], done: Callable[[T], object]) -> None:
        """Run a coroutine of the library that has no reason to take long."""
        if not self._loop.is_running():
            done(self._loop.run_until_complete(work))
            return

        def finished(task: "asyncio.Task[T]") -> None:
            self._tasks.discard(task)
            error = task.exception()
            if error is None:
                done(task.result())
            else:
                self._failed(error)

        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(finished)

    async def _connect(self, sock: socket.socket, wire: PeerWire, failed: OnFailure) -> None:
        protocol = cast("asyncio.BaseProtocol", wire)
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, sock)
        except OSError as error:  # the other side was gone before we looked
            failed(str(error))


def _ignore(_result: object) -> None:
    """Need no result."""
