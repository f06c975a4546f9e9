"""What no correct node can say: told apart before a message is handled.

Consensus is built for nodes that stop, not for nodes that lie, and treats what cannot be as a
broken invariant of its own: fatal. A peer must not be able to end us that way with one message, so
whoever takes messages from the network asks here first and cuts the peer.
"""

from ledger.base.ids import NodeId
from ledger.consensus.messages import (
    AppendEntries,
    AppendEntriesResponse,
    Message,
    ProposeRequestVote,
)
from ledger.consensus.roles import PRIMARY
from ledger.consensus.state import State


def contradiction(state: State, sender: NodeId, message: Message) -> str | None:
    """Return what is impossible about a message, None for what may be true.

    Every view has one primary, and nobody holds entries of a view that its primary does not have.
    """
    if message.view != state.view:
        return None
    leads = state.role is PRIMARY
    match message:
        case AppendEntries() if state.primary_id not in (None, sender):
            return f"entries as primary of view {state.view}, which {state.primary_id} leads"
        case ProposeRequestVote() if leads:
            return f"a proposal to stand as primary of view {state.view}, which we lead"
        case AppendEntriesResponse(success=True) if leads and message.last_seqno > state.log.last:
            return (
                f"an acknowledgement of entry {message.last_seqno} of view {state.view}, "
                f"whose last one is {state.log.last}"
            )
        case _:
            return None
