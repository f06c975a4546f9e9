"""The invariants of the protocol over whole states: slow, and as close to their text as can be.

Used after each command of a scenario, and now and then in the simulation, where they keep watch
over the fast checks of :mod:`ledger.testing.checkers`.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

from ledger.base.ids import NodeId
from ledger.consensus.quorum import quorum_size
from ledger.consensus.raft import Raft
from ledger.consensus.retirement import COMPLETED, ORDERED, RETIRED_COMMITTED
from ledger.consensus.roles import CANDIDATE
from ledger.consensus.types import Entry, EntryRole
from ledger.testing.checkers import require


class Whole:
    """Everything there is to know of one node at one moment.

    Attributes:
        raft: Its core.
        entries: All entries of its log, the one at ``seqno`` under ``seqno - 1``.
        is_alive: Whether it runs.
    """

    __slots__ = ("entries", "is_alive", "raft")

    def __init__(self, raft: Raft, entries: Sequence[Entry], *, is_alive: bool = True) -> None:
        self.raft = raft
        self.entries = list(entries)
        self.is_alive = is_alive

    @property
    def committed(self) -> list[Entry]:
        """Its committed entries."""
        return self.entries[: self.raft.commit]

    def view_at(self, seqno: int) -> int:
        """Return the view of its entry at ``seqno``, 0 if there is none."""
        return self.entries[seqno - 1].view if 0 < seqno <= len(self.entries) else 0


Wholes = Mapping[NodeId, Whole]


class FullChecker:
    """Checks states of one cluster, in the order in which they came."""

    def __init__(self, role_of: Callable[[Entry], EntryRole]) -> None:
        self._role_of = role_of
        self._primaries: dict[int, NodeId] = {}
        self._committed: dict[NodeId, list[Entry]] = {}
        self._views: dict[NodeId, int] = {}

    def check(self, nodes: Wholes) -> None:
        """Check every invariant.

        Raises:
            InvariantError: one does not hold.
        """
        for name, node in nodes.items():
            if node.is_alive and node.raft.is_primary:
                self._check_primary(name, node, nodes)
        for name, node in nodes.items():
            self._check_history(name, node)
            self._check_log(name, node)
            self._check_configurations(name, node)
            self._check_membership(name, node)
            self._check_quorum(name, node, nodes)
            if node.is_alive and node.raft.state.role is CANDIDATE:
                self._check_candidate(name, node, nodes)
        for (one, left), (other, right) in combinations(nodes.items(), 2):
            _check_pair(f"{one} and {other}", left, right)

    def _check_history(self, name: NodeId, node: Whole) -> None:
        committed = node.committed
        before = self._committed.get(name, [])
        require(
            committed[: len(before)] == before,
            "CommittedLogAppendOnlyProp",
            f"{name} undid a commit",
        )
        self._committed[name] = committed
        view = node.raft.view
        require(view >= self._views.get(name, 0), "MonotonicTermProp", f"{name} is back in {view}")
        self._views[name] = view

    def _check_log(self, name: NodeId, node: Whole) -> None:
        raft, before = node.raft, 0
        require(raft.commit <= raft.last == len(node.entries), "TypeInv", f"{name} has no such log")
        for seqno, entry in enumerate(node.entries, start=1):
            require(
                entry.seqno == seqno and raft.view_at(seqno) == entry.view,
                "TypeInv",
                f"{name} holds {entry.view}.{entry.seqno} as {raft.view_at(seqno)}.{seqno}",
            )
            if entry.view != before:
                is_signed = seqno == 1 or self._role_of(node.entries[seqno - 2]).committable
                is_synthetic = raft.state.configurations.active[:1] and (
                    raft.state.configurations.active[0].seqno == 0
                )
                require(
                    entry.view > before and (is_signed or is_synthetic),
                    "MonoLogInv",
                    f"{name} changes from view {before} to {entry.view} at {seqno}",
                )
                before = entry.view
        require(before <= raft.view, "MonoLogInv", f"{name} holds an entry of a later view")
        if raft.commit:
            newest = node.entries[raft.commit - 1]
            require(
                self._role_of(newest).committable,
                "SignatureInv",
                f"{name} committed {newest.view}.{newest.seqno}, which is no signature",
            )

    def _check_configurations(self, name: NodeId, node: Whole) -> None:
        active = node.raft.state.configurations.active
        held = [(configuration.seqno, configuration.nodes) for configuration in active]
        want = [entry for entry in held if entry[0] == 0]
        for entry in node.entries:
            nodes = self._role_of(entry).configuration
            if nodes is not None and (not want or want[-1][1] != nodes):
                want.append((entry.seqno, nodes))
        while len(want) > 1 and want[1][0] <= node.raft.commit:
            del want[0]
        require(
            held == want, "LogConfigurationConsistentInv", f"{name} has {held}, its log says {want}"
        )

    def _check_membership(self, name: NodeId, node: Whole) -> None:
        retirement, commit = node.raft.state.retirement, node.raft.commit
        phase = retirement.phase
        if phase is None:
            return
        removal = self._role_of(node.entries[retirement.seqno - 1]).configuration
        require(
            removal is not None and name not in removal,
            "MembershipStateConsistentInv",
            f"{name} is {phase} by {retirement.seqno}, which keeps it",
        )
        signed = [
            entry.seqno
            for entry in node.entries[retirement.seqno :]
            if self._role_of(entry).committable
        ]
        require(
            (phase is ORDERED) == (not signed)
            and (phase in (COMPLETED, RETIRED_COMMITTED)) == bool(signed and commit >= signed[0]),
            "MembershipStateConsistentInv",
            f"{name} is {phase} with signatures {signed[:3]} and commit {commit}",
        )
        if phase is RETIRED_COMMITTED:
            require(
                any(name in (self._role_of(e).retired_committed or ()) for e in node.committed),
                "RetiredCommittedInv",
                f"nothing committed marks {name} as removable",
            )

    def _check_quorum(self, name: NodeId, node: Whole, nodes: Wholes) -> None:
        committed = node.committed
        for configuration in node.raft.state.configurations.active:
            if configuration.seqno > len(committed):
                continue
            holders = sum(
                1
                for member in configuration.nodes
                if member in nodes and nodes[member].entries[: len(committed)] == committed
            )
            require(
                holders >= quorum_size(len(configuration.nodes)),
                "QuorumLogInv",
                f"{name} committed {len(committed)}, held by {holders} of configuration "
                f"{configuration.seqno}",
            )

    def _check_primary(self, name: NodeId, node: Whole, nodes: Wholes) -> None:
        view = node.raft.view
        other = self._primaries.setdefault(view, name)
        require(other == name, "MoreThanOneLeaderInv", f"{other} and {name} lead {view}")
        for witness, whole in nodes.items():
            committed = whole.committed
            if committed and committed[-1].view < view:
                require(
                    node.entries[: len(committed)] == committed,
                    "LeaderCompletenessInv",
                    f"primary {name} of {view} lacks what {witness} committed",
                )
            own = [entry.seqno for entry in whole.entries if entry.view == view]
            require(
                not own or own[-1] <= node.raft.last,
                "ElectionSafetyInv",
                f"{witness} has more of view {view} than its primary {name}",
            )

    def _check_candidate(self, name: NodeId, node: Whole, nodes: Wholes) -> None:
        candidate = node.raft.state
        if self._primaries.get(candidate.view) in (None, name):
            return  # then there are no entries of this view either
        for members in candidate.configurations.node_sets:
            voters = [nodes[member] for member in members if member in nodes]
            possible = sum(1 for voter in voters if _may_vote(voter, node))
            if possible < quorum_size(len(members)):
                return
        raise_for = f"{name} may still win view {candidate.view}, which had a primary"
        require(condition=False, invariant="CandidateTermNotInLogInv", what=raise_for)


def _may_vote(voter: Whole, candidate: Whole) -> bool:
    """Say whether a node has voted for a candidate, or still may."""
    ours, theirs = voter.raft.state, candidate.raft.state
    if ours.view == theirs.view:
        if ours.voted_for == theirs.node_id:
            return True
        if ours.voted_for is not None or ours.primary_id is not None:
            return False
    if not voter.is_alive or ours.view > theirs.view:
        return False
    own, their = ours.last_committable, theirs.last_committable
    return (candidate.view_at(their), their) >= (voter.view_at(own), own)


def _check_pair(names: str, left: Whole, right: Whole) -> None:
    both = min(len(left.committed), len(right.committed))
    require(
        left.entries[:both] == right.entries[:both], "LogInv", f"{names} committed different logs"
    )
    for seqno in range(min(len(left.entries), len(right.entries)), 0, -1):
        if left.view_at(seqno) == right.view_at(seqno):
            require(
                left.entries[:seqno] == right.entries[:seqno],
                "LogMatchingInv",
                f"{names} agree at {left.view_at(seqno)}.{seqno} and differ before it",
            )
            return
