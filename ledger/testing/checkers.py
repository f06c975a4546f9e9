"""The invariants of the protocol that span nodes, checked as things happen.

Each is decided from the one event that could break it, so a check costs about as much as the event.
:mod:`ledger.testing.checkers_full` states the same invariants over whole states, slowly; the
simulation compares the two now and then.

Two facts do most of the work. Every ``view.seqno`` names one entry and the view of the entry before
it: a register of them, filled by the first node to append and compared by all others, makes
identical ids mean identical prefixes. And the committed log is one: commits extend a single list.
"""

from collections.abc import Mapping
from typing import Protocol

from typing_extensions import override

from ledger.base.errors import LedgerError
from ledger.base.ids import NodeId
from ledger.consensus.quorum import quorum_size
from ledger.consensus.raft import Raft
from ledger.consensus.roles import CANDIDATE, NONE, PRIMARY
from ledger.consensus.state import State
from ledger.consensus.types import Entry, EntryRole, Role


class InvariantError(LedgerError):
    """An invariant of the protocol does not hold.

    Attributes:
        invariant: Its published name, or ours where it has none.
        what: How it is broken.
    """

    def __init__(self, invariant: str, what: str) -> None:
        super().__init__(f"{invariant}: {what}")
        self.invariant = invariant
        self.what = what

    @override
    def __reduce__(self) -> tuple[type["InvariantError"], tuple[str, str]]:
        return InvariantError, (self.invariant, self.what)


def require(condition: object, invariant: str, what: str) -> None:
    """Raise unless a condition holds."""
    if not condition:
        raise InvariantError(invariant, what)


class Observed(Protocol):
    """What the checkers see of a node.

    Attributes:
        node_id: Its id.
        raft: Its core.
        log: What its outputs say that it holds.
        is_alive: Whether it still runs; a dead node keeps its log and its vote for ever.
        durable: Highest seqno that its disk has.
    """

    node_id: NodeId
    raft: Raft
    log: "ObservedLog"
    is_alive: bool
    durable: int

    def digest(self, seqno: int) -> bytes:
        """Return something that names its state at ``seqno``."""
        ...


class Record:
    """One entry that ever existed.

    Attributes:
        data: Its bytes.
        before: View of the entry before it.
        role: What it does.
    """

    __slots__ = ("before", "data", "role")

    def __init__(self, data: bytes, before: int, role: EntryRole) -> None:
        self.data = data
        self.before = before
        self.role = role


class ObservedLog:
    """A node's log as its outputs tell it, independent of what the node itself keeps.

    Attributes:
        views: View of each seqno; ``views[0]`` is 0.
        signatures: Seqnos of signatures above ``commit``.
        configurations: Seqno and members of every configuration in the log that changed the set.
        commit: Highest seqno that the node called committed.
        followed: The view that the node last began to follow in.
    """

    __slots__ = ("commit", "configurations", "followed", "signatures", "views")

    def __init__(self) -> None:
        self.views = [0]
        self.signatures: list[int] = []
        self.configurations: list[tuple[int, frozenset[NodeId]]] = []
        self.commit = 0
        self.followed = 0

    @property
    def newest_signature(self) -> int:
        """Its newest signature, committed or not."""
        return self.signatures[-1] if self.signatures else self.commit

    def copy_until(self, seqno: int) -> "ObservedLog":
        """Return the log of a node that starts from the committed prefix up to ``seqno``."""
        copy = ObservedLog()
        copy.views = self.views[: seqno + 1]
        copy.configurations = [held for held in self.configurations if held[0] <= seqno]
        copy.commit = seqno
        return copy

    def holds(self, view: int, seqno: int) -> bool:
        """Say whether the entry ``view.seqno`` is in it."""
        return seqno < len(self.views) and self.views[seqno] == view

    def active(self) -> list[tuple[int, frozenset[NodeId]]]:
        """Return the newest committed configuration and all later ones."""
        first = 0
        for position, (seqno, _) in enumerate(self.configurations):
            if seqno <= self.commit:
                first = position
        return self.configurations[first:]


