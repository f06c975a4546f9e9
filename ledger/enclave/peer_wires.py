"""Connections between nodes on the event loop: bytes to and from a handler of ``peers``.

Rules as for clients' connections: an exception of the handler ends the process, an error of the
network ends the connection. Accepted connections are few and unknown until they spoke, so their
number is bounded and one that does not prove who it is for a while is cut. When all places are
taken the oldest unknown one makes room: strangers must not keep other nodes out.

The event loop hands over whatever has come, read after read, up to megabytes. Entries take long to
check, and a node that says nothing meanwhile is taken for dead: so a large read is followed by a
turn, in which acknowledgements leave and time passes, before the next one.
"""

from collections.abc import Callable
from typing import Any

from ledger.enclave.connections import LoopSide
from ledger.enclave.peer_incoming import MADE_ROOM, TOO_SILENT
from ledger.enclave.peers import Wire, WireHandler
from ledger.enclave.session_limits import HANDSHAKE_TIME_MAX_MS

WIRES_MAX = 256
"""Connections of other nodes at one time: one for each, plus some that are breaking."""

READ_SIZE_LARGE = 32 << 10
"""Bytes in one read behind which there may be more; some hundred small entries."""

_KEPT = float("-inf")

Wires = dict["PeerWire", None]
"""Connections in the order they came up."""
OpenWire = Callable[[Wire], WireHandler | None]
"""Makes the handler of a new connection, or None to close it."""


class PeerWire:
    """One connected socket; the event loop's protocol object and the ``Wire`` of ``peers``."""

    __slots__ = (
        "_handler",
        "_open",
        "_paused",
        "_siblings",
        "_side",
        "_transport",
        "_unknown_ms",
        "_why",
    )

    def __init__(self, side: LoopSide, open_wire: OpenWire, siblings: Wires) -> None:
        """Wrap a connection to come.

        Args:
            side: The loop.
            open_wire: Makes the handler.
            siblings: The connections of its kind that are up, oldest first; it adds and removes
                itself.
        """
        self._side = side
        self._open = open_wire
        self._siblings = siblings
        self._handler: WireHandler | None = None
        self._transport: Any = None
        self._unknown_ms = 0.0
        self._why = ""
        self._paused = False

    # -- called by the event loop ------------------------------------------------------

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - the loop's own type
        """The connection is up."""
        self._side.want_turn()
        try:
            self._transport = transport
            if len(self._siblings) >= WIRES_MAX and not self._make_room():
                transport.close()
                return
            self._siblings[self] = None
            self._handler = self._open(self)
            if self._handler is None:
                transport.close()
        except BaseException as error:  # noqa: BLE001 - the edge: any error ends the process
            self._side.failed(error)

    def _make_room(self) -> bool:
        """Cut the oldest connection that has not proved whose it is, if there is one."""
        for wire in self._siblings:
            if wire._unknown_ms != _KEPT:  # noqa: SLF001 - of the same class
                del self._siblings[wire]
                wire._cut(MADE_ROOM)  # noqa: SLF001
                return True
        return False

    def data_received(self, data: bytes) -> None:
        """Bytes were read."""
        self._side.want_turn()
        if self._handler is not None:
            try:
                self._handler.received(data)
            except BaseException as error:  # noqa: BLE001 - the edge: any error ends the process
                self._side.failed(error)
        if len(data) >= READ_SIZE_LARGE:
            self._pause()

    def eof_received(self) -> bool:
        """The other side closed: a connection between nodes has no use for half."""
        return False

    def connection_lost(self, reason: Exception | None) -> None:
        """The connection is gone, for whatever reason."""
        self._side.want_turn()
        handler, self._handler, self._transport = self._handler, None, None
        self._siblings.pop(self, None)
        if handler is not None:
            try:
                handler.lost(self._why or str(reason or "closed"))
            except BaseException as error:  # noqa: BLE001 - the edge: any error ends the process
                self._side.failed(error)

    def pause_writing(self) -> None:
        """More is queued than the transport likes: ``buffered`` tells."""

    def resume_writing(self) -> None:
        """The transport takes more: ``buffered`` tells."""

    # -- called by the handler ---------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Queue bytes."""
        if self._transport is not None:
            self._transport.write(data)

    def buffered(self) -> int:
        """Return how many queued bytes the socket has not taken yet."""
        return 0 if self._transport is None else int(self._transport.get_write_buffer_size())

    def keep(self) -> None:
        """Note that the other side has proved who it is: it may be silent from now on."""
        self._unknown_ms = _KEPT

    def close(self) -> None:
        """End the connection; ``lost`` of its handler is called later."""
        if self._transport is not None:
            self._transport.abort()

    # -- called by the link ------------------------------------------------------------

    def flush(self) -> None:
        """Read on: there was a turn."""
        self._paused = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def sweep(self, elapsed_ms: float) -> None:
        """Let time pass, for accepted ones: a connection that stays unknown is cut."""
        self._unknown_ms += elapsed_ms
        if self._unknown_ms >= HANDSHAKE_TIME_MAX_MS:
            self._cut(TOO_SILENT)

    def _pause(self) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()
            self._side.flush_later(self)

    def _cut(self, why: str) -> None:
        self._why = why
        self.close()
