"""The primary: appending, acknowledgements, heartbeats, and whether it still has a quorum."""

from collections.abc import Sequence

from ledger.base.ids import NodeId
from ledger.consensus.appending import append, append_plain
from ledger.consensus.commitment import advance_commit
from ledger.consensus.messages import AppendEntriesResponse
from ledger.consensus.progress import Peer
from ledger.consensus.quorum import quorum_size
from ledger.consensus.roles import PRIMARY, become_backup, enter_view
from ledger.consensus.sending import send_one_batch, send_rest, send_to_all
from ledger.consensus.state import State
from ledger.consensus.types import Entry, Proposed


def replicate(state: State, entries: Sequence[Proposed], view: int) -> bool:
    """Append entries as primary of ``view``.

    Returns:
        False, and nothing is changed, if we are not that primary, our retirement is final, or the
        seqnos do not follow our newest entry.
    """
    if state.role is not PRIMARY or view != state.view or state.retirement.is_final:
        return False
    expected = state.log.last
    for proposed in entries:
        expected += 1
        if proposed.seqno != expected:
            return False
    flush_bytes = state.settings.flush_bytes
    unsent = state.unsent_bytes
    signed = False
    for proposed in entries:
        entry = Entry(view, proposed.seqno, proposed.data)
        if (
            proposed.committable
            or proposed.configuration is not None
            or proposed.retired_committed is not None
        ):
            if state.settings.trusts_once:
                _check_retired_committed(state, proposed)
            append(state, entry, proposed)
            signed = signed or proposed.committable
        else:
            append_plain(state, entry)
        unsent += len(entry.data)
        if unsent >= flush_bytes:
            unsent = 0
            send_to_all(state)
    state.unsent_bytes = unsent
    if signed:
        state.should_sign = False
        if state.settings.eager_send:
            state.unsent_bytes = 0
            send_to_all(state)
    if not state.configurations.others:
        advance_commit(state)
    return True


def receive_response(state: State, sender: NodeId, response: AppendEntriesResponse) -> None:
    """Handle an answer to AppendEntries, which may be from any earlier time."""
    peer = state.peers.get(sender)
    if peer is None or state.role is not PRIMARY:
        return
    peer.ack_age = 0
    if response.view > state.view:
        enter_view(state, response.view)
    elif response.success:
        _receive_acceptance(state, sender, peer, response)
    else:
        _receive_refusal(state, sender, peer, response)


def _receive_acceptance(
    state: State, sender: NodeId, peer: Peer, response: AppendEntriesResponse
) -> None:
    """Count an acceptance of this view that names nothing older than we know."""
    if response.view < state.view or response.last_seqno < peer.match:
        return
    assert response.last_seqno <= state.log.last, (
        f"{sender} accepted up to {response.last_seqno}, we hold up to {state.log.last}"
    )
    peer.acknowledged(response.last_seqno)
    advance_commit(state)
    # Committing may have ended our own role, or made the sender removable.
    if peer.held_back and state.role is PRIMARY and sender in state.peers:
        send_rest(state, sender, peer)


def _receive_refusal(
    state: State, sender: NodeId, peer: Peer, response: AppendEntriesResponse
) -> None:
    """Move back to where the two logs may agree; a view older than ours is normal here.

    Nothing is counted: an estimate proves no agreement.
    """
    estimate = state.history.best_match(response.view, response.last_seqno, state.log.last)
    if not state.settings.resend_on_nack:
        peer.refused(estimate)
    elif estimate != peer.refused_at:
        # Several messages on their way draw the same refusal: it is answered once.
        peer.refused(estimate)
        peer.refused_at = estimate
        send_one_batch(state, sender, peer)


def tick(state: State, elapsed_ms: int) -> None:
    """Let time pass on a primary: heartbeats, and whether it still reaches a quorum."""
    settings = state.settings
    state.elapsed += elapsed_ms
    if state.elapsed >= settings.message_timeout_ms:
        state.elapsed = 0
        state.unsent_bytes = 0
        state.peers.begin_interval()
        send_to_all(state)
    state.peers.add_age(elapsed_ms)
    if not _reaches_quorum(state):
        become_backup(state)


def _reaches_quorum(state: State) -> bool:
    """Say whether a majority of every active configuration has answered of late."""
    limit = state.settings.election_timeout_ms
    alive = {node for node, peer in state.peers.items() if peer.ack_age < limit}
    alive.add(state.node_id)
    for nodes in state.configurations.node_sets:
        if sum(1 for node in nodes if node in alive) < quorum_size(len(nodes)):
            return False
    return True


def _check_retired_committed(state: State, proposed: Proposed) -> None:
    """Assert that only nodes whose retirement is committed are marked as removable."""
    for node in proposed.retired_committed or ():
        for configuration in state.configurations.node_sets:
            assert node not in configuration, (
                f"entry {proposed.seqno} marks {node} as removable before it has left"
            )
