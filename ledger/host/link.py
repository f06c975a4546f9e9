"""The host's end of the socket pair: messages out, messages in, descriptors along with them."""

import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence

from ledger.base.errors import FormatError
from ledger.boundary.frames import TO_HOST, FrameDecoder, encode
from ledger.boundary.messages import Message
from ledger.boundary.to_host import ToHost
from ledger.host.loop import Loop

_READ_SIZE = 256 << 10
_READS_PER_TURN = 32
"""Reads before the batches so far are synced, so that a flood cannot delay their answer."""
SOCKET_BUFFER_SIZE = 4 << 20
"""Asked for in both directions: a batch of a turn fits while the host syncs the one before."""


class Frame:
    """A frame on its way out."""

    __slots__ = ("descriptor", "pieces")

    def __init__(self, pieces: list[bytes], descriptor: socket.socket | None) -> None:
        self.pieces: list[bytes | memoryview] = list(pieces)
        self.descriptor = descriptor


class EnclaveLink:
    """Frames over a stream socket, without blocking.

    Args:
        loop: Calls back.
        stream: The host's end of the pair.
        on_messages: Takes the messages of one turn, each with its tail.
        on_end: Called once, with None when the enclave closed its end, or with why the stream
            cannot be used any more.
    """

    def __init__(
        self,
        loop: Loop,
        stream: socket.socket,
        on_messages: Callable[[list[tuple[ToHost, memoryview]]], None],
        on_end: Callable[[str | None], None],
    ) -> None:
        self._loop = loop
        self._stream = stream
        self._on_messages = on_messages
        self._on_end = on_end
        self._decoder: FrameDecoder[ToHost] = FrameDecoder(TO_HOST)
        self._queue: deque[Frame] = deque()
        self._ended = False
        stream.setblocking(False)
        loop.read_when_ready(stream.fileno(), self._read_turn)

    def send(
        self,
        message: Message,
        tail: Sequence[bytes] = (),
        descriptor: socket.socket | None = None,
    ) -> None:
        """Queue a message; it leaves at once when the socket takes it.

        Args:
            message: What to say.
            tail: Raw bytes behind it.
            descriptor: A socket to hand over; closed here once it is on its way.
        """
        assert descriptor is None or message.PASSES_DESCRIPTOR, "this message hands nothing over"
        if self._ended:
            if descriptor is not None:
                descriptor.close()
            return
        self._queue.append(Frame(encode(message, tail), descriptor))
        if len(self._queue) == 1:
            self._write()

    def drain(self) -> None:
        """Take everything that is still there; the other end is gone."""
        while self.read():
            continue

    def read(self) -> bool:
        """Take what the enclave sent, up to a bound per turn; say whether more may be there."""
        if self._ended:
            return False
        more = True
        messages: list[tuple[ToHost, memoryview]] = []
        problem: str | None = None
        ended = False
        for _ in range(_READS_PER_TURN):
            try:
                data = self._stream.recv(_READ_SIZE)
            except BlockingIOError:
                more = False
                break
            except ConnectionResetError:
                ended = True  # it ended with messages of ours unread
                break
            except OSError as error:
                ended, problem = True, f"The stream from the enclave broke: {error}"
                break
            if not data:
                ended = True
                break
            try:
                for message in self._decoder.feed(data):
                    messages.append(message)  # noqa: PERF402  (those before a malformed one count)
            except FormatError as error:
                ended, problem = True, f"Malformed message from the enclave: {error}"
                break
        if messages:
            self._on_messages(messages)
        if ended:
            self._end(problem)
        return more and not ended

    def _read_turn(self) -> None:
        self.read()

    def close(self) -> None:
        """Close the stream without a word."""
        if not self._ended:
            self._ended = True
            self._loop.forget(self._stream.fileno())
            self._stream.close()
            for frame in self._queue:
                if frame.descriptor is not None:
                    frame.descriptor.close()
            self._queue.clear()

    def _end(self, problem: str | None) -> None:
        if not self._ended:
            self.close()
            self._on_end(problem)

    def _write(self) -> None:
        stream = self._stream
        while self._queue:
            frame = self._queue[0]
            try:
                sent = stream.sendmsg(frame.pieces, _rights(frame.descriptor))
            except BlockingIOError:
                self._loop.write_when_ready(stream.fileno(), self._write)
                return
            except OSError:
                self._loop.stop_writing(stream.fileno())
                return  # the reader finds out why, and what was sent before
            if frame.descriptor is not None:
                frame.descriptor.close()
                frame.descriptor = None
            if _advance(frame.pieces, sent):
                self._queue.popleft()
        self._loop.stop_writing(stream.fileno())


def _rights(descriptor: socket.socket | None) -> list[tuple[int, int, bytes]]:
    if descriptor is None:
        return []
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", descriptor.fileno()))]


def _advance(pieces: list[bytes | memoryview], sent: int) -> bool:
    """Drop what was sent; say whether nothing is left."""
    while pieces and sent >= len(pieces[0]):
        sent -= len(pieces.pop(0))
    if pieces and sent:
        pieces[0] = memoryview(pieces[0])[sent:]
    return not pieces


def stream_pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected stream sockets with large buffers: the host's and the enclave's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_SIZE)
    return ours, theirs
