"""Views, roles and roll-back: what happens whenever a node starts to follow.

The roles are a table; everything else here keeps its rules: a view never falls, a vote is given
once per view, and a node that starts to follow drops its unsigned tail at once, never a signature.
"""

from ledger.base.ids import NodeId
from ledger.consensus.ready import BecameBackup, Rollback, Truncate
from ledger.consensus.state import State
from ledger.consensus.types import Role

NONE = Role.NONE
BACKUP = Role.BACKUP
PRE_VOTE_CANDIDATE = Role.PRE_VOTE_CANDIDATE
CANDIDATE = Role.CANDIDATE
PRIMARY = Role.PRIMARY

FOLLOWING: dict[Role, frozenset[Role]] = {
    # A node stands from None only when it was given a configuration without a ledger.
    NONE: frozenset({BACKUP, PRE_VOTE_CANDIDATE, CANDIDATE, PRIMARY}),
    # A backup is made primary without an election when a service is recovered.
    BACKUP: frozenset({BACKUP, PRE_VOTE_CANDIDATE, CANDIDATE, PRIMARY}),
    PRE_VOTE_CANDIDATE: frozenset({BACKUP, PRE_VOTE_CANDIDATE, CANDIDATE}),
    CANDIDATE: frozenset({BACKUP, PRE_VOTE_CANDIDATE, CANDIDATE, PRIMARY}),
    PRIMARY: frozenset({BACKUP, NONE}),
}
"""From each role, the roles that may come next."""


def change_role(state: State, role: Role) -> None:
    """Take a role over; the only place that does."""
    assert role in FOLLOWING[state.role], f"{role} cannot follow {state.role}"
    state.role = role


def enter_view(state: State, view: int) -> None:
    """Follow in ``view``, which is ours or a higher one.

    A vote belongs to its view: it is forgotten only with it. (A candidate that finds the primary of
    its own view must not vote again: the votes that made this primary may include its own, given
    before it asked for pre-votes.)
    """
    assert view >= state.view, f"view would fall from {state.view} to {view}"
    if view > state.view:
        state.view = view
        state.voted_for = None
    state.votes.clear()
    state.held_acks.clear()
    become_backup(state)
    state.is_new_follower = True


def become_backup(state: State) -> None:
    """Follow in the current view; unsigned entries go, signed ones stay.

    A node that has followed in this view, asked for pre-votes and now follows again keeps its
    unsigned entries: they came from the primary of this view, which may have our acknowledgement of
    them and would never send them again.
    """
    state.primary_id = None
    restart_election_timer(state)
    state.peers.zero_ages()
    change_role(state, BACKUP)
    if state.followed_view != state.view:
        rollback(state, state.last_committable)
        state.followed_view = state.view
    state.should_sign = False
    state.outbox.effects.append(BecameBackup(state.view))


def restart_election_timer(state: State) -> None:
    """Start a silence whose limit is uniform between half and all of the election timeout."""
    state.elapsed = state.jitter(state.settings.election_timeout_ms // 2)


def start_ticking(state: State) -> None:
    """Let silence make us stand from now on."""
    state.ticking = True
    state.elapsed = 0


def rollback(state: State, seqno: int) -> None:
    """Remove the entries above ``seqno`` and everything that rests on them.

    Nothing committed is ever removed: a lower ``seqno`` than that is ignored.
    """
    if seqno < state.commit or seqno >= state.log.last:
        return
    effects = state.outbox.effects
    effects.append(Rollback(state.view_at(seqno), seqno, state.view))
    effects.append(Truncate(seqno))
    state.log.truncate(seqno)
    state.history.rollback(seqno)
    state.committable.drop_above(seqno)
    state.retired_committed = [held for held in state.retired_committed if held[0] <= seqno]
    state.persisted = min(state.persisted, seqno)
    state.held_acks = [held for held in state.held_acks if held.response.last_seqno <= seqno]
    state.newest_append = None
    state.retirement.rollback(seqno)
    state.configurations.rollback(seqno)
    _drop_peers_never_trusted(state)
    sync_peers(state)


def _drop_peers_never_trusted(state: State) -> None:
    """Send nothing more to nodes that only configurations rolled back had trusted.

    Nobody decided in the end that they may read the ledger. One that is trusted again is made a
    peer again; one that has left stays a peer until it is marked as removable.
    """
    configurations, peers = state.configurations, state.peers
    for node in [node for node, _ in peers.items() if node not in configurations.others]:
        if not configurations.has_left(node):
            peers.remove(node)


def sync_peers(state: State) -> list[NodeId]:
    """Make every other member of an active configuration a peer.

    Returns:
        The new peers, ascending.
    """
    peers = state.peers
    new = [node for node in state.configurations.others if node not in peers]
    for node in new:
        peers.add(node, state.log.last + 1)
    return new
