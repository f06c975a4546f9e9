"""Reading the configuration file: bounded, strict JSON, with patience while it is being written."""

import json
import time
from pathlib import Path

from ledger.base.errors import FormatError
from ledger.base.limits import JSON_DEPTH_MAX

FILE_SIZE_MAX = 1 << 20
"""Largest configuration file in bytes; a node with hundreds of members stays far below."""
POLL_INTERVAL_S = 0.1
"""Time between two looks at a file that is not complete yet, as CCF's."""


class FileIncompleteError(FormatError):
    """The file is missing, unreadable or no JSON: it may still be being written."""


def read_json_file(path: Path, size_max: int = FILE_SIZE_MAX) -> object:
    """Return the JSON value of a file.

    Raises:
        FileIncompleteError: no such file, not readable, or no complete JSON.
        FormatError: complete, and still refused: too large, too deep, or a key given twice.
    """
    try:
        with path.open("rb") as file:
            data = file.read(size_max + 1)
    except (OSError, ValueError) as error:
        raise FileIncompleteError(f"cannot read {path}: {error}") from error
    if len(data) > size_max:
        raise FormatError(f"got more than {size_max} bytes in {path}, want at most that")
    return parse_json(data, str(path))


def parse_json(data: bytes, name: str) -> object:
    """Return the value of strict JSON: no NaN, no repeated keys, bounded depth.

    Raises:
        FileIncompleteError: no JSON, possibly because the end is missing.
        FormatError: JSON that is refused.
    """
    try:
        value = json.loads(
            data.decode(), object_pairs_hook=_without_repeats, parse_constant=_refuse_constant
        )
    except RecursionError:
        raise FormatError(f"{name}: got JSON nested too deeply") from None
    except ValueError as error:
        raise FileIncompleteError(f"{name}: got no JSON: {error}") from error
    _check_depth(value, name)
    return value


def wait_for_json_file(path: Path, timeout_s: float) -> object:
    """Return the JSON value of a file, looking again until the timeout while it is incomplete.

    Raises:
        FormatError: still incomplete after ``timeout_s``, or refused at once.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return read_json_file(path)
        except FileIncompleteError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(POLL_INTERVAL_S)


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    read = dict(pairs)
    if len(read) != len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise FormatError(f"got the key {repeated[:80]!r} twice in one object")
    return read


def _refuse_constant(text: str) -> object:
    raise FormatError(f"got {text}, want a JSON number")


def _check_depth(value: object, name: str) -> None:
    level = [value]
    for _ in range(JSON_DEPTH_MAX + 1):
        containers = [item for item in level if isinstance(item, dict | list)]
        if not containers:
            return
        level = [
            inner
            for item in containers
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
    raise FormatError(f"{name}: got JSON nested more than {JSON_DEPTH_MAX} deep")
