"""The files of a ledger on disk, found without trust: which are its chunks, and in what order.

A directory holds chunks, snapshots, and files that nobody reads. Chunks are put in order by
first seqno; what cannot belong to one ledger is reported and left out. Nothing but regular files
is ever opened: a pipe or a device with a chunk's name would make the reader wait.

A live node renames a chunk when it is committed and removes one that is rolled back, so a name
from a listing may be gone when it is used: the directory is then looked at again.
"""

import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from ledger.audit.doubles import compare
from ledger.audit.findings import Findings, Place, Severity
from ledger.base.errors import FormatError, UnavailableError
from ledger.base.limits import CHUNK_SIZE_MAX
from ledger.files.names import ChunkName, is_temporary_chunk_name, parse_chunk_name

_ATTEMPTS_MAX = 5
"""Times that a directory is listed, or a chunk is looked for under its next name."""
_ENTRY_SIZE_LEAST = 44
_FILE_SIZE_MAX = CHUNK_SIZE_MAX + 4 * (CHUNK_SIZE_MAX // _ENTRY_SIZE_LEAST)
"""Entries as far as offsets reach, and a position table of as many entries as fit there."""
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True, slots=True)
class ChunkFile:
    """One chunk on disk.

    Attributes:
        path: Where it is.
        name: What its name says.
        size: Bytes of the file.
    """

    path: Path
    name: ChunkName
    size: int


@dataclass(slots=True)
class Directory:
    """The chunks of one ledger, in order.

    Attributes:
        chunks: Ascending by first seqno, no two with the same.
        size: Bytes of all chunks.
    """

    chunks: list[ChunkFile] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all chunks."""
        return sum(chunk.size for chunk in self.chunks)


def open_directory(paths: Sequence[Path], findings: Findings) -> Directory:
    """Find the chunks of a ledger.

    Args:
        paths: Directories of one ledger (main and read-only ones), or single chunk files.
        findings: Takes what is wrong with the set of files.

    Raises:
        UnavailableError: a path cannot be read, or there is no chunk at all.
    """
    found: dict[int, dict[Path, ChunkFile]] = {}
    for file in _listed(paths):
        chunk = _chunk_of(file, findings)
        if chunk is not None:
            found.setdefault(chunk.name.first, {})[chunk.path] = chunk
    if not found:
        raise UnavailableError(
            f"got no ledger chunk in {', '.join(map(str, paths))}{_first_error(findings)}"
        )
    return Directory([_chosen(list(found[first].values()), findings) for first in sorted(found)])


def read_chunk(chunk: ChunkFile, findings: Findings) -> tuple[ChunkFile, bytes] | None:
    """Return the bytes of a chunk, and the file that they are of.

    A file is read, not mapped, since a live node may truncate it.

    Args:
        chunk: From ``open_directory``.
        findings: Takes that a live node has removed it since.

    Returns:
        The file, which may have got its committed name since, and all of it; None when it is gone.

    Raises:
        UnavailableError: it cannot be read.
    """
    path: Path | None = chunk.path
    for _ in range(_ATTEMPTS_MAX):
        if path is None:
            break
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            path = _renamed(path)
        except OSError as error:
            raise UnavailableError(f"cannot read {path}: {error.strerror}") from error
        else:
            return ChunkFile(path, parse_chunk_name(path.name), len(data)), data
    if chunk.name.is_committed:
        raise UnavailableError(f"cannot read {chunk.path}: it was removed meanwhile")
    message = "removed while the ledger was read, as a live node does that rolls back"
    findings.warning("chunk-gone", Place(chunk.path.name), message)
    return None


def unreadable(path: Path) -> str | None:
    """Say why a path is no file to be read, None when it is one. Nothing is opened for that.

    Raises:
        FileNotFoundError: nothing has this name.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if not path.is_symlink():
            raise
        return "got a link that leads nowhere, want a regular file"
    except OSError as error:
        return f"got a file out of reach ({error.strerror}), want a regular file"
    if stat.S_ISREG(mode):
        return None
    return f"got {_KINDS.get(stat.S_IFMT(mode), 'something else')}, want a regular file"


