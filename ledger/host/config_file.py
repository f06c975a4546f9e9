"""Reading the configuration file: bounded, strict JSON, with patience while it is being written."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from ledger.base.errors import FormatError
from ledger.codec.canonical import check_plain
from ledger.host.schema import join, show

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
            data.decode(), object_pairs_hook=_noting_repeats, parse_constant=_refuse_constant
        )
    except FormatError as error:
        raise FormatError(f"{name}: {error}") from None
    except RecursionError:
        raise FormatError(f"{name}: got JSON nested too deeply") from None
    except ValueError as error:
        raise FileIncompleteError(f"{name}: got no JSON: {error}") from error
    try:
        check_plain(value)
    except FormatError as error:
        raise FormatError(f"{name}: {error}") from error
    _check_repeats(value, name)
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


_Place = tuple[()] | tuple["_Place", str | int]
"""Where a value is: the place of what it is in, and its key there or its index."""


@dataclass(frozen=True, slots=True)
class _Repeat:
    """Stands for an object with a repeated key; the parser does not know yet where it is."""

    key: str


def _noting_repeats(pairs: list[tuple[str, object]]) -> dict[str, object] | _Repeat:
    read = dict(pairs)
    if len(read) == len(pairs):
        return read
    seen = set()
    for key, _ in pairs:
        if key in seen:
            return _Repeat(key)
        seen.add(key)
    raise AssertionError("fewer keys than pairs: one is repeated")


def _check_repeats(value: object, name: str) -> None:
    left: list[tuple[_Place, object]] = [((), value)]
    while left:
        place, item = left.pop()
        if isinstance(item, _Repeat):
            where = show(_path((place, item.key)))
            raise FormatError(f"{name}: got the key {where} twice, want it once")
        if isinstance(item, dict):
            left += [((place, key), inner) for key, inner in item.items()]
        elif isinstance(item, list):
            left += [((place, i), inner) for i, inner in enumerate(item)]


def _path(place: _Place) -> str:
    if not place:
        return ""
    parent, last = place
    above = _path(parent)
    return f"{above}[{last}]" if isinstance(last, int) else join(above, last)


def _refuse_constant(text: str) -> object:
    raise FormatError(f"got {text}, want a JSON number")
