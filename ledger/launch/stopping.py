"""An orderly end: sign and commit what there is, hand the primary's role over, then stop.

New writes are refused meanwhile, else there would always be something that is not committed yet.
The host ends a node that takes too long.
"""

from collections.abc import Callable
from typing import Protocol

from ledger.replica.replica import Replica

COMMIT_TIME_MAX_MS = 2000
"""Time for the last writes to commit; what is not committed by then may be lost."""
HAND_OVER_TIME_MAX_MS = 2000
"""Time for a peer to take over; the others would elect one without us anyway."""
ASK_AGAIN_MS = 500
"""A peer that was asked and does not stand by then has perhaps not heard."""


class Connections(Protocol):
    """What is known of the connections to other nodes."""

    @property
    def any_connected(self) -> bool:
        """Whether some other node can be spoken to."""
        ...


class Stopping:
    """Looks at every tick how far the end is.

    Args:
        replica: State machine; takes part in consensus until the end.
        peers: Connections to other nodes: without any, waiting for them is in vain.
        stop: Called once.
    """

    def __init__(self, replica: Replica, peers: Connections, stop: Callable[[], None]) -> None:
        self._replica = replica
        self._peers = peers
        self._stop = stop
        self._commit_left_ms: float = COMMIT_TIME_MAX_MS
        self._hand_over_left_ms: float = HAND_OVER_TIME_MAX_MS
        self._ask_in_ms = 0.0
        self._stopped = False
        if replica.is_primary and not self._all_committed():
            replica.sign_soon()

    def tick(self, elapsed_ms: float) -> None:
        """Go on to the next step when the last one is done."""
        if self._stopped:
            return
        if not self._replica.is_primary:
            self._end()
        elif self._commit_left_ms > 0 and not self._all_committed() and self._reaches_others():
            self._commit_left_ms -= elapsed_ms
        else:
            self._commit_left_ms = 0
            self._hand_over(elapsed_ms)

    def _all_committed(self) -> bool:
        return self._replica.commit_id.seqno == self._replica.store.version

    def _reaches_others(self) -> bool:
        return self._peers.any_connected or not self._replica.raft.state.configurations.others

    def _hand_over(self, elapsed_ms: float) -> None:
        self._hand_over_left_ms -= elapsed_ms
        self._ask_in_ms -= elapsed_ms
        if self._hand_over_left_ms <= 0 or not self._peers.any_connected:
            self._end()
        elif self._ask_in_ms <= 0:
            self._ask_in_ms = ASK_AGAIN_MS
            if not self._replica.hand_over():
                self._end()

    def _end(self) -> None:
        self._stopped = True
        self._stop()
