"""Where entries are: within a batch from the enclave, and within a chunk file."""

from collections.abc import MutableSequence
from typing import NamedTuple

from ledger.base.errors import FormatError
from ledger.codec.entry import FLAG_CHUNK_AFTER, FLAG_CHUNK_BEFORE, FLAGS_KNOWN, SIZE_MIN, VERSION

_HEAD = 8
_WANTED_BITS = 0xFFFF ^ (FLAGS_KNOWN << 8)
"""Version and unknown flags, within the first two bytes of an entry."""


class Segment(NamedTuple):
    """Consecutive entries of a batch that go to the same chunk.

    Attributes:
        begin: Where they start in the batch.
        end: Where they end in the batch.
        starts: Start of each entry, counted from ``begin``.
        chunk_before: The chunk so far ends before them.
        chunk_after: Their chunk ends after them.
    """

    begin: int
    end: int
    starts: list[int]
    chunk_before: bool
    chunk_after: bool


def segments(batch: memoryview, count: int) -> list[Segment]:
    """Split a batch at the chunk boundaries in the entries' flags.

    Args:
        batch: Whole entries, back to back.
        count: How many there must be; at least 1.

    Raises:
        FormatError: another number of entries, or a header that no entry has.
    """
    found: list[Segment] = []
    starts: list[int] = []
    begin = position = total = 0
    before = False
    size = len(batch)
    while position < size:
        head = int.from_bytes(batch[position : position + _HEAD], "little")
        length = head >> 16
        end = position + _HEAD + length
        if head & _WANTED_BITS != VERSION or length < SIZE_MIN or end > size:
            raise FormatError(f"got no whole entry at {position} of a batch of {size} bytes")
        flags = head & 0xFF00
        if flags & (FLAG_CHUNK_BEFORE << 8):
            if starts:
                found.append(Segment(begin, position, starts, before, chunk_after=False))
            begin, starts, before = position, [], True
        starts.append(position - begin)
        total += 1
        position = end
        if flags & (FLAG_CHUNK_AFTER << 8):
            found.append(Segment(begin, position, starts, before, chunk_after=True))
            begin, starts, before = position, [], False
    if starts:
        found.append(Segment(begin, position, starts, before, chunk_after=False))
    if total != count:
        raise FormatError(f"got {total} entries in a batch, want {count}")
    return found


class Span(NamedTuple):
    """A run of entries within a chunk file: its bytes and its last seqno."""

    begin: int
    end: int
    last: int


class Positions:
    """Offsets of the entries of one chunk.

    Attributes:
        first: Seqno of the first entry.
        offsets: Where each entry starts in the file, ascending.
        end: Where the last one ends.
    """

    __slots__ = ("end", "first", "offsets")

    def __init__(self, first: int, offsets: MutableSequence[int], end: int) -> None:
        self.first = first
        self.offsets = offsets
        self.end = end

    @property
    def last(self) -> int:
        """Seqno of the last entry; ``first - 1`` when there is none."""
        return self.first + len(self.offsets) - 1

    def span(self, first: int, last: int, size_max: int) -> Span:
        """Return where entries from ``first`` on are.

        Args:
            first: Seqno of the first wanted entry; must be in this chunk.
            last: Seqno of the last wanted one; may be beyond this chunk.
            size_max: Bytes to stop at; the first entry is included whatever its size.
        """
        assert self.first <= first <= self.last, "the chunk holds the first wanted entry"
        offsets = self.offsets
        index = first - self.first
        stop = min(last, self.last) - self.first + 1
        begin = offsets[index]
        index += 1
        while index < stop and self._start(index + 1) - begin <= size_max:
            index += 1
        return Span(begin, self._start(index), self.first + index - 1)

    def _start(self, index: int) -> int:
        return self.offsets[index] if index < len(self.offsets) else self.end
