"""One chunk of the ledger that is not committed yet, as a file in the main directory.

It is *open* (table offset 0) or *complete* (position table written), and keeps the name
``ledger_<first>`` until everything in it is committed. Entries are written at explicit
offsets, so a short write can never leave two of them mixed up.
"""

import errno
import os
import stat
from array import array
from pathlib import Path

from ledger.base.errors import LedgerError
from ledger.base.limits import CHUNK_SIZE_MAX
from ledger.files.chunk import HEADER_SIZE, OPEN_HEADER, position_table
from ledger.files.names import ChunkName, temporary_chunk_name
from ledger.host.positions import Positions

_MODE = 0o644


class DiskError(LedgerError):
    """The ledger directory is not what it has to be."""


class ChunkFile:
    """An uncommitted chunk.

    Attributes:
        path: Where it is.
        positions: Where its entries are. Invariant: an open file ends with the last entry.
        complete: Whether its position table is written.
        unsynced: Whether something was written since the last ``sync``.
    """

    def __init__(self, path: Path, fd: int, positions: Positions, *, complete: bool) -> None:
        self.path = path
        self.positions = positions
        self.complete = complete
        self.unsynced = False
        self._fd = fd
        own = os.fstat(fd)
        self._identity = (own.st_dev, own.st_ino)

    @classmethod
    def create(cls, directory: Path, first: int) -> "ChunkFile":
        """Create the file of a new open chunk; it must not exist.

        The header is written under another name, so that a crash or a full disk leaves no chunk
        without one: CCF's readers take that for damage.
        """
        path = directory / ChunkName(first).text
        temporary = directory / temporary_chunk_name(first)
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
        try:
            _write_all(fd, memoryview(OPEN_HEADER), 0)
            _rename_new(temporary, path)
        except OSError:
            os.close(fd)
            temporary.unlink(missing_ok=True)
            raise
        chunk = cls(path, fd, Positions(first, array("I"), HEADER_SIZE), complete=False)
        chunk.unsynced = True
        return chunk

    @property
    def first(self) -> int:
        """Seqno of the first entry."""
        return self.positions.first

    @property
    def last(self) -> int:
        """Seqno of the last entry; ``first - 1`` while there is none."""
        return self.positions.last

    def fits(self, size: int) -> bool:
        """Whether ``size`` more bytes keep every offset within 32 bits."""
        return self.positions.end + size <= CHUNK_SIZE_MAX

    def append(self, entries: memoryview, starts: list[int]) -> None:
        """Write whole entries behind the last one.

        Args:
            entries: The bytes, back to back.
            starts: Where each one starts in ``entries``, ascending from 0.

        Raises:
            DiskError: the file is no longer as large as it was at the last sync.
        """
        assert not self.complete, "a complete chunk takes no more entries"
        self._before_write()
        positions = self.positions
        end = positions.end
        _write_all(self._fd, entries, end)
        positions.offsets.extend([end + start for start in starts])
        positions.end = end + len(entries)
        self.unsynced = True

    def finish(self) -> None:
        """Write the position table and then its offset: the chunk is complete."""
        assert not self.complete, "a chunk is completed once"
        assert self.positions.offsets, "a chunk holds at least one entry"
        self._before_write()
        end = self.positions.end
        _write_all(self._fd, memoryview(position_table(list(self.positions.offsets))), end)
        _write_all(self._fd, memoryview(end.to_bytes(HEADER_SIZE, "little")), 0)
        self.complete = True
        self.unsynced = True

    def truncate(self, last: int) -> None:
        """Cut off every entry after ``last``, which stays; the chunk is open again."""
        positions = self.positions
        keep = last - positions.first + 1
        assert 0 < keep < len(positions.offsets), "something stays and something is cut"
        self._before_write()
        if self.complete:
            _write_all(self._fd, memoryview(OPEN_HEADER), 0)
            self.complete = False
        positions.end = positions.offsets[keep]
        del positions.offsets[keep:]
        os.ftruncate(self._fd, positions.end)
        self.unsynced = True

    def sync(self, *, durably: bool) -> None:
        """Make what was written durable, and see that it is still where it was written.

        Args:
            durably: Wait for the disk.

        Raises:
            DiskError: the file is not there any more, or not of the size that was written.
        """
        if durably:
            os.fdatasync(self._fd)
        self.check()
        self.unsynced = False

    def check(self) -> None:
        """Make sure that nobody has removed, renamed, replaced or cut the file.

        Nothing else tells: writes to a file without a name succeed.

        Raises:
            DiskError: somebody has.
        """
        try:
            found = os.stat(self.path)  # noqa: PTH116  (called often; the method is slower)
        except FileNotFoundError:
            raise DiskError(
                f"Ledger file {self.path} was removed or renamed while the node wrote it"
            ) from None
        if (found.st_dev, found.st_ino) != self._identity:
            raise DiskError(f"Ledger file {self.path} was replaced while the node wrote it")
        self._check_size(found.st_size)

    def _before_write(self) -> None:
        """Check once between two syncs: a write at its offset would hide that the file was cut."""
        if not self.unsynced:
            self._check_size(os.fstat(self._fd).st_size)

    def _check_size(self, size: int) -> None:
        positions = self.positions
        want = positions.end + (4 * len(positions.offsets) if self.complete else 0)
        if size != want:
            raise DiskError(
                f"Ledger file {self.path} has {size} bytes, want the {want} that the node wrote: "
                "something else changed it"
            )

    def read(self, begin: int, end: int) -> bytes:
        """Return the bytes of the file within ``[begin, end)``."""
        return read_exactly(self._fd, begin, end, self.path)

    def commit(self) -> Path:
        """Give the complete file its final name, close it, and return the new path.

        Raises:
            DiskError: it is not the file that was written.
        """
        assert self.complete, "only complete chunks are committed"
        self.check()
        path = self.path.with_name(ChunkName(self.first, self.last).text)
        self.path.rename(path)
        self.close()
        return path

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink()
        self.close()

    def close(self) -> None:
        """Close the file; the chunk must not be used any more."""
        os.close(self._fd)


def open_regular(path: Path, access: int) -> int:
    """Open a file that has a chunk's name, unless it is none: opening a pipe waits for its writer.

    Args:
        path: The file.
        access: ``os.O_RDONLY`` or ``os.O_RDWR``.

    Raises:
        DiskError: it is a pipe, a directory or another thing.
        OSError: it cannot be opened.
    """
    problem = DiskError(f"Ledger file {path} is a pipe, a directory or the like, want a file")
    try:
        fd = os.open(path, access | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in {errno.EISDIR, errno.ENXIO}:  # a directory to write, a socket
            raise problem from None
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise problem
    return fd


def read_exactly(fd: int, begin: int, end: int, path: Path) -> bytes:
    """Return the bytes within ``[begin, end)``.

    Raises:
        DiskError: the file ends before.
    """
    pieces = []
    while begin < end:
        piece = os.pread(fd, end - begin, begin)
        if not piece:
            raise DiskError(f"Ledger file {path} ends at {begin}, want {end} bytes")
        pieces.append(piece)
        begin += len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _rename_new(old: Path, new: Path) -> None:
    """Rename without replacing: nobody else makes chunks in a directory that we have locked.

    A link would be refused by itself, but there are file systems without links.
    """
    if os.path.lexists(new):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new))
    old.rename(new)


def _write_all(fd: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(fd, data, offset)
        data = data[written:]
        offset += written
