"""Names of chunk and snapshot files.

``ledger_A`` is open, ``ledger_A-B.committed`` is complete and committed up to seqno B;
``.recovery`` behind either marks a recovery that has not opened, ``.ignored`` a file left aside.
``.ledger_A.ignored`` becomes ``ledger_A`` once its header is written.
``snapshot_S_E`` holds the state at seqno S with evidence at seqno E, ``.committed`` once complete.
Numbers are decimal, at least 1, without leading zeros.
"""

import re
from typing import NamedTuple

from ledger.base.errors import FormatError
from ledger.base.limits import SEQNO_MAX

_NUMBER = "([1-9][0-9]{0,19})"
_CHUNK = re.compile(rf"ledger_{_NUMBER}(?:-{_NUMBER}\.committed)?(\.recovery)?(\.ignored)?")
_TEMPORARY = re.compile(rf"\.ledger_{_NUMBER}\.ignored")
_SNAPSHOT = re.compile(rf"snapshot_{_NUMBER}_{_NUMBER}(\.committed)?(\.ignored)?")


class ChunkName(NamedTuple):
    """What the name of a chunk says.

    Attributes:
        first: Seqno of its first entry.
        last: Seqno of its last entry when committed, else None.
        is_recovery: Written by a disaster recovery before the service opened.
        is_ignored: Left aside by a node; never to be read.
    """

    first: int
    last: int | None = None
    is_recovery: bool = False
    is_ignored: bool = False

    @property
    def is_committed(self) -> bool:
        """Whether its entries can never change again."""
        return self.last is not None

    @property
    def text(self) -> str:
        """The file name."""
        committed = "" if self.last is None else f"-{self.last}.committed"
        recovery = ".recovery" if self.is_recovery else ""
        ignored = ".ignored" if self.is_ignored else ""
        return f"ledger_{self.first}{committed}{recovery}{ignored}"


def temporary_chunk_name(first: int) -> str:
    """Return the name of a new chunk's file until its header is written.

    CCF's readers pass over what ends so, and over nothing else that is no chunk.
    """
    return f".ledger_{first}.ignored"


def is_temporary_chunk_name(text: str) -> bool:
    """Whether a file is a chunk that a node is about to begin, or was when it ended."""
    return _TEMPORARY.fullmatch(text) is not None


class SnapshotName(NamedTuple):
    """What the name of a snapshot says.

    Attributes:
        seqno: Seqno of the state.
        evidence_seqno: Seqno of the snapshot evidence transaction.
        is_committed: Whether the file is complete, receipt included.
        is_ignored: Left aside by a node; never to be read.
    """

    seqno: int
    evidence_seqno: int
    is_committed: bool = False
    is_ignored: bool = False

    @property
    def text(self) -> str:
        """The file name."""
        committed = ".committed" if self.is_committed else ""
        ignored = ".ignored" if self.is_ignored else ""
        return f"snapshot_{self.seqno}_{self.evidence_seqno}{committed}{ignored}"


def parse_chunk_name(text: str) -> ChunkName:
    """Read the name of a chunk file.

    Args:
        text: The last component of the path.

    Raises:
        FormatError: another form, or a last seqno below the first.
    """
    match = _CHUNK.fullmatch(text)
    if match is None:
        raise FormatError(f"got file name {text[:80]!r}, want ledger_<first>[-<last>.committed]")
    first = _seqno(match[1])
    last = None if match[2] is None else _seqno(match[2])
    if last is not None and last < first:
        raise FormatError(f"got file name {text!r}, want a last seqno of at least the first")
    return ChunkName(first, last, match[3] is not None, match[4] is not None)


def parse_snapshot_name(text: str) -> SnapshotName:
    """Read the name of a snapshot file.

    Args:
        text: The last component of the path.

    Raises:
        FormatError: another form, or evidence that is not after the state.
    """
    match = _SNAPSHOT.fullmatch(text)
    if match is None:
        raise FormatError(f"got file name {text[:80]!r}, want snapshot_<seqno>_<seqno>[.committed]")
    seqno, evidence = _seqno(match[1]), _seqno(match[2])
    if evidence <= seqno:
        raise FormatError(f"got file name {text!r}, want evidence after the state")
    return SnapshotName(seqno, evidence, match[3] is not None, match[4] is not None)


def _seqno(digits: str) -> int:
    seqno = int(digits)
    if seqno > SEQNO_MAX:
        raise FormatError(f"got seqno {digits} in a file name, want at most {SEQNO_MAX}")
    return seqno
