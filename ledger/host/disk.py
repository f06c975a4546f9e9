"""The ledger directory: appends, roll-backs, commits and reads of entries as whole files.

The enclave decides what is in an entry and where chunks end (by flags in the entries' headers);
this module writes, syncs, renames and reads back. It knows nothing of an entry beyond its
8-byte header.

Invariants: seqnos are contiguous over committed and uncommitted chunks; at most the newest
chunk is open; committed files are never written again.
"""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from ledger.base.errors import FormatError
from ledger.boundary.messages import ENTRIES_SIZE_MAX
from ledger.boundary.sentences import LEDGER_DIRECTORY_NOT_EMPTY
from ledger.files.names import is_temporary_chunk_name
from ledger.host.archive import Archive
from ledger.host.chunk_file import ChunkFile, DiskError
from ledger.host.positions import Segment, segments

READ_SIZE = 4 << 20
"""Bytes after which one answer to a read stops; a single larger entry is still returned."""
assert READ_SIZE < ENTRIES_SIZE_MAX, "an answer fits a frame"


class LedgerFiles:
    """The ledger of one node.

    Args:
        directory: Main directory; exists.
        read_only: Directories with further committed chunks.
        chunks: Uncommitted chunks found there, oldest first; none for a new ledger.
        lock: From ``lock_directory``; closed with the files.
        committed: Last seqno of the committed chunks, 0 for a new ledger.
        sync: Whether ``sync`` really waits for the disk.

    Attributes:
        last: Seqno of the last entry, 0 for an empty ledger.
        committed: Newest seqno known to be committed.
    """

    def __init__(
        self,
        directory: Path,
        read_only: Sequence[Path] = (),
        chunks: Sequence[ChunkFile] = (),
        *,
        lock: int,
        committed: int = 0,
        sync: bool = True,
    ) -> None:
        self._directory = directory
        self._fd = lock
        self._archive = Archive([directory, *read_only])
        self._chunks = list(chunks)
        self._sync = sync
        self._directory_unsynced = False
        self.committed = committed
        self.last = self._chunks[-1].last if self._chunks else committed

    @property
    def has_committed_chunks(self) -> bool:
        """Whether any directory holds a committed chunk."""
        return bool(self._archive.chunks)

    def append(self, first: int, count: int, batch: memoryview) -> None:
        """Write a batch of whole entries, ending and beginning chunks where flags say so.

        Args:
            first: Seqno of the first entry; must be the one after ``last``.
            count: Number of entries in the batch.
            batch: The entries, back to back.

        Raises:
            FormatError: the batch is not what it says, or does not continue the ledger.
            DiskError: a file is not any more what was written.
            OSError: the disk failed; the ledger must not be used any more.
        """
        if first != self.last + 1:
            raise FormatError(f"got entries from seqno {first} on, want {self.last + 1}")
        for segment in segments(batch, count):
            chunk = self._chunk_for(segment)
            chunk.append(batch[segment.begin : segment.end], segment.starts)
            self.last += len(segment.starts)
            if segment.chunk_after:
                chunk.finish()

    def _chunk_for(self, segment: Segment) -> ChunkFile:
        newest = self._chunks[-1] if self._chunks else None
        if newest is not None and not newest.complete:
            if not segment.chunk_before:
                if not newest.fits(segment.end - segment.begin):
                    raise FormatError(f"got entries that take {newest.path} beyond 4 GiB")
                return newest
            newest.finish()
        chunk = ChunkFile.create(self._directory, self.last + 1)
        self._directory_unsynced = True
        self._chunks.append(chunk)
        return chunk

    def truncate(self, seqno: int) -> None:
        """Remove every entry after ``seqno``.

        Raises:
            FormatError: some of them are committed.
        """
        if seqno < self.committed:
            raise FormatError(f"got a roll-back to {seqno}, want at least {self.committed}")
        while self._chunks and self._chunks[-1].last > seqno:
            chunk = self._chunks[-1]
            if chunk.first <= seqno:
                chunk.truncate(seqno)
                break
            chunk.remove()
            self._chunks.pop()
            self._directory_unsynced = True
        self.last = min(self.last, seqno)

    def commit(self, seqno: int) -> None:
        """Note that everything up to ``seqno`` is committed; rename complete chunks up to there.

        Raises:
            FormatError: the ledger does not reach so far.
            DiskError: a file is not any more what was written.
        """
        if seqno > self.last:
            raise FormatError(f"got commit of {seqno}, want at most {self.last}")
        self.committed = max(self.committed, seqno)
        while self._chunks and self._chunks[0].complete and self._chunks[0].last <= seqno:
            chunk = self._chunks.pop(0)
            self._sync_chunk(chunk)
            self._archive.add(chunk.commit())
            self._directory_unsynced = True

    def sync(self) -> None:
        """Make everything appended so far durable, as far as the configuration asks.

        Raises:
            DiskError: a file is not any more what was written.
            OSError: the disk failed.
        """
        for chunk in self._chunks:
            self._sync_chunk(chunk)
        if self._sync and self._directory_unsynced:
            os.fsync(self._fd)
        self._directory_unsynced = False

    def _sync_chunk(self, chunk: ChunkFile) -> None:
        if chunk.unsynced:
            chunk.sync(durably=self._sync)

    def read(self, first: int, last: int, size_max: int = READ_SIZE) -> tuple[list[bytes], int]:
        """Return whole entries from ``first`` on, and the last seqno of them.

        Args:
            first: Seqno of the first wanted entry.
            last: Seqno of the last wanted one; fewer are returned above ``size_max`` bytes.
            size_max: Bytes to stop at.

        Raises:
            DiskError: ``first`` is in no file, or its file is damaged.
        """
        pieces: list[bytes] = []
        left = size_max
        seqno = first
        while seqno <= last and left > 0:
            try:
                piece, read_last = self._read_piece(seqno, min(last, self.last), left)
            except DiskError:
                if pieces:
                    break
                raise
            pieces.append(piece)
            left -= len(piece)
            seqno = read_last + 1
        return pieces, seqno - 1

    def _read_piece(self, first: int, last: int, size_max: int) -> tuple[bytes, int]:
        for chunk in reversed(self._chunks):
            if chunk.first <= first <= chunk.last:
                span = chunk.positions.span(first, last, size_max)
                return chunk.read(span.begin, span.end), span.last
        return self._archive.read(first, last, size_max)

    def close(self) -> None:
        """Close every file."""
        for chunk in self._chunks:
            chunk.close()
        self._archive.close()
        os.close(self._fd)


