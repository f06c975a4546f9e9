"""The invariants of a single node, checked after every one of its steps.

Most steps change little; what has not changed is not checked again.
"""

from ledger.base.ids import NodeId
from ledger.consensus.messages import AppendEntriesResponse, Message, ProposeRequestVote
from ledger.consensus.quorum import quorum_size
from ledger.consensus.ready import BecamePrimary, Ready, RequestRetirementCleanup
from ledger.consensus.retirement import COMPLETED, ORDERED, RETIRED_COMMITTED, SIGNED
from ledger.consensus.roles import BACKUP, CANDIDATE, NONE, PRE_VOTE_CANDIDATE, PRIMARY
from ledger.consensus.state import State
from ledger.consensus.types import RetirementPhase, Role
from ledger.testing.checkers import Observed, require

LATER_ROLES: dict[Role, frozenset[Role]] = {
    NONE: frozenset({NONE, BACKUP, PRIMARY}),
    BACKUP: frozenset({BACKUP, PRE_VOTE_CANDIDATE, CANDIDATE, PRIMARY}),
    PRE_VOTE_CANDIDATE: frozenset({PRE_VOTE_CANDIDATE, CANDIDATE, PRIMARY, BACKUP}),
    CANDIDATE: frozenset({CANDIDATE, PRE_VOTE_CANDIDATE, PRIMARY, BACKUP}),
    PRIMARY: frozenset({PRIMARY, BACKUP, NONE}),
}
"""Role before a step to roles after it; a lone voter goes through several at once."""

LATER_PHASES: dict[RetirementPhase | None, frozenset[RetirementPhase | None]] = {
    None: frozenset({None, ORDERED, SIGNED, COMPLETED}),
    ORDERED: frozenset({None, ORDERED, SIGNED, COMPLETED}),
    SIGNED: frozenset({None, ORDERED, SIGNED, COMPLETED, RETIRED_COMMITTED}),
    COMPLETED: frozenset({COMPLETED, RETIRED_COMMITTED}),
    RETIRED_COMMITTED: frozenset({RETIRED_COMMITTED}),
}
"""Retirement phase before a step to phases after it; one message may bring several."""


