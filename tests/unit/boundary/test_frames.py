"""Frames: both directions, bounds, damage of every byte."""

import msgspec
import pytest

from ledger.base.errors import FormatError
from ledger.base.limits import BOUNDARY_FRAME_SIZE_MAX
from ledger.boundary import to_enclave, to_host
from ledger.boundary.frames import TO_ENCLAVE, TO_HOST, FrameDecoder, encode
from ledger.boundary.messages import ENTRIES_SIZE_MAX, SMALL_HEADER_SIZE_MAX, Message

TO_HOST_CASES: list[tuple[Message, bytes]] = [
    (to_host.Started("ab" * 32, "node pem", "service pem"), b""),
    (to_host.Started("ab" * 32, "node pem", None), b""),
    (to_host.Append(1, 3, True), b"entries"),
    (to_host.Truncate(0), b""),
    (to_host.Committed(7), b""),
    (to_host.ReadEntries(4, 1, 9), b""),
    (to_host.Dial(5, "127.0.0.1:8000", 10), b""),
    (to_host.Log("info", "täxt", "app", "a.py", 12, 1), b""),
    (to_host.Stopping("asked", 0), b""),
]
TO_ENCLAVE_CASES: list[tuple[Message, bytes]] = [
    (to_enclave.Persisted(9, 2), b""),
    (to_enclave.Entries(4, 1, 2, None), b"two entries"),
    (to_enclave.Entries(4, 1, 0, "gone"), b""),
    (to_enclave.Dialled(5, "refused"), b""),
    (to_enclave.Signal("SIGTERM"), b""),
    (to_enclave.Shutdown("Terminated", 8000), b""),
]


@pytest.mark.parametrize(("message", "tail"), TO_HOST_CASES)
def test_to_host_round_trip(message: Message, tail: bytes) -> None:
    frames = FrameDecoder(TO_HOST).feed(b"".join(encode(message, [tail])))
    assert [(m, bytes(t)) for m, t in frames] == [(message, tail)]


@pytest.mark.parametrize(("message", "tail"), TO_ENCLAVE_CASES)
def test_to_enclave_round_trip(message: Message, tail: bytes) -> None:
    frames = FrameDecoder(TO_ENCLAVE).feed(b"".join(encode(message, [tail])))
    assert [(m, bytes(t)) for m, t in frames] == [(message, tail)]


@pytest.mark.parametrize(("message", "tail"), TO_HOST_CASES)
def test_the_other_direction_refuses(message: Message, tail: bytes) -> None:
    with pytest.raises(FormatError):
        list(FrameDecoder(TO_ENCLAVE).feed(b"".join(encode(message, [tail]))))


def test_frame_layout_is_as_documented() -> None:
    header = msgspec.msgpack.encode(["Append", 5, 2, False])
    want = (4 + len(header) + 3).to_bytes(4, "little") + len(header).to_bytes(4, "little")
    assert b"".join(encode(to_host.Append(5, 2, False), [b"a", b"bc"])) == want + header + b"abc"


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 64])
def test_any_cut_of_the_stream_gives_the_same_messages(step: int) -> None:
    stream = b"".join(b"".join(encode(m, [t])) for m, t in TO_HOST_CASES)
    decoder = FrameDecoder(TO_HOST)
    got = []
    for start in range(0, len(stream), step):
        got += [(m, bytes(t)) for m, t in decoder.feed(stream[start : start + step])]
    assert got == TO_HOST_CASES
    assert decoder.buffered == 0


def test_messages_before_a_malformed_one_are_seen() -> None:
    stream = b"".join(encode(to_host.Truncate(1))) + b"\xff" * 8
    frames = FrameDecoder(TO_HOST).feed(stream)
    assert next(frames)[0] == to_host.Truncate(1)
    with pytest.raises(FormatError, match="4294967295"):
        next(frames)


