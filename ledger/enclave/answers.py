"""Answers in the order of their requests, also when some come late."""

from ledger.endpoints.request import Request

OWED_MAX = 256
"""Requests of one client that wait for an answer or behind one that does."""

HELD_SIZE_MAX = 1 << 20
"""Bytes of finished answers that wait behind a late one."""


class AnswerQueue:
    """What one session has to say.

    Attributes:
        ready: Answers that wait for nobody, oldest first. Add to it only while ``owed`` is empty.
        owed: Requests in order of arrival, each with its answer, or None while it is not known.
            Invariant: empty, or the first answer is not known.
    """

    __slots__ = ("_held_size", "owed", "ready")

    def __init__(self) -> None:
        self.ready: list[bytes] = []
        self.owed: dict[Request, bytes | None] = {}
        self._held_size = 0

    @property
    def has_room(self) -> bool:
        """Whether more requests may be handled before some answers leave."""
        return len(self.owed) < OWED_MAX and self._held_size < HELD_SIZE_MAX

    def add(self, request: Request, answer: bytes) -> None:
        """Answer a request that is the newest one."""
        if self.owed:
            self.owed[request] = answer
            self._held_size += len(answer)
        else:
            self.ready.append(answer)

    def complete(self, request: Request, answer: bytes) -> None:
        """Answer a request that is owed one; it and what waited for it become ready."""
        owed = self.owed
        assert owed[request] is None, "a request is answered once"
        owed[request] = answer
        self._held_size += len(answer)
        while owed:
            first, held = next(iter(owed.items()))
            if held is None:
                return
            del owed[first]
            self._held_size -= len(held)
            self.ready.append(held)

    def drop_behind(self, request: Request) -> None:
        """Forget every request that came after this one, if this one is owed an answer."""
        if request in self.owed:
            order = list(self.owed)
            for later in order[order.index(request) + 1 :]:
                self._held_size -= len(self.owed.pop(later) or b"")

    def take(self) -> bytes:
        """Return and forget what is ready, as one piece."""
        ready = self.ready
        data = ready[0] if len(ready) == 1 else b"".join(ready)
        ready.clear()
        return data

    def clear(self) -> None:
        """Forget everything."""
        self.ready.clear()
        self.owed.clear()
        self._held_size = 0