class LocalChecker:
    """Compares a node with what it was before its last step.

    Attributes:
        role: Its role before the step that is about to be checked.
    """

    __slots__ = (
        "_ages",
        "_commit",
        "_configurations",
        "_matches",
        "_phase",
        "_seen",
        "_view",
        "_votes",
        "role",
    )

    def __init__(self) -> None:
        self.role = NONE
        self._ages: dict[NodeId, int] = {}
        self._view = 0
        self._phase: RetirementPhase | None = None
        self._votes: frozenset[NodeId] = frozenset()
        self._matches: dict[NodeId, int] = {}
        self._commit = -1
        self._configurations: object = None
        self._seen: object = None

    def heard_from(self, peer: NodeId) -> None:
        """Note an answer to AppendEntries that is about to be handled."""
        self._ages[peer] = 0

    def ticked(self, state: State, view: int, elapsed_ms: int) -> None:
        """Check a node after a tick, before anything else happens to it.

        Args:
            state: The node.
            view: Its view before the tick.
            elapsed_ms: Length of the tick.
        """
        name, role = state.node_id, state.role
        is_standing = state.view == view + 1 and role in (CANDIDATE, PRIMARY)
        require(
            state.view == view or is_standing,
            "StateTransitionsProp",
            f"{name} goes by itself from view {view} to {state.view} as {role}",
        )
        if role is not PRIMARY or self.role is not PRIMARY:
            return
        limit = state.settings.election_timeout_ms
        for peer in state.configurations.others:
            self._ages[peer] = self._ages.get(peer, 0) + elapsed_ms
        for nodes in state.configurations.node_sets:
            answering = sum(1 for node in nodes if node == name or self._ages[node] < limit)
            require(
                answering >= quorum_size(len(nodes)),
                "CheckQuorum",
                f"{name} stays primary with answers of {answering} of {len(nodes)} nodes",
            )

    def check(self, node: Observed) -> bool:
        """Check a node after a step.

        Returns:
            Whether view, role or vote changed, which concerns other nodes too.
        """
        state = node.raft.state
        if state.role is PRIMARY:
            self._check_matches(state)
        seen = (
            state.view,
            state.role,
            state.commit,
            state.log.last,
            state.retirement.phase,
            state.voted_for,
            state.primary_id,
            len(state.votes),
            state.configurations.active,
        )
        if seen == self._seen:
            return False
        self._seen = seen
        self._check_order(state)
        self._check_log(node, state)
        changed = state.view != self._view or state.role is not self.role
        if changed:
            self._ages.clear()  # the patience of a primary begins with its role
        self._check_votes(state)
        self._check_retirement(node, state)
        self._view = state.view
        self.role = state.role
        self._phase = state.retirement.phase
        return changed or state.role is CANDIDATE

    def _check_order(self, state: State) -> None:
        name = state.node_id
        require(state.view >= self._view, "MonotonicTermProp", f"{name} falls to {state.view}")
        require(
            state.role in LATER_ROLES[self.role],
            "StateTransitionsProp",
            f"{name} goes from {self.role} to {state.role}",
        )
        is_member = any(name in nodes for nodes in state.configurations.node_sets)
        require(
            not is_member or state.role is not NONE,
            "PendingBecomesFollowerProp",
            f"{name} is in a configuration and has no role",
        )
        if state.role is PRIMARY:
            require(state.view >= 2, "NoLeaderBeforeInitialTerm", f"{name} leads {state.view}")
            require(state.primary_id == name, "TypeInv", f"primary {name} follows another")

    def _check_log(self, node: Observed, state: State) -> None:
        log, name = node.log, node.node_id
        last = len(log.views) - 1
        require(state.log.last == last, "TypeInv", f"{name} holds {state.log.last}, told {last}")
        require(state.commit == log.commit, "TypeInv", f"{name} committed {state.commit}")
        require(state.commit <= last, "TypeInv", f"{name} committed {state.commit} of {last}")
        require(
            state.view_at(last) == log.views[last] <= state.view,
            "MonoLogInv",
            f"{name} in view {state.view} ends with view {log.views[last]}",
        )
        require(
            state.committable.seqnos == log.signatures,
            "TypeInv",
            f"{name} knows the signatures {state.committable.seqnos}, told {log.signatures}",
        )
        active = state.configurations.active
        if active is not self._configurations or state.commit != self._commit:
            self._configurations = active
            self._commit = state.commit
            held = [(configuration.seqno, configuration.nodes) for configuration in active]
            require(
                held == log.active(),
                "LogConfigurationConsistentInv",
                f"{name} has {held}, its log says {log.active()}",
            )
            for other in state.configurations.others:
                require(other in state.peers, "TypeInv", f"{other} is no peer of {name}")
            had = {*state.configurations.others, *state.configurations.former}
            strangers = [node for node, _ in state.peers.items() if node not in had]
            require(
                not strangers,
                "TypeInv",
                f"{strangers} are peers of {name}, and no configuration that stands had them",
            )

    def _check_matches(self, state: State) -> None:
        """A primary's knowledge of others only grows; it starts anew with each leadership."""
        if self.role is not PRIMARY or state.view != self._view:
            self._matches = {}
        known = self._matches
        for node, peer in state.peers.items():
            match = peer.match
            before = known.get(node, 0)
            if match != before:
                require(match > before, "MonotonicMatchIndexProp", f"{node} falls to {match}")
                require(match <= state.log.last, "TypeInv", f"{node} is ahead at {match}")
                known[node] = match

    def _check_votes(self, state: State) -> None:
        votes = frozenset(state.votes)
        if state.view == self._view and state.role is self.role:
            is_asking = state.role in (CANDIDATE, PRE_VOTE_CANDIDATE)
            restarted = is_asking and votes <= {state.node_id}
            require(
                votes >= self._votes or restarted,
                "VotesGrantedMonotonicProp",
                f"{state.node_id} lost a vote in view {state.view}",
            )
        self._votes = votes

    def _check_retirement(self, node: Observed, state: State) -> None:
        retirement, name = state.retirement, state.node_id
        phase = retirement.phase
        require(
            phase in LATER_PHASES[self._phase],
            "MembershipStateTransitionsProp",
            f"{name} goes from {self._phase} to {phase}",
        )
        if phase is None:
            return
        require(
            0 < retirement.seqno <= state.log.last,
            "MembershipStateConsistentInv",
            f"{name} is {phase} by {retirement.seqno}, holding {state.log.last}",
        )
        if phase is not ORDERED:
            require(
                retirement.seqno < retirement.committable_seqno <= state.log.last,
                "MembershipStateConsistentInv",
                f"{name} is {phase} with signature {retirement.committable_seqno}",
            )
        is_committed = phase in (COMPLETED, RETIRED_COMMITTED)
        if phase is not ORDERED:
            require(
                is_committed == (state.commit >= retirement.committable_seqno),
                "MembershipStateConsistentInv",
                f"{name} is {phase} at commit {state.commit}",
            )
        if is_committed:
            require(
                all(name not in members for _, members in node.log.active()),
                "RetirementCompletedNotInConfigsInv",
                f"{name} is {phase} and in an active configuration",
            )


def check_duties(node: Observed, was: Role, outputs: Ready) -> None:
    """Check what a node owes when its role changes.

    A new primary asks for the clean-up of retirements; one that its own retirement ends asks a
    peer, if it has one, to stand.
    """
    state = node.raft.state
    if outputs.effects and any(type(effect) is BecamePrimary for effect in outputs.effects):
        asks = any(type(effect) is RequestRetirementCleanup for effect in outputs.effects)
        require(
            asks and state.should_sign,
            "NewPrimaryDuties",
            f"new primary {node.node_id} does not ask for clean-up or a signature",
        )
    if was is PRIMARY and state.role is NONE and len(state.peers):
        require(
            any(type(message) is ProposeRequestVote for _, message in outputs.messages),
            "HandOver",
            f"{node.node_id} leaves and asks nobody to stand",
        )


def check_commit_bound(node: Observed, bound: int) -> None:
    """Check that a backup has committed nothing beyond what its last message verified."""
    commit = node.raft.state.commit
    require(
        commit <= bound,
        "CommitBound",
        f"{node.node_id} commits {commit} on a message that ends at {bound} or before",
    )


def check_message(node: Observed, message: Message, *, tracks_persistence: bool) -> None:
    """Check a message that a node sends."""
    require(
        message.view <= node.raft.state.view,
        "MonoTermInv",
        f"{node.node_id} in view {node.raft.state.view} sends one of view {message.view}",
    )
    if tracks_persistence and type(message) is AppendEntriesResponse and message.success:
        covered = [seqno for seqno in node.log.signatures if seqno <= message.last_seqno]
        require(
            not covered or covered[-1] <= node.durable,
            "DurableAcknowledgement",
            f"{node.node_id} accepts up to {message.last_seqno}, its disk is at {node.durable}",
        )
