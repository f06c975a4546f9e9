"""Runs a failing schedule of replicas again, makes it small, and prints it.

As in :mod:`ledger.testing.sim_replay`, an event names who does what, a delivery names the event
that sent its message, and what cannot happen any more is passed over. The plan follows from the
seed, so seed and events are the whole recording.
"""

import time
from collections.abc import Callable
from typing import Any

from typing_extensions import override

from ledger.base.ids import NodeId
from ledger.consensus.messages import Message
from ledger.testing.cluster import Member
from ledger.testing.shrink import fails_like, with_fewer_events
from ledger.testing.sim_replay import Recording
from ledger.testing.sim_replica import ReplicaSchedule
from ledger.testing.sim_replica_cluster import ReplicaMember
from ledger.testing.simulation import LivenessError

NAME_SIZE = 6
"""Characters of a node id in a printed event."""


class ReplicaReplay(ReplicaSchedule):
    """Runs recorded events."""

    def __init__(self, recording: Recording) -> None:
        super().__init__(recording.seed)
        self._events = recording.events
        self._must_heal = isinstance(recording.error, LivenessError)
        self._archive: dict[tuple[NodeId, int, int], Message] = {}
        self._index: dict[NodeId, int] = {}
        self._current = 0
        self._is_replaying = True

    def replay(self) -> None:
        """Run the events, and restore health if that is when the schedule failed."""
        for event in self._events:
            self._current = event.number
            self._index.clear()
            self.cluster.chance = event.chance
            self._run_event(event.kind, event.arguments)
        self._is_replaying = False
        if self._must_heal:
            self._go_on()
        self.check_at_the_end()

    def _go_on(self) -> None:
        """Let the clock run from here, without faults, and require progress."""
        self._created = len(self.cluster.members)
        self._next_call = 1 + max(
            (event.arguments[1] for event in self._events if event.kind == "begin"), default=0
        )
        for member in self._alive():
            self._start_clock(member)
            self.stepped(member)
            if not member.replica_node.entrance.is_over:
                self._ask_later(member)
        for number, operation in self.workload.waiting.items():
            self._resume_later(number, self.replicas.member(operation.node.node_id))
        self.at(self.now + 1, self._client)
        if self._heal():
            self._require_progress()

    def _run_event(self, kind: str, arguments: tuple[Any, ...]) -> None:
        if kind == "create":
            self.replicas.create(*arguments)
            return
        if kind == "deliver":
            self._deliver_recorded(*arguments)
            return
        known = self.cluster.members.get(arguments[0])
        if known is not None and known.is_alive:
            self._act(self._own(known), kind, arguments[1:])

    def _deliver_recorded(self, source: NodeId, to: NodeId, producer: int, index: int) -> None:
        member = self.cluster.members.get(to)
        message = self._archive.get((to, producer, index))
        if member is not None and member.is_alive and message is not None:
            self.cluster.deliver(source, member, message, 0)

    def _act(self, member: ReplicaMember, kind: str, arguments: tuple[Any, ...]) -> None:
        cluster, node = self.replicas, member.replica_node
        match kind:
            case "start":
                cluster.start(member)
            case "tick":
                cluster.tick(member, *arguments)
            case "turn":
                cluster.turn(member)
            case "host_turn":
                cluster.host_turn(member)
            case "take_answer":
                if node.host.answers:
                    cluster.take_answer(member)
            case "sign_next":
                if node.shell.jobs:
                    cluster.sign_next(member)
            case "hand_over":
                cluster.hand_over(member)
            case "end_chunk":
                cluster.end_chunk(member)
            case "stop":
                cluster.stop(member)
            case "ask_to_join":
                target = self.cluster.members.get(arguments[0])
                if target is None or not target.is_alive:
                    cluster.ask_to_join(member, None)
                else:
                    cluster.ask_to_join(member, self._own(target))
            case _:
                self._act_as_client(member, kind, arguments)

    def _act_as_client(self, member: ReplicaMember, kind: str, arguments: tuple[Any, ...]) -> None:
        workload = self.workload
        match kind:
            case "begin":
                number, program, *rest = arguments
                workload.begin(member, number, program, *rest[:-1], wait=rest[-1])
            case "resume":
                workload.resume(*arguments)
            case "poll":
                workload.poll(member, *arguments)
            case "ask_for_receipt":
                workload.ask_for_receipt(member, *arguments)
            case _:
                raise AssertionError(f"no such event: {kind}")

    @override
    def _put(self, source: NodeId, to: NodeId, message: Message) -> None:
        if not self._is_replaying:
            super()._put(source, to, message)
            return
        index = self._index.get(to, 0)
        self._index[to] = index + 1
        self._archive[to, self._current, index] = message

    @override
    def stepped(self, member: ReplicaMember) -> None:
        """Plan nothing while events say what happens."""
        if not self._is_replaying:
            super().stepped(member)

    @override
    def _want_turn(self, member: Member) -> None:
        if not self._is_replaying:
            super()._want_turn(member)


def shrink_replicas(
    recording: Recording, seconds: float, clock: Callable[[], float] = time.monotonic
) -> Recording:
    """Return a small recording that fails like a given one.

    Args:
        recording: One that fails when it is run again.
        seconds: Time after which the smallest one so far is good enough.
        clock: Seconds from any start.
    """
    deadline = clock() + seconds
    fails = fails_like(recording.error, ReplicaReplay)
    return with_fewer_events(recording, fails, deadline, clock) if fails(recording) else recording


def to_text(recording: Recording) -> str:
    """Return a recording for people to read, one event a line."""
    numbers = {
        event.arguments[0]: f"n{event.arguments[1]}"
        for event in recording.events
        if event.kind == "create"
    }
    lines = [f"# seed {recording.seed}: {recording.error}"]
    for event in recording.events:
        words = [
            numbers.get(word, word[:NAME_SIZE] if len(word) == 64 else word)
            if isinstance(word, str)
            else str(word)
            for word in event.arguments
        ]
        lines.append(f"{event.number} {event.kind} {' '.join(words)}")
    return "\n".join(lines) + "\n"
