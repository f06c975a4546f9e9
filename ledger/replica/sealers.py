"""Which ledger secret seals which entry: a rekey at seqno R takes effect from R+1."""

from bisect import bisect_right

from ledger.crypto.sealing import EntrySealer


class Sealers:
    """Sealers by the first seqno of their secret.

    Invariant: starts ascend; the first is 1 on a node that knows the whole past.
    """

    __slots__ = ("_sealers", "_starts", "latest")

    def __init__(self, first_secret: bytes, start: int = 1) -> None:
        self.latest = EntrySealer(first_secret)
        self._starts = [start]
        self._sealers = [self.latest]

    def add(self, secret: bytes, start: int) -> None:
        """Use ``secret`` (32 bytes) for entries from ``start``, beyond every start so far."""
        assert start > self._starts[-1], f"secret from {start} after one from {self._starts[-1]}"
        self.latest = EntrySealer(secret)
        self._starts.append(start)
        self._sealers.append(self.latest)

    def at(self, seqno: int) -> EntrySealer:
        """Return the sealer valid at ``seqno``."""
        if seqno >= self._starts[-1]:
            return self.latest
        index = bisect_right(self._starts, seqno) - 1
        assert index >= 0, (
            f"no ledger secret for seqno {seqno}, the first starts at {self._starts[0]}"
        )
        return self._sealers[index]

    def rollback(self, seqno: int) -> None:
        """Forget secrets that a rolled-back rekey above ``seqno`` had started."""
        while len(self._starts) > 1 and self._starts[-1] > seqno + 1:
            self._starts.pop()
            self._sealers.pop()
        self.latest = self._sealers[-1]