def _listed(paths: Sequence[Path]) -> list[Path]:
    """List the files; again when a chunk is missing, which a rename may have hidden."""
    files: list[Path] = []
    for _ in range(_ATTEMPTS_MAX):
        files = [file for path in paths for file in _files_of(path)]
        if not _has_gap(files):
            break
    return files


def _files_of(path: Path) -> list[Path]:
    try:
        if path.is_dir():
            return sorted(path.iterdir())
        if path.is_file():
            return [path]
    except OSError as error:
        raise UnavailableError(f"cannot read {path}: {error.strerror}") from error
    raise UnavailableError(f"got {path}, want a ledger directory or a chunk file")


def _has_gap(files: list[Path]) -> bool:
    expected: int | None = None
    ranges = sorted((name.first, name.last or 0) for name, _ in _chunk_names(files))
    for first, last in ranges:
        if expected is not None and first > expected:
            return True
        expected = last + 1 if last else None  # an open chunk's name does not say how far it goes
    return False


def _chunk_names(files: list[Path]) -> Iterator[tuple[ChunkName, Path]]:
    for file in files:
        try:
            name = parse_chunk_name(file.name)
        except FormatError:
            continue
        if not name.is_ignored:
            yield name, file


def _renamed(file: Path) -> Path | None:
    """Return where a chunk is now that is no longer under its name, None when it is nowhere."""
    first = parse_chunk_name(file.name).first
    others = [
        (name.is_committed, other)
        for name, other in _chunk_names(_files_of(file.parent))
        if name.first == first and other != file
    ]
    return max(others)[1] if others else None


class _Name(Protocol):
    @property
    def is_ignored(self) -> bool: ...


N = TypeVar("N", bound=_Name)


def name_of(file: Path, parse: Callable[[str], N], findings: Findings) -> N | None:
    """Return what a file's name says, None when it says nothing or that the file is left aside."""
    place = Place(file.name)
    try:
        name = parse(file.name)
    except FormatError as error:
        findings.error("file-name", place, str(error))
        return None
    if name.is_ignored:
        findings.note("file-ignored", place, "left aside by a node, not read")
        return None
    return name


def _chunk_of(file: Path, findings: Findings) -> ChunkFile | None:
    """Return the chunk, or None for a file that is not one or not to be read."""
    place = Place(file.name)
    if not file.name.startswith("ledger_"):
        if not _is_expected(file):
            findings.note("file-unknown", place, "got a file that is no part of a ledger")
        return None
    name = name_of(file, parse_chunk_name, findings)
    if name is None:
        return None
    if name.is_recovery:
        findings.note("file-recovery", place, "written by a recovery that has not opened")
    return _regular(file, findings)


def _is_expected(file: Path) -> bool:
    """Whether a file that is no chunk may be there; what is no file at all is nobody's business."""
    if file.name.startswith("snapshot_") or is_temporary_chunk_name(file.name):
        return True
    try:
        return not file.is_file()
    except OSError:
        return True


def _regular(file: Path, findings: Findings) -> ChunkFile | None:
    """Return the chunk under its present name, None when it is gone or nothing to be read."""
    path: Path | None = file
    for _ in range(_ATTEMPTS_MAX):
        if path is None:
            break
        try:
            problem = unreadable(path)
            size = 0 if problem is not None else path.stat().st_size
        except FileNotFoundError:
            path = _renamed(path)
            continue
        if size > _FILE_SIZE_MAX:
            problem = f"got {size} bytes, want at most {_FILE_SIZE_MAX}, as far as offsets reach"
        if problem is not None:
            findings.error("file-unreadable", Place(path.name), problem)
            return None
        return ChunkFile(path, parse_chunk_name(path.name), size)
    return None


def _chosen(chunks: list[ChunkFile], findings: Findings) -> ChunkFile:
    """Return which of the chunks with one first seqno is read: committed, then longer.

    Of two that are alike in this the first in the caller's order is taken.
    """
    chosen = max(chunks, key=lambda chunk: (chunk.name.is_committed, chunk.size))
    for other in chunks:
        if other is not chosen:
            compare(chosen.path, other.path, findings)
    return chosen


def _first_error(findings: Findings) -> str:
    """Name what was left out, when nothing else is there to be audited."""
    for found in findings.kept:
        if found.severity is Severity.ERROR:
            return f" ({found.place.file}: {found.message})"
    return ""
