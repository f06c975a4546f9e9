"""A connection between nodes on the event loop: joins ``peers`` to ``connections``.

Bytes that the other side does not take yet wait here, so that ``peers`` can see how far it is
behind.
"""

from collections.abc import Callable

from ledger.enclave.connections import StreamSession
from ledger.enclave.peers import Wire as PeerWire
from ledger.enclave.peers import WireHandler
from ledger.enclave.sessions import State, Wire

HANDSHAKE_TIME_MAX_MS = 10_000
"""A connection from which nothing ever came is closed after this time."""

Open = Callable[[PeerWire], WireHandler | None]


class PeerSession:
    """One connection; implements ``StreamSession`` below and ``peers.Wire`` above.

    Attributes:
        state: Serving, or over.
        reading: Always true: frames are bounded and handled at once.
        backlog: Never set.
        attention: The state has changed.
    """

    __slots__ = (
        "_age_ms", "_handler", "_queue", "_size", "_wire", "_writable", "attention", "backlog",
        "reading", "state",
    )  # fmt: skip

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._handler: WireHandler | None = None
        self._queue: list[bytes] = []
        self._size = 0
        self._writable = True
        self._age_ms: float | None = 0.0
        self.state = State.SERVING
        self.reading = True
        self.backlog = False
        self.attention = False

    @classmethod
    def open(cls, wire: Wire, open_handler: Open) -> StreamSession | None:
        """Return the session of a new connection, or None when the handler refuses it."""
        session = cls(wire)
        session._handler = open_handler(session)
        return None if session._handler is None else session

    # -- above: peers.Wire -------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Queue bytes."""
        self._queue.append(data)
        self._size += len(data)
        self._wire.answers_wait()

    def buffered(self) -> int:
        """Return how many queued bytes the connection has not taken yet."""
        return self._size

    def close(self) -> None:
        """End the connection behind what is queued."""
        self.state = State.OVER
        self.attention = True
        self._wire.answers_wait()

    # -- below: StreamSession ----------------------------------------------------------

    def receive(self, data: bytes) -> bytes:
        """Hand on what was read."""
        self._age_ms = None
        if self._handler is not None and self.state is State.SERVING:
            self._handler.received(data)
        return self.flush()

    def flush(self) -> bytes:
        """Return what is to be written, as far as the other side takes it."""
        if not self._writable or not self._queue:
            return b""
        data = b"".join(self._queue)
        self._queue.clear()
        self._size = 0
        return data

    def end_of_input(self) -> None:
        """The other side is gone: a connection between nodes has no half-closed state."""
        self.state = State.OVER
        self.attention = True

    def writable(self, writable: bool) -> None:
        """Say whether the wire takes more bytes."""
        self._writable = writable

    def lost(self) -> None:
        """The connection is gone."""
        handler, self._handler = self._handler, None
        if handler is not None:
            handler.lost("the connection was closed")

    def sweep(self, elapsed_ms: float) -> None:
        """Close a connection from which nothing ever came."""
        if self._age_ms is not None:
            self._age_ms += elapsed_ms
            if self._age_ms > HANDSHAKE_TIME_MAX_MS:
                self.end_of_input()
