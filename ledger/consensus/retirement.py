"""The phases of a leaving node, as a table of what may follow what.

========== ============================================= ==========================
phase      entered when                                  can go back to
========== ============================================= ==========================
(none)                                                   -
Ordered    a configuration without the node is appended  (none), by roll-back
Signed     the next signature is appended                Ordered or (none), likewise
Completed  that signature commits                        -
Retired-   an entry that marks the node commits          - (final)
Committed
========== ============================================= ==========================
"""

from ledger.consensus.types import Membership, RetirementPhase

ORDERED = RetirementPhase.ORDERED
SIGNED = RetirementPhase.SIGNED
COMPLETED = RetirementPhase.COMPLETED
RETIRED_COMMITTED = RetirementPhase.RETIRED_COMMITTED

FOLLOWING: dict[RetirementPhase | None, frozenset[RetirementPhase | None]] = {
    None: frozenset({ORDERED}),
    ORDERED: frozenset({SIGNED, None}),
    SIGNED: frozenset({COMPLETED, ORDERED, None}),
    COMPLETED: frozenset({RETIRED_COMMITTED}),
    RETIRED_COMMITTED: frozenset(),
}
"""From each phase, the phases that may come next; roll-backs included."""


class Retirement:
    """How far this node has got with leaving, and where each phase began.

    Attributes:
        phase: None while the node is active.
        seqno: The configuration without the node; 0 if none.
        committable_seqno: The first signature after it; 0 if none.
        retired_committed_seqno: The entry that marked the node; 0 if none committed.
    """

    __slots__ = ("committable_seqno", "phase", "retired_committed_seqno", "seqno")

    def __init__(self) -> None:
        self.phase: RetirementPhase | None = None
        self.seqno = 0
        self.committable_seqno = 0
        self.retired_committed_seqno = 0

    @property
    def membership(self) -> Membership:
        """The published two-valued state."""
        return Membership.ACTIVE if self.phase is None else Membership.RETIRED

    @property
    def is_final(self) -> bool:
        """Whether the node may be switched off."""
        return self.phase is RETIRED_COMMITTED

    def configuration_appended(self, seqno: int) -> None:
        """Note that a configuration without the node was appended."""
        self._enter(ORDERED)
        self.seqno = seqno

    def signature_appended(self, seqno: int) -> None:
        """Note a signature."""
        if self.phase is ORDERED:
            self._enter(SIGNED)
            self.committable_seqno = seqno

    def committed(self, seqno: int) -> None:
        """Note that commit has reached ``seqno``."""
        if self.phase is SIGNED and seqno >= self.committable_seqno:
            self._enter(COMPLETED)

    def marked(self, seqno: int) -> None:
        """Note that an entry which marks the node as removable has committed."""
        assert self.phase is COMPLETED, (
            f"marked as removable in phase {self.phase}, want a committed retirement"
        )
        self._enter(RETIRED_COMMITTED)
        self.retired_committed_seqno = seqno

    def rollback(self, seqno: int) -> None:
        """Take back what rests on entries above ``seqno``."""
        if self.phase is SIGNED and self.committable_seqno > seqno:
            self._enter(ORDERED)
            self.committable_seqno = 0
        if self.phase is ORDERED and self.seqno > seqno:
            self._enter(None)
            self.seqno = 0

    def _enter(self, phase: RetirementPhase | None) -> None:
        assert phase in FOLLOWING[self.phase], f"phase {phase} cannot follow {self.phase}"
        self.phase = phase
