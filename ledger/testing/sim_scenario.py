"""Writes a schedule down as a scenario file, so that a failure becomes a regression test."""

import json
from dataclasses import fields

from ledger.consensus.types import Settings
from ledger.testing.sim_replay import Event, Recording, Replay
from ledger.testing.simulation import LivenessError

CHANCES = 51
"""The nodes draw random numbers in [0, half the election timeout of 100 ms]."""


def to_scenario(recording: Recording) -> str:
    """Return a scenario file that does what a recorded schedule does.

    Deliveries name the number of the message on its link, so the nodes must send as they did: a
    setting that makes a primary forget entries is left out where the failure does not need it.
    """
    replay = Replay(recording)
    error: Exception | None = None
    try:
        replay.replay()
    except Exception as caught:  # noqa: BLE001  # the failure is what is written down
        error = caught
    lines = [f"# seed {recording.seed}: {error or recording.error}"]
    lines += _options(recording.plan.settings)
    chance = -1
    for event, number in replay.done:
        if event.chance % CHANCES != chance:
            chance = event.chance % CHANCES
            lines.append(f"jitter,{chance}")
        lines.append(_command(event, number))
    if not isinstance(recording.error, LivenessError):
        lines.append("end")
    return "\n".join(lines) + "\n"


def _options(settings: Settings) -> list[str]:
    lines = [f"pre_vote_enabled,{json.dumps(settings.pre_vote)}"]
    plain = Settings(
        message_timeout_ms=settings.message_timeout_ms,
        election_timeout_ms=settings.election_timeout_ms,
        pre_vote=settings.pre_vote,
        eager_send=False,
        resend_on_nack=False,
        track_persistence=False,
        max_uncommitted=0,
        inflight_bytes_max=0,
        flush_bytes=20_000,
    )
    for field in fields(Settings):
        value = getattr(settings, field.name)
        if value != getattr(plain, field.name):
            lines.append(f"option,{field.name},{json.dumps(value)}")
    return lines


def _command(event: Event, number: int) -> str:
    """Return an event as a command."""
    first, *rest = event.arguments
    match event.kind:
        case "bootstrap":
            return f"create,{first}\nbootstrap,{first}"
        case "join_empty":
            return f"create,{first}"
        case "join_from":
            return f"join,{first},{rest[0]},{rest[1]}"
        case "tick":
            return f"periodic_one,{first},{rest[0]}"
        case "deliver":
            return f"deliver,{first},{rest[0]},{number}"
        case "write":
            return f"append,{first},write{rest[1]:08d}"
        case "sign":
            return f"sign,{first}"
        case "configure":
            return ",".join(("configure", first, *sorted(rest[0])))
        case "mark_removable":
            return ",".join(("mark_removable", first, *sorted(rest[0])))
        case "persist":
            return f"persisted,{first},{rest[0]}"
        case "hand_over":
            return f"hand_over,{first}"
        case _:
            return f"stop,{first}"
