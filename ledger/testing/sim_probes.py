"""Counters of the states that a simulation should sometimes reach: proof that it looks there."""

from collections import Counter

from ledger.base.ids import NodeId
from ledger.consensus.messages import (
    AppendEntries,
    AppendEntriesResponse,
    Message,
    ProposeRequestVote,
    RequestVote,
    RequestVoteResponse,
)
from ledger.consensus.state import State
from ledger.consensus.types import Role

Configuration = tuple[int, frozenset[NodeId]]

EXPECTED = (
    "two primaries at once",
    "commit under several configurations",
    "election under several configurations",
    "NACK with an older view used",
    "roll-back",
    "roll-back of a signed suffix",
    "roll-back of a configuration",
    "hand-over at retirement",
    "hand-over before a stop",
    "pre-vote denied",
    "vote denied",
    "primary stepped down without a quorum",
    "AppendEntries of an older view refused",
    "AppendEntries below commit ignored",
    "acceptance of an older view ignored",
    "vote of an older view ignored",
    "conflict found",
    "candidate found a primary of its view",
    "commit bounded by what was verified",
    "entries read back for a peer",
    "primary stopped",
    "node stopped",
    "majority stopped",
    "joiner from an older prefix",
    "joiner from nothing",
)
"""What every long run should show at least once."""


class Probes:
    """Counts.

    Attributes:
        counters: How often each state was reached.
    """

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()

    def before_delivery(self, state: State, message: Message) -> None:
        """Look at a message and at the node that is about to handle it."""
        if type(message) is AppendEntries:
            self._before_entries(state, message)
        elif type(message) is AppendEntriesResponse:
            if state.role is Role.PRIMARY and message.view < state.view:
                if message.success:
                    self.counters["acceptance of an older view ignored"] += 1
                else:
                    self.counters["NACK with an older view used"] += 1
        elif type(message) is RequestVoteResponse and message.view < state.view:
            self.counters["vote of an older view ignored"] += 1

    def _before_entries(self, state: State, message: AppendEntries) -> None:
        if message.view < state.view:
            self.counters["AppendEntries of an older view refused"] += 1
            return
        if message.view == state.view and state.role in (
            Role.CANDIDATE,
            Role.PRE_VOTE_CANDIDATE,
        ):
            self.counters["candidate found a primary of its view"] += 1
        if state.view_at(message.prev_seqno) != message.prev_view:
            return
        if message.prev_seqno < state.commit:
            self.counters["AppendEntries below commit ignored"] += 1
        elif message.last_seqno > message.prev_seqno:
            held = state.view_at(message.prev_seqno + 1)
            if held and held != message.entries_view:
                self.counters["conflict found"] += 1
        elif message.last_seqno < message.primary_commit and message.last_seqno < state.log.last:
            self.counters["commit bounded by what was verified"] += 1

    def sent(self, state: State, message: Message) -> None:
        """Look at a message and at the node that has just sent it."""
        if type(message) is RequestVoteResponse:
            if not message.granted:
                pre = message.election == "pre_vote"
                self.counters["pre-vote denied" if pre else "vote denied"] += 1
        elif type(message) is ProposeRequestVote:
            if state.role is Role.NONE:
                self.counters["hand-over at retirement"] += 1
        elif type(message) is AppendEntries:
            if not message.is_bound:
                self.counters["entries read back for a peer"] += 1
        elif type(message) is RequestVote and message.election == "regular":
            self.counters["vote asked for"] += 1

    def committed(
        self,
        state: State,
        active: list[Configuration],
        before: int,
        seqno: int,
        was: Role,
    ) -> None:
        """Look at a commit that a node has just made."""
        del state, seqno
        if was is Role.PRIMARY and _pending(active, before):
            self.counters["commit under several configurations"] += 1

    def elected(self, active: list[Configuration], commit: int) -> None:
        """Look at a node that has just become primary."""
        if _pending(active, commit):
            self.counters["election under several configurations"] += 1


def _pending(active: list[Configuration], commit: int) -> bool:
    return len(active) > 1 and active[-1][0] > commit
