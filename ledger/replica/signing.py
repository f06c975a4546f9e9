"""What no signature covers yet, and the signatures that are on their way.

The seqno of a signature is given out before its bytes exist. The oldest is being made; a later one
was reserved because ``tx_count`` entries had come since the one before, and what it signs is known
when that is made, because its entry is part of it. So no two are further apart than ``tx_count``,
until ``OUTSTANDING_MAX`` are on their way.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ledger.base.clock import Clock
from ledger.base.ids import TxId
from ledger.consensus.types import Proposed
from ledger.replica.cadence import SigningCadence, SigningSettings

OUTSTANDING_MAX = 100
"""Most signatures on their way: some 0.1 s of the signer's time. Then the distance grows."""


@dataclass(slots=True)
class Reservation:
    """A signature to come, and what is held behind it.

    Attributes:
        tx_id: Its transaction ID.
        root: What it signs, 32 bytes; empty until the signature before is made.
        entries: Entries up to the next reservation.
        leaves: Their leaves.
    """

    tx_id: TxId
    root: bytes = b""
    entries: list[Proposed] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)


class Signing:
    """Counts, decides when, and keeps reservations, oldest first.

    Attributes:
        tx_count: Most entries between two signatures while the signer follows.
        unsigned: Entries behind the newest signature; whoever orders one adds it.
    """

    __slots__ = (
        "_asked",
        "_cadence",
        "_clock",
        "_reservations",
        "_waiters",
        "tx_count",
        "unsigned",
    )

    def __init__(self, settings: SigningSettings, clock: Clock) -> None:
        self.tx_count = settings.tx_count
        self.unsigned = 0
        self._cadence = SigningCadence(settings)
        self._clock = clock
        self._asked = False
        self._reservations: deque[Reservation] = deque()
        self._waiters: list[Callable[[None], None]] = []

    @property
    def oldest(self) -> Reservation | None:
        """The signature that is being made, None when there is none."""
        return self._reservations[0] if self._reservations else None

    @property
    def is_full(self) -> bool:
        """Whether no more may be on their way."""
        return len(self._reservations) >= OUTSTANDING_MAX

    @property
    def is_half_full(self) -> bool:
        """Whether half of that is reached: the signer is what clients should wait for."""
        return 2 * len(self._reservations) >= OUTSTANDING_MAX

    @property
    def is_idle(self) -> bool:
        """Whether there is something unsigned and no signature being made."""
        return self.unsigned > 0 and not self._reservations

    def ask(self) -> None:
        """Have the next signature made whether or not it is due."""
        self._asked = True

    def is_due(self) -> bool:
        """Say whether to reserve one: by count if there is room, by time if none is being made."""
        if self.unsigned >= self.tx_count:
            return not self.is_full
        if self._reservations or not (self.unsigned or self._asked):
            return False
        return self._asked or self._cadence.due(self._clock.monotonic_ms(), self.unsigned)

    def wait_ms(self) -> float:
        """Return how long until what is unsigned now has to be signed."""
        return self._cadence.wait_ms(self._clock.monotonic_ms())

    def reserve(self, tx_id: TxId) -> None:
        """Note a signature over everything there is."""
        self._cadence.started(self._clock.monotonic_ms(), self.unsigned)
        self._asked = False
        self.unsigned = 0
        self._reservations.append(Reservation(tx_id))

    def hold(self, entries: Sequence[Proposed], leaves: Sequence[bytes]) -> None:
        """Keep entries behind the newest signature."""
        newest = self._reservations[-1]
        newest.entries += entries
        newest.leaves += leaves

    def made(self) -> Reservation:
        """Give out the oldest with what was held behind it."""
        return self._reservations.popleft()

    def drop(self) -> None:
        """Forget every reservation and what is unsigned."""
        self._reservations.clear()
        self.unsigned = 0

    def when_made(self, resume: Callable[[None], None]) -> None:
        """Call ``resume`` once the oldest signature is made or dropped."""
        assert self._reservations, "there is a signature to wait for"
        self._waiters.append(resume)

    def tell(self) -> None:
        """Call whoever waits."""
        waiters, self._waiters = self._waiters, []
        for resume in waiters:
            resume(None)
