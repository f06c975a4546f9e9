"""What scenarios act on: nodes of the consensus core, their queues, the links between them.

Nodes are kept in the order of their ids as text; each has one queue of messages, and nothing is
delivered but by a command; a message to a node that is not linked is lost; AppendEntries take their
entries from the sender's log at the moment of delivery.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from random import Random
from typing import Any, Protocol

from ledger.base.errors import FormatError, LedgerError
from ledger.base.ids import NodeId
from ledger.consensus.messages import AppendEntries, Message
from ledger.consensus.quorum import quorum_size
from ledger.consensus.raft import Raft
from ledger.consensus.ready import Append, Truncate
from ledger.consensus.types import Entry, EntryRole, Jitter, Proposed, Settings
from ledger.testing import scenario_payload as payload
from ledger.testing.scenario_trace import Trace, describe_message

MESSAGE_TIMEOUT_MS = 10
ELECTION_TIMEOUT_MS = 100
DIGITS_MAX = 18
"""Digits of a number in a scenario; more than any seqno, view or time has."""


class ScenarioFailedError(LedgerError):
    """A scenario's expectation, or the safety of the nodes, did not hold."""


class NodeFactory(Protocol):
    """Makes nodes; :func:`ledger.consensus.testing.make_node` is one."""

    def __call__(
        self,
        node_id: str,
        *,
        message_timeout_ms: int,
        election_timeout_ms: int,
        pre_vote_enabled: bool,
        jitter: Jitter,
        apply_entry: Callable[[int, int, bytes], EntryRole | None],
    ) -> Raft:
        """Make a node without log, configuration or view, not ticking."""
        ...


@dataclass(slots=True)
class Sent:
    """A message on its way.

    Attributes:
        to: Destination.
        message: As it was queued.
        number: How many messages its sender had queued for this destination, itself included.
    """

    to: NodeId
    message: Message
    number: int


