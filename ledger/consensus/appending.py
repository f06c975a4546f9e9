"""What an entry does at the moment it is appended, on a primary and on a backup alike."""

from ledger.base.ids import NodeId
from ledger.consensus.ready import Append
from ledger.consensus.roles import PRIMARY, start_ticking, sync_peers
from ledger.consensus.sending import send
from ledger.consensus.state import State
from ledger.consensus.types import Entry, EntryRole


def append(state: State, entry: Entry, role: EntryRole) -> None:
    """Append an entry that has a role, in this order: configuration, signature, log, marks."""
    assert (
        role.committable + (role.configuration is not None) + (role.retired_committed is not None)
    ) == 1, f"entry {entry.seqno} has several roles, want one"
    if entry.view != state.history.newest_view:
        begin_view(state, entry)
    if role.configuration is not None:
        add_configuration(state, entry.seqno, role.configuration)
    if role.committable:
        mark_signed(state, entry.seqno)
    append_plain(state, entry)
    if role.retired_committed is not None:
        state.retired_committed.append((entry.seqno, role.retired_committed))


def append_plain(state: State, entry: Entry) -> None:
    """Append an entry that does nothing."""
    if entry.view != state.history.newest_view:
        begin_view(state, entry)
    state.log.append(entry)
    state.outbox.effects.append(Append(entry))


def begin_view(state: State, entry: Entry) -> None:
    """Note the first entry of a view; a view only begins right after a signature."""
    last = state.log.last
    view = entry.view
    assert view > state.view_at(last), f"view {view} follows view {state.view_at(last)}"
    assert view <= state.view, f"an entry of view {view} at a node in view {state.view}"
    # Before the first commit there may be no signature yet: a configuration without a ledger.
    assert last == state.last_committable or state.commit == 0, (
        f"view {view} would begin after {last}, which is not a signature"
    )
    state.history.update(entry.seqno, view)


def add_configuration(state: State, seqno: int, nodes: frozenset[NodeId]) -> None:
    """Make a configuration active from its append on, before it is signed."""
    configurations = state.configurations
    if state.node_id in configurations.newest and state.node_id not in nodes:
        state.retirement.configuration_appended(seqno)
    if state.settings.trusts_once:
        returning = sorted(configurations.former & nodes)
        assert not returning, f"nodes {returning} were removed once and cannot be trusted again"
    if not configurations.add(seqno, nodes):
        return
    # The configuration's entry does not count in `last` yet, so a new peer's first message is an
    # empty one just before it. The peer will answer with what it has.
    for node in sync_peers(state):
        if state.role is PRIMARY:
            peer = state.peers.get(node)
            assert peer is not None, "a peer just added is there"
            send(state, node, peer, state.log.last + 1)


def mark_signed(state: State, seqno: int) -> None:
    """Note that the entry being appended is a signature."""
    # In any active configuration, not only in the newest: with two changes between two signatures
    # a node can hold the only log that may win, and be in the first of the two alone.
    if not state.ticking and state.configurations.has_own:
        start_ticking(state)
    state.retirement.signature_appended(seqno)
    state.committable.add(seqno)
