"""Committed chunks: which file holds a seqno, and reading it through its position table.

Committed files never change, but operators may move them between the directories while the
node runs, so a file that is missing makes the directories be listed again, once.
"""

import os
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ledger.base.errors import FormatError
from ledger.boundary.sentences import (
    LEDGER_FILE_NOT_FOUND,
    POSITIONS_OFFSET_UNREADABLE,
    TABLE_OFFSET_INVALID,
    TABLE_OFFSET_TOO_LARGE,
)
from ledger.files.chunk import HEADER_SIZE
from ledger.files.names import parse_chunk_name
from ledger.host.chunk_file import DiskError, open_regular, read_exactly
from ledger.host.positions import Positions

_OPEN_FILES_MAX = 8
"""Files kept open with their tables; a history query walks one after the other."""


class CommittedChunk(NamedTuple):
    """A committed file and the seqnos its name promises."""

    first: int
    last: int
    path: Path


class _OpenChunk(NamedTuple):
    fd: int
    positions: Positions


class Archive:
    """Committed chunks of the main directory and the read-only ones.

    Args:
        directories: Where to look; for the same first seqno the earlier directory wins.
    """

    def __init__(self, directories: Sequence[Path]) -> None:
        self._directories = tuple(directories)
        self._chunks: list[CommittedChunk] = []
        self._open: OrderedDict[Path, _OpenChunk] = OrderedDict()
        self.rescan()

    @property
    def chunks(self) -> Sequence[CommittedChunk]:
        """Known files in the order of their first seqnos."""
        return self._chunks

    def rescan(self) -> None:
        """List the directories again. Those that do not exist hold nothing."""
        found: dict[int, CommittedChunk] = {}
        for directory in self._directories:
            for path in _files_in(directory):
                chunk = _committed(path)
                if chunk is not None:
                    found.setdefault(chunk.first, chunk)
        self._chunks = [found[first] for first in sorted(found)]
        self.close()

    def add(self, path: Path) -> None:
        """Learn of a file that was committed now."""
        chunk = _committed(path)
        assert chunk is not None, "a committed file has a committed name"
        known = {known.first: known for known in self._chunks}
        known[chunk.first] = chunk
        self._chunks = [known[first] for first in sorted(known)]

    def read(self, first: int, last: int, size_max: int) -> tuple[bytes, int]:
        """Return whole entries from ``first`` on, within one file, and the last seqno of them.

        Raises:
            DiskError: no file has the entry, or the file is damaged.
        """
        try:
            return self._read(first, last, size_max)
        except (DiskError, OSError):
            self.rescan()
            return self._read(first, last, size_max)

    def close(self) -> None:
        """Close the files that were read."""
        while self._open:
            _, chunk = self._open.popitem()
            os.close(chunk.fd)

    def _read(self, first: int, last: int, size_max: int) -> tuple[bytes, int]:
        index = bisect_right(self._chunks, first, key=lambda chunk: chunk.first) - 1
        if index < 0 or self._chunks[index].last < first:
            raise DiskError(LEDGER_FILE_NOT_FOUND.format(seqno=first))
        found = self._chunks[index]
        chunk = self._opened(found)
        span = chunk.positions.span(first, last, size_max)
        if not HEADER_SIZE <= span.begin < span.end <= chunk.positions.end:
            raise DiskError(f"Ledger file {found.path} has no valid position for seqno {first}")
        return read_exactly(chunk.fd, span.begin, span.end, found.path), span.last

    def _opened(self, found: CommittedChunk) -> _OpenChunk:
        chunk = self._open.get(found.path)
        if chunk is not None:
            self._open.move_to_end(found.path)
            return chunk
        fd = open_regular(found.path, os.O_RDONLY)
        try:
            chunk = _OpenChunk(fd, read_positions(fd, found))
        except DiskError:
            os.close(fd)
            raise
        self._open[found.path] = chunk
        if len(self._open) > _OPEN_FILES_MAX:
            _, oldest = self._open.popitem(last=False)
            os.close(oldest.fd)
        return chunk


def read_positions(fd: int, chunk: CommittedChunk) -> Positions:
    """Read the position table of a committed file.

    Raises:
        DiskError: the table is missing, out of bounds, or of another size than the name says.
    """
    size = os.fstat(fd).st_size
    header = os.pread(fd, HEADER_SIZE, 0)
    if len(header) < HEADER_SIZE:
        raise DiskError(POSITIONS_OFFSET_UNREADABLE.format(path=chunk.path))
    offset = int.from_bytes(header, "little")
    if offset < HEADER_SIZE:
        raise DiskError(TABLE_OFFSET_INVALID.format(path=chunk.path, offset=offset))
    if offset > size:
        raise DiskError(TABLE_OFFSET_TOO_LARGE.format(path=chunk.path, offset=offset, size=size))
    wanted = 4 * (chunk.last - chunk.first + 1)
    if size - offset != wanted:
        raise DiskError(
            f"Ledger file {chunk.path} has a position table of {size - offset} bytes, want {wanted}"
        )
    offsets = array("I")
    offsets.frombytes(read_exactly(fd, offset, size, chunk.path))
    if offsets.itemsize != 4 or int.from_bytes(b"\1\0", "little") != 1:  # pragma: no cover
        raise DiskError("this machine's integers are not those of the format")
    return Positions(chunk.first, offsets, offset)


def _files_in(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except FileNotFoundError:
        return []


def _committed(path: Path) -> CommittedChunk | None:
    try:
        name = parse_chunk_name(path.name)
    except FormatError:
        return None
    if name.last is None or name.is_ignored or name.is_recovery:
        return None
    return CommittedChunk(name.first, name.last, path)
