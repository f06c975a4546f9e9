r"""Messages as bytes on a stream, and back.

A frame is ``u32 length || u32 header_size || header || tail``, integers little-endian,
``length`` counting everything after itself. ``header`` is one MessagePack message, ``tail``
raw bytes that only some messages have (see ``messages``).

    >>> data = b"".join(encode(Truncate(7)))
    >>> decoder = FrameDecoder(TO_HOST)
    >>> list(decoder.feed(data[:5]))
    []
    >>> [message for message, tail in decoder.feed(data[5:])]
    [Truncate(seqno=7)]
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from ledger.base.errors import FormatError
from ledger.base.limits import BOUNDARY_FRAME_SIZE_MAX
from ledger.boundary.messages import Message
from ledger.boundary.to_enclave import ToEnclave
from ledger.boundary.to_host import ToHost

M = TypeVar("M", bound=Message)

LENGTH_SIZE = 4
_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class Direction(Generic[M]):
    """Which messages may come: the reader of one end of the stream."""

    name: str
    decoder: msgspec.msgpack.Decoder[M]


TO_HOST: Direction[ToHost] = Direction("to the host", msgspec.msgpack.Decoder(ToHost))
TO_ENCLAVE: Direction[ToEnclave] = Direction("to the enclave", msgspec.msgpack.Decoder(ToEnclave))


def encode(message: Message, tail: Sequence[bytes] = ()) -> list[bytes]:
    """Return the frame as pieces to be written one after the other.

    The pieces of the tail are passed on untouched, so nothing large is copied.

    Args:
        message: What to say.
        tail: Raw bytes in pieces; only for messages that have a tail.
    """
    header = _encoder.encode(message)
    tail_size = sum(map(len, tail))
    assert len(header) <= message.HEADER_SIZE_MAX, "a sender keeps to the bounds of its messages"
    assert tail_size <= message.TAIL_SIZE_MAX, "a sender keeps to the bounds of its messages"
    header_size = len(header)
    length = LENGTH_SIZE + header_size + tail_size
    prefix = length.to_bytes(4, "little") + header_size.to_bytes(4, "little")
    return [prefix + header, *tail]


class FrameDecoder(Generic[M]):
    """Bytes in, messages out. Holds at most one incomplete frame.

    After a ``FormatError`` the decoder must not be fed again: the stream has lost its place.
    """

    def __init__(self, direction: Direction[M]) -> None:
        self._direction = direction
        self._parts: list[bytes] = []
        self._size = 0
        self._wanted = LENGTH_SIZE

    @property
    def buffered(self) -> int:
        """Bytes of the frame that is not complete yet."""
        return self._size

    def feed(self, data: bytes) -> Iterator[tuple[M, memoryview]]:
        """Take what was read and yield the messages it completed, each with its tail.

        The iterator must be exhausted before the next call. Messages in front of a malformed
        one are yielded before it raises. A tail is a view of ``data`` or of the joined pieces,
        valid as long as it is kept.

        Raises:
            FormatError: a length out of bounds, a message that does not parse, does not belong
                to this direction, or exceeds its bounds.
        """
        if self._parts:
            self._parts.append(data)
            self._size += len(data)
            if self._size < self._wanted:
                return
            data = b"".join(self._parts)
            self._parts = []
        view = memoryview(data)
        offset = 0
        while len(data) - offset >= LENGTH_SIZE:
            length = int.from_bytes(view[offset : offset + LENGTH_SIZE], "little")
            if length > BOUNDARY_FRAME_SIZE_MAX or length < LENGTH_SIZE:
                raise FormatError(
                    f"got a frame of {length} bytes {self._direction.name}, "
                    f"want {LENGTH_SIZE} to {BOUNDARY_FRAME_SIZE_MAX}"
                )
            self._wanted = LENGTH_SIZE + length
            if len(data) - offset < self._wanted:
                break
            begin, offset = offset + LENGTH_SIZE, offset + self._wanted
            self._wanted = LENGTH_SIZE
            yield self._message(view[begin:offset])
        self._size = len(data) - offset
        if self._size:
            self._parts.append(data[offset:] if offset else data)

    def _message(self, frame: memoryview) -> tuple[M, memoryview]:
        header_size = int.from_bytes(frame[:LENGTH_SIZE], "little")
        body = frame[LENGTH_SIZE:]
        if header_size > len(body):
            raise FormatError(
                f"got a message of {header_size} bytes in a frame of {len(frame)} bytes"
            )
        try:
            message = self._direction.decoder.decode(body[:header_size])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise FormatError(f"got no valid message {self._direction.name}: {error}") from error
        tail = body[header_size:]
        if header_size > message.HEADER_SIZE_MAX or len(tail) > message.TAIL_SIZE_MAX:
            raise FormatError(
                f"got {type(message).__name__} of {header_size} bytes with {len(tail)} bytes "
                f"behind it, want at most {message.HEADER_SIZE_MAX} and {message.TAIL_SIZE_MAX}"
            )
        return message, tail
