"""A chunk file: position-table offset, entries back to back, position table.

The first 8 bytes hold the offset of the table, or 0 while the chunk is being written. The table
has one u32 per entry, its offset from the start of the file, and runs to the end of the file.
Integers are little-endian.

``scan`` finds the entries of a file by walking them, whatever state a crash or a hostile disk
left it in; the table is only compared with what the walk found.
"""

import struct
from typing import NamedTuple

from ledger.base.errors import FormatError
from ledger.base.limits import CHUNK_SIZE_MAX, SEQNO_MAX
from ledger.codec.entry import DOMAIN_AT, EntryType, entry_size, parse_public_header

HEADER_SIZE = 8
OPEN_HEADER = bytes(HEADER_SIZE)
"""First bytes of a chunk that is being written."""
_WORD = 4
_HEADER_MAX = 81
"""Longest start of a public domain before the maps (types 0, 2, 3, 4)."""


class ScanResult(NamedTuple):
    """What a walk over a chunk found.

    Attributes:
        offsets: Where each whole entry starts.
        end: End of the last whole entry; ``HEADER_SIZE`` without entries, 0 without a header.
        first: Seqno of the first entry, 0 without entries.
        table_offset: As the file says; 0 while the chunk is open or without a header.
        problem: Why the walk stopped before the file's end, or what is wrong with the table; None
            when every byte is accounted for.
    """

    offsets: list[int]
    end: int
    first: int
    table_offset: int
    problem: str | None

    @property
    def is_complete(self) -> bool:
        """Whether the position table is there and right."""
        return self.table_offset != 0 and self.problem is None


def scan(data: bytes | memoryview, first: int | None = None) -> ScanResult:
    """Walk the entries of a chunk, in any state; never raises for what the bytes are.

    An entry counts when it is whole, its header, sizes and type are possible, its seqno is one
    more than the one before, and its IV is that of a transaction with this seqno. So whatever
    counts also parses with ``codec.entry.parse_entry``.

    Args:
        data: The whole file.
        first: Wanted seqno of the first entry; any when None.
    """
    if len(data) < HEADER_SIZE:
        return ScanResult([], 0, 0, 0, f"got a chunk of {len(data)} bytes, want a header of 8")
    table_offset = int.from_bytes(data[:HEADER_SIZE], "little")
    in_range = HEADER_SIZE <= table_offset <= len(data)
    stop = table_offset if in_range else len(data)
    offsets: list[int] = []
    position = HEADER_SIZE
    problem = None
    seqno = first
    first_found = 0
    view = memoryview(data)[:stop]
    while position < stop:
        try:
            size, found = _probe(view, position, seqno)
        except FormatError as error:
            problem = str(error)
            break
        first_found = first_found or found
        seqno = found + 1
        offsets.append(position)
        position += size
    if problem is None and table_offset:
        problem = _table_problem(data, table_offset, offsets)
    return ScanResult(offsets, position, first_found, table_offset, problem)


def _probe(data: memoryview, position: int, wanted: int | None) -> tuple[int, int]:
    """Return size and seqno of the entry at a position.

    Raises:
        FormatError: it does not count as an entry.
    """
    size = entry_size(data, position)
    public_size = int.from_bytes(data[position + 36 : position + 44], "little")
    if public_size > size - DOMAIN_AT:
        raise FormatError(f"got a public domain of {public_size} bytes in an entry at {position}")
    begin = position + DOMAIN_AT
    header = parse_public_header(bytes(data[begin : begin + min(public_size, _HEADER_MAX)]))
    if header.entry_type is EntryType.SNAPSHOT:
        raise FormatError(f"got a snapshot at {position} in a chunk")
    seqno = header.seqno
    if seqno != (seqno if wanted is None else wanted) or not 1 <= seqno <= SEQNO_MAX:
        raise FormatError(f"got seqno {seqno} at {position}, want {wanted or 'at least 1'}")
    iv_seqno = int.from_bytes(data[position + 24 : position + 32], "little")
    if iv_seqno != seqno:
        raise FormatError(f"got seqno {iv_seqno} in the IV at {position}, want {seqno}")
    if data[position + 35] & 0x80:
        raise FormatError(f"got the snapshot bit in the IV at {position}, want a transaction's")
    return size, seqno


def _table_problem(data: bytes | memoryview, table_offset: int, offsets: list[int]) -> str | None:
    try:
        table = read_table(data, table_offset)
    except FormatError as error:
        return str(error)
    if table != offsets:
        return f"got a position table of {len(table)} entries that differs from the {len(offsets)}"
    return None


def read_table(data: bytes | memoryview, table_offset: int) -> list[int]:
    """Return the offsets that the position table of a file lists, as they stand there.

    Args:
        data: The whole file.
        table_offset: From the file's first 8 bytes.

    Raises:
        FormatError: the table starts outside the file or is not a whole number of words.
    """
    if not HEADER_SIZE <= table_offset <= len(data):
        raise FormatError(f"got table offset {table_offset} in a chunk of {len(data)} bytes")
    count, rest = divmod(len(data) - table_offset, _WORD)
    if rest:
        raise FormatError(f"got a position table of {len(data) - table_offset} bytes, want words")
    return list(struct.unpack_from(f"<{count}I", data, table_offset))


def position_table(offsets: list[int]) -> bytes:
    """Return the table for entries at these offsets from the start of the file.

    Args:
        offsets: Ascending, below ``CHUNK_SIZE_MAX``.
    """
    assert not offsets or offsets[-1] <= CHUNK_SIZE_MAX, "position tables hold 32-bit offsets"
    return struct.pack(f"<{len(offsets)}I", *offsets)


def build(entries: list[bytes]) -> bytes:
    """Return the bytes of a complete chunk with these entries."""
    offsets = []
    position = HEADER_SIZE
    for entry in entries:
        offsets.append(position)
        position += len(entry)
    return b"".join([position.to_bytes(HEADER_SIZE, "little"), *entries, position_table(offsets)])
