"""An orderly end: sign and commit what there is, hand the primary's role over, then stop.

The host ends a node that takes too long.
"""

from collections.abc import Callable

from ledger.replica.replica import Replica

HAND_OVER_TIME_MAX_MS = 2000
"""Time for a peer to take over; the others would elect one without us anyway."""


class Stopping:
    """Looks at every tick how far the end is.

    Args:
        replica: State machine; takes part in consensus until the end.
        stop: Called once.
    """

    def __init__(self, replica: Replica, stop: Callable[[], None]) -> None:
        self._replica = replica
        self._stop = stop
        self._left_ms: float | None = None
        self._stopped = False
        replica.sign_soon()

    def tick(self, elapsed_ms: float) -> None:
        """Go on to the next step when the last one is done."""
        replica = self._replica
        if self._stopped:
            return
        if not replica.is_primary:
            self._end()
        elif self._left_ms is not None:
            self._left_ms -= elapsed_ms
            if self._left_ms <= 0:
                self._end()
        elif replica.commit_id.seqno == replica.store.version:
            if replica.hand_over():
                self._left_ms = HAND_OVER_TIME_MAX_MS
            else:
                self._end()

    def _end(self) -> None:
        self._stopped = True
        self._stop()
