"""The entries a node holds in memory, and their sizes.

Entries at or below the commit seqno may be released: their bytes are in the ledger on disk. What
remains known of them is the view of each (``view_history``) and an average of their sizes.
"""

from bisect import bisect_right

from ledger.consensus.types import Entry

RELEASE_BATCH = 64
"""Entries are dropped from memory this many at a time, which makes the cost per entry constant."""

NOMINAL_ENTRY_BYTES = 512
"""What an entry is counted as when its size was never known (it came with a snapshot)."""


class Log:
    """Entries ``first .. last`` in memory; those before ``first`` exist but are elsewhere.

    Invariant: ``first <= last + 1``; the entries are consecutive.
    """

    __slots__ = ("_ends", "_entries", "first", "last")

    def __init__(self, last: int = 0) -> None:
        self.first = last + 1
        self.last = last
        self._entries: list[Entry] = []
        self._ends: list[int] = [last * NOMINAL_ENTRY_BYTES]
        """Total size up to and including each entry held, after the total of all before them."""

    def append(self, entry: Entry) -> None:
        """Add the next entry."""
        self.last += 1
        assert entry.seqno == self.last, f"got entry {entry.seqno} to append, want {self.last}"
        self._entries.append(entry)
        self._ends.append(self._ends[-1] + len(entry.data))

    def truncate(self, seqno: int) -> None:
        """Remove the entries above ``seqno``, all of which must be in memory."""
        assert self.first - 1 <= seqno, f"entry {seqno + 1} to remove was released as committed"
        keep = seqno - self.first + 1
        del self._entries[keep:]
        del self._ends[keep + 1 :]
        self.last = min(self.last, seqno)

    def release(self, seqno: int) -> None:
        """Drop the entries up to ``seqno`` from memory (at leisure: not always all of them)."""
        count = min(seqno, self.last) - self.first + 1
        if count < RELEASE_BATCH:
            return
        del self._entries[:count]
        del self._ends[:count]
        self.first += count

    def get(self, seqno: int) -> Entry | None:
        """Return the entry at ``seqno`` if it is in memory."""
        if self.first <= seqno <= self.last:
            return self._entries[seqno - self.first]
        return None

    def between(self, first: int, last: int) -> tuple[Entry, ...]:
        """Return the entries ``first .. last``, or none at all if some are not in memory."""
        if first < self.first:
            return ()
        return tuple(self._entries[first - self.first : last - self.first + 1])

    def end_within(self, first: int, last: int, bytes_max: int) -> int:
        """Return the end of a batch from ``first`` whose entries add up to ``bytes_max`` at most.

        Returns:
            A seqno in ``[first, last]``, or ``last`` when that is below ``first``. A batch that
            begins with an entry not in memory ends before the first one that is.
        """
        if first < self.first:
            return min(last, self.first - 1)
        if first > last:
            return last
        begin = first - self.first
        position = bisect_right(self._ends, self._ends[begin] + bytes_max) - 1
        return max(first, min(last, self.first + position - 1))

    def bytes_between(self, after: int, last: int) -> int:
        """Return the size of the entries above ``after`` up to ``last``.

        Entries not in memory count with the average of all that went before.
        """
        if last <= after:
            return 0
        known = max(after, self.first - 1)
        size = self._ends[max(last, known) - self.first + 1] - self._ends[known - self.first + 1]
        released = min(last, self.first - 1) - after
        if released > 0:
            size += released * (self._ends[0] // (self.first - 1))
        return size
