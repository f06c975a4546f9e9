"""Which of the uncommitted entries are signatures."""

from bisect import bisect_left, bisect_right


class Committable:
    """Seqnos of the signatures in ``(commit, last]``, ascending.

    Signatures of older views stay in it when a node becomes primary: they say how far its log is
    safe to keep. What keeps a primary from committing one of them alone is the check of the view
    in ``commitment``.
    """

    __slots__ = ("_seqnos",)

    def __init__(self) -> None:
        self._seqnos: list[int] = []

    @property
    def seqnos(self) -> list[int]:
        """All of them; a copy."""
        return list(self._seqnos)

    @property
    def newest(self) -> int:
        """The highest one, 0 if there is none."""
        return self._seqnos[-1] if self._seqnos else 0

    def add(self, seqno: int) -> None:
        """Note a signature above all noted so far."""
        assert seqno > self.newest, f"signature {seqno} is not above signature {self.newest}"
        self._seqnos.append(seqno)

    def highest_up_to(self, seqno: int) -> int:
        """Return the highest signature at or below ``seqno``, 0 if there is none."""
        position = bisect_right(self._seqnos, seqno)
        return self._seqnos[position - 1] if position else 0

    def contains(self, seqno: int) -> bool:
        """Say whether the entry at ``seqno`` is an uncommitted signature."""
        position = bisect_left(self._seqnos, seqno)
        return position < len(self._seqnos) and self._seqnos[position] == seqno

    def drop_up_to(self, seqno: int) -> None:
        """Forget those at or below ``seqno``: they are committed."""
        del self._seqnos[: bisect_right(self._seqnos, seqno)]

    def drop_above(self, seqno: int) -> None:
        """Forget those above ``seqno``: they are rolled back."""
        del self._seqnos[bisect_right(self._seqnos, seqno) :]
