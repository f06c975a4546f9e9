"""Repeated callbacks and one alarm clock, on an event loop."""

import asyncio
from collections.abc import Callable


class Timers:
    """Timers whose every firing is followed by a turn.

    Args:
        loop: Where they run.
        want_turn: Schedules a turn.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, want_turn: Callable[[], None]) -> None:
        self._loop = loop
        self._want_turn = want_turn
        self._repeated: list[_Repeated] = []
        self._alarm: asyncio.Handle | None = None
        self._alarm_at = 0.0

    def every(self, interval_ms: float, callback: Callable[[], None]) -> None:
        """Call back again and again; intervals that were missed are not made up."""
        self._repeated.append(_Repeated(self._loop, self._want_turn, interval_ms, callback))

    def wake_in(self, delay_ms: float) -> None:
        """Have a turn happen after this time at the latest."""
        due = self._loop.time() + delay_ms / 1000.0
        if self._alarm is not None:
            if self._alarm_at <= due:
                return
            self._alarm.cancel()
        self._alarm_at = due
        self._alarm = self._loop.call_at(due, self._ring)

    def cancel(self) -> None:
        """Stop them all."""
        for repeated in self._repeated:
            repeated.handle.cancel()
        if self._alarm is not None:
            self._alarm.cancel()

    def _ring(self) -> None:
        self._alarm = None
        self._want_turn()


class _Repeated:
    """One repeated callback."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        want_turn: Callable[[], None],
        interval_ms: float,
        callback: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._want_turn = want_turn
        self._interval_s = interval_ms / 1000.0
        self._callback = callback
        self._due = loop.time() + self._interval_s
        self.handle: asyncio.Handle = loop.call_at(self._due, self._fire)

    def _fire(self) -> None:
        now = self._loop.time()
        self._due += self._interval_s
        if self._due <= now:  # the loop was held up: what it missed is not made up
            self._due = now + self._interval_s
        self.handle = self._loop.call_at(self._due, self._fire)
        self._want_turn()
        self._callback()
