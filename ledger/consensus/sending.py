"""AppendEntries from the primary: batches, heartbeats, flow control."""

from ledger.base.ids import NodeId
from ledger.consensus.messages import AppendEntries
from ledger.consensus.progress import Peer
from ledger.consensus.roles import PRIMARY
from ledger.consensus.state import State


def send(state: State, to: NodeId, peer: Peer, first: int) -> None:
    """Send everything from ``first``, at least one message, without waiting for answers.

    A message carries entries of one view, within the limits of the settings. A peer that has too
    much on its way gets a heartbeat only. (Nobody but a primary sends these, so a node whose
    retirement is final sends none.)
    """
    assert state.role is PRIMARY, f"a node that is {state.role} sends no entries"
    last = state.log.last
    while not is_congested(state, peer):
        end = _batch_end(state, first)
        _send_range(state, to, peer, first, end)
        if end == last:
            return
        first = min(end + 1, last)
    peer.held_back = True
    _send_range(state, to, peer, peer.sent + 1, peer.sent)


def send_to_all(state: State) -> None:
    """Send every peer what it has not been sent, or a heartbeat."""
    for to, peer in state.peers.items():
        send(state, to, peer, peer.sent + 1)


def send_one_batch(state: State, to: NodeId, peer: Peer) -> None:
    """Send one message to a peer whose point of agreement is a guess."""
    first = peer.sent + 1
    _send_range(state, to, peer, first, _batch_end(state, first))
    peer.held_back = True


def send_rest(state: State, to: NodeId, peer: Peer) -> None:
    """Send what was held back, as far as flow control allows."""
    if is_congested(state, peer):
        return
    peer.held_back = False
    if peer.sent < state.log.last:
        send(state, to, peer, peer.sent + 1)


def is_congested(state: State, peer: Peer) -> bool:
    """Say whether a peer has as many bytes on their way to it as the settings allow."""
    limit = state.settings.inflight_bytes_max
    if not limit:
        return False
    acknowledged = max(peer.match, peer.flight_base)
    return state.log.bytes_between(acknowledged, peer.sent) >= limit


def _batch_end(state: State, first: int) -> int:
    """Return the last seqno of the message that begins with ``first``."""
    settings = state.settings
    end = min(first + settings.batch_entries_max - 1, state.log.last)
    end_of_view = state.history.end(state.view_at(first))
    if end_of_view:
        end = min(end, end_of_view)
    return state.log.end_within(first, end, settings.batch_bytes_max)


def _send_range(state: State, to: NodeId, peer: Peer, first: int, end: int) -> None:
    """Send the entries ``first .. end``; none if ``end`` is below ``first``."""
    message = state.newest_append
    if (
        message is None
        or message.prev_seqno != first - 1
        or message.last_seqno != end
        or message.primary_commit != state.commit
        or message.view != state.view
    ):
        entries_view = state.view_at(end)
        assert entries_view <= state.view, "no entry has a view above its holder's"
        message = AppendEntries(
            state.view,
            state.view_at(first - 1),
            first - 1,
            end,
            entries_view,
            state.commit,
            state.log.between(first, end),
        )
        state.newest_append = message
    peer.sent = end
    state.send(to, message)