class Invariants:
    """Checks a cluster while it runs.

    Attributes:
        register: Every entry that ever existed, by view and seqno.
        primaries: The primary of each view, over all time.
        committed: View of each committed seqno; ``committed[0]`` is 0.
        commits: View and seqno of each commit that went further than all before.
        marks: View and seqno of every entry that ever marked nodes as removable.
        digests: Name of the state at each seqno that some node committed at.
    """

    __slots__ = (
        "_nodes",
        "_tracks_persistence",
        "commits",
        "committed",
        "digests",
        "marks",
        "primaries",
        "register",
    )

    def __init__(self, nodes: Mapping[NodeId, Observed], *, tracks_persistence: bool) -> None:
        self._nodes = nodes
        self._tracks_persistence = tracks_persistence
        self.register: dict[tuple[int, int], Record] = {}
        self.primaries: dict[int, NodeId] = {}
        self.committed = [0]
        self.digests: dict[int, bytes] = {}
        self.commits: list[tuple[int, int]] = [(0, 0)]
        self.marks: list[tuple[int, int]] = []

    def appended(self, node: Observed, entry: Entry, role: EntryRole | None) -> Record:
        """Check an entry that a node has just appended.

        Args:
            node: The node.
            entry: The entry.
            role: What it does; needed only where nobody has appended it before.
        """
        log = node.log
        view, seqno = entry.view, entry.seqno
        before = log.views[-1]
        require(seqno == len(log.views), "LogInv", f"{node.node_id} skips to {seqno}")
        key = (view, seqno)
        record = self.register.get(key)
        if record is None:
            require(
                self.primaries.get(view) == node.node_id
                and node.raft.state.role is PRIMARY
                and node.raft.state.view == view,
                "ElectionSafetyInv",
                f"{view}.{seqno} is new at {node.node_id}, which is not the primary of its view",
            )
            assert role is not None, "the first to append an entry knows its role"
            record = Record(entry.data, before, role)
            self.register[key] = record
            self._check_new(node, seqno, record)
            if role.retired_committed is not None:
                self.marks.append(key)
        elif record.before != before or record.data != entry.data:
            raise InvariantError(
                "LogMatchingInv",
                f"{view}.{seqno} differs at {node.node_id}, where it follows view {before}, "
                f"from what follows view {record.before} elsewhere",
            )
        if view != before:
            is_signed = seqno == 1 or self.register[before, seqno - 1].role.committable
            require(
                view > before and is_signed,
                "MonoLogInv",
                f"view {view} begins after {before}.{seqno - 1} at {node.node_id}",
            )
        log.views.append(view)
        role = record.role
        if role.committable:
            log.signatures.append(seqno)
        elif role.configuration is not None:
            held = log.configurations
            if not held or held[-1][1] != role.configuration:
                held.append((seqno, role.configuration))
        return record

    def _check_new(self, node: Observed, seqno: int, record: Record) -> None:
        """Check what only the writer of an entry owes."""
        for marked in record.role.retired_committed or ():
            for _, members in node.log.active():
                require(
                    marked not in members,
                    "RetiredCommittedInv",
                    f"{seqno} at {node.node_id} marks {marked}, whose retirement is not committed",
                )
        if self.register.get((node.raft.state.view, seqno - 1)) is None:
            for other in self._nodes.values():
                self.check_candidate(other)

    def rolled_back(self, node: Observed, seqno: int, was: Role) -> None:
        """Check a roll-back that a node has just made."""
        log = node.log
        name = node.node_id
        require(
            seqno >= log.commit,
            "CommittedLogAppendOnlyProp",
            f"{name} goes back to {seqno}, below its commit {log.commit}",
        )
        now = node.raft.state.role
        if was is PRIMARY:
            require(now is not PRIMARY, "PermittedLogChangesProp", f"primary {name} goes back")
        if now is PRIMARY:
            newest = log.newest_signature
            require(
                seqno == newest,
                "PermittedLogChangesProp",
                f"new primary {name} goes back to {seqno}, its newest signature is {newest}",
            )
        del log.views[seqno + 1 :]
        while log.signatures and log.signatures[-1] > seqno:
            log.signatures.pop()
        while log.configurations and log.configurations[-1][0] > seqno:
            log.configurations.pop()
        if seqno < len(self.committed) - 1:
            for other in self._nodes.values():
                self.check_quorum_holds(other)

    def committed_up_to(self, node: Observed, seqno: int, was: Role) -> None:
        """Check a commit that a node has just announced."""
        log = node.log
        name = node.node_id
        require(
            log.commit < seqno < len(log.views),
            "MonotonicCommitIndexProp",
            f"{name} commits {seqno} after {log.commit}, holding {len(log.views) - 1}",
        )
        view = log.views[seqno]
        require(
            self.register[view, seqno].role.committable,
            "CommitCommittableIndices",
            f"{name} commits {view}.{seqno}, which is no signature",
        )
        state = node.raft.state
        # A primary that its own retirement ends has no role after the step.
        leads = state.role is PRIMARY or (was is PRIMARY and state.role is NONE)
        if leads:
            require(
                view == state.view,
                "NeverCommitEntryPrevTermsProp",
                f"primary {name} of {state.view} commits {view}.{seqno} of an older view",
            )
        if seqno < len(self.committed):
            require(
                self.committed[seqno] == view,
                "LogInv",
                f"{name} commits {view}.{seqno}, elsewhere view {self.committed[seqno]} did",
            )
        else:
            require(leads, "CommitOrigin", f"{name} commits {view}.{seqno} before any primary")
            self._extend(node, view, seqno)
        digest = node.digest(seqno)
        require(
            self.digests.setdefault(seqno, digest) == digest,
            "StateMachineSafety",
            f"the state of {name} at {seqno} differs from another node's",
        )
        log.commit = seqno
        kept = [held for held in log.signatures if held > seqno]
        log.signatures[:] = kept
        self.check_quorum_holds(node)

    def _extend(self, node: Observed, view: int, seqno: int) -> None:
        """Check a commit that goes further than any before, and take it over."""
        views = node.log.views
        newest = len(self.committed) - 1
        name = node.node_id
        require(
            views[newest] == self.committed[newest],
            "LogInv",
            f"{name} commits {view}.{seqno} without {self.committed[newest]}.{newest}",
        )
        self.committed.extend(views[newest + 1 : seqno + 1])
        self.commits.append((view, seqno))
        for other in self._nodes.values():
            state = other.raft.state
            if other.is_alive and state.role is PRIMARY and state.view > view:
                require(
                    other.log.holds(view, seqno),
                    "LeaderCompletenessInv",
                    f"primary {other.node_id} of view {state.view} lacks {view}.{seqno}, "
                    f"which view {view} commits",
                )
        if self._tracks_persistence:
            self._check_durable(node, view, seqno)

    def _check_durable(self, node: Observed, view: int, seqno: int) -> None:
        """Check that a majority of every configuration has a new commit on disk."""
        for begin, members in node.log.active():
            safe = sum(
                1
                for member in members
                if self._nodes[member].durable >= seqno
                and self._nodes[member].log.holds(view, seqno)
            )
            require(
                safe >= quorum_size(len(members)) or begin > seqno,
                "DurableCommit",
                f"{view}.{seqno} commits on the disks of {safe} of {len(members)} nodes",
            )

    def became_primary(self, node: Observed, view: int) -> None:
        """Check a node that has just become primary."""
        name = node.node_id
        other = self.primaries.setdefault(view, name)
        require(
            other == name, "MoreThanOneLeaderInv", f"{other} and {name} are both primary of {view}"
        )
        require(view >= 2, "NoLeaderBeforeInitialTerm", f"{name} is primary of {view}")
        for committed_view, seqno in reversed(self.commits):
            if committed_view < view:
                require(
                    node.log.holds(committed_view, seqno),
                    "LeaderCompletenessInv",
                    f"primary {name} of view {view} lacks committed {committed_view}.{seqno}",
                )
                break

    def became_backup(self, node: Observed, view: int) -> None:
        """Check a node that has just begun to follow: in a new view, unsigned entries are gone.

        A primary that its own retirement ends says so too, and follows nobody.
        """
        log = node.log
        if view != log.followed and node.raft.state.role is not NONE:
            log.followed = view
            require(
                len(log.views) - 1 == log.newest_signature,
                "UnsignedTail",
                f"{node.node_id} follows in {view} with entries above {log.newest_signature}",
            )

    def check_quorum_holds(self, node: Observed) -> None:
        """Check QuorumLogInv and ReplicationInv for what a node has committed.

        A quorum of each of its configurations at or below its commit holds it, so no quorum is
        without a holder.
        """
        commit = node.log.commit
        view = node.log.views[commit]
        for seqno, members in node.log.active():
            if seqno > commit:
                break
            holders = sum(1 for member in members if self._nodes[member].log.holds(view, commit))
            require(
                holders >= quorum_size(len(members)),
                "QuorumLogInv",
                f"{node.node_id} committed {view}.{commit}, which {holders} of the "
                f"{len(members)} nodes of configuration {seqno} hold",
            )

    def check_candidate(self, node: Observed) -> None:
        """Check CandidateTermNotInLogInv for a node that may stand for election."""
        state = node.raft.state
        if state.role is not CANDIDATE or not node.is_alive:
            return
        primary = self.primaries.get(state.view)
        if primary is None or primary == node.node_id:
            return
        for members in state.configurations.node_sets:
            possible = sum(1 for member in members if self._may_vote(self._nodes[member], state))
            if possible < quorum_size(len(members)):
                return
        raise InvariantError(
            "CandidateTermNotInLogInv",
            f"{node.node_id} may still win view {state.view}, of which {primary} was primary",
        )

    def _may_vote(self, voter: Observed, candidate: State) -> bool:
        """Say whether a node has voted for a candidate or still may."""
        state = voter.raft.state
        if state.view == candidate.view and state.voted_for == candidate.node_id:
            return True
        if not voter.is_alive or state.view > candidate.view:
            return False
        if state.view == candidate.view and not (
            state.voted_for is None and state.primary_id is None
        ):
            return False
        theirs, ours = candidate.last_committable, state.last_committable
        return (candidate.view_at(theirs), theirs) >= (state.view_at(ours), ours)