def lock_directory(directory: Path) -> int:
    """Take a ledger directory for this node alone, before anything in it is looked at.

    Returns:
        The directory's descriptor, which is the lock.

    Raises:
        DiskError: another node has it.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise DiskError(f"got ledger directory {directory} that another node has open") from None
    return fd


def refuse_filled(directory: Path) -> None:
    """Refuse a directory for a new ledger in which something is.

    Raises:
        DiskError: it is so.
    """
    if not all(is_temporary_chunk_name(path.name) for path in directory.iterdir()):
        raise DiskError(LEDGER_DIRECTORY_NOT_EMPTY.format(path=directory))


def start_ledger(directory: Path, read_only: Sequence[Path] = (), *, sync: bool) -> LedgerFiles:
    """Begin a new ledger: in a directory that does not exist yet, or is empty.

    Args:
        directory: Main directory; created.
        read_only: Directories to which committed chunks may be moved later.
        sync: Whether entries are synced to the disk.

    Raises:
        DiskError: something is in the directory, or another ledger in a read-only one.
    """
    directory.mkdir(parents=True, exist_ok=True)
    refuse_filled(directory)
    files = LedgerFiles(directory, read_only, lock=lock_directory(directory), sync=sync)
    if files.has_committed_chunks:
        files.close()
        found = ", ".join(map(str, read_only))
        raise DiskError(f"On start, read-only ledger directories should hold no chunks ({found})")
    return files
