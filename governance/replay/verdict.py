"""What is said of one entry."""

from dataclasses import dataclass

from governance.replay.compare import RowDifference


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one entry.

    Attributes:
        what: What the entry is.
        problem: Why correct nodes cannot have written it; None when they can.
        row: The row that is wrong, when it is one row.
        taken: What was taken on the primary's word.
        member: Who signed its message; None for an unsigned entry.
        proposal_id: The proposal it is about; None for none.
    """

    what: str
    problem: str | None = None
    row: RowDifference | None = None
    taken: tuple[str, ...] = ()
    member: str | None = None
    proposal_id: str | None = None
