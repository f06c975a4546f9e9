"""Where ledger chunks end: decided by the primary, told to everyone by an entry's flags.

A chunk ends at a signature when an end was requested, or when the entries since the last end
(without this signature) have reached the chunk size.
"""

from ledger.codec.entry import FLAG_CHUNK_BEFORE


class Chunking:
    """Counts bytes since the last chunk end.

    Attributes:
        size_max: Bytes that make the next signature end the chunk.
    """

    __slots__ = ("_ends", "_flags", "_requested", "_size", "size_max")

    def __init__(self, size_max: int) -> None:
        self.size_max = size_max
        self._size = 0
        self._requested = False
        self._flags = 0
        self._ends: list[int] = []

    def request_end(self) -> None:
        """Have the next signature end the chunk."""
        self._requested = True

    def begin_before_next(self) -> None:
        """Have the next entry start a new chunk (first entry of a recovered service)."""
        self._flags = FLAG_CHUNK_BEFORE

    def take_flags(self) -> int:
        """Return the flags of the next entry that is no signature."""
        flags, self._flags = self._flags, 0
        return flags

    def add(self, size: int) -> None:
        """Count an entry of ``size`` bytes, header included."""
        self._size += size

    def ends_at(self, seqno: int) -> bool:
        """Say whether the signature at ``seqno`` ends the chunk."""
        del seqno
        return self._requested or self._size >= self.size_max

    def signed(self, seqno: int, size: int, *, ends_chunk: bool) -> None:
        """Count a signature of ``size`` bytes."""
        if ends_chunk:
            self._ends.append(seqno)
            self._requested = False
            self._size = 0
        else:
            self._size += size

    def rollback(self, seqno: int) -> None:
        """Forget chunk ends above ``seqno``; one that is undone is asked for again."""
        while self._ends and self._ends[-1] > seqno:
            self._ends.pop()
            self._requested = True

    def committed(self, seqno: int) -> None:
        """Forget chunk ends that can no longer be undone."""
        if self._ends and self._ends[0] <= seqno:
            self._ends = [end for end in self._ends if end > seqno]
