"""When to sign, apart from the count of entries: so long a time after the signature before.

A lone write is signed at once if the last signature is older than ``min_interval_ms``; under
load that interval bounds how often the two signatures and the tree value are paid for.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SigningSettings:
    """Signing cadence.

    Attributes:
        tx_count: Most entries between two signatures while the signer follows; at least 1.
        delay_ms: Sign at the latest this long after an unsigned entry.
        min_interval_ms: Shortest time between two signatures unless ``tx_count`` is reached;
            in ``[0, delay_ms]``.
    """

    tx_count: int = 5000
    delay_ms: float = 1000.0
    min_interval_ms: float = 10.0


class SigningCadence:
    """Decides when the next signature is due; knows neither keys nor entries."""

    __slots__ = ("_interval_ms", "_settings", "last_ms")

    def __init__(self, settings: SigningSettings) -> None:
        self._settings = settings
        self._interval_ms = settings.min_interval_ms
        self.last_ms = -settings.delay_ms

    def due(self, now_ms: float, unsigned: int) -> bool:
        """Say whether time has come to sign, given how many entries no signature covers yet."""
        return unsigned > 0 and now_ms - self.last_ms >= self._interval_ms

    def wait_ms(self, now_ms: float) -> float:
        """Return how long from now an unsigned entry has to wait for its signature."""
        return max(0.0, self.last_ms + self._interval_ms - now_ms)

    def started(self, now_ms: float, covered: int) -> None:
        """Note a signature over ``covered`` new entries, and adapt the interval to the load.

        A signature costs about a millisecond of CPU on every node, so the interval grows with
        the rate of entries: twice ``min_interval_ms`` at 2,000 entries a second, eleven times
        at 20,000, never beyond ``delay_ms``.
        """
        settings = self._settings
        elapsed_ms = max(now_ms - self.last_ms, 1.0)
        entries_per_ms = covered / max(elapsed_ms, settings.min_interval_ms)
        wanted = settings.min_interval_ms * (1.0 + entries_per_ms / 2.0)
        self._interval_ms = min(wanted, settings.delay_ms)
        self.last_ms = now_ms
