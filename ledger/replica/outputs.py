"""From what consensus decided to what the shell has to do.

Effects are taken from consensus after every input, applied to store and tree, and queued for
the next ``drain``. Entries of one drain that follow each other become one write.
"""

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

    def drain(self) -> list[Effect]:
        """Take what consensus has decided and return everything queued, in order."""
        self.take()
        effects, self._effects = self._effects, []
        return effects

    def take(self) -> None:
        """Apply what consensus decided since the last call."""
        ready = self._replica.raft.ready()
        entries: list[Append] = []
        # A roll-back that is followed by new entries was already applied with the first of them.
        last_append = max(
            (i for i, effect in enumerate(ready.effects) if type(effect) is Append), default=-1
        )
        for index, effect in enumerate(ready.effects):
            if isinstance(effect, Append):
                entries.append(effect)
                continue
            self._write(entries)
            match effect:
                case Commit(seqno=seqno):
                    self._effects.append(LedgerCommitted(self._replica.commit_advanced(seqno)))
                case Rollback(seqno=seqno):
                    if index > last_append:
                        self._replica.roll_back(seqno)
                case Truncate(seqno=seqno):
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
        self._write(entries)
        for to, message in ready.messages:
            self._effects.append(SendMessage(to, message))

    def _write(self, entries: list[Append]) -> None:
        if not entries:
            return
        first, last = entries[0].entry.seqno, entries[-1].entry.seqno
        data = b"".join([append.entry.data for append in entries])
        sync = self._replica.signatures.any_in(first, last)
        self._effects.append(WriteEntries(first, last, data, sync))
        entries.clear()
