"""Chunk scan: every truncation and every changed byte of a small chunk, and single defects."""

import pytest

from ledger.base.errors import FormatError
from ledger.codec.entry import FLAG_CHUNK_AFTER
from ledger.codec.writeset import Changes
from ledger.crypto.sealing import EntrySealer
from ledger.files import chunk

SEALER = EntrySealer(bytes(range(32)))
FIRST = 5
CHANGES: Changes = {"public:a": {b"k": b"v"}, "b": {b"x": b"y"}}


def entries_from(first: int, count: int) -> list[bytes]:
    return [
        SEALER.seal(2, seqno, FLAG_CHUNK_AFTER if seqno == first + count - 1 else 0, CHANGES)[0]
        for seqno in range(first, first + count)
    ]


ENTRIES = entries_from(FIRST, 3)
ENDS = [8 + sum(map(len, ENTRIES[:count])) for count in range(4)]
OPEN = chunk.OPEN_HEADER + b"".join(ENTRIES)
COMPLETE = chunk.build(ENTRIES)


def test_complete_chunk() -> None:
    result = chunk.scan(COMPLETE, FIRST)
    assert result == chunk.ScanResult(ENDS[:3], ENDS[3], FIRST, ENDS[3], None)
    assert result.is_complete
    assert chunk.read_table(COMPLETE, ENDS[3]) == ENDS[:3]
    assert len(COMPLETE) == ENDS[3] + 12


def test_open_chunk() -> None:
    result = chunk.scan(OPEN)
    assert result == chunk.ScanResult(ENDS[:3], ENDS[3], FIRST, 0, None)
    assert not result.is_complete


def test_chunk_without_entries() -> None:
    assert chunk.scan(chunk.OPEN_HEADER) == chunk.ScanResult([], 8, 0, 0, None)
    assert chunk.scan(chunk.build([])) == chunk.ScanResult([], 8, 0, 8, None)


@pytest.mark.parametrize("size", range(len(OPEN)))
def test_every_truncation_of_an_open_chunk(size: int) -> None:
    result = chunk.scan(OPEN[:size], FIRST)
    whole = sum(end <= size for end in ENDS[1:])
    assert result.offsets == ENDS[:whole]
    assert result.end == (ENDS[whole] if size >= 8 else 0)
    assert (result.problem is None) == (size in ENDS)


@pytest.mark.parametrize("size", range(len(COMPLETE)))
def test_every_truncation_of_a_complete_chunk(size: int) -> None:
    result = chunk.scan(COMPLETE[:size], FIRST)
    whole = sum(end <= size for end in ENDS[1:])
    assert result.offsets == ENDS[:whole]
    assert result.problem is not None
    assert not result.is_complete


def test_every_flipped_bit_of_a_complete_chunk_leaves_a_prefix() -> None:
    """Only bytes that the framing does not cover may change unnoticed, and then nothing is cut."""
    unnoticed = set()
    for position in range(len(COMPLETE)):
        for bit in range(8):
            data = bytearray(COMPLETE)
            data[position] ^= 1 << bit
            result = chunk.scan(bytes(data), FIRST)
            assert result.offsets == ENDS[: len(result.offsets)]
            sizes = [start + at for start in result.offsets[-1:] for at in range(2, 8)]
            assert result.end == ENDS[len(result.offsets)] or position in sizes
            assert result.end <= len(data)
            if result.problem is None and result.table_offset:
                assert result.offsets == ENDS[:3]
                unnoticed.add(position)
    framing = {0, 1, 2, 3, 4, 5, 6, 7}
    for start in ENDS[:3]:
        framing.update(start + at for at in (0, 2, 3, 4, 5, 6, 7, *range(24, 32), *range(45, 53)))
    framing.update(range(ENDS[3], len(COMPLETE)))
    assert unnoticed.isdisjoint(framing)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "got a chunk of 0 bytes"),
        (
            OPEN[: ENDS[1]] + OPEN[ENDS[2] :],
            f"got seqno {FIRST + 2} at {ENDS[1]}, want {FIRST + 1}",
        ),
        (OPEN[: ENDS[1]] + OPEN[8:], f"got seqno {FIRST} at {ENDS[1]}, want {FIRST + 1}"),
        (OPEN + bytes(8), "got entry version 0"),
        (OPEN + b"\x01\x00" + b"\xff" * 6, "got entry size"),
        (OPEN + b"\x01\x04" + bytes(6), "got entry flags 0x04"),
        (OPEN + b"\x01", "got 1 bytes"),
        (OPEN[:43] + b"\x80" + OPEN[44:], "got the snapshot bit in the IV at 8"),
        ((7).to_bytes(8, "little") + OPEN[8:], "got table offset 7"),
        ((2**63).to_bytes(8, "little") + OPEN[8:], "got table offset"),
        (COMPLETE + b"\0", "got a position table of 13 bytes"),
        (COMPLETE + bytes(4), "got a position table of 4 entries"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, message: str) -> None:
    result = chunk.scan(data, FIRST)
    assert result.problem is not None
    assert message in result.problem
    assert not result.is_complete


def test_first_seqno_of_the_name_is_compared() -> None:
    result = chunk.scan(COMPLETE, FIRST + 1)
    assert (result.offsets, result.end) == ([], 8)
    assert result.problem == f"got seqno {FIRST} at 8, want {FIRST + 1}"


def test_snapshot_in_a_chunk_is_no_entry() -> None:
    data = bytearray(OPEN)
    data[8 + 44] = 1
    assert chunk.scan(bytes(data)).offsets == []


def test_memoryview_is_as_good_as_bytes() -> None:
    assert chunk.scan(memoryview(COMPLETE)) == chunk.scan(COMPLETE)


@pytest.mark.parametrize("offset", [0, 7, len(COMPLETE) + 1, 2**64 - 1])
def test_table_outside_the_file(offset: int) -> None:
    with pytest.raises(FormatError, match="got table offset"):
        chunk.read_table(COMPLETE, offset)