@dataclass(slots=True)
class World:
    """What a scenario acts on.

    Attributes:
        factory: Makes nodes.
        jitter: Source of chance of the nodes.
        trace: Records what happens.
        nodes: Nodes by id, in ascending order of the ids.
        ledgers: Entries that each node wrote, the one at ``seqno`` under ``seqno - 1``.
        stopped: Nodes that have ended.
        queues: Messages of each node not yet dispatched.
        links: Ordered pairs that can talk.
        archive: Every message ever queued, by sender, destination and number.
        kept: Messages taken aside, by the name they were given.
        counts: Number of messages queued so far for each ordered pair.
        pre_vote: For nodes made from now on.
        options: Optional behaviour of nodes made from now on, by name in ``Settings``.
        chance: Reorders and duplicates messages.
        must_converge: Whether the nodes must agree at the end of the file.
    """

    factory: NodeFactory
    jitter: Jitter
    trace: Trace
    nodes: dict[NodeId, Raft] = field(default_factory=dict)
    ledgers: dict[NodeId, list[Entry]] = field(default_factory=dict)
    stopped: set[NodeId] = field(default_factory=set)
    queues: dict[NodeId, deque[Sent]] = field(default_factory=dict)
    links: set[tuple[NodeId, NodeId]] = field(default_factory=set)
    archive: dict[tuple[NodeId, NodeId, int], Message] = field(default_factory=dict)
    kept: dict[str, tuple[NodeId, NodeId, Message]] = field(default_factory=dict)
    counts: dict[tuple[NodeId, NodeId], int] = field(default_factory=dict)
    pre_vote: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    chance: Random = field(default_factory=lambda: Random(0))  # noqa: S311
    must_converge: bool = True

    def create(self, name: str, *, is_ticking: bool = True) -> Raft:
        """Make a node linked with nobody."""
        node_id = NodeId(name)
        if node_id in self.nodes:
            raise FormatError(f"got a second node {name}, want a new id")
        node = self.factory(
            name,
            message_timeout_ms=MESSAGE_TIMEOUT_MS,
            election_timeout_ms=ELECTION_TIMEOUT_MS,
            pre_vote_enabled=self.pre_vote,
            jitter=self.draw,
            apply_entry=payload.apply,
        )
        if self.options:
            settings = replace(node.state.settings, **self.options)
            node = Raft(node_id, settings, payload.apply, self.draw)
        self.nodes[node_id] = node
        self.nodes = dict(sorted(self.nodes.items()))
        self.queues[node_id] = deque()
        self.ledgers[node_id] = []
        if is_ticking:
            node.start_ticking()
        return node

    def draw(self, limit: int) -> int:
        """Return the nodes' next random number, in [0, limit]."""
        return self.jitter(limit)

    def set_jitter(self, jitter: Jitter) -> None:
        """Replace the source of chance, also of the nodes that exist."""
        self.jitter = jitter

    def set_option(self, name: str, value: object) -> None:
        """Set an optional behaviour of nodes made from now on.

        Raises:
            FormatError: there is no such option, or its value is of another type.
        """
        types = {entry.name: entry.type for entry in fields(Settings)}
        if not isinstance(value, bool | int) or name not in types:
            raise FormatError(f"got option {name} {value!r}, want one of {sorted(types)}")
        self.options[name] = value

    def node(self, name: str) -> Raft:
        """Return a node that exists."""
        try:
            return self.nodes[NodeId(name)]
        except KeyError:
            raise FormatError(f"got node {name!r}, want one of {list(self.nodes)}") from None

    def link_with_all(self, name: str) -> None:
        """Link a node with every other one, both ways."""
        for other in self.nodes:
            if other != name:
                self.connect(name, other)

    def connect(self, one: str, other: str) -> None:
        """Link two nodes both ways."""
        self.links.add((NodeId(one), NodeId(other)))
        self.links.add((NodeId(other), NodeId(one)))

    def disconnect(self, one: str, other: str) -> None:
        """Cut the link of two nodes both ways."""
        self.links.discard((NodeId(one), NodeId(other)))
        self.links.discard((NodeId(other), NodeId(one)))

    def collect(self, node: Raft) -> None:
        """Do a node's effects on its ledger, and queue what it wants to send."""
        source = node.node_id
        ready = node.ready()
        for effect in ready.effects:
            match effect:
                case Append(entry):
                    self.ledgers[source].append(entry)
                case Truncate(seqno):
                    del self.ledgers[source][seqno:]
                case _:
                    pass
        for to, message in ready.messages:
            pair = (source, to)
            number = self.counts.get(pair, 0) + 1
            self.counts[pair] = number
            self.archive[source, to, number] = message
            self.queues[source].append(Sent(to, message, number))

    def deliver(self, source: NodeId, to: NodeId, message: Message) -> bool:
        """Hand over a message, or lose it.

        Returns:
            Whether it arrived.
        """
        bound = self._bind(self.nodes[source], message)
        return self._hand_over(source, to, message, bound)

    def deliver_as_sent(self, source: NodeId, to: NodeId, message: Message) -> bool:
        """Hand over a message with the entries it had when it was queued, or lose it."""
        return self._hand_over(source, to, message, message)

    def _hand_over(
        self, source: NodeId, to: NodeId, message: Message, bound: Message | None
    ) -> bool:
        arrived = bound is not None and (source, to) in self.links and to in self.nodes
        self.trace.note(f"{source}->{to} {describe_message(message)}{'' if arrived else ' lost'}")
        if arrived and bound is not None:
            receiver = self.nodes[to]
            receiver.step(source, bound)
            self.collect(receiver)
        return arrived

    def _bind(self, source: Raft, message: Message) -> Message | None:
        """Give AppendEntries the entries their sender has now; None if it has lost one."""
        if not isinstance(message, AppendEntries):
            return message
        ledger = self.ledgers[source.node_id]
        if message.last_seqno > len(ledger):
            return None
        return message.with_entries(tuple(ledger[message.prev_seqno : message.last_seqno]))

    def tick(self, node: Raft, elapsed_ms: int) -> None:
        """Advance one node's clock."""
        node.tick(elapsed_ms)
        self.collect(node)

    def primary(self, view: str) -> Raft | None:
        """Choose the primary that a command names by its view, None if it names no one.

        Raises:
            ScenarioFailedError: a view is named that has no primary.
        """
        primaries = [node for node in self.nodes.values() if node.is_primary]
        if view == "latest":
            return max(primaries, key=lambda node: (node.view, node.node_id), default=None)
        for node in primaries:
            if node.view == integer(view):
                return node
        raise ScenarioFailedError(f"there is no primary of view {view}")

    def propose(self, node: Raft, make: Callable[[int], Proposed]) -> bool:
        """Let a node append one entry in its current view; says whether it did."""
        done = node.replicate([make(node.last + 1)], node.view)
        self.collect(node)
        return done

    def configure(self, primary: Raft, names: Iterable[str]) -> None:
        """Let a primary append a configuration."""
        nodes = frozenset(NodeId(name) for name in names)
        self.propose(primary, lambda seqno: payload.configuration(seqno, nodes))


def integer(text: str) -> int:
    """Read a decimal argument.

    Raises:
        FormatError: it is none.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= DIGITS_MAX):
        raise FormatError(f"got {text[:40]!r}, want a decimal number")
    return int(text)


def differences(world: World, nodes: Iterable[Raft]) -> str:
    """Compare view, last, commit and all entries of some nodes; empty if they agree."""
    reference: Raft | None = None
    for node in nodes:
        if reference is None:
            reference = node
            continue
        mine, theirs = position_of(reference), position_of(node)
        if mine != theirs:
            return f"{reference.node_id} is at {mine}, {node.node_id} at {theirs}"
        if world.ledgers[reference.node_id] != world.ledgers[node.node_id]:
            return f"the entries of {reference.node_id} and {node.node_id} differ"
    return ""


def position_of(node: Raft) -> tuple[int, int, int]:
    """Return a node's view, last and commit seqno."""
    return node.view, node.last, node.commit


def check_commit_safety(world: World, node: Raft) -> None:
    """Check that quorums hold what a node has committed.

    Raises:
        ScenarioFailedError: in one of its active configurations at or below its commit seqno, fewer
            than a quorum of the members hold exactly its committed entries.
    """
    commit = node.commit
    committed = world.ledgers[node.node_id][:commit]
    for seqno, members in node.status().configs:
        if seqno > commit:
            continue
        holders = sum(
            1
            for member in members
            if member in world.nodes and world.ledgers[member][:commit] == committed
        )
        if holders < quorum_size(len(members)):
            raise ScenarioFailedError(
                f"{node.node_id} committed {commit}, but {holders} of the {len(members)} nodes "
                f"of configuration {seqno} hold it"
            )
