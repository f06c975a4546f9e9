"""Log lines about disk operations that took too long, few enough to be read."""

import time

from ledger.host.log import Logger

_QUIET_S = 1.0
"""Least time between two lines; what is left out in between is counted."""


class SlowOperations:
    """Measures operations against a threshold.

    Args:
        log: Where to complain.
        threshold_ms: Operations up to this duration are fine.
    """

    def __init__(self, log: Logger, threshold_ms: float) -> None:
        self._log = log
        self._threshold_s = threshold_ms / 1000
        self._left_out = 0
        self._last_line = float("-inf")

    def note(self, operation: str, started: float) -> None:
        """Judge an operation that ends now.

        Args:
            operation: What was done, e.g. ``syncing the ledger``.
            started: Monotonic seconds at its start.
        """
        now = time.monotonic()
        duration = now - started
        if duration <= self._threshold_s:
            return
        if now - self._last_line < _QUIET_S:
            self._left_out += 1
            return
        others = f" ({self._left_out} more were not logged)" if self._left_out else ""
        self._log.info(
            f"Slow I/O: {operation} took {duration * 1000:.1f} ms, more than the configured "
            f"{self._threshold_s * 1000:g} ms{others}"
        )
        self._left_out = 0
        self._last_line = now
