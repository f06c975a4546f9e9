"""What the operator's log is told when a handler fails; the client is told nothing.

The log leaves the enclave, so an exception's own text is left out unless it is one of ours (those
hold no secrets by rule): an application's message may quote a private record.
"""

import traceback

from ledger.base.errors import LedgerError

FRAMES_MAX = 12
"""Innermost frames that are reported."""


def describe(where: str, problem: BaseException, *, with_message: bool = False) -> str:
    """Return one line on an exception: its type and the lines of code it came through.

    Args:
        where: What was being done, e.g. verb and path template.
        problem: The exception.
        with_message: Include the text of foreign exceptions, for tests and sandboxes.
    """
    kind = type(problem)
    text = f"{where} failed: {kind.__module__}.{kind.__qualname__}"
    if with_message or isinstance(problem, LedgerError):
        text += f": {_message(problem)}"
    frames = traceback.extract_tb(problem.__traceback__)[-FRAMES_MAX:]
    path = " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    return f"{text} at {path}" if path else text


def _message(problem: BaseException) -> str:
    try:
        return str(problem)
    except Exception:  # noqa: BLE001 - an application's own exception may have no text
        return "(its text cannot be made)"
