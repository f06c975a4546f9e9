"""Where each view begins in the log: enough to name any entry's view without the entry.

The history is a list ``starts`` in which ``starts[v - 1]`` is the first seqno of view ``v``. A view
without entries has the same start as the next one.
"""

from bisect import bisect_right
from collections.abc import Sequence


class ViewHistory:
    """First seqnos of all views so far.

    Invariant: the starts never fall.
    """

    __slots__ = ("_starts",)

    def __init__(self, starts: Sequence[int] = ()) -> None:
        self._starts = list(starts)
        for earlier, later in zip(self._starts, self._starts[1:], strict=False):
            assert earlier <= later, f"a view starts at {later}, below its predecessor's {earlier}"

    @property
    def starts(self) -> list[int]:
        """First seqno of each view, from view 1; a copy."""
        return list(self._starts)

    @property
    def newest_view(self) -> int:
        """The newest view that has a start, 0 if none has."""
        return len(self._starts)

    def update(self, seqno: int, view: int) -> None:
        """Note that the entry at ``seqno`` belongs to ``view``."""
        starts = self._starts
        if len(starts) >= view:
            return
        assert not starts or seqno >= starts[-1], (
            f"view {view} would start at {seqno}, below its predecessor's {starts[-1]}"
        )
        starts.extend([seqno] * (view - len(starts)))

    def view_at(self, seqno: int) -> int:
        """Return the view that ``seqno`` falls in, 0 below the first start.

        Says nothing of whether there is an entry: above the newest entry ask nobody.
        """
        return bisect_right(self._starts, seqno)

    def start(self, view: int) -> int:
        """Return the first seqno of a view, 0 if the view is unknown or empty."""
        starts = self._starts
        if not 1 <= view <= len(starts):
            return 0
        if view < len(starts) and starts[view] == starts[view - 1]:
            return 0
        return starts[view - 1]

    def end(self, view: int) -> int:
        """Return the last seqno of a view, 0 if it is unknown, empty or the newest."""
        if view >= len(self._starts) or self.start(view) == 0:
            return 0
        return self._starts[view] - 1

    def rollback(self, seqno: int) -> None:
        """Forget the views that start above ``seqno``."""
        del self._starts[bisect_right(self._starts, seqno) :]

    def best_match(self, view: int, seqno: int, last: int) -> int:
        """Return the highest own seqno that could agree with somebody's ``view.seqno``.

        Skips whole views, so a search for the point of agreement takes at most one round trip per
        view in which the two logs differ.

        Args:
            view: View of the other's entry.
            seqno: Seqno of the other's entry.
            last: Highest seqno that we hold.

        Returns:
            A seqno in ``[0, min(seqno, last)]`` whose view here is at most ``view``.
        """
        best = min(seqno, last)
        while (own := self.view_at(best)) > view:
            best = self._starts[own - 1] - 1
        return best