def test_large_tail_is_not_copied_when_it_arrives_whole() -> None:
    data = b"".join(encode(to_host.Append(1, 1, True), [b"x" * 100_000]))
    ((_, tail),) = FrameDecoder(TO_HOST).feed(data)
    assert tail.obj is data


REFUSED: list[tuple[str, bytes]] = [
    ("length above the bound", (BOUNDARY_FRAME_SIZE_MAX + 1).to_bytes(4, "little")),
    ("length below the header size", (3).to_bytes(4, "little") + b"abc"),
    ("header beyond the frame", b"\x06\0\0\0" + b"\x03\0\0\0" + b"ab"),
    ("empty message", b"\x04\0\0\0" + b"\0\0\0\0"),
]


@pytest.mark.parametrize("data", [data for _, data in REFUSED], ids=[what for what, _ in REFUSED])
def test_malformed_frames_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        list(FrameDecoder(TO_HOST).feed(data))


def raw_frame(header: bytes, tail: bytes = b"") -> bytes:
    length = 4 + len(header) + len(tail)
    return length.to_bytes(4, "little") + len(header).to_bytes(4, "little") + header + tail


REFUSED_MESSAGES: list[tuple[str, object]] = [
    ("unknown name", ["Bake", 1]),
    ("too few fields", ["Append", 1]),
    ("too many fields", ["Truncate", 1, 2]),
    ("wrong type", ["Truncate", "1"]),
    ("negative seqno", ["Truncate", -1]),
    ("seqno zero", ["Committed", 0]),
    ("seqno of 65 bits", ["Append", 1 << 63, 0, True]),
    ("count zero", ["Append", 1, 0, True]),
    ("no such level", ["Log", "loud", "text"]),
    ("bad node id", ["Started", "xyz", "pem", None]),
    ("exit code out of range", ["Stopping", "reason", 300]),
    ("reason too long", ["Stopping", "x" * 1025, 0]),
    ("no array", {"Truncate": 1}),
    ("no name", [1, 2]),
]


@pytest.mark.parametrize(
    "value", [value for _, value in REFUSED_MESSAGES], ids=[what for what, _ in REFUSED_MESSAGES]
)
def test_messages_outside_the_schema_are_refused(value: object) -> None:
    with pytest.raises(FormatError):
        list(FrameDecoder(TO_HOST).feed(raw_frame(msgspec.msgpack.encode(value))))


def test_tail_on_a_message_without_one_is_refused() -> None:
    with pytest.raises(FormatError, match="Truncate"):
        list(FrameDecoder(TO_HOST).feed(raw_frame(msgspec.msgpack.encode(["Truncate", 1]), b"x")))


def test_header_above_its_bound_is_refused() -> None:
    header = msgspec.msgpack.encode(["Log", "info", "x"])
    decoder = FrameDecoder(TO_HOST)
    assert len(header) < SMALL_HEADER_SIZE_MAX
    pem = "p" * (64 << 10)
    started = msgspec.msgpack.encode(["Started", "ab" * 32, pem, pem])
    assert list(decoder.feed(raw_frame(started)))
    with pytest.raises(FormatError, match="Expected `str` of length"):
        list(decoder.feed(raw_frame(msgspec.msgpack.encode(["Dial", 1, "x" * 2000]))))


def test_largest_batch_fits_a_frame() -> None:
    pieces = encode(to_host.Append(1, 1, True), [bytes(ENTRIES_SIZE_MAX)])
    assert sum(map(len, pieces)) <= BOUNDARY_FRAME_SIZE_MAX + 4


def test_every_flipped_byte_gives_a_message_or_a_format_error() -> None:
    for message, tail in TO_HOST_CASES:
        whole = b"".join(encode(message, [tail]))
        for position in range(len(whole)):
            for bit in (1, 0x80):
                damaged = bytearray(whole)
                damaged[position] ^= bit
                try:
                    list(FrameDecoder(TO_HOST).feed(bytes(damaged)))
                except FormatError:
                    continue
