"""Elections: the timer, asking for votes, giving them, winning."""

from ledger.base.ids import NodeId
from ledger.consensus.commitment import advance_commit
from ledger.consensus.messages import (
    Election,
    ProposeRequestVote,
    RequestVote,
    RequestVoteResponse,
)
from ledger.consensus.quorum import has_quorum
from ledger.consensus.ready import BecamePrimary, InitialiseView, RequestRetirementCleanup
from ledger.consensus.roles import (
    CANDIDATE,
    PRE_VOTE_CANDIDATE,
    PRIMARY,
    change_role,
    enter_view,
    restart_election_timer,
    rollback,
)
from ledger.consensus.sending import send
from ledger.consensus.state import State
from ledger.consensus.types import Role

ASKS_FOR: dict[Role, Election] = {PRE_VOTE_CANDIDATE: "pre_vote", CANDIDATE: "regular"}


def tick(state: State, elapsed_ms: int) -> None:
    """Let time pass on a node that is not primary; too long a silence makes it stand."""
    state.elapsed += elapsed_ms
    if state.elapsed < state.settings.election_timeout_ms:
        return
    if state.ticking and not state.retirement.is_final:
        if state.settings.pre_vote:
            become_pre_vote_candidate(state)
        else:
            become_candidate(state)


def become_pre_vote_candidate(state: State) -> None:
    """Ask who would vote for us, without touching the view or our vote."""
    if not state.configurations.active:
        return
    change_role(state, PRE_VOTE_CANDIDATE)
    _ask_for_votes(state)


def become_candidate(state: State) -> None:
    """Stand for election in the next view."""
    if not state.configurations.active:
        return
    change_role(state, CANDIDATE)
    state.view += 1
    state.voted_for = state.node_id
    state.held_acks.clear()
    state.peers.zero_ages()
    _ask_for_votes(state)


def become_primary(state: State, *, forced: bool = False) -> None:
    """Lead the current view.

    Args:
        state: The node.
        forced: Without an election, at the start or the recovery of a service: the log is kept.
    """
    if state.retirement.is_final:
        return
    # What we know of entries above our newest signature is not enough to keep them. Before the
    # first commit there may be no signature at all.
    if state.commit > 0 and not forced:
        rollback(state, state.last_committable)
    change_role(state, PRIMARY)
    assert state.view >= 2 or state.configurations.active[0].seqno == 0, (
        f"a service starts in view 2, not {state.view}"
    )
    state.primary_id = state.node_id
    state.should_sign = True
    state.elapsed = 0
    state.unsent_bytes = 0
    state.newest_append = None
    state.outbox.effects.append(InitialiseView(state.view))
    state.outbox.effects.append(BecamePrimary(state.view))
    if not state.configurations.others:
        advance_commit(state)
    last = state.log.last
    for node, peer in state.peers.items():
        peer.restart(last)
        send(state, node, peer, last + 1)
    state.outbox.effects.append(RequestRetirementCleanup())


def receive_request_vote(state: State, sender: NodeId, request: RequestVote) -> None:
    """Answer a candidate, known or not; its newest signature decides, compared view first."""
    if request.view < state.view:
        state.send(
            sender, RequestVoteResponse(state.view, granted=False, election=request.election)
        )
        return
    if request.view > state.view:
        enter_view(state, request.view)
    is_regular = request.election != "pre_vote"
    own = state.last_committable
    granted = (request.last_committable_view, request.last_committable_seqno) >= (
        state.view_at(own),
        own,
    )
    if is_regular and (state.primary_id is not None or state.voted_for not in (None, sender)):
        granted = False
    if granted and is_regular:
        restart_election_timer(state)
        state.primary_id = None
        state.voted_for = sender
    state.send(sender, RequestVoteResponse(state.view, granted, request.election))


def receive_vote(state: State, sender: NodeId, response: RequestVoteResponse) -> None:
    """Count a vote for what we currently ask for, in this view, from a node we know."""
    if ASKS_FOR.get(state.role) != response.election or sender not in state.peers:
        return
    if response.view > state.view:
        enter_view(state, response.view)
    elif response.view == state.view and response.granted:
        _count_vote(state, sender)


def receive_proposal(state: State, proposal: ProposeRequestVote) -> None:
    """Stand at once when the primary of this view asks for it."""
    if state.ticking and not state.retirement.is_final and proposal.view == state.view:
        become_candidate(state)


def _ask_for_votes(state: State) -> None:
    """Start a round: our own vote first, then everybody else's."""
    state.primary_id = None
    state.votes.clear()
    restart_election_timer(state)
    asked_as = state.role
    _count_vote(state, state.node_id)
    if state.role is not asked_as:
        return  # We are the only voter and have won the round.
    own = state.last_committable
    request = RequestVote(state.view, state.view_at(own), own, ASKS_FOR[asked_as])
    for node in state.configurations.others:
        state.send(node, request)


def _count_vote(state: State, voter: NodeId) -> None:
    """Count a vote; with a quorum in every active configuration, go on to the next role."""
    state.votes.add(voter)
    if not has_quorum(state.configurations.node_sets, state.votes):
        return
    if state.role is PRE_VOTE_CANDIDATE:
        become_candidate(state)
    else:
        become_primary(state)
