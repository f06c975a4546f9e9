"""Who waits for the fate of a transaction: callbacks ordered by seqno, each called once."""

import heapq
from collections.abc import Callable
from itertools import count
from typing import Literal

from ledger.base.ids import TxId

Status = Literal["Unknown", "Pending", "Committed", "Invalid"]
"""Status of a transaction as one node sees it; the last two are final."""
Decided = Callable[[Status], None]
"""Called with Committed or Invalid."""


class CommitWaiters:
    """Callbacks for undecided transactions.

    Two transactions may wait for one seqno, in different views; at most one commits.
    """

    __slots__ = ("_heap", "_order")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, Decided]] = []
        self._order = count()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, tx_id: TxId, decided: Decided) -> None:
        """Call ``decided`` when the seqno of ``tx_id`` is committed, in its view or another."""
        heapq.heappush(self._heap, (tx_id.seqno, next(self._order), tx_id.view, decided))

    def release(self, commit_seqno: int, view_at: Callable[[int], int]) -> None:
        """Decide every transaction at or below ``commit_seqno``."""
        heap = self._heap
        while heap and heap[0][0] <= commit_seqno:
            seqno, _, view, decided = heapq.heappop(heap)
            decided("Committed" if view_at(seqno) == view else "Invalid")
