"""The stream to the host: frames in both directions, descriptors towards us.

Descriptors travel beside the bytes. A kernel delivers one no later than the first byte of the
frame it was sent with, so they queue, and a message that announces one takes the oldest. One
that no message takes, or a message that finds none, is a host that broke the protocol. One that
the kernel had to drop, because clients hold all that we may open, is nobody's fault: its message
comes without.
"""

import socket
from collections import deque
from collections.abc import Callable, Sequence

from ledger.base.errors import FormatError, UnavailableError
from ledger.boundary.frames import TO_ENCLAVE, FrameDecoder
from ledger.boundary.to_enclave import Dialled, ToEnclave
from ledger.enclave.descriptors import SocketState, take_socket

_READ_SIZE = 256 * 1024
_DESCRIPTORS_MAX = 16
"""Room for descriptors in one read; the kernel says when there were more."""
_DROPPED = -1
"""Stands in the queue for a descriptor that the kernel dropped."""
_PIECES_MAX = 512
"""Pieces in one system call; Linux takes 1,024."""
_FLUSH_TIMEOUT_S = 2.0

OnHostFrame = Callable[[ToEnclave, memoryview, socket.socket | None], None]
"""Called with a message, its tail, and the connected socket that came with it. The socket is None
also when its other side was gone before we looked, or there was no room for it."""


class HostChannel:
    """Our end of the socket pair, non-blocking.

    Attributes:
        wants_to_write: Bytes are queued that the kernel did not take.
        queued_size: How many.
    """

    def __init__(self, pair: socket.socket, on_frame: OnHostFrame) -> None:
        pair.setblocking(False)
        self._pair = pair
        self._on_frame = on_frame
        self._decoder = FrameDecoder(TO_ENCLAVE)
        self._descriptors: deque[int] = deque()
        self._outgoing: deque[bytes | memoryview] = deque()
        self.queued_size = 0

    @property
    def descriptor(self) -> int:
        """Number of the socket, for the event loop to watch."""
        return self._pair.fileno()

    @property
    def wants_to_write(self) -> bool:
        """Whether something is queued."""
        return bool(self._outgoing)

    def read(self) -> bool:
        """Read once and hand on what is complete.

        Returns:
            False when the host closed its end.

        Raises:
            FormatError: the host broke the protocol; the channel is of no use any more.
        """
        try:
            data, ancillary, flags, _ = self._pair.recvmsg(
                _READ_SIZE,
                socket.CMSG_SPACE(4 * _DESCRIPTORS_MAX),
                socket.MSG_CMSG_CLOEXEC,
            )
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self._descriptors.extend(_numbers(content))
        if flags & socket.MSG_CTRUNC and not ancillary:
            self._descriptors.append(_DROPPED)
        elif flags & socket.MSG_CTRUNC:
            self._close_descriptors()
            raise FormatError(f"got more than {_DESCRIPTORS_MAX} descriptors at once from the host")
        if not data:
            return False
        for message, tail in self._decoder.feed(data):
            self._on_frame(message, tail, self._descriptor_of(message))
        if len(self._descriptors) > (1 if self._decoder.buffered else 0):
            count = self._close_descriptors()
            raise FormatError(f"got {count} descriptors from the host that no message announced")
        return True

    def send(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Queue a frame; ``write`` sends it."""
        self._outgoing.extend(pieces)
        self.queued_size += sum(map(len, pieces))

    def write(self) -> None:
        """Send as much of the queue as the kernel takes.

        Raises:
            OSError: the host's end is closed.
        """
        outgoing = self._outgoing
        while outgoing:
            pieces = [outgoing.popleft() for _ in range(min(len(outgoing), _PIECES_MAX))]
            try:
                sent = self._pair.sendmsg(pieces)
            except BlockingIOError:
                sent = 0
            self.queued_size -= sent
            rest = _behind(pieces, sent)
            if rest:
                outgoing.extendleft(reversed(rest))
                return

    def flush_and_close(self) -> None:
        """Send what is queued, waiting at most two seconds for a slow host, and close."""
        try:
            self._pair.settimeout(_FLUSH_TIMEOUT_S)
            while self._outgoing:
                self._pair.sendall(self._outgoing.popleft())
        except OSError:
            pass  # the host is gone or stuck: there is nobody to tell
        self._close_descriptors()
        self._pair.close()

    def _descriptor_of(self, message: ToEnclave) -> socket.socket | None:
        if not isinstance(message, Dialled) or message.problem is not None:
            return None
        if not self._descriptors:
            raise FormatError(f"got {type(message).__name__} from the host without its descriptor")
        descriptor = self._descriptors.popleft()
        if descriptor == _DROPPED:
            return None
        try:
            return take_socket(descriptor, SocketState.CONNECTED)
        except UnavailableError:
            return None

    def _close_descriptors(self) -> int:
        """Close every descriptor that nobody took and return how many there were."""
        count = len(self._descriptors)
        while self._descriptors:
            descriptor = self._descriptors.popleft()
            if descriptor != _DROPPED:
                socket.close(descriptor)
        return count


def _numbers(content: bytes) -> list[int]:
    view = memoryview(content[: len(content) // 4 * 4]).cast("i")
    return view.tolist()


def _behind(pieces: list[bytes | memoryview], sent: int) -> list[bytes | memoryview]:
    """Return what of the pieces comes after the first ``sent`` bytes."""
    for index, piece in enumerate(pieces):
        if sent < len(piece):
            return [memoryview(piece)[sent:], *pieces[index + 1 :]]
        sent -= len(piece)
    return []
