"""One thread for work that would hold up the loop: signatures."""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

_Job = tuple[Callable[[], Any], Callable[[Any], None]]


class Worker:
    """Runs jobs one after the other, oldest first, and hands their results back.

    Args:
        hand_back: Called in the thread with ``done`` and the result; has them run on the loop.
        failed: Called in the thread with what a job raised; nothing runs after that.
    """

    def __init__(
        self,
        hand_back: Callable[[Callable[[Any], None], Any], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._hand_back = hand_back
        self._failed = failed
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._thread.start()

    def submit(self, function: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Run ``function`` in the thread and ``done`` with its result on the loop."""
        self._jobs.put((function, done))

    def stop(self, timeout_s: float) -> None:
        """Let the jobs that are queued finish, for at most this long."""
        self._jobs.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            function, done = job
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001 - any error ends the process
                self._failed(error)
                return
            self._hand_back(done, result)
