"""The other nodes: who is dialled when, which messages wait, who may speak to us.

Every node dials every peer and speaks on the connection it dialled; what it hears comes in on the
connections that others dialled. A broken connection is dialled again with jittered backoff. A
message that cannot be sent soon is dropped: consensus is built for loss.

Who may speak at all is the node's to say (``PeerPorts.may_speak``). Each connection begins with a
``Hello`` that says where its sender is reached: a node that was away knows no address of those
that were trusted meanwhile, and has to answer them.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from ledger.base.errors import FormatError, VerificationError
from ledger.base.ids import NodeId
from ledger.codec.entry import parse_entry
from ledger.consensus.messages import AppendEntries, Message, bind
from ledger.consensus.types import Entry, Jitter
from ledger.enclave.peer_incoming import Accepted, Incoming
from ledger.enclave.peer_line import PeerLine
from ledger.enclave.tls_types import ClientContext, ServerContext
from ledger.history.reading import EntryReader
from ledger.replica.peer_messages import Hello, PeerMessage, to_wire

QUEUED_MESSAGES_MAX = 512
"""Messages that wait for a connection or for entries from disk; older ones are dropped."""
BUFFERED_SIZE_MAX = 64 << 20
"""Bytes a slow connection may hold back before messages to it are dropped."""
BATCH_SIZE_MAX = 256 << 10
"""Entries read back from disk travel in messages of about this size."""
BACKOFF_FIRST_MS = 50
BACKOFF_LAST_MS = 1000
HANDSHAKE_TIME_MAX_MS = 10_000
"""A connection we dialled is given up when the peer has not proved who it is by then."""


class Wire(Protocol):
    """One connected socket."""

    def write(self, data: bytes) -> None:
        """Queue bytes."""
        ...

    def buffered(self) -> int:
        """Return how many queued bytes the socket has not taken yet."""
        ...

    def keep(self) -> None:
        """Note that the other side has proved who it is; before, it is cut after a while."""
        ...

    def close(self) -> None:
        """End the connection; ``lost`` of its handler is called later."""
        ...


class WireHandler(Protocol):
    """What a wire tells."""

    def received(self, data: bytes) -> None:
        """Bytes came in."""
        ...

    def lost(self, reason: str) -> None:
        """The connection is gone."""
        ...


class Dialler(Protocol):
    """Has the host connect to an address and hand over the socket."""

    def dial(self, address: str, done: Callable[[Wire | None, str], WireHandler | None]) -> None:
        """Call ``done`` with the wire, or with None and the reason; it returns the handler."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerPorts:
    """What the peers need of the rest of the node.

    Attributes:
        address: Our own published node-to-node address.
        address_of: Published node-to-node address of a node, None when it is not known.
        introduced: Told of the address that a peer gave.
        may_speak: Whether a node is heard.
        client: TLS of connections we dial, None before this node has an endorsed certificate.
        server: TLS of connections we accept, likewise.
        received: Takes a consensus message; raises ``VerificationError`` to have the peer cut.
        forwarded: Takes a forwarded request or response and its body.
        log: Takes a line for the operator.
    """

    address: str
    address_of: Callable[[NodeId], str | None]
    introduced: Callable[[NodeId, str], None]
    may_speak: Callable[[NodeId], bool]
    client: Callable[[], ClientContext | None]
    server: Callable[[], ServerContext | None]
    received: Callable[[NodeId, Message], None]
    forwarded: Callable[[NodeId, PeerMessage, memoryview], None]
    log: Callable[[str], None]


