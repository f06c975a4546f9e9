"""What a replay has to say."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ledger.base.ids import TxId

WARNINGS_MAX = 100
"""Warnings kept; the rest is only counted."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first entry that correct nodes cannot have written.

    Attributes:
        tx_id: Its transaction.
        what: What the entry is: a type of message, or a kind of unsigned change.
        member: Who signed its message; None for an unsigned entry.
        proposal_id: The proposal it is about; None for none.
        table: The table that differs; None when it is the entry as a whole.
        key: The key of that table, as text.
        message: What was got and what was wanted.
    """

    tx_id: TxId
    what: str
    message: str
    member: str | None = None
    proposal_id: str | None = None
    table: str | None = None
    key: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object; the field names stay the same between versions."""
        return {
            "transaction": str(self.tx_id),
            "what": self.what,
            "member": self.member,
            "proposal": self.proposal_id,
            "table": self.table,
            "key": self.key,
            "message": self.message,
        }


@dataclass(slots=True)
class ReplayReport:
    """The result of a replay.

    Attributes:
        entries: Entries read, up to and including the one with the difference.
        messages: Signed messages by type.
        unsigned: Unsigned changes of governance by kind.
        proposals: Proposals by their last state.
        warnings: What was taken on somebody's word, and what could not be checked.
        warnings_left_out: Warnings beyond ``WARNINGS_MAX``.
        scripts_replayed: Whether scripts could be run again at all.
        difference: The first difference; None when there is none.
    """

    entries: int = 0
    messages: Counter[str] = field(default_factory=Counter)
    unsigned: Counter[str] = field(default_factory=Counter)
    proposals: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    warnings_left_out: int = 0
    scripts_replayed: bool = True
    difference: Difference | None = None

    def warn(self, tx_id: TxId, message: str) -> None:
        """Add a warning about an entry."""
        if len(self.warnings) < WARNINGS_MAX:
            self.warnings.append(f"{tx_id}: {message}")
        else:
            self.warnings_left_out += 1

    @property
    def states(self) -> Counter[str]:
        """How many proposals ended in each state."""
        return Counter(self.proposals.values())

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object; the field names stay the same between versions."""
        return {
            "entries": self.entries,
            "messages": dict(sorted(self.messages.items())),
            "unsigned_changes": dict(sorted(self.unsigned.items())),
            "proposals": dict(sorted(self.states.items())),
            "scripts_replayed": self.scripts_replayed,
            "warnings": self.warnings,
            "warnings_left_out": self.warnings_left_out,
            "difference": None if self.difference is None else self.difference.to_json(),
        }
