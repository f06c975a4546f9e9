"""When commit moves, and what happens then."""

from ledger.base.ids import NodeId
from ledger.consensus.messages import ProposeRequestVote
from ledger.consensus.quorum import committable_seqno
from ledger.consensus.ready import BecameBackup, Commit, RequestRetirementCleanup
from ledger.consensus.roles import NONE, PRIMARY, change_role
from ledger.consensus.state import State


def advance_commit(state: State) -> None:
    """Commit, on the primary, what a majority of every active configuration holds.

    Only a signature of our own view commits, and everything before it with it. Entries of older
    views never commit by being counted: a later primary could still replace them.
    """
    assert state.role is PRIMARY, "only a primary counts acknowledgements"
    node_sets = state.configurations.node_sets
    if not node_sets:
        return
    acked = {node: peer.match for node, peer in state.peers.items()}
    acked[state.node_id] = own_seqno(state)
    candidate = state.committable.highest_up_to(committable_seqno(node_sets, acked))
    if candidate and state.view_at(candidate) == state.view:
        commit(state, candidate)


def own_seqno(state: State) -> int:
    """Return how far our own copy counts: to the end, or to what the disk has."""
    if state.settings.track_persistence:
        return min(state.log.last, state.persisted)
    return state.log.last


def commit_up_to(state: State, bound: int) -> None:
    """Commit, on a backup, the highest signature at or below ``bound``."""
    candidate = state.committable.highest_up_to(bound)
    if candidate > state.commit:
        commit(state, candidate)


def commit(state: State, seqno: int) -> None:
    """Move commit to the signature ``seqno``."""
    assert seqno > state.commit, f"commit would move from {state.commit} to {seqno}"
    assert state.committable.contains(seqno), f"entry {seqno} to commit is not a signature"
    state.committable.drop_up_to(seqno)
    state.commit = seqno
    state.retirement.committed(seqno)
    state.outbox.effects.append(Commit(seqno))
    if state.retired_committed:
        _process_retired_committed(state)
    if state.configurations.drop_committed(seqno) and state.role is PRIMARY:
        state.outbox.effects.append(RequestRetirementCleanup())
    retained = state.settings.retained_entries
    if retained is not None:
        state.log.release(seqno - retained)


def _process_retired_committed(state: State) -> None:
    """Let go of the nodes that a committed entry marks as removable."""
    while state.retired_committed and state.retired_committed[0][0] <= state.commit:
        seqno, nodes = state.retired_committed.pop(0)
        for node in nodes:
            state.peers.remove(node)
        if state.node_id in nodes:
            _become_removable(state, seqno)


def _become_removable(state: State, seqno: int) -> None:
    """End our own retirement; a primary first asks a successor to stand."""
    state.retirement.marked(seqno)
    if state.role is PRIMARY:
        propose_successor(state)
        state.primary_id = None
        state.should_sign = False
        change_role(state, NONE)
        state.outbox.effects.append(BecameBackup(state.view))


def propose_successor(state: State) -> NodeId | None:
    """Ask the best-placed peer to stand for election now.

    Best is: acknowledged most, then member of the newest configuration, then smallest id.

    Returns:
        The peer asked, None if there is none.
    """
    best: NodeId | None = None
    best_rank = (-1, -1)
    for node, peer in state.peers.items():
        rank = (peer.match, state.configurations.newest_seqno_of(node))
        if rank > best_rank:
            best, best_rank = node, rank
    if best is not None:
        state.send(best, ProposeRequestVote(state.view))
    return best