class Peers:
    """All connections to and from other nodes."""

    def __init__(
        self, dialler: Dialler, reader: EntryReader, ports: PeerPorts, jitter: Jitter
    ) -> None:
        self._ports = ports
        self._out: dict[NodeId, _Outgoing] = {}
        self._accepted = Accepted(ports.log)
        self._make = partial(_Outgoing, dialler, reader, ports, jitter)

    @property
    def any_connected(self) -> bool:
        """Whether some peer can be spoken to now."""
        return any(outgoing.connected for outgoing in self._out.values())

    def send(self, to: NodeId, message: Message) -> None:
        """Send a consensus message, or drop it."""
        self._outgoing(to).send(message)

    def forward(self, to: NodeId, message: PeerMessage, body: bytes) -> bool:
        """Send a forwarded request or response; False when there is no connection."""
        return self._outgoing(to).forward(message, body)

    def tick(self, elapsed_ms: int) -> None:
        """Let backoff times pass."""
        self._accepted.tick(elapsed_ms)
        for outgoing in self._out.values():
            outgoing.tick(elapsed_ms)

    def accept(self, wire: Wire) -> WireHandler | None:
        """Take a connection that another node dialled; None refuses it."""
        context = self._ports.server()
        if context is None:
            return None
        return Incoming(wire, PeerLine(context.session()), self._ports, self._accepted)

    def forget(self, keep: Callable[[NodeId], bool]) -> None:
        """Close connections to nodes that are no peers any more."""
        for node in [node for node in self._out if not keep(node)]:
            self._out.pop(node).close()

    def _outgoing(self, to: NodeId) -> "_Outgoing":
        outgoing = self._out.get(to)
        if outgoing is None:
            outgoing = self._out[to] = self._make(to)
        return outgoing


