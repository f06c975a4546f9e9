"""Telling the operator what became of proposals: not when it is decided, but once it is committed.

Governance tells a verdict as the last thing of the transaction that holds it. That is ordered next,
or never: it may conflict, be too large, or be rolled back. So a verdict waits until the next seqno
is committed, and is then looked up.
"""

from collections.abc import Callable

from governance.proposal_store import find_info
from governance.verdict import Verdict
from ledger.base.ids import TxId
from ledger.kv.store import Store


class Verdicts:
    """Verdicts of this node that are not committed yet.

    Args:
        store: The node's store.
        tell: Takes a line for the operator.
    """

    def __init__(self, store: Store, tell: Callable[[str], None]) -> None:
        self._store = store
        self._tell = tell
        self._waiting: dict[str, tuple[int, Verdict]] = {}

    def decided(self, verdict: Verdict) -> None:
        """Take a verdict whose transaction is about to be ordered."""
        self._waiting[verdict.proposal_id] = (self._store.version + 1, verdict)

    def committed(self, tx_id: TxId) -> None:
        """Tell the verdicts that are committed, forget those that will never be."""
        due = [each for seqno, each in self._waiting.values() if seqno <= tx_id.seqno]
        for verdict in due:
            del self._waiting[verdict.proposal_id]
            info = find_info(self._store.begin_committed(), verdict.proposal_id)
            if info is not None and info.state is verdict.state:
                self._tell(verdict.line())
