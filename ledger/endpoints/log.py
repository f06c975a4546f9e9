"""What the request pipeline needs of the replica: transactions in, transaction IDs out."""

from collections.abc import Callable
from typing import Literal, Protocol

from ledger.base.ids import TxId
from ledger.kv.tx import Tx

Status = Literal["Unknown", "Pending", "Committed", "Invalid"]
"""Status of a transaction as one node sees it; the last two are final."""


class TransactionLog(Protocol):
    """The store and the ledger behind it, as one thing that orders transactions."""

    @property
    def view(self) -> int:
        """The current view."""
        ...

    @property
    def is_primary(self) -> bool:
        """Whether writes can be ordered here."""
        ...

    @property
    def at_capacity(self) -> bool:
        """Whether so many transactions wait for commit that no more should be taken."""
        ...

    def begin(self) -> Tx:
        """Open a transaction on the newest state."""
        ...

    def begin_read_only(self) -> Tx:
        """Open a transaction on the newest state that refuses writes."""
        ...

    def commit(self, tx: Tx, claims_digest: bytes | None) -> TxId | None:
        """Order a transaction that has writes.

        Args:
            tx: Opened by ``begin``; holds writes; this node is the primary.
            claims_digest: 32 bytes to bind to it; None binds zeros.

        Returns:
            Its ID, or None when something it read has changed since: run it again.

        Raises:
            EntrySizeError: it changes too much for one ledger entry; nothing was changed.
        """
        ...

    def current(self) -> TxId:
        """Return the ID of the newest transaction in the store: what a read sees."""
        ...

    def committed(self) -> TxId:
        """Return the ID of the newest committed transaction, ``0.0`` before the first."""
        ...

    def status(self, view: int, seqno: int) -> Status:
        """Return the status of a transaction on this node."""
        ...

    def view_history(self) -> list[TxId]:
        """Return every view that has transactions here with its first seqno, oldest first."""
        ...

    def on_decided(self, tx_id: TxId, callback: Callable[[Status], None]) -> None:
        """Call back once when the transaction is Committed or Invalid, maybe before returning."""
        ...
