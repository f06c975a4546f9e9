"""Messages that no correct node sends are told apart; handled, each would end the node."""

import pytest

from ledger.consensus.messages import (
    AppendEntries,
    AppendEntriesResponse,
    Message,
    ProposeRequestVote,
    RequestVote,
    RequestVoteResponse,
)
from ledger.consensus.raft import Raft
from tests.unit.consensus.consensus_kit import A, B, C, new_node, primary, sign

LAST = 3


def leading() -> Raft:
    """The primary of view 3, whose last entry is the third."""
    node = primary()
    sign(node)
    assert (node.view, node.last, node.is_primary) == (3, LAST, True)
    return node


def following() -> Raft:
    """A backup of view 3 that has heard from its primary, ``a``."""
    node = new_node()
    node.step(A, AppendEntries(3, 0, 0, 0, 0, 0))
    assert (node.view, node.primary_id) == (3, A)
    return node


@pytest.mark.parametrize(
    "message",
    [
        AppendEntries(3, 2, 2, 2, 2, 2),
        ProposeRequestVote(3),
        AppendEntriesResponse(3, LAST + 1, success=True),
    ],
)
def test_what_cannot_be_said_to_a_primary(message: Message) -> None:
    node = leading()
    assert node.contradiction(B, message) is not None
    assert not node.is_broken, "nothing has happened"
    with pytest.raises(AssertionError):
        node.step(B, message)


@pytest.mark.parametrize(
    "message",
    [
        AppendEntries(2, 2, 2, 2, 2, 2),
        AppendEntries(4, 2, 2, 2, 2, 2),
        ProposeRequestVote(2),
        AppendEntriesResponse(3, LAST, success=True),
        AppendEntriesResponse(3, LAST + 1, success=False),
        AppendEntriesResponse(2, LAST + 1, success=True),
        AppendEntriesResponse(4, LAST + 1, success=True),
        RequestVote(3, 3, 9, "regular"),
        RequestVoteResponse(3, granted=True, election="regular"),
    ],
)
def test_what_may_be_late_or_new_is_handled(message: Message) -> None:
    node = leading()
    assert node.contradiction(B, message) is None
    node.step(B, message)


def test_a_view_has_one_primary() -> None:
    node = following()
    heartbeat = AppendEntries(3, 0, 0, 0, 0, 0)
    assert node.contradiction(A, heartbeat) is None
    assert node.contradiction(C, heartbeat) == "entries as primary of view 3, which a leads"
    assert node.contradiction(C, AppendEntries(4, 0, 0, 0, 0, 0)) is None
    assert node.contradiction(A, ProposeRequestVote(3)) is None
