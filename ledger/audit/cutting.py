"""Splitting a chunk in two, as operators do to hand over a part of a ledger.

No entry changes, so no hash does; only the files' boundaries move. The original stays.
"""

import os
from pathlib import Path

from ledger.audit.directory import unreadable
from ledger.audit.state import is_signature
from ledger.base.errors import FormatError, MisuseError, UnavailableError
from ledger.codec import writeset
from ledger.codec.entry import Entry, parse_entry
from ledger.files import chunk
from ledger.files.names import ChunkName, parse_chunk_name


def cut(path: Path, seqno: int, output: Path, *, allow_non_signature: bool = False) -> list[Path]:
    """Write the two parts of a chunk.

    Args:
        path: A chunk file.
        seqno: Last seqno of the first part; must not be the last of the chunk.
        output: Directory for the parts; made when it does not exist.
        allow_non_signature: Also cut after an entry that is no signature transaction. Readers
            accept that; a node would not have written it.

    Returns:
        The two new files. The first is complete; both are committed when the chunk was.

    Raises:
        FormatError: the file's name or content is not a chunk's.
        MisuseError: the seqno is not in the chunk, is its last, or is no signature; or a part
            exists already.
        UnavailableError: reading or writing failed.
    """
    name = parse_chunk_name(path.name)
    data = _read(path)
    result = chunk.scan(data, name.first)
    if result.problem is not None:
        raise FormatError(f"got a damaged chunk {path.name}: {result.problem}")
    last = name.first + len(result.offsets) - 1
    if not name.first <= seqno < last:
        raise MisuseError(
            f"got seqno {seqno}, want one in {name.first} to {last - 1}: "
            f"{path.name} holds {name.first} to {last}"
        )
    entries = [parse_entry(data, offset) for offset in result.offsets]
    index = seqno - name.first
    if not allow_non_signature and not _signs(entries[index]):
        raise MisuseError(_refusal(entries, index))
    raw = [entry.data for entry in entries]
    first, second = raw[: index + 1], raw[index + 1 :]
    closed = bool(result.table_offset)
    rest = chunk.build(second) if closed else chunk.OPEN_HEADER + b"".join(second)
    return [
        _write(output, _part(name, name.first, seqno), chunk.build(first)),
        _write(output, _part(name, seqno + 1, last), rest),
    ]


def _part(whole: ChunkName, first: int, last: int) -> ChunkName:
    return whole._replace(first=first, last=last if whole.is_committed else None)


def _refusal(entries: list[Entry], index: int) -> str:
    later = (entry.seqno for entry in entries[index + 1 :] if _signs(entry))
    following = next(later, None)
    hint = "none follows" if following is None else f"the next is at seqno {following}"
    return f"got seqno {entries[index].seqno}, want a signature transaction: {hint}"


def _signs(entry: Entry) -> bool:
    return is_signature(writeset.decode(entry.public_maps, strict=False))


def _read(path: Path) -> bytes:
    try:
        problem = unreadable(path)
        if problem is not None:
            raise UnavailableError(f"cannot read {path}: {problem}")
        return path.read_bytes()
    except OSError as error:
        raise UnavailableError(f"cannot read {path}: {error.strerror}") from error


def _write(directory: Path, name: ChunkName, data: bytes) -> Path:
    """Write a file whole or not at all, and never over another."""
    target = directory / name.text
    if target.exists():
        raise MisuseError(f"got {target}, which exists; remove it or name another directory")
    temporary = directory / f".{name.text}.tmp"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(target)
    except OSError as error:
        raise UnavailableError(f"cannot write {target}: {error.strerror}") from error
    return target
