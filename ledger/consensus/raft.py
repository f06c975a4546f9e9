"""The node that the rest of the project sees: inputs in, outputs collected until drained.

A worked session, one node alone::

    node = Raft("a", Settings(track_persistence=False), apply_entry, jitter)
    node.bootstrap_primary()                                     # primary of view 2
    node.replicate([Proposed(1, b"nodes", configuration=frozenset({"a"}))], 2)
    node.replicate([Proposed(2, b"signature", committable=True)], 2)
    node.ready().effects        # ..., Append(1), Append(2), Commit(2)

What callers owe: every input is handled to completion and followed by ``ready``; effects are done
in order, before the messages leave; a message goes to the network as it is, or not at all; an
exception from any method ends the node. A primary that has reserved a seqno for a signature which
is still being made simply hands over that entry and everything after it later: consensus knows
only entries whose bytes exist.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from ledger.base.errors import MisuseError
from ledger.base.ids import NodeId
from ledger.consensus import backup, commitment, elections, replication, roles, sending
from ledger.consensus.appending import add_configuration
from ledger.consensus.contradictions import contradiction
from ledger.consensus.log import Log
from ledger.consensus.messages import (
    AppendEntries,
    AppendEntriesResponse,
    Message,
    ProposeRequestVote,
    RequestVote,
    RequestVoteResponse,
)
from ledger.consensus.ready import Ready
from ledger.consensus.state import State
from ledger.consensus.tx_status import TxStatus, tx_status
from ledger.consensus.types import ApplyEntry, Entry, Jitter, Proposed, Settings, Status
from ledger.consensus.view_history import ViewHistory

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def _fatal(
    method: Callable[Concatenate["Raft", Parameters], Result],
) -> Callable[Concatenate["Raft", Parameters], Result]:
    """Make any exception of an input the node's last word: it may be half-updated."""

    @wraps(method)
    def guarded(self: "Raft", /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        if self.is_broken:
            raise MisuseError(f"got {method.__name__} for a node whose assertion failed")
        try:
            return method(self, *args, **kwargs)
        except MisuseError:
            raise  # raised before anything has changed
        except BaseException:
            self.is_broken = True
            raise

    return guarded


class Raft:
    """One node of the protocol.

    Attributes:
        node_id: Our id; used once, a process that stops comes back under another.
        is_broken: An assertion failed: the node refuses all further inputs.
    """

    __slots__ = ("_state", "is_broken", "node_id")

    def __init__(
        self, node_id: NodeId, settings: Settings, apply_entry: ApplyEntry, jitter: Jitter
    ) -> None:
        self.node_id = node_id
        self.is_broken = False
        self._state = State(node_id, settings, apply_entry, jitter)

    # Inputs

    @_fatal
    def bootstrap_primary(self) -> None:
        """Become primary of view ``current_view + 2`` without an election.

        Safe only where no other node can be primary: at the start of a service and, after
        :meth:`initialise`, at its recovery from a disaster.
        """
        state = self._state
        state.view += 2
        state.voted_for = self.node_id
        elections.become_primary(state, forced=True)

    @_fatal
    def initialise(
        self,
        last: int,
        view: int,
        history: Sequence[int],
        commit: int,
        configurations: Sequence[tuple[int, frozenset[NodeId]]],
        retiring: frozenset[NodeId] = frozenset(),
    ) -> None:
        """Start from a snapshot, or from a ledger read at a recovery, instead of from nothing.

        Args:
            last: Seqno of the signature that the state loaded is at.
            view: View of that signature.
            history: First seqno of each view up to it, from view 1.
            commit: Equal to ``last``: only committed state is started from.
            configurations: Configurations active there, ascending: seqno and ids.
            retiring: Nodes whose retirement is committed and which are not marked as removable.
        """
        state = self._state
        if state.view or state.log.last or state.configurations.active:
            raise MisuseError("got initialise for a node that has started, want a new node")
        if commit != last:
            raise MisuseError(f"got commit {commit} to start from, want the last seqno, {last}")
        state.log = Log(last)
        state.history = ViewHistory(history)
        if state.history.view_at(last) != view:
            raise MisuseError(
                f"got view {view} for seqno {last}, but the history says "
                f"{state.history.view_at(last)}"
            )
        state.commit = last
        state.persisted = last
        for seqno, nodes in configurations:
            add_configuration(state, seqno, nodes)
        state.configurations.note_left(retiring)
        for node in sorted(retiring - {self.node_id}):
            if node not in state.peers:
                state.peers.add(node, last + 1)
        roles.enter_view(state, view)

    def start_ticking(self) -> None:
        """Arm the election timer. A node does so by itself once it is in a signed configuration."""
        roles.start_ticking(self._state)

    def add_configuration(self, seqno: int, nodes: frozenset[NodeId]) -> None:
        """Make a configuration active without a ledger entry; for synthetic tests only."""
        add_configuration(self._state, seqno, nodes)

    @_fatal
    def replicate(self, entries: Sequence[Proposed], view: int) -> bool:
        """Append entries as primary of ``view``.

        Returns:
            False, with nothing changed, if the node is not primary of that view or the seqnos do
            not follow its newest entry.
        """
        return replication.replicate(self._state, entries, view)

    def contradiction(self, sender: NodeId, message: Message) -> str | None:
        """Return what no correct node could say in a received message; such a one is not handled.

        A message that is handled all the same ends this node.
        """
        return contradiction(self._state, sender, message)

    @_fatal
    def step(self, sender: NodeId, message: Message) -> None:
        """Handle one received message to completion.

        Args:
            sender: Whose channel it came on.
            message: What came; of any age, any number of times.
        """
        state = self._state
        match message:
            case AppendEntries():
                backup.receive_append_entries(state, sender, message)
            case AppendEntriesResponse():
                replication.receive_response(state, sender, message)
            case RequestVote():
                elections.receive_request_vote(state, sender, message)
            case RequestVoteResponse():
                elections.receive_vote(state, sender, message)
            case ProposeRequestVote():
                elections.receive_proposal(state, message)

    @_fatal
    def tick(self, elapsed_ms: int) -> None:
        """Let time pass: may send heartbeats, stand for election, or step down."""
        if self._state.role is roles.PRIMARY:
            replication.tick(self._state, elapsed_ms)
        else:
            elections.tick(self._state, elapsed_ms)

    @_fatal
    def persisted(self, seqno: int, view: int | None = None) -> None:
        """Learn that our disk has every entry up to ``seqno``.

        Args:
            seqno: Highest seqno that will survive a power failure.
            view: View of that entry. With it, a report about an entry that was replaced meanwhile
                is ignored; without it, the caller must drop reports made before a ``Truncate``.
        """
        state = self._state
        if view is not None and state.view_at(seqno) != view:
            return
        backup.persisted(state, seqno)
        if state.role is roles.PRIMARY:
            commitment.advance_commit(state)

    @_fatal
    def hand_over(self) -> NodeId | None:
        """Ask the best-placed peer to stand now, because this node is about to stop.

        Returns:
            The peer asked; None if we are not primary or have no peer.
        """
        if self._state.role is not roles.PRIMARY:
            return None
        return commitment.propose_successor(self._state)

    def flush(self) -> None:
        """Send, as primary, everything that waits for the next tick."""
        if self._state.role is roles.PRIMARY:
            sending.send_to_all(self._state)

    def release(self, seqno: int) -> None:
        """Drop committed entries up to ``seqno`` from memory.

        A peer that still needs one gets a message without entries, see ``AppendEntries.is_bound``.
        """
        self._state.log.release(min(seqno, self._state.commit))

    def ready(self) -> Ready:
        """Drain the outputs produced since the last call."""
        return self._state.outbox.drain()

    # What the node says of itself

    def status(self) -> Status:
        """Return a view of the node at this moment, in the published words."""
        state = self._state
        phase = state.retirement.phase
        acks = {}
        if state.role is roles.PRIMARY:
            acks = {
                node: {"seqno": peer.match, "last_received_ms": peer.ack_age}
                for node, peer in state.peers.items()
            }
        return Status(
            leadership_state=state.role.value,
            membership_state=state.retirement.membership.value,
            retirement_phase=None if phase is None else phase.value,
            current_view=state.view,
            last_seqno=state.log.last,
            commit_seqno=state.commit,
            primary_id=state.primary_id,
            ticking=state.ticking,
            configs=[(held.seqno, set(held.nodes)) for held in state.configurations.active],
            acks=acks,
        )

    def entry(self, seqno: int) -> Entry | None:
        """Return the entry held in memory at ``seqno``, if any."""
        return self._state.log.get(seqno)

    def view_at(self, seqno: int) -> int:
        """Return the view of the entry at ``seqno``, 0 if there is none; released ones included."""
        return self._state.view_at(seqno)

    def tx_status(self, view: int, seqno: int) -> TxStatus:
        """Say what this node knows of the transaction ``view.seqno``."""
        state = self._state
        return tx_status(
            view,
            seqno,
            held_view=state.view_at(seqno),
            commit=state.commit,
            commit_view=state.view_at(state.commit),
        )

    @property
    def state(self) -> State:
        """The node's variables, for checkers and tests; to be read only."""
        return self._state

    @property
    def is_primary(self) -> bool:
        """Whether this node leads its view."""
        return self._state.role is roles.PRIMARY

    @property
    def primary_id(self) -> NodeId | None:
        """The primary of the current view, if known."""
        return self._state.primary_id

    @property
    def view(self) -> int:
        """Current view, 0 before the node has heard from anybody."""
        return self._state.view

    @property
    def last(self) -> int:
        """Highest seqno held."""
        return self._state.log.last

    @property
    def commit(self) -> int:
        """Highest seqno known to be committed."""
        return self._state.commit

    @property
    def last_committable(self) -> int:
        """Newest signature held, or the commit seqno when all signatures are committed."""
        return self._state.last_committable

    @property
    def view_starts(self) -> list[int]:
        """First seqno of each view, from view 1."""
        return self._state.history.starts

    @property
    def should_sign(self) -> bool:
        """Whether this node is primary and has not signed in its view: sign, even nothing."""
        return self._state.should_sign

    @property
    def at_capacity(self) -> bool:
        """Whether so many entries are uncommitted that no more should be brought.

        Consensus itself still accepts them: signatures must get through. A replica counts what
        was given an ID instead, which is more (``Replica.at_capacity``).
        """
        limit = self._state.settings.max_uncommitted
        return limit > 0 and self._state.log.last - self._state.commit >= limit
