"""How a backup takes entries: check, decrypt, apply, extend the tree; verify every signature.

Nothing is acknowledged that was not checked: an entry that does not parse, decrypt or verify is
refused, and consensus answers with a NACK.
"""

from typing import TYPE_CHECKING

from ledger.base.errors import FormatError, UnavailableError, VerificationError
from ledger.base.ids import TxId
from ledger.codec.entry import FLAG_CHUNK_AFTER
from ledger.consensus.types import PLAIN, Applied
from ledger.replica.membership import membership_change
from ledger.replica.sealers import SPECIAL_TABLES
from ledger.replica.signature_check import check_signature_transaction
from ledger.tables.internal import SIGNATURES

if TYPE_CHECKING:
    from ledger.replica.replica import Replica

FLAGS_AT = 1
"""Offset of the flags in an entry."""
_SIGNATURE = Applied(committable=True)


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
            changes, leaf = replica.sealers.at(seqno).open_at(view, seqno, data)
            committable = SIGNATURES.name in changes
            if committable:
                root = replica.tree.root()
                check_signature_transaction(TxId(view, seqno), changes, root, replica.store)
        except (FormatError, UnavailableError, VerificationError) as error:
            self.problem = f"entry {view}.{seqno} refused: {error}"
            return None
        replica.store.apply(seqno, changes)
        replica.tree.append(leaf)
        if committable:
            return self._signed(seqno, data)
        replica.chunking.size += len(data)
        if SPECIAL_TABLES.isdisjoint(changes):
            return PLAIN
        replica.sealers.applied(seqno, changes)
        change = membership_change(changes, replica.store)
        return Applied(False, change.configuration, change.retired_committed)

    def _signed(self, seqno: int, data: bytes) -> Applied:
        self._replica.signatures.add(seqno)
        ends_chunk = bool(data[FLAGS_AT] & FLAG_CHUNK_AFTER)
        self._replica.chunking.signed(seqno, len(data), ends_chunk=ends_chunk)
        return _SIGNATURE
