"""Two files that say that they begin at one seqno: copies, or two histories."""

from pathlib import Path
from typing import BinaryIO

from ledger.audit.findings import Findings, Place
from ledger.base.errors import UnavailableError
from ledger.files.chunk import HEADER_SIZE
from ledger.files.names import parse_chunk_name

_BLOCK_SIZE = 1 << 20


def compare(chosen: Path, other: Path, findings: Findings) -> None:
    """Report a chunk that is not read because another begins at the same seqno.

    Copies are legal: operators move committed chunks to other directories. A chunk that is not
    committed may have lost to another view. But what is committed never differs.

    Args:
        chosen: The chunk that is read.
        other: The one that is not.
        findings: Takes the result.

    Raises:
        UnavailableError: a file cannot be read.
    """
    place = Place(other.name)
    said = f"got {other} beside {chosen}"
    try:
        with chosen.open("rb") as one, other.open("rb") as two:
            differs_at = _difference(one, two, min(_entries_end(one), _entries_end(two)))
            is_copy = chosen.name != other.name or _difference(one, two, None) is None
    except FileNotFoundError:
        return  # a live node has renamed or removed one of them since: no double any more
    except OSError as error:
        raise UnavailableError(f"cannot compare {chosen} and {other}: {error.strerror}") from error
    if differs_at is None and is_copy:
        findings.note("file-double", place, f"{said} with the same entries, as far as both go")
    elif differs_at is None:
        message = f"{said} with the same entries and another position table, read the latter"
        findings.warning("file-double", place, message)
    elif parse_chunk_name(chosen.name).is_committed and parse_chunk_name(other.name).is_committed:
        message = f"{said}, both committed, with other entries from offset {differs_at} on"
        findings.error("file-fork", place, f"{message}, want the same: two histories")
    else:
        message = f"{said} with other entries from offset {differs_at} on, read the latter"
        findings.warning("file-double", place, message)


def _entries_end(file: BinaryIO) -> int:
    """Return where the entries of a chunk end at the latest."""
    size = file.seek(0, 2)
    file.seek(0)
    table_offset = int.from_bytes(file.read(HEADER_SIZE), "little")
    return table_offset if HEADER_SIZE <= table_offset <= size else size


def _difference(one: BinaryIO, two: BinaryIO, end: int | None) -> int | None:
    """Return the first offset behind the header where two files differ, None without one.

    Args:
        one: A file.
        two: Another.
        end: Where to stop; None for the longer file's end.
    """
    at = HEADER_SIZE
    one.seek(at)
    two.seek(at)
    while end is None or at < end:
        size = _BLOCK_SIZE if end is None else min(_BLOCK_SIZE, end - at)
        left, right = one.read(size), two.read(size)
        if left != right:
            pairs = enumerate(zip(left, right, strict=False))
            shorter = min(len(left), len(right))
            return at + next((index for index, (a, b) in pairs if a != b), shorter)
        if not left:
            break
        at += size
    return None
