"""A log without a ledger: orders the transactions of one store, commits them when told."""

from collections import defaultdict
from collections.abc import Callable

from ledger.base.ids import FIRST_VIEW, TxId
from ledger.endpoints.log import Status
from ledger.kv.store import Conflict, Store
from ledger.kv.tx import Tx


class LocalLog:
    """Orders transactions of one store; commits at once or when told.

    Attributes:
        store: The store.
        commits_at_once: Whether every transaction is committed as it is ordered.
        view: The current view.
        is_primary: Whether writes are ordered.
        at_capacity: Whether back-pressure refuses requests.
        claims: Claims digests by seqno.
    """

    def __init__(self, *, commits_at_once: bool = True) -> None:
        self.store = Store()
        self.commits_at_once = commits_at_once
        self.view = int(FIRST_VIEW)
        self.is_primary = True
        self.at_capacity = False
        self.claims: dict[int, bytes] = {}
        self._views: list[TxId] = []
        self._waiting: dict[int, list[tuple[TxId, Callable[[Status], None]]]] = defaultdict(list)

    def begin(self) -> Tx:
        """See ``TransactionLog``."""
        return self.store.begin()

    def begin_read_only(self) -> Tx:
        """See ``TransactionLog``."""
        return self.store.begin(read_only=True)

    def commit(self, tx: Tx, claims_digest: bytes | None) -> TxId | None:
        """See ``TransactionLog``."""
        seqno = self.store.version + 1
        if isinstance(self.store.commit(tx, seqno), Conflict):
            return None
        if not self._views or self._views[-1].view != self.view:
            self._views.append(TxId(self.view, seqno))
        if claims_digest is not None:
            self.claims[seqno] = claims_digest
        if self.commits_at_once:
            self.commit_all()
        return TxId(self.view, seqno)

    def commit_all(self) -> None:
        """Commit everything that was ordered, as a signature would."""
        self.store.compact(self.store.version)
        for seqno in sorted(self._waiting):
            for tx_id, callback in self._waiting.pop(seqno):
                callback(self.status(*tx_id))

    def lose_uncommitted(self) -> None:
        """Roll back to the committed state and begin a new view, as an election may."""
        kept = self.store.committed
        self.store.rollback(kept)
        self._views = [first for first in self._views if first.seqno <= kept]
        self.claims = {seqno: each for seqno, each in self.claims.items() if seqno <= kept}
        self.view += 1
        waiting, self._waiting = self._waiting, defaultdict(list)
        for seqno in sorted(waiting):
            for _, callback in waiting[seqno]:
                callback("Invalid")

    def current(self) -> TxId:
        """See ``TransactionLog``."""
        return self._id_of(self.store.version)

    def committed(self) -> TxId:
        """See ``TransactionLog``."""
        return self._id_of(self.store.committed)

    def status(self, view: int, seqno: int) -> Status:
        """See ``TransactionLog``."""
        local = self._id_of(seqno).view if seqno <= self.store.version else 0
        if self.store.committed >= seqno:
            return "Committed" if local == view else "Invalid"
        if local == view:
            return "Pending"
        return "Invalid" if self.committed().view > view else "Unknown"

    def view_history(self) -> list[TxId]:
        """See ``TransactionLog``."""
        return list(self._views)

    def on_decided(self, tx_id: TxId, callback: Callable[[Status], None]) -> None:
        """See ``TransactionLog``."""
        status = self.status(*tx_id)
        if status in {"Committed", "Invalid"}:
            callback(status)
        else:
            self._waiting[tx_id.seqno].append((tx_id, callback))

    def _id_of(self, seqno: int) -> TxId:
        views = [first.view for first in self._views if first.seqno <= seqno]
        return TxId(views[-1], seqno) if views else TxId(0, 0)
