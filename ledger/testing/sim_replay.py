"""Writes a schedule down, and runs one that was written down, or part of it, again.

A recorded event says which node does what; a delivery names the event that produced its message, so
that events can be left out and the rest still means the same. What cannot happen (any more) is
passed over.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from typing_extensions import override

from ledger.base.ids import NodeId
from ledger.consensus.messages import Message
from ledger.consensus.types import Settings
from ledger.testing.cluster import Member
from ledger.testing.faults import FaultPlan
from ledger.testing.sim_walk import make_schedule
from ledger.testing.simulation import LivenessError, Schedule


class Event(msgspec.Struct, frozen=True):
    """One event of a schedule.

    Attributes:
        number: Its place in the schedule as it was recorded.
        kind: What happens, by the cluster's name for it.
        arguments: To whom, and what. A delivery has source, destination, the number of the event
            that produced the message, and which of that event's messages for the destination.
        chance: What the nodes' random number is derived from.
    """

    number: int
    kind: str
    arguments: tuple[Any, ...]
    chance: int


class Recording(msgspec.Struct, frozen=True):
    """A schedule that failed.

    Attributes:
        seed: What it was drawn from.
        plan: Its mix of faults, of which the settings matter here.
        events: All of them up to the failure, or up to the end of the faults where progress is
            what is missing.
        error: How it failed.
    """

    seed: int
    plan: FaultPlan
    events: tuple[Event, ...]
    error: Exception

    def with_settings(self, settings: Settings) -> "Recording":
        """Return the same schedule for nodes with other settings."""
        plan = replace(self.plan, settings=settings)
        return msgspec.structs.replace(self, plan=plan)

    def with_events(self, events: Sequence[Event]) -> "Recording":
        """Return a schedule of some of the events."""
        return msgspec.structs.replace(self, events=tuple(events))


class Recorder:
    """Watches a schedule and writes its events down."""

    def __init__(self, schedule: Schedule) -> None:
        self.events: list[Event] = []
        self._schedule = schedule
        self._producers: dict[tuple[NodeId, NodeId, int], tuple[int, int]] = {}
        self._sent: dict[tuple[NodeId, NodeId], int] = {}
        self._sent_by_event: dict[NodeId, int] = {}
        schedule.cluster.recorder = self._take
        schedule.watcher = self._watch

    def _take(self, kind: str, *arguments: Any) -> None:  # noqa: ANN401
        if kind == "deliver":
            arguments = (*arguments[:2], *self._producers[arguments])
        event = Event(len(self.events), kind, arguments, self._schedule.cluster.chance)
        self.events.append(event)
        self._sent_by_event.clear()

    def _watch(self, source: NodeId, to: NodeId, message: Message) -> None:
        del message
        number = self._sent.get((source, to), 0) + 1
        self._sent[source, to] = number
        index = self._sent_by_event.get(to, 0)
        self._sent_by_event[to] = index + 1
        self._producers[source, to, number] = (len(self.events) - 1, index)


def record(seed: int, make: Callable[[int], Schedule] = make_schedule) -> Recording:
    """Run a seed that fails, writing it down."""
    schedule = make(seed)
    recorder = Recorder(schedule)
    try:
        schedule.run()
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what is looked for
        events = recorder.events
        if isinstance(error, LivenessError) and schedule.healed_at is not None:
            events = events[: schedule.healed_at]
        return Recording(seed, schedule.plan, tuple(events), error)
    raise AssertionError(f"seed {seed} does not fail")


class Replay(Schedule):
    """Runs recorded events.

    Attributes:
        sent: Messages sent so far on each link, for whoever writes the schedule down again.
        done: The events that could happen.
    """

    def __init__(self, recording: Recording) -> None:
        super().__init__(recording.seed, recording.plan)
        self.done: list[tuple[Event, int]] = []
        self._events = recording.events
        self._archive: dict[tuple[NodeId, int, int], tuple[Message, int]] = {}
        self._counts: dict[tuple[NodeId, NodeId], int] = {}
        self._index: dict[NodeId, int] = {}
        self._current = 0
        self._is_replaying = True
        self._must_heal = isinstance(recording.error, LivenessError)

    def replay(self) -> None:
        """Run the events, and restore health if that is when the schedule failed."""
        for event in self._events:
            self._current = event.number
            self._index.clear()
            self.cluster.chance = event.chance
            self.done.append((event, self._number_of(event)))
            if not self._run_event(event):
                self.done.pop()
        self._is_replaying = False
        if self._must_heal:
            for member in self.cluster.alive():
                self._start_clock(member)
                self._clean(member)
                self.appended(member, member.raft.last, member.raft.view_at(member.raft.last))
                self._sign_soon(member)
            self.at(self.now + 1, self._client)
            if self._heal():
                self._require_progress()
        self.clients.check()

    def _number_of(self, event: Event) -> int:
        """Return the number of a delivered message on its link, 0 for other events."""
        if event.kind != "deliver":
            return 0
        _, to, producer, index = event.arguments
        return self._archive.get((to, producer, index), (None, 0))[1]

    def _run_event(self, event: Event) -> bool:
        """Run one event; says whether it could happen."""
        if event.kind in ("bootstrap", "join_empty", "join_from"):
            return self._make_node(event)
        if event.kind == "deliver":
            return self._deliver_recorded(event)
        member = self.cluster.members.get(event.arguments[0])
        if member is None or not member.is_alive:
            return False
        return self._act(member, event.kind, event.arguments[1:])

    def _make_node(self, event: Event) -> bool:
        cluster, (node_id, *rest) = self.cluster, event.arguments
        if event.kind == "bootstrap":
            cluster.bootstrap(node_id)
        elif event.kind == "join_empty":
            cluster.join_empty(node_id)
        else:
            source = cluster.members.get(rest[0])
            if source is None or not self._is_signature(source, rest[1]):
                return False
            cluster.join_from(node_id, source, rest[1])
        return True

    def _is_signature(self, source: Member, seqno: int) -> bool:
        if not 0 < seqno <= source.log.commit:
            return False
        key = (source.log.views[seqno], seqno)
        return self.cluster.invariants.register[key].role.committable

    def _deliver_recorded(self, event: Event) -> bool:
        source, to, producer, index = event.arguments
        member = self.cluster.members.get(to)
        message, number = self._archive.get((to, producer, index), (None, 0))
        if member is None or not member.is_alive or message is None:
            return False
        self.cluster.deliver(source, member, message, number)
        return True

    def _act(self, member: Member, kind: str, arguments: tuple[Any, ...]) -> bool:
        cluster = self.cluster
        match kind:
            case "tick":
                cluster.tick(member, *arguments)
            case "write":
                return self.clients.write_again(member, *arguments)
            case "sign":
                return cluster.sign(member)
            case "configure":
                return self._may_configure(member, *arguments) and cluster.configure(
                    member, *arguments
                )
            case "mark_removable":
                (nodes,) = arguments
                return nodes <= cluster.unmarked(member) and cluster.mark_removable(member, nodes)
            case "persist":
                (seqno,) = arguments
                if seqno > member.raft.last:
                    return False
                cluster.persist(member, seqno, member.raft.view_at(seqno))
            case "hand_over":
                cluster.hand_over(member)
            case "stop":
                cluster.stop(member)
            case _:
                raise AssertionError(f"no such event: {kind}")
        return True

    def _may_configure(self, member: Member, nodes: frozenset[NodeId]) -> bool:
        """Say whether a configuration brings no node back that has left in this log."""
        had: set[NodeId] = set()
        current: frozenset[NodeId] = frozenset()
        for _, members in member.log.configurations:
            had |= members
            current = members
        returns = nodes & (had - current)
        is_known = all(node in self.cluster.members for node in nodes)
        return member.raft.is_primary and is_known and not returns

    @override
    def _put(self, source: NodeId, to: NodeId, message: Message) -> None:
        if not self._is_replaying:
            super()._put(source, to, message)
            return
        index = self._index.get(to, 0)
        self._index[to] = index + 1
        number = self._counts.get((source, to), 0) + 1
        self._counts[source, to] = number
        self._archive[to, self._current, index] = (message, number)

    @override
    def appended(self, member: Member, last: int, view: int) -> None:
        """Let the disk write when an event says so."""
        if not self._is_replaying:
            super().appended(member, last, view)

    @override
    def became_primary(self, member: Member) -> None:
        """Let a new primary sign when an event says so."""
        if not self._is_replaying:
            super().became_primary(member)

    @override
    def wants_cleanup(self, member: Member) -> None:
        """Let a primary clean up when an event says so."""
        if not self._is_replaying:
            super().wants_cleanup(member)
