"""What an audit has to say: findings, each with a severity, a code and a place."""

import enum
from collections import Counter
from dataclasses import dataclass

PER_CODE_MAX = 100
"""Findings kept per code; the rest is only counted, so that one defect cannot fill the memory."""


class Severity(enum.Enum):
    """How bad a finding is.

    An *error* is something that no correct node writes. A *warning* is something that only an
    accident explains (a crash, a clock), or that leaves open whose ledger it is. A *note* is
    legal and worth knowing.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was found.

    Attributes:
        file: File name, empty for the ledger as a whole.
        offset: Byte offset in the file, None when it does not matter.
        tx: ``view.seqno`` as the entry says, empty when there is none.
    """

    file: str = ""
    offset: int | None = None
    tx: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found.

    Attributes:
        severity: How bad it is.
        code: Kind of finding, a word that stays the same between versions.
        place: Where.
        message: What was got and what was wanted.
    """

    severity: Severity
    code: str
    place: Place
    message: str


class Findings:
    """Collects findings in the order in which they are made.

    Attributes:
        kept: At most ``PER_CODE_MAX`` of each code.
        by_severity: How many of each severity were made, kept or not.
        by_code: How many of each code were made, kept or not.
    """

    def __init__(self) -> None:
        self.kept: list[Finding] = []
        self.by_severity: Counter[Severity] = Counter()
        self.by_code: Counter[str] = Counter()

    def error(self, code: str, place: Place, message: str) -> None:
        """Add an error."""
        self._add(Finding(Severity.ERROR, code, place, message))

    def warning(self, code: str, place: Place, message: str) -> None:
        """Add a warning."""
        self._add(Finding(Severity.WARNING, code, place, message))

    def note(self, code: str, place: Place, message: str) -> None:
        """Add a note."""
        self._add(Finding(Severity.NOTE, code, place, message))

    def _add(self, finding: Finding) -> None:
        self.by_severity[finding.severity] += 1
        self.by_code[finding.code] += 1
        if self.by_code[finding.code] <= PER_CODE_MAX:
            self.kept.append(finding)
