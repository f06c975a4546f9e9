"""Entries of a ledger for people and scripts: which, and how they are shown.

Nothing is verified here; a listing shows what the files say.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger.audit.directory import Directory, open_directory, read_chunk
from ledger.audit.findings import Findings
from ledger.audit.private import Secrets
from ledger.audit.reader import Located, entries_of
from ledger.base.errors import FormatError, VerificationError
from ledger.codec import writeset
from ledger.codec.entry import Entry, EntryType
from ledger.codec.tables import SINGLETON_KEY
from ledger.codec.writeset import Changes
from ledger.crypto.hashing import sha256
from ledger.crypto.sealing import leaf_of_parsed

TEXT_MAX = 160
"""Characters of a value that are shown on one line, unless all are wanted."""

_INDENT = " " * 6
"""Before every further line of a value that is shown whole."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries and tables are wanted.

    Attributes:
        first: Lowest seqno.
        last: Highest seqno, None for all.
        tables: Names must match this somewhere; entries without such a table are left out.
        secrets: To show private maps too.
    """

    first: int = 1
    last: int | None = None
    tables: re.Pattern[str] | None = None
    secrets: Mapping[int, bytes] | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """One entry of a listing.

    Attributes:
        located: The entry and where it stands.
        changes: Its wanted maps: public ones, and private ones where a secret opened them.
        problem: Why maps are missing, empty when none are.
    """

    located: Located
    changes: Changes
    problem: str

    @property
    def entry(self) -> Entry:
        """The entry."""
        return self.located.entry

    @property
    def tx_id(self) -> str:
        """``view.seqno`` as the entry says."""
        return f"{self.entry.view}.{self.entry.seqno}"

    @property
    def write_set_digest(self) -> str:
        """Hex SHA-256 of the entry."""
        return sha256(self.entry.data).hex()

    @property
    def leaf(self) -> str:
        """Hex Merkle leaf; empty for a snapshot."""
        return "" if self.is_snapshot else leaf_of_parsed(self.entry).hex()

    @property
    def is_snapshot(self) -> bool:
        """Whether it is no transaction."""
        return self.entry.entry_type is EntryType.SNAPSHOT

    def to_json(self) -> dict[str, Any]:
        """Return everything about the entry as a JSON object."""
        entry = self.entry
        return {
            "transaction": self.tx_id,
            "file": self.located.file.path.name,
            "offset": self.located.offset,
            "size_bytes": entry.size,
            "type": int(entry.entry_type),
            "flags": entry.flags,
            "write_set_digest": self.write_set_digest,
            "leaf": self.leaf or None,
            "claims_digest": _hex(entry.claims_digest),
            "commit_evidence_digest": _hex(entry.evidence_digest),
            "private_size_bytes": len(entry.private),
            "problem": self.problem or None,
            "tables": {
                name: [
                    {"key": show(key), "value": None if value is None else show(value)}
                    for key, value in writes.items()
                ]
                for name, writes in self.changes.items()
            },
        }


def listing(paths: Sequence[Path], wanted: Wanted, findings: Findings) -> Iterator[Listed]:
    """Yield the wanted entries in order.

    Args:
        paths: Directories of one ledger, or chunk files.
        wanted: Which.
        findings: Takes what is wrong with the files, such as a cut chunk.

    Raises:
        UnavailableError: something cannot be read, or there is no chunk.
        MisuseError: a secret does not have 32 bytes.
    """
    secrets = Secrets(wanted.secrets or {})
    directory = open_directory(paths, findings)
    for located in _in_range(directory, findings, wanted):
        changes, problem = _changes_of(located, secrets)
        if wanted.tables is not None:
            pattern = wanted.tables
            changes = {name: rows for name, rows in changes.items() if pattern.search(name)}
            if not changes:
                continue
        yield Listed(located, changes, problem)


def _in_range(directory: Directory, findings: Findings, wanted: Wanted) -> Iterator[Located]:
    for index, chunk in enumerate(directory.chunks):
        following = directory.chunks[index + 1] if index + 1 < len(directory.chunks) else None
        if following is not None and following.name.first <= wanted.first:
            continue
        read = read_chunk(chunk, findings)
        if read is None:
            continue
        for located in entries_of(*read, findings, is_newest=following is None):
            if wanted.last is not None and located.position > wanted.last:
                return
            if located.position >= wanted.first:
                yield located


def _changes_of(located: Located, secrets: Secrets) -> tuple[Changes, str]:
    """Return the maps of an entry, and why some are missing."""
    entry = located.entry
    if entry.entry_type is EntryType.SNAPSHOT:
        return {}, "a snapshot, whose maps are not listed"
    try:
        changes = writeset.decode(entry.public_maps, strict=False)
        sealer = secrets.at(located.position)
        if sealer is not None:
            changes.update(writeset.decode(sealer.open_domain(entry), strict=False))
        elif entry.private:
            return changes, f"{len(entry.private)} private bytes not opened"
    except (FormatError, VerificationError) as error:
        return {}, str(error)
    return changes, ""


def lines_of(listed: Listed, *, digests_only: bool = False, full: bool = False) -> Iterator[str]:
    """Yield an entry as lines of text.

    Args:
        listed: The entry.
        digests_only: Only transaction ID, write set digest and leaf, on one line.
        full: Show whole values.
    """
    if digests_only:
        yield f"{listed.tx_id} {listed.write_set_digest} {listed.leaf}"
        return
    entry = listed.entry
    place = f"{listed.located.file.path.name} at {listed.located.offset}"
    flags = f", flags {entry.flags:#04x}" if entry.flags else ""
    yield f"{listed.tx_id}  type {int(entry.entry_type)}, {entry.size} bytes{flags}, {place}"
    if entry.claims_digest not in (None, bytes(32)):
        yield f"  claims digest {_hex(entry.claims_digest)}"
    for name, writes in listed.changes.items():
        yield f"  {_brief(show(name.encode()))}"
        for key, value in writes.items():
            shown = "removed" if value is None else _brief(show(value), full=full)
            yield f"    {_brief(show(key), full=full)}: {shown}"
    if listed.problem:
        yield f"  ({_brief(show(listed.problem.encode()))})"


def show(data: bytes) -> str:
    """Return bytes as text when they are printable UTF-8, else as ``0x`` and hex."""
    if data == SINGLETON_KEY:
        return "0x" + data.hex()
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return "0x" + data.hex()
    printable = text.replace("\n", "").replace("\t", "").isprintable()
    return text if printable else "0x" + data.hex()


def _brief(text: str, *, full: bool = False) -> str:
    """Return a text for one line, or whole: with no line that begins where an entry's does."""
    text = text.replace("\n", f"\n{_INDENT}" if full else "\\n")
    if full or len(text) <= TEXT_MAX:
        return text
    return f"{text[:TEXT_MAX]}… ({len(text)} characters)"


def _hex(data: bytes | None) -> str | None:
    return None if data is None else data.hex()
