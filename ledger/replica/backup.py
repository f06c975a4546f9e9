"""How a backup takes entries: check, decrypt, apply, extend the tree; verify every signature.

Nothing is acknowledged that was not checked: an entry that does not parse, decrypt or verify is
refused, and consensus answers with a NACK.
"""

from typing import TYPE_CHECKING

from ledger.base.errors import FormatError, VerificationError
from ledger.codec.entry import FLAG_CHUNK_AFTER, Entry, parse_entry
from ledger.codec.writeset import Changes
from ledger.consensus.types import Applied
from ledger.crypto.sealing import leaf_of
from ledger.replica.membership import membership_change
from ledger.replica.signature_check import check_signature_transaction
from ledger.tables.internal import SIGNATURES

if TYPE_CHECKING:
    from ledger.replica.replica import Replica


class EntryApplier:
    """Applies entries that another node wrote.

    Attributes:
        problem: Why the last refused entry was refused, for the log.
    """

    __slots__ = ("_replica", "problem")

    def __init__(self, replica: "Replica") -> None:
        self._replica = replica
        self.problem = ""

    def apply(self, view: int, seqno: int, data: bytes) -> Applied | None:
        """Apply the entry ``view.seqno``; None when it is not acceptable.

        An entry at or below the store's version replaces what was there: consensus has decided
        to roll back to ``seqno - 1`` and says so in its effects after this call.
        """
        replica = self._replica
        if replica.store.version >= seqno:
            replica.roll_back(seqno - 1)
        try:
            entry = parse_entry(data)
            self._check_position(entry, view, seqno, len(data))
            changes = replica.sealers.at(seqno).open(entry)
            committable = SIGNATURES.name in changes
            if committable:
                check_signature_transaction(entry, changes, replica.tree.root(), replica.store)
        except (FormatError, VerificationError) as error:
            self.problem = f"entry {view}.{seqno} refused: {error}"
            return None
        return self._take(entry, data, changes, committable=committable)

    def _check_position(self, entry: Entry, view: int, seqno: int, size: int) -> None:
        if (entry.view, entry.seqno) != (view, seqno):
            raise VerificationError(f"got entry {entry.view}.{entry.seqno}, want {view}.{seqno}")
        if entry.size != size:
            raise FormatError(f"got {size} bytes, want one entry of {entry.size}")

    def _take(self, entry: Entry, data: bytes, changes: Changes, *, committable: bool) -> Applied:
        replica = self._replica
        replica.store.apply(entry.seqno, changes)
        replica.sealers.applied(entry.seqno, changes)
        replica.tree.append(leaf_of(data))
        if committable:
            replica.signatures.add(entry.seqno)
            ends_chunk = bool(entry.flags & FLAG_CHUNK_AFTER)
            replica.chunking.signed(entry.seqno, len(data), ends_chunk=ends_chunk)
        else:
            replica.chunking.size += len(data)
        change = membership_change(changes, replica.store)
        return Applied(committable, change.configuration, change.retired_committed)
