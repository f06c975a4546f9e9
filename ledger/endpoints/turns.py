"""One call at a time for endpoints whose calls take long and read what the others write.

Without it a caller with many small writes would make every long call of the others conflict, again
and again. Calls wait for their turn after they are authenticated; callers come one after the other,
so that one caller's many calls do not stand in front of another's one. A call keeps its turn while
it runs again after conflicts, until it is ordered or refused.

    a1 runs, a2 a3 b1 wait:   a1 ends → b1 runs → a2 runs → a3 runs
"""

import enum
from collections import OrderedDict, deque
from collections.abc import Callable

from ledger.endpoints.request import Request

WAITING_MAX = 16
"""Most calls of one caller that wait; each holds a request."""

Defer = Callable[[Callable[[], None]], object]
"""Calls a function soon, from the event loop."""


class Turn(enum.Enum):
    """What became of a call that asks for its turn."""

    HELD = "held"
    WAITS = "waits"
    REFUSED = "refused"


class Turns:
    """Who runs, and who waits.

    Args:
        defer: How the next call is begun once one has ended; at once when None.
    """

    __slots__ = ("_defer", "_holder", "_waiting")

    def __init__(self, defer: Defer | None = None) -> None:
        self._defer = defer or _at_once
        self._holder: Request | None = None
        self._waiting: OrderedDict[str | None, deque[tuple[Request, Callable[[], None]]]]
        self._waiting = OrderedDict()

    def take(self, request: Request, caller: str | None, resume: Callable[[], None]) -> Turn:
        """Ask for the turn.

        Args:
            request: The call; it may hold the turn already.
            caller: Whose call it is.
            resume: Called once when the turn has come, if the call has to wait.
        """
        if self._holder is None or self._holder is request:
            self._holder = request
            return Turn.HELD
        queue = self._waiting.get(caller)
        if queue is None:
            queue = self._waiting[caller] = deque()
        if len(queue) >= WAITING_MAX:
            return Turn.REFUSED
        queue.append((request, resume))
        return Turn.WAITS

    def leave(self, request: Request) -> None:
        """Give the turn to the next call; nothing happens when the call does not hold it."""
        if self._holder is not request:
            return
        self._holder = None
        if not self._waiting:
            return
        caller, queue = self._waiting.popitem(last=False)
        self._holder, resume = queue.popleft()
        if queue:
            self._waiting[caller] = queue
        self._defer(resume)


def _at_once(resume: Callable[[], None]) -> None:
    resume()
