"""AppendEntries at the receiver: agreement on the past, new entries, bounded commit."""

from ledger.base.ids import NodeId
from ledger.consensus.appending import append, append_plain
from ledger.consensus.commitment import commit_up_to
from ledger.consensus.messages import AppendEntries, AppendEntriesResponse
from ledger.consensus.roles import (
    CANDIDATE,
    PRE_VOTE_CANDIDATE,
    PRIMARY,
    enter_view,
    restart_election_timer,
    rollback,
)
from ledger.consensus.state import HeldAck, State


def receive_append_entries(state: State, sender: NodeId, message: AppendEntries) -> None:
    """Handle AppendEntries from anybody, known or not, of any age."""
    if message.view < state.view:
        _refuse(state, sender)
        return
    standing = state.role in (PRE_VOTE_CANDIDATE, CANDIDATE)
    if message.view > state.view or standing:
        enter_view(state, message.view)
    assert state.role is not PRIMARY, f"{sender} and we are both primary of {state.view}"
    if not _agrees_on_previous(state, sender, message):
        return
    restart_election_timer(state)
    state.primary_id = sender
    if message.prev_seqno < state.commit or message.prev_seqno > state.log.last:
        return
    first_new = _first_new_seqno(state, message)
    if not _is_well_formed(state, message, first_new):
        _refuse(state, sender)
        return
    if first_new <= min(message.last_seqno, state.log.last):
        if not state.is_new_follower:
            return  # A second conflict in one view should be unreachable; stay divergent in it.
        rollback(state, first_new - 1)
        state.is_new_follower = False
    bound = min(message.primary_commit, message.last_seqno)
    if not _apply_new(state, message, first_new, bound):
        _refuse(state, sender)
        return
    commit_up_to(state, bound)
    _accept(state, sender, message, first_new)


def persisted(state: State, seqno: int) -> None:
    """Release the acknowledgements that waited for the disk to have ``seqno``."""
    state.persisted = max(state.persisted, min(seqno, state.log.last))
    if not state.held_acks:
        return
    waiting = state.held_acks
    state.held_acks = [held for held in waiting if held.needs > state.persisted]
    for held in waiting:
        if held.needs <= state.persisted:
            state.send(held.to, held.response)


def _agrees_on_previous(state: State, sender: NodeId, message: AppendEntries) -> bool:
    """Compare the entry before the first one carried; refuse the message if it differs."""
    own_view = state.view_at(message.prev_seqno)
    if own_view == message.prev_view:
        return True
    if own_view == 0:
        _refuse(state, sender)
        return False
    best = state.history.best_match(message.prev_view, message.prev_seqno, state.log.last)
    state.send(sender, AppendEntriesResponse(state.view_at(best), best, success=False))
    return False


def _first_new_seqno(state: State, message: AppendEntries) -> int:
    """Return the first seqno carried that we do not hold in the same view, or one past the end.

    All entries carried are of one view, and views never fall along a log: the entries from the
    first difference on all differ.
    """
    if message.entries_view == state.view_at(message.last_seqno):
        return message.last_seqno + 1
    seqno = message.prev_seqno + 1
    while seqno <= message.last_seqno and state.view_at(seqno) == message.entries_view:
        seqno += 1
    return seqno


def _is_well_formed(state: State, message: AppendEntries, first_new: int) -> bool:
    """Check the entries to append before any of them is applied."""
    if first_new > message.last_seqno:
        return True
    if not message.is_bound or message.entries_view > message.view:
        return False
    view = message.entries_view
    before = first_new - 1
    if view != state.view_at(before) and not _may_change_view(state, before, view):
        return False
    seqno = first_new
    for entry in message.entries[first_new - message.prev_seqno - 1 :]:
        if entry.seqno != seqno or entry.view != view:
            return False
        seqno += 1
    return True


def _may_change_view(state: State, before: int, view: int) -> bool:
    """Say whether an entry of ``view`` may follow the entry at ``before``."""
    if view < state.view_at(before):
        return False
    # Before the first commit there may be no signature yet: a configuration without a ledger.
    return before == state.commit or state.committable.contains(before) or state.commit == 0


def _apply_new(state: State, message: AppendEntries, first_new: int, bound: int) -> bool:
    """Apply and append the new entries in order; False when one cannot be applied.

    Commit follows each signature, so that a store never holds more versions than it must.
    """
    apply_entry = state.apply_entry
    view = message.entries_view
    for entry in message.entries[first_new - message.prev_seqno - 1 :]:
        applied = apply_entry(view, entry.seqno, entry.data)
        if applied is None:
            return False
        if (
            applied.committable
            or applied.configuration is not None
            or applied.retired_committed is not None
        ):
            append(state, entry, applied)
            if applied.committable:
                commit_up_to(state, bound)
        else:
            append_plain(state, entry)
    return True


def _accept(state: State, sender: NodeId, message: AppendEntries, first_new: int) -> None:
    """Acknowledge the message's own end, not ours: we know of no agreement beyond it.

    With persistence tracked, no acknowledgement covers a signature that the disk may lose. One that
    brought the signature waits; a later one says at once how far the disk is, which shows the
    primary that we live.
    """
    response = AppendEntriesResponse(state.view, message.last_seqno, success=True)
    if state.settings.track_persistence:
        signature = state.committable.highest_up_to(message.last_seqno)
        if signature > state.persisted:
            held = HeldAck(signature, sender, response)
            if all(other.response != response for other in state.held_acks):
                state.held_acks.append(held)
            if first_new <= signature:
                return
            response = AppendEntriesResponse(state.view, state.persisted, success=True)
    state.send(sender, response)


def _refuse(state: State, sender: NodeId) -> None:
    """Refuse and say what we have."""
    state.send(sender, AppendEntriesResponse(state.view, state.log.last, success=False))
