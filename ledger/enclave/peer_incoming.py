"""Connections that other nodes dialled: we only listen, and cut who misbehaves.

Until a handshake has proved who is at the other end it may be anybody who reaches the port, so
what strangers make us write into the log is bounded too.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ledger.base.errors import FormatError, VerificationError
from ledger.base.ids import NodeId
from ledger.enclave.peer_line import PeerLine
from ledger.replica.peer_messages import Hello, PeerMessage, from_wire

if TYPE_CHECKING:
    from ledger.enclave.peers import PeerPorts, Wire

STRANGERS_LOGGED_MAX = 10
"""Lines about strangers in one interval; enough to see what is going on."""
STRANGERS_LOGGED_INTERVAL_MS = 10_000
STALLED_TIME_MAX_MS = 20_000
"""A connection is cut when a frame has begun and no more of it comes for so long: twice the time
after which the kernel of whoever sent it has given up at the latest (``launch.network``)."""
TOO_SILENT = "it did not prove who it is in time"
MADE_ROOM = "it had not proved who it is when others needed its place"
CUT_REASONS = frozenset({TOO_SILENT, MADE_ROOM})
"""Reasons for which a wire ends a connection by itself."""


class Accepted:
    """What the accepted connections share.

    Attributes:
        newest: The newest connection of each peer that has proved who it is.
        refused: Peers that were not heard when they last spoke; each is logged once.
    """

    __slots__ = ("_left", "_log", "_passed_ms", "_unsaid", "newest", "refused")

    def __init__(self, log: Callable[[str], None]) -> None:
        self.newest: dict[NodeId, Incoming] = {}
        self.refused: set[NodeId] = set()
        self._log = log
        self._left = STRANGERS_LOGGED_MAX
        self._unsaid = 0
        self._passed_ms = 0

    def stranger_cut(self, problem: str) -> None:
        """Log that a connection was cut before it was known whose it is, or count it."""
        if self._left > 0:
            self._left -= 1
            self._log(f"connection of peer unknown cut: {problem}")
        else:
            self._unsaid += 1

    def tick(self, elapsed_ms: int) -> None:
        """Let time pass; cut who stopped within a frame, say how many strangers were counted."""
        for incoming in list(self.newest.values()):
            incoming.tick(elapsed_ms)
        self._passed_ms += elapsed_ms
        if self._passed_ms < STRANGERS_LOGGED_INTERVAL_MS:
            return
        self._passed_ms = 0
        self._left = STRANGERS_LOGGED_MAX
        if self._unsaid:
            self._log(f"{self._unsaid} more connections of unknown peers cut")
            self._unsaid = 0


class Incoming:
    """A connection that a peer dialled: we only listen."""

    __slots__ = ("_accepted", "_line", "_ports", "_stalled_ms", "_wire")

    def __init__(
        self, wire: "Wire", line: PeerLine, ports: "PeerPorts", accepted: Accepted
    ) -> None:
        self._wire = wire
        self._line = line
        self._ports = ports
        self._accepted = accepted
        self._stalled_ms = 0

    def received(self, data: bytes) -> None:
        """See ``peers.WireHandler``."""
        try:
            before = self._line.peer
            unfinished_size = self._line.unfinished_size
            frames = self._line.receive(data)
            if frames or self._line.unfinished_size != unfinished_size:
                self._stalled_ms = 0
            output = self._line.output()
            if output:
                self._wire.write(output)
            peer = self._line.peer
            if peer is None:
                return
            if before is None:
                self._replace_older(peer)
            if frames:
                self._take(peer, frames)
        except (FormatError, VerificationError) as error:
            self._cut(str(error))

    def tick(self, elapsed_ms: int) -> None:
        """Let time pass: half a frame is not kept for ever."""
        size = self._line.unfinished_size
        self._stalled_ms = self._stalled_ms + elapsed_ms if size else 0
        if self._stalled_ms >= STALLED_TIME_MAX_MS:
            self._stalled_ms = 0
            self._cut(f"it stopped after {size} bytes of a frame, want the rest of it")

    def _cut(self, problem: str) -> None:
        if self._line.peer is None:
            self._accepted.stranger_cut(problem)
        else:
            self._ports.log(f"connection of peer {self._line.peer} cut: {problem}")
        self._wire.close()

    def _replace_older(self, peer: NodeId) -> None:
        """Close the connection that this one replaces: its other end may be gone without a word."""
        self._wire.keep()
        older = self._accepted.newest.get(peer)
        self._accepted.newest[peer] = self
        if older is not None:
            older.close()

    def _take(self, peer: NodeId, frames: Sequence[tuple[PeerMessage, memoryview]]) -> None:
        if not self._ports.may_speak(peer):
            self._refuse(peer)
            return
        self._accepted.refused.discard(peer)
        for message, tail in frames:
            if type(message) is Hello:
                self._ports.introduced(peer, message.address)
                continue
            consensus = from_wire(message, tail)
            if consensus is None:
                self._ports.forwarded(peer, message, tail)
            else:
                self._ports.received(peer, consensus)

    def _refuse(self, peer: NodeId) -> None:
        """Cut a peer that may not speak; it will try again, so this is not said every time."""
        if peer not in self._accepted.refused:
            self._accepted.refused.add(peer)
            self._ports.log(f"connection of peer {peer} cut: it is not a trusted peer")
        self._wire.close()

    def close(self) -> None:
        """End the connection."""
        self._wire.close()

    def lost(self, reason: str) -> None:
        """See ``peers.WireHandler``."""
        peer = self._line.peer
        if peer is None:
            if reason in CUT_REASONS:
                self._accepted.stranger_cut(reason)
        elif self._accepted.newest.get(peer) is self:
            del self._accepted.newest[peer]
