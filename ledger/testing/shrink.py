"""Makes a failing schedule small: fewer events, plainer settings, no chance; then prints it.

An attempt counts if it fails in the same way: the same kind of error, and the same invariant where
one is broken.
"""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from ledger.consensus.types import Settings
from ledger.testing.checkers import InvariantError
from ledger.testing.sim_replay import Event, Recording, Replay
from ledger.testing.simulation import LivenessError

PLAIN_SETTINGS: dict[str, bool | int | None] = {
    "eager_send": False,
    "resend_on_nack": False,
    "track_persistence": False,
    "max_uncommitted": 0,
    "inflight_bytes_max": 0,
    "flush_bytes": 20_000,
    "batch_bytes_max": 64 << 10,
    "batch_entries_max": 1000,
    "retained_entries": None,
}


def signature_of(error: Exception) -> str:
    """Return what two failures must share to count as the same one."""
    if isinstance(error, InvariantError):
        return error.invariant
    if isinstance(error, LivenessError):
        return "LivenessError"
    return type(error).__name__


class Replaying(Protocol):
    """A schedule of recorded events."""

    def replay(self) -> None:
        """Run the events; raises what a schedule raises."""


def failure_of(
    recording: Recording, make: Callable[[Recording], Replaying] = Replay
) -> Exception | None:
    """Run a schedule again; None if it passes."""
    try:
        make(recording).replay()
    except Exception as error:  # noqa: BLE001  # any failure is of interest here
        return error
    return None


def shrink(
    recording: Recording, seconds: float, clock: Callable[[], float] = time.monotonic
) -> Recording:
    """Return a small schedule that fails like a given one.

    Args:
        recording: A schedule that fails when it is replayed.
        seconds: Time after which the smallest one so far is good enough.
        clock: Seconds from any start.
    """
    deadline = clock() + seconds
    fails = fails_like(recording.error, Replay)
    if not fails(recording):
        return recording
    for name, value in PLAIN_SETTINGS.items():
        settings = _with_setting(recording.plan.settings, name, value)
        if settings != recording.plan.settings and fails(recording.with_settings(settings)):
            recording = recording.with_settings(settings)
    recording = with_fewer_events(recording, fails, deadline, clock)
    calm = recording.with_events([msgspec.structs.replace(e, chance=0) for e in recording.events])
    return calm if fails(calm) else recording


def fails_like(
    error: Exception, make: Callable[[Recording], Replaying]
) -> Callable[[Recording], bool]:
    """Return the test whether a recording, run again, fails in the same way as an error says."""
    want = signature_of(error)

    def fails(candidate: Recording) -> bool:
        found = failure_of(candidate, make)
        return found is not None and signature_of(found) == want

    return fails


def with_fewer_events(
    recording: Recording,
    fails: Callable[[Recording], bool],
    deadline: float,
    clock: Callable[[], float],
) -> Recording:
    """Leave out runs of events, long ones first, as long as the rest still fails.

    Args:
        recording: One that fails.
        fails: Says whether a recording does.
        deadline: Time by the clock at which the smallest one so far is good enough.
        clock: Seconds from any start.
    """
    size = max(1, len(recording.events) // 2)
    while size and clock() < deadline:
        smaller = _without_some(recording, size, fails, deadline, clock)
        if len(smaller.events) == len(recording.events):
            size //= 2
        recording = smaller
        size = min(size, max(1, len(recording.events) // 2)) if size else 0
    return recording


def _without_some(
    recording: Recording,
    size: int,
    fails: Callable[[Recording], bool],
    deadline: float,
    clock: Callable[[], float],
) -> Recording:
    """Try to leave out each run of ``size`` events in turn, from the end."""
    events: Sequence[Event] = recording.events
    begin = len(events)
    while begin > 0 and clock() < deadline:
        begin = max(0, begin - size)
        candidate = [*events[:begin], *events[begin + size :]]
        if fails(recording.with_events(candidate)):
            events = candidate
    return recording.with_events(events)


def _with_setting(settings: Settings, name: str, value: object) -> Settings:
    values = {field: getattr(settings, field) for field in Settings.__dataclass_fields__}
    values[name] = value
    return Settings(**values)
