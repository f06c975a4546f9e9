"""From what consensus decided to what the shell has to do.

Effects are taken from consensus after every input, applied to store and tree, and queued for
the next ``drain``. Entries of one drain that follow each other become one write.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ledger.consensus.ready import (
    Append,
    BecameBackup,
    BecamePrimary,
    Commit,
    InitialiseView,
    RequestRetirementCleanup,
    Rollback,
    Truncate,
)
from ledger.consensus.types import Entry
from ledger.replica.effects import (
    Effect,
    LedgerCommitted,
    RetirementCleanup,
    RoleChanged,
    SendMessage,
    TruncateLedger,
    WriteEntries,
)

if TYPE_CHECKING:
    from ledger.replica.replica import Replica


class Outputs:
    """The queue between consensus and the shell."""

    __slots__ = ("_effects", "_replica")

    def __init__(self, replica: "Replica") -> None:
        self._replica = replica
        self._effects: list[Effect] = []

    def add(self, effect: Effect) -> None:
        """Queue an effect of the replica's own."""
        self._effects.append(effect)

    def drain(self) -> Sequence[Effect]:
        """Return everything queued, in order; what consensus decided was taken with each input."""
        if not self._effects:
            return ()
        effects, self._effects = self._effects, []
        return effects

    def take(self) -> None:
        """Apply what consensus decided since the last call."""
        ready = self._replica.raft.ready()
        effects = ready.effects
        if not effects and not ready.messages:
            return
        entries: list[Entry] = []
        for index, effect in enumerate(effects):
            if isinstance(effect, Append):
                entries.append(effect.entry)
                continue
            if entries:
                self._write(entries)
            match effect:
                case Commit(seqno=seqno):
                    self._effects.append(LedgerCommitted(self._replica.commit_advanced(seqno)))
                case Rollback(seqno=seqno):
                    # One that new entries follow was already applied with the first of them.
                    if not any(isinstance(later, Append) for later in effects[index:]):
                        self._replica.roll_back(seqno)
                case Truncate(seqno=seqno):
                    self._replica.truncations += 1
                    self._effects.append(TruncateLedger(seqno))
                case BecamePrimary(view=view):
                    self._replica.become_primary(view)
                    self._effects.append(RoleChanged(view, is_primary=True))
                case BecameBackup(view=view):
                    self._replica.become_backup(view)
                    self._effects.append(RoleChanged(view, is_primary=False))
                case RequestRetirementCleanup():
                    self._effects.append(RetirementCleanup())
                case InitialiseView():
                    pass
        if entries:
            self._write(entries)
        for to, message in ready.messages:
            self._effects.append(SendMessage(to, message))

    def _write(self, entries: list[Entry]) -> None:
        first, last = entries[0].seqno, entries[-1].seqno
        data = b"".join([entry.data for entry in entries])
        sync = self._replica.signatures.any_in(first, last)
        self._effects.append(WriteEntries(first, last, data, sync))
        entries.clear()
