"""What passes between the node and the processes that run scripts.

With the keeper: words in datagrams, see ``script_worker``. With a script process: MessagePack in
frames.

A frame is ``u32 length || body``, little-endian. The node sends ``Run`` and then an ``Answer`` for
every ``Call``; the script process sends ``Call`` any number of times and then ``End``. Values are
what JSON can say, with integers of at most 64 bits. Each side treats the other's bytes as bytes
from outside: a frame that does not parse ends the process that sent it.
"""

from typing import Any

import msgspec

from governance.scripting import FailureKind, ScriptLimits
from ledger.base.errors import FormatError

START = b"start"
STOP = b"stop"
STARTED = b"started"
ENDED = b"ended "
CONTROL_SIZE_MAX = 256
"""Longest datagram of the control socket."""

BROKEN_EXIT_STATUS = 71
"""Exit status of a script process whose interpreter broke, as it does without memory."""
PROTOCOL_EXIT_STATUS = 70
"""Exit status of a script process that lost the thread of its conversation."""

LENGTH_SIZE = 4
FRAME_SIZE_MAX = 16 * 1024 * 1024
"""Largest frame: a proposal and a listing of a table fit, each bounded below this."""


class Run(msgspec.Struct, tag="run", array_like=True):
    """To the script process: run this."""

    name: str
    source: str
    function: str
    arguments: list[Any]
    limits: ScriptLimits


class Answer(msgspec.Struct, tag="answer", array_like=True):
    """To the script process: the value of a host function, or why there is none."""

    value: Any = None
    refusal: str | None = None


class Call(msgspec.Struct, tag="call", array_like=True):
    """To the node: the script calls a host function."""

    name: str
    arguments: list[Any]


class End(msgspec.Struct, tag="end", array_like=True):
    """To the node: the script has ended, with a value or with a failure."""

    steps: int
    value: Any = None
    kind: FailureKind | None = None
    reason: str = ""
    trace: str | None = None


ToScript = Run | Answer
ToNode = Call | End

_encoder = msgspec.msgpack.Encoder()
_to_script = msgspec.msgpack.Decoder(ToScript)
_to_node = msgspec.msgpack.Decoder(ToNode)


def encode(message: ToScript | ToNode) -> bytes:
    """Return the frame of a message.

    Raises:
        FormatError: a value has no MessagePack form, or the frame would be too large.
    """
    try:
        body = _encoder.encode(message)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise FormatError(f"got a value that cannot be passed on: {error}") from error
    if len(body) > FRAME_SIZE_MAX:
        raise FormatError(f"got values of {len(body)} bytes, want at most {FRAME_SIZE_MAX}")
    return len(body).to_bytes(LENGTH_SIZE, "little") + body


def body_size(prefix: bytes) -> int:
    """Return how many bytes follow a frame's length.

    Raises:
        FormatError: more than a frame may have.
    """
    size = int.from_bytes(prefix, "little")
    if size > FRAME_SIZE_MAX:
        raise FormatError(f"got a frame of {size} bytes, want at most {FRAME_SIZE_MAX}")
    return size


def decode_to_script(body: bytes) -> ToScript:
    """Read a message from the node.

    Raises:
        FormatError: it is none.
    """
    try:
        message: ToScript = _to_script.decode(body)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"got no message to a script: {error}") from error
    return message


def decode_to_node(body: bytes) -> ToNode:
    """Read a message from a script process.

    Raises:
        FormatError: it is none.
    """
    try:
        message: ToNode = _to_node.decode(body)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"got no message from a script: {error}") from error
    return message


class FrameBuffer:
    """Bytes in, message bodies out. Holds at most one incomplete frame."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take what was read and return the bodies it completed.

        Raises:
            FormatError: a length out of bounds.
        """
        self._data += data
        bodies = []
        while len(self._data) >= LENGTH_SIZE:
            end = LENGTH_SIZE + body_size(bytes(self._data[:LENGTH_SIZE]))
            if len(self._data) < end:
                break
            bodies.append(bytes(self._data[LENGTH_SIZE:end]))
            del self._data[:end]
        return bodies
