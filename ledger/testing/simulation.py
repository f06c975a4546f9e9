"""One simulated schedule from one seed: a cluster, its clients, faults; then health restored."""

from collections import Counter
from dataclasses import dataclass, field

from ledger.base.errors import LedgerError
from ledger.consensus.quorum import quorum_size
from ledger.testing.checkers_full import FullChecker, Whole
from ledger.testing.faults import ELECTION_TIMEOUT_MS, FaultPlan
from ledger.testing.sim_faults import Disturbed
from ledger.testing.sim_node import NodeMaker

STEPS_UNDER_FAULTS = 4000
PRIMARY_WITHIN = 5 * ELECTION_TIMEOUT_MS
COMMIT_WITHIN = 10 * ELECTION_TIMEOUT_MS
EQUAL_WITHIN = 20 * ELECTION_TIMEOUT_MS


class LivenessError(LedgerError):
    """Faults have ended and the service does not get on."""


@dataclass(slots=True)
class Outcome:
    """What a schedule came to.

    Attributes:
        seed: It was drawn from this.
        steps: Steps of nodes.
        trace: Digest of all of them.
        committed: Length of the committed log.
        demanded: Whether the nodes left could be asked to go on.
        counters: States reached.
    """

    seed: int
    steps: int
    trace: int
    committed: int
    demanded: bool
    counters: Counter[str] = field(default_factory=Counter)


class Schedule(Disturbed):
    """Runs one seed.

    Attributes:
        healed_at: Number of recorded events before the faults ended, None as long as they last.
    """

    def __init__(
        self, seed: int, plan: FaultPlan | None = None, maker: NodeMaker | None = None
    ) -> None:
        super().__init__(seed, plan, maker)
        self.healed_at: int | None = None
        self._full_checker = FullChecker(
            lambda entry: self.cluster.invariants.register[entry.view, entry.seqno].role
        )

    def run(self) -> Outcome:
        """Run the whole schedule.

        Raises:
            InvariantError: safety is lost.
            LivenessError: progress is lost.
        """
        self._set_up()
        self._is_healed = False
        self._begin_faults()
        while self.cluster.steps < STEPS_UNDER_FAULTS and self.cluster.alive():
            self._advance()
        demanded = self._heal()
        if demanded:
            self._require_progress()
        else:
            self._run_until(lambda: False, self.now + 5 * ELECTION_TIMEOUT_MS)
        self.clients.check()
        return self._outcome(demanded=demanded)

    def check_everything(self) -> None:
        """Check all invariants by their slow definitions."""
        wholes = {
            name: Whole(
                member.raft,
                [entry for entry in member.ledger if entry is not None],
                is_alive=member.is_alive,
            )
            for name, member in self.cluster.members.items()
        }
        self._full_checker.check(wholes)

    def _outcome(self, *, demanded: bool) -> Outcome:
        self.check_everything()
        return Outcome(
            self.seed,
            self.cluster.steps,
            self.cluster.trace,
            len(self.cluster.invariants.committed) - 1,
            demanded,
            self.cluster.counters,
        )

    def _set_up(self) -> None:
        """Start the service and bring it to its planned size, without faults."""
        first = self.cluster.bootstrap(self._new_id())
        self.cluster.configure(first, frozenset({first.node_id}))
        self.cluster.sign(first)
        self._start_clock(first)
        members = [first] + [self._new_member(None) for _ in range(self.plan.nodes - 1)]
        if len(members) > 1:
            self.cluster.configure(first, frozenset(member.node_id for member in members))
            self.cluster.sign(first)
        want = first.raft.last
        done = self._run_until(
            lambda: all(member.raft.commit >= want for member in members),
            self.now + EQUAL_WITHIN,
        )
        if not done:
            raise LivenessError(f"the service did not reach its {len(members)} nodes")
        self.network.begin_faults()

    def _heal(self) -> bool:
        """End all faults.

        Returns:
            Whether the nodes that are left can be asked for progress: some of them hold all that is
            committed, and those have a quorum in each of their configurations.
        """
        self._is_healed = True
        self.healed_at = self.cluster.recorded
        self.network.heal()
        self._paused.clear()
        self._stalled.clear()
        self._rates = dict.fromkeys(self._rates, 1.0)
        invariants = self.cluster.invariants
        newest = len(invariants.committed) - 1
        view = invariants.committed[newest]
        holders = [m for m in self.cluster.members.values() if m.log.holds(view, newest)]
        for member in holders:
            # What a node that has ended wrote last may still be on its way.
            pending = [held for held in member.log.configurations if held[0] > newest]
            for _, nodes in member.log.active() if member.is_alive else pending:
                running = sum(1 for node in nodes if self.cluster.members[node].is_alive)
                if running < quorum_size(len(nodes)):
                    return False
        return any(member.is_alive for member in holders)

    def _require_progress(self) -> None:
        healed = self.now
        # Without pre-votes, nodes that cannot win keep raising the view, which restarts the timers
        # of those that can: who comes first is chance, so a bound needs room.
        slack = 1 if self.plan.settings.pre_vote else 5
        before = len(self.cluster.invariants.committed)
        self.at(self.now + ELECTION_TIMEOUT_MS, self._operate)
        if not self._run_until(self._has_primary, healed + slack * PRIMARY_WITHIN):
            raise LivenessError("no primary within 5 election timeouts after the last fault")
        wanted = len(self.clients.operations) + 1
        if not self._run_until(
            lambda: self._has_committed(before, wanted), healed + slack * COMMIT_WITHIN
        ):
            raise LivenessError("no commit within 10 election timeouts after the last fault")
        self._writes = False
        if not self._run_until(self._has_equal_logs, healed + slack * EQUAL_WITHIN):
            raise LivenessError("logs differ 20 election timeouts after the last fault")

    def _has_primary(self) -> bool:
        return bool(self.cluster.primaries())

    def _has_committed(self, before: int, operation: int) -> bool:
        committed = self.cluster.invariants.committed
        if len(committed) <= before or len(self.clients.operations) <= operation:
            return False
        for written in self.clients.operations[operation:]:
            view, seqno = written.tx_id
            if seqno < len(committed) and committed[seqno] == view:
                return True
        return False

    def _has_equal_logs(self) -> bool:
        primary = max(self.cluster.primaries(), key=lambda m: m.raft.view, default=None)
        if primary is None:
            return False
        views = primary.log.views
        for node in sorted(primary.raft.state.configurations.newest):
            member = self.cluster.members[node]
            if member.is_alive and (
                member.log.views != views
                or member.log.commit != len(views) - 1
                or member.raft.view != primary.raft.view
            ):
                return False
        return True

    def _operate(self, _: object) -> None:
        """Switch off, as an operator would, the nodes that a working service does not list."""
        self.at(self.now + ELECTION_TIMEOUT_MS, self._operate)
        primary = max(self.cluster.primaries(), key=lambda m: m.raft.view, default=None)
        if primary is None:
            return
        state = primary.raft.state
        if state.view_at(state.commit) != state.view:
            return
        for member in self.cluster.alive():
            listed = member is primary or member.node_id in state.configurations.others
            if not listed and member.node_id not in state.peers:
                self.cluster.stop(member)
