"""Where ledger chunks end: decided by the primary, told to everyone by an entry's flags.

A chunk ends at a signature when an end was requested, or when the entries since the last end
(without this signature) have reached the chunk size.
"""

from ledger.codec.entry import FLAG_CHUNK_BEFORE


class Chunking:
    """Counts bytes since the last chunk end.

    Attributes:
        size_max: Bytes that make the next signature end the chunk.
        size: Bytes since the last chunk end; whoever appends an entry adds its size.
        flags: Flags of the next entry; whoever uses them clears them.
    """

    __slots__ = ("_ends", "_requested", "flags", "size", "size_max")

    def __init__(self, size_max: int) -> None:
        self.size_max = size_max
        self.size = 0
        self._requested = False
        self.flags = 0
        self._ends: list[int] = []

    def request_end(self) -> None:
        """Have the next signature end the chunk."""
        self._requested = True

    def begin_before_next(self) -> None:
        """Have the next entry start a new chunk (first entry of a recovered service)."""
        self.flags = FLAG_CHUNK_BEFORE

    def ends_at(self, seqno: int) -> bool:
        """Say whether the signature at ``seqno`` ends the chunk."""
        del seqno
        return self._requested or self.size >= self.size_max

    def signed(self, seqno: int, size: int, *, ends_chunk: bool) -> None:
        """Count a signature of ``size`` bytes."""
        if ends_chunk:
            self._ends.append(seqno)
            self._requested = False
            self.size = 0
        else:
            self.size += size

    def rollback(self, seqno: int) -> None:
        """Forget chunk ends above ``seqno``; one that is undone is asked for again."""
        while self._ends and self._ends[-1] > seqno:
            self._ends.pop()
            self._requested = True

    def committed(self, seqno: int) -> None:
        """Forget chunk ends that can no longer be undone."""
        if self._ends and self._ends[0] <= seqno:
            self._ends = [end for end in self._ends if end > seqno]
