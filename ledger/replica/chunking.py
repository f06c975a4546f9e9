"""Where ledger chunks end: decided by the primary, told to everyone by an entry's flags.

A chunk ends at a signature when an end was requested, or when the entries since the last end
(without this signature) have reached the chunk size.
"""

from ledger.codec.entry import FLAG_CHUNK_BEFORE

END_CHUNK = "public:quorate.internal.end_chunk"
"""A transaction asks for the end of a chunk by an empty set of writes to this name.

So the request comes and goes with the transaction's writes: it is dropped with them when a
savepoint is restored, counts when the transaction is ordered, and leaves no trace in the ledger.
"""


class Chunking:
    """Counts bytes since the last chunk end.

    Attributes:
        size_max: Bytes that make the next signature end the chunk.
        size: Bytes since the last chunk end; whoever appends an entry adds its size.
        flags: Flags of the next entry; whoever uses them clears them.
    """

    __slots__ = ("_ends", "_requests", "flags", "size", "size_max")

    def __init__(self, size_max: int) -> None:
        self.size_max = size_max
        self.size = 0
        self.flags = 0
        self._requests: list[int] = []
        self._ends: list[tuple[int, int]] = []  # with the request that each answered, 0 for none

    def request_end(self, seqno: int = 0) -> None:
        """Have the first signature behind the transaction at ``seqno`` end the chunk."""
        self._requests.append(seqno)

    def begin_before_next(self) -> None:
        """Have the next entry start a new chunk (first entry of a recovered service)."""
        self.flags = FLAG_CHUNK_BEFORE

    def ends_at(self, seqno: int) -> bool:
        """Say whether the signature at ``seqno`` ends the chunk."""
        return self.size >= self.size_max or any(asked < seqno for asked in self._requests)

    def signed(self, seqno: int, size: int, *, ends_chunk: bool) -> None:
        """Count a signature of ``size`` bytes."""
        if ends_chunk:
            answered = [asked for asked in self._requests if asked < seqno]
            self._ends.append((seqno, min(answered, default=0)))
            self._requests = [asked for asked in self._requests if asked > seqno]
            self.size = 0
        else:
            self.size += size

    def rollback(self, seqno: int) -> None:
        """Forget what is above ``seqno``; an end that is undone is asked for again.

        Not when the transaction that asked for it is undone too.
        """
        self._requests = [asked for asked in self._requests if asked <= seqno]
        while self._ends and self._ends[-1][0] > seqno:
            _, asked = self._ends.pop()
            if asked <= seqno:
                self._requests.append(asked)

    def committed(self, seqno: int) -> None:
        """Forget chunk ends that can no longer be undone."""
        if self._ends and self._ends[0][0] <= seqno:
            self._ends = [end for end in self._ends if end[0] > seqno]
