"""Which seqnos are signature transactions: the receipts of a transaction need the one above it."""

from array import array
from bisect import bisect_right


class SignatureIndex:
    """Ascending seqnos of signature transactions, eight bytes each."""

    __slots__ = ("_seqnos",)

    def __init__(self) -> None:
        self._seqnos = array("Q")

    def add(self, seqno: int) -> None:
        """Note the signature transaction at ``seqno``, above every earlier one."""
        assert not self._seqnos or seqno > self._seqnos[-1], "signatures come in order"
        self._seqnos.append(seqno)

    @property
    def last(self) -> int:
        """Seqno of the newest signature transaction, 0 for none."""
        return self._seqnos[-1] if self._seqnos else 0

    def is_signature(self, seqno: int) -> bool:
        """Say whether ``seqno`` is a signature transaction."""
        index = bisect_right(self._seqnos, seqno) - 1
        return index >= 0 and self._seqnos[index] == seqno

    def covering(self, seqno: int) -> int | None:
        """Return the first signature transaction above ``seqno``, None when there is none yet."""
        index = bisect_right(self._seqnos, seqno)
        return self._seqnos[index] if index < len(self._seqnos) else None

    def any_in(self, first: int, last: int) -> bool:
        """Say whether a signature transaction lies in ``[first, last]``."""
        index = bisect_right(self._seqnos, last) - 1
        return index >= 0 and self._seqnos[index] >= first

    def rollback(self, seqno: int) -> None:
        """Forget signature transactions above ``seqno``."""
        while self._seqnos and self._seqnos[-1] > seqno:
            self._seqnos.pop()
