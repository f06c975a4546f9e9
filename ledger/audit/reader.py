"""The entries of chunk files, read without trust.

A chunk is walked entry by entry with the size fields; its position table is compared with that.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ledger.audit.directory import ChunkFile
from ledger.audit.findings import Findings, Place
from ledger.base.errors import FormatError
from ledger.codec.entry import Entry, parse_entry
from ledger.files.chunk import HEADER_SIZE, read_table


@dataclass(slots=True)
class Located:
    """An entry and where it stands.

    Attributes:
        entry: Parsed leniently.
        file: Its chunk.
        offset: Where it starts in the file.
        position: Its seqno by position in the chunk, which the first entry's seqno decides.
        is_first: It is the first entry of its chunk.
        is_last: It is the last entry of its chunk.
    """

    entry: Entry
    file: ChunkFile
    offset: int
    position: int
    is_first: bool = False
    is_last: bool = False

    @property
    def place(self) -> Place:
        """Where it stands, for findings."""
        return Place(self.file.path.name, self.offset, f"{self.entry.view}.{self.entry.seqno}")


def entries_of(
    chunk: ChunkFile, content: bytes, findings: Findings, *, is_newest: bool
) -> Iterator[Located]:
    """Yield the entries of a chunk and report what is wrong with its framing.

    Args:
        chunk: The file.
        content: All of it.
        findings: Takes defects of header, framing and position table.
        is_newest: No chunk follows, so that a crash may have cut it.
    """
    data = memoryview(content)
    if len(data) < HEADER_SIZE:
        _report_no_header(chunk, findings, len(data), is_newest=is_newest)
        return
    table_offset = int.from_bytes(data[:HEADER_SIZE], "little")
    in_range = HEADER_SIZE <= table_offset <= len(data)
    entries = data[:table_offset] if in_range else data
    offsets: list[int] = []
    held: Located | None = None
    first = chunk.name.first
    at = HEADER_SIZE
    while at < len(entries):
        try:
            entry = parse_entry(entries, at, lenient=True)
        except FormatError as error:
            where = (at, len(entries) - at, table_offset)
            _report_cut(chunk, findings, where, str(error), is_newest=is_newest)
            break
        if held is not None:
            yield held
        else:
            first = _first_seqno(chunk, entry, findings)
        held = Located(entry, chunk, at, first + len(offsets), is_first=not offsets)
        offsets.append(at)
        at += entry.size
    if held is not None:
        held.is_last = True
        yield held
    _check_table(chunk, data, table_offset, offsets, findings)


def _report_no_header(chunk: ChunkFile, findings: Findings, size: int, *, is_newest: bool) -> None:
    """Report a file without even its header: a crash or a full disk leaves that, at the end."""
    place = Place(chunk.path.name)
    message = f"got a chunk of {size} bytes, want {HEADER_SIZE} at least"
    if is_newest and not chunk.name.is_committed:
        findings.warning("chunk-cut", place, f"{message}; a node removes it when it starts")
    else:
        findings.error("chunk-cut", place, message)


def _first_seqno(chunk: ChunkFile, entry: Entry, findings: Findings) -> int:
    """Return where a chunk begins: as its name says, unless the first entry clearly disagrees."""
    named = chunk.name.first
    if entry.seqno == named or entry.seqno != entry.iv_seqno or entry.seqno == 0:
        return named
    message = f"got seqno {entry.seqno} in the first entry, want {named} as the name says"
    findings.error("chunk-name", Place(chunk.path.name, HEADER_SIZE), message)
    return entry.seqno


def _report_cut(
    chunk: ChunkFile,
    findings: Findings,
    where: tuple[int, int, int],
    problem: str,
    *,
    is_newest: bool,
) -> None:
    """Report bytes after the last whole entry: a crash's in an open chunk, else a defect."""
    at, rest, table_offset = where
    place = Place(chunk.path.name, at)
    message = f"got {rest} bytes that are no whole entry: {problem}"
    if table_offset:
        findings.error("chunk-bytes", place, f"{message}, want the position table")
    elif is_newest and not chunk.name.is_committed:
        findings.warning("chunk-cut", place, f"{message}; a node cuts them off when it starts")
    else:
        findings.error("chunk-cut", place, message)


def _check_table(
    chunk: ChunkFile, data: memoryview, table_offset: int, offsets: list[int], findings: Findings
) -> None:
    """Compare header, position table and name with the entries that were found."""
    place = Place(chunk.path.name)
    name = chunk.name
    if table_offset == 0:
        if name.is_committed:
            findings.error("chunk-table", place, "got a committed chunk without a position table")
    else:
        try:
            table = read_table(data, table_offset)
        except FormatError as error:
            findings.error("chunk-table", place, str(error))
        else:
            if table != offsets:
                findings.error(
                    "chunk-table",
                    place,
                    f"got a position table of {len(table)} entries that differs from the "
                    f"{len(offsets)} entries that are there",
                )
    if name.last is not None and len(offsets) != name.last - name.first + 1:
        findings.error(
            "chunk-name",
            place,
            f"got {len(offsets)} entries, want {name.last - name.first + 1} as the name says",
        )