class _Outgoing:
    """Our connection to one peer, dialled again when it breaks."""

    __slots__ = (
        "_age_ms", "_backoff_ms", "_dialler", "_dialling", "_jitter", "_line", "_ports", "_queue",
        "_reader", "_reading", "_told", "_wait_ms", "_wire", "node",
    )  # fmt: skip

    def __init__(
        self,
        dialler: Dialler,
        reader: EntryReader,
        ports: PeerPorts,
        jitter: Jitter,
        node: NodeId,
    ) -> None:
        self.node = node
        self._dialler = dialler
        self._reader = reader
        self._ports = ports
        self._jitter = jitter
        self._queue: deque[Message] = deque(maxlen=QUEUED_MESSAGES_MAX)
        self._line: PeerLine | None = None
        self._wire: Wire | None = None
        self._dialling = False
        self._reading: object = None
        self._backoff_ms = BACKOFF_FIRST_MS
        self._wait_ms = 0
        self._age_ms = 0
        self._told = ""

    @property
    def connected(self) -> bool:
        return self._line is not None and self._line.peer is not None

    # -- sending -----------------------------------------------------------------------

    def send(self, message: Message) -> None:
        if self._wire is None:
            self._connect()
            if self._dialling:
                self._queue.append(message)
        elif self._reading is not None:
            self._queue.append(message)
        elif self._has_room():
            self._transmit(message)

    def _has_room(self) -> bool:
        """Say whether the connection takes more: a slow peer must not fill our memory."""
        line, wire = self._line, self._wire
        if line is None or wire is None:
            return False
        return wire.buffered() + line.waiting_size <= BUFFERED_SIZE_MAX

    def _transmit(self, message: Message) -> None:
        if isinstance(message, AppendEntries) and not message.is_bound:
            self._read(message)
        else:
            self._frame(*to_wire(message))

    def _frame(self, message: PeerMessage, tail: Sequence[bytes]) -> None:
        assert self._line is not None, "frames are sent on a connection"
        assert self._wire is not None, "frames are sent on a connection"
        self._line.send(message, tail)
        output = self._line.output()
        if output:
            self._wire.write(output)

    def forward(self, message: PeerMessage, body: bytes) -> bool:
        if not self.connected or not self._has_room():
            self._connect()
            return False
        self._frame(message, [body])
        return True

    def _read(self, message: AppendEntries) -> None:
        """Fetch entries that are no longer in memory; what comes meanwhile waits its turn.

        What one answer does not hold is asked for again, until the message is complete.
        """
        self._reading = read = object()
        done = partial(self._was_read, read, message)
        self._reader.read_entries(message.prev_seqno + 1, message.last_seqno, done)

    def _was_read(
        self, read: object, message: AppendEntries, data: bytes | None, problem: str
    ) -> None:
        if self._reading is not read:
            return  # The connection that it was read for is gone.
        self._reading = None
        rest = self._send_read(message, data, problem)
        if rest is not None:
            self._read(rest)
        else:
            self._drain()

    def _send_read(
        self, message: AppendEntries, data: bytes | None, problem: str
    ) -> AppendEntries | None:
        """Send the entries read and return the message of those that are still missing."""
        if data is None:
            self._ports.log(f"entries for peer {self.node} cannot be read: {problem}")
            return None
        try:
            entries = _parse(data, message)
        except FormatError as error:
            self._ports.log(f"entries for peer {self.node} are damaged: {error}")
            return None
        if not self._has_room():
            return None
        last = message.prev_seqno + len(entries)
        for part in bind(_up_to(message, last), entries, BATCH_SIZE_MAX):
            self._frame(*to_wire(part))
        return _after(message, last) if last < message.last_seqno else None

    def _drain(self) -> None:
        while self._queue and self._reading is None and self._wire is not None:
            self._transmit(self._queue.popleft())

    # -- connecting --------------------------------------------------------------------

    def _connect(self) -> None:
        if self._dialling or self._wire is not None or self._wait_ms > 0:
            return
        address = self._ports.address_of(self.node)
        if address is None or self._ports.client() is None:
            return
        self._dialling = True
        self._dialler.dial(address, self._dialled)

    def _dialled(self, wire: Wire | None, problem: str) -> "WireHandler | None":
        self._dialling = False
        context = self._ports.client()
        if wire is None or context is None:
            if problem:
                self._tell(f"peer {self.node} is not reached: {problem}")
            self._back_off()
            return None
        self._wire = wire
        self._line = PeerLine(context.session())
        self._age_ms = 0
        self._frame(Hello(self._ports.address), [])
        self._drain()
        return self

    def received(self, data: bytes) -> None:
        assert self._line is not None, "bytes come in on a connection"
        assert self._wire is not None, "bytes come in on a connection"
        try:
            if self._line.receive(data) or self._line.unfinished_size:
                raise FormatError("got a frame on a connection we dialled, want nothing there")
            if self._line.peer is not None and self._line.peer != self.node:
                raise VerificationError(f"got node {self._line.peer} at the address of {self.node}")
            if self._line.peer is not None:
                self._backoff_ms = BACKOFF_FIRST_MS
                self._told = ""
            output = self._line.output()
            if output:
                self._wire.write(output)
        except (FormatError, VerificationError) as error:
            self._tell(f"connection to peer {self.node} cut: {error}")
            self._wire.close()

    def lost(self, reason: str) -> None:
        del reason
        self._wire = None
        self._line = None
        self._reading = None
        self._back_off()

    def _tell(self, text: str) -> None:
        """Log what keeps us from the peer; it is tried for ever, so only once until it changes."""
        if text != self._told:
            self._told = text
            self._ports.log(text)

    def _back_off(self) -> None:
        self._queue.clear()
        self._wait_ms = self._backoff_ms // 2 + self._jitter(self._backoff_ms)
        self._backoff_ms = min(2 * self._backoff_ms, BACKOFF_LAST_MS)

    def tick(self, elapsed_ms: int) -> None:
        if self._wait_ms > 0:
            self._wait_ms = max(0, self._wait_ms - elapsed_ms)
        elif self._wire is not None and not self.connected:
            self._age_ms += elapsed_ms
            if self._age_ms >= HANDSHAKE_TIME_MAX_MS:
                self._tell(f"peer {self.node} is not reached: it does not prove who it is in time")
                self._wire.close()

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()


def _up_to(message: AppendEntries, last: int) -> AppendEntries:
    """Return the beginning of a message without entries."""
    return AppendEntries(
        message.view,
        message.prev_view,
        message.prev_seqno,
        last,
        message.entries_view,
        message.primary_commit,
    )


def _after(message: AppendEntries, seqno: int) -> AppendEntries:
    """Return the rest of a message without entries; all that it names are of one view."""
    return AppendEntries(
        message.view,
        message.entries_view,
        seqno,
        message.last_seqno,
        message.entries_view,
        message.primary_commit,
    )


def _parse(data: bytes, message: AppendEntries) -> list[Entry]:
    """Return the entries in what the host read, the first of those that a message names."""
    entries: list[Entry] = []
    offset = 0
    seqno = message.prev_seqno
    while offset < len(data):
        entry = parse_entry(data, offset)
        seqno += 1
        if entry.seqno != seqno or seqno > message.last_seqno:
            raise FormatError(f"got entry {entry.seqno}, want {seqno} up to {message.last_seqno}")
        entries.append(Entry(entry.view, entry.seqno, entry.data))
        offset += entry.size
    if not entries:
        raise FormatError(f"got no entry, want {message.prev_seqno + 1}")
    return entries
