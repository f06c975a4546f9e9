"""A small event loop: file descriptors, timers, wake-ups from threads and signals.

The host shares a core with others and does little but copy batches to a file, so a turn must
cost as little as possible: one ``epoll_wait``, then plain calls.
"""

import heapq
import itertools
import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable

Callback = Callable[[], None]


class Timer:
    """A call in the future that can be cancelled."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callback) -> None:
        self.when = when
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Never make the call."""
        self.callback = None


class Loop:
    """Runs callbacks until stopped. All of them run in the thread that calls ``run``.

    Signals: ``on_signal`` installs a handler that only wakes the loop; the callback runs in
    the loop like any other.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._readers: dict[int, Callback] = {}
        self._writers: dict[int, Callback] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._posted: deque[Callback] = deque()
        self._signals: dict[int, Callable[[int], None]] = {}
        self._signals_before: dict[int, signal._HANDLER] = {}
        self._wake_fd, self._woken_fd = self._pipe()
        self.read_when_ready(self._wake_fd, self._drain_wake_ups)
        self._running = False

    @staticmethod
    def _pipe() -> tuple[int, int]:
        return os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def read_when_ready(self, fd: int, callback: Callback) -> None:
        """Call whenever ``fd`` can be read or has ended."""
        self._change(self._readers, fd, callback)

    def write_when_ready(self, fd: int, callback: Callback) -> None:
        """Call whenever ``fd`` takes bytes."""
        self._change(self._writers, fd, callback)

    def stop_writing(self, fd: int) -> None:
        """Undo ``write_when_ready``."""
        self._change(self._writers, fd, None)

    def forget(self, fd: int) -> None:
        """Undo everything registered for ``fd``; call it before closing."""
        self._change(self._readers, fd, None)
        self._change(self._writers, fd, None)

    def _change(self, table: dict[int, Callback], fd: int, callback: Callback | None) -> None:
        known = fd in self._readers or fd in self._writers
        if callback is None:
            table.pop(fd, None)
        else:
            table[fd] = callback
        events = (select.EPOLLIN if fd in self._readers else 0) | (
            select.EPOLLOUT if fd in self._writers else 0
        )
        if not events:
            if known:
                self._epoll.unregister(fd)
        elif known:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)

    def call_later(self, seconds: float, callback: Callback) -> Timer:
        """Call once, ``seconds`` from now."""
        timer = Timer(time.monotonic() + seconds, callback)
        heapq.heappush(self._timers, (timer.when, next(self._order), timer))
        return timer

    def post(self, callback: Callback) -> None:
        """Call in the next turn. May be used from any thread."""
        self._posted.append(callback)
        self._wake()

    def on_signal(self, number: int, callback: Callable[[int], None]) -> None:
        """Call with the signal's number when it arrives. Main thread only."""
        self._signals[number] = callback
        self._signals_before[number] = signal.signal(number, self._note_signal)

    def _note_signal(self, number: int, frame: object) -> None:
        del frame
        self._posted.append(lambda: self._signals[number](number))
        self._wake()

    def _wake(self) -> None:
        try:
            os.write(self._woken_fd, b"\0")
        except BlockingIOError:
            return  # enough wake-ups are waiting

    def _drain_wake_ups(self) -> None:
        os.read(self._wake_fd, 4096)

    def run(self) -> None:
        """Run until ``stop``."""
        self._running = True
        while self._running:
            self.turn()

    def stop(self) -> None:
        """End ``run`` after the current turn."""
        self._running = False

    def turn(self) -> None:
        """Wait for something to do and do it."""
        timeout = -1.0
        if self._posted:
            timeout = 0
        elif self._timers:
            timeout = max(0.0, self._timers[0][0] - time.monotonic())
        for fd, events in self._epoll.poll(timeout):
            if events & ~select.EPOLLOUT and fd in self._readers:
                self._readers[fd]()
            if events & ~select.EPOLLIN and fd in self._writers:
                self._writers[fd]()
        while self._posted:
            self._posted.popleft()()
        self._run_timers()

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _, _, timer = heapq.heappop(self._timers)
            if timer.callback is not None:
                timer.callback()

    def close(self) -> None:
        """Release what the loop holds. Signals go back to what they did before."""
        for number, handler in self._signals_before.items():
            signal.signal(number, handler)
        self.forget(self._wake_fd)
        os.close(self._wake_fd)
        os.close(self._woken_fd)
        self._epoll.close()
