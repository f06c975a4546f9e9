"""Opening a ledger directory that a node left behind, in whatever state a crash left it.

What is whole is kept, what is not is cut off or set aside, and every such step is noted for
the log. Nothing that is committed is touched.
"""

import mmap
import os
from array import array
from collections.abc import Sequence
from pathlib import Path

from ledger.base.errors import FormatError
from ledger.files.chunk import HEADER_SIZE, OPEN_HEADER, ScanResult, scan
from ledger.files.names import ChunkName, is_temporary_chunk_name, parse_chunk_name
from ledger.host.archive import Archive
from ledger.host.chunk_file import ChunkFile, open_regular
from ledger.host.disk import LedgerFiles, lock_directory
from ledger.host.positions import Positions


def open_ledger(
    directory: Path, read_only: Sequence[Path] = (), *, sync: bool
) -> tuple[LedgerFiles, list[str]]:
    """Open an existing ledger, or begin one where there is none.

    Args:
        directory: Main directory; created when missing.
        read_only: Directories with further committed chunks.
        sync: Whether entries are synced to the disk.

    Returns:
        The ledger, and what was cut off or set aside and why, one sentence each.

    Raises:
        DiskError: another node has the directory open, or a chunk's name is that of a pipe
            or the like.
        OSError: the disk failed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    lock = lock_directory(directory)
    try:
        return _open_locked(directory, read_only, lock, sync=sync)
    except BaseException:
        os.close(lock)
        raise


def _open_locked(
    directory: Path, read_only: Sequence[Path], lock: int, *, sync: bool
) -> tuple[LedgerFiles, list[str]]:
    notes: list[str] = []
    committed = Archive([directory, *read_only]).chunks
    last = committed_last = committed[-1].last if committed else 0
    chunks: list[ChunkFile] = []
    for name in _uncommitted(directory, notes):
        path = directory / name.text
        if name.first != last + 1 or (chunks and not chunks[-1].complete):
            _set_aside(path, f"it does not continue the ledger, which ends at {last}", notes)
            continue
        chunk = _open_chunk(path, name.first, notes)
        if chunk is not None:
            chunks.append(chunk)
            last = chunk.last
    files = LedgerFiles(
        directory, read_only, chunks, lock=lock, committed=committed_last, sync=sync
    )
    return files, notes


def _uncommitted(directory: Path, notes: list[str]) -> list[ChunkName]:
    names = []
    for path in sorted(directory.iterdir()):
        if is_temporary_chunk_name(path.name):
            path.unlink()
            continue
        try:
            name = parse_chunk_name(path.name)
        except FormatError as error:
            notes.append(f"Ignoring {path}: {error}")
            continue
        if name.is_ignored:
            continue
        if name.is_recovery:
            _set_aside(path, "it belongs to a recovery that did not finish", notes)
        elif not name.is_committed:
            names.append(name)
    return sorted(names)


def _set_aside(path: Path, why: str, notes: list[str]) -> None:
    aside = path.with_name(f"{path.name}.ignored")
    path.rename(aside)
    notes.append(f"Ledger file {path} set aside as {aside.name}: {why}")


def _open_chunk(path: Path, first: int, notes: list[str]) -> ChunkFile | None:
    fd = open_regular(path, os.O_RDWR)
    result = _scan_file(fd, first)
    if not result.offsets:
        os.close(fd)
        path.unlink()
        notes.append(f"Ledger file {path} removed: no whole entry in it ({result.problem})")
        return None
    if not result.is_complete:
        _make_open(fd, path, result, notes)
    positions = Positions(first, array("I", result.offsets), result.end)
    return ChunkFile(path, fd, positions, complete=result.is_complete)


def _scan_file(fd: int, first: int) -> ScanResult:
    if os.fstat(fd).st_size == 0:
        return scan(b"", first)
    with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as view:
        return scan(view, first)


def _make_open(fd: int, path: Path, result: ScanResult, notes: list[str]) -> None:
    """Cut the file behind its last whole entry, without a position table."""
    size = os.fstat(fd).st_size
    if result.table_offset:
        os.pwrite(fd, OPEN_HEADER, 0)
    if size != result.end or result.table_offset:
        os.ftruncate(fd, result.end)
        os.fdatasync(fd)
        last = len(result.offsets)
        notes.append(
            f"Ledger file {path} cut from {size} to {result.end} bytes behind its entry "
            f"number {last}: {result.problem}"
        )
    assert result.end > HEADER_SIZE, "a chunk that is kept has an entry"
