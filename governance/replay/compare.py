"""Comparing what an entry holds with what a replay gives, and saying it in words."""

from dataclasses import dataclass
from typing import Any

from ledger.base.errors import FormatError
from ledger.codec import canonical
from ledger.codec.tables import SINGLETON_KEY
from ledger.codec.writeset import Changes

TEXT_SIZE_MAX = 160
"""Longest quoted value, in characters."""
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class RowDifference:
    """The first row that differs.

    Attributes:
        table: Map name.
        key: The key's bytes.
        message: What the ledger has and what the replay gives.
    """

    table: str
    key: bytes
    message: str

    @property
    def key_text(self) -> str:
        """The key for people."""
        return key_text(self.key)


def first_difference(recorded: Changes, replayed: Changes) -> RowDifference | None:
    """Return the first row in which two write sets differ, by name and key; None for none.

    A map without rows is no map.
    """
    if recorded == replayed:
        return None
    for table in sorted(recorded.keys() | replayed.keys()):
        ours, theirs = replayed.get(table, {}), recorded.get(table, {})
        for key in sorted(ours.keys() | theirs.keys()):
            if key not in theirs:
                return RowDifference(table, key, f"the ledger lacks: {_change(ours[key])}")
            if key not in ours:
                return RowDifference(
                    table, key, f"the ledger has, and the replay lacks: {_change(theirs[key])}"
                )
            if ours[key] != theirs[key]:
                return RowDifference(table, key, _values(theirs[key], ours[key]))
    return None


def key_text(key: bytes) -> str:
    """Return a key for people: text, hex, or ``(the one value)`` of a singleton."""
    if key == SINGLETON_KEY:
        return "(the one value)"
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return key[:64].hex()
    return text if text.isprintable() else key[:64].hex()


def _change(value: bytes | None) -> str:
    return "a removal" if value is None else _quoted(_parsed(value))


def _values(theirs: bytes | None, ours: bytes | None) -> str:
    if theirs is None or ours is None:
        return f"the ledger has {_change(theirs)}, the replay gives {_change(ours)}"
    path, got, want = _deepest(_parsed(theirs), _parsed(ours))
    where = f"{path}: " if path else ""
    if _quoted(got) == _quoted(want):
        return f"{where}the ledger has other bytes for the same value"
    return f"{where}the ledger has {_quoted(got)}, the replay gives {_quoted(want)}"


def _parsed(value: bytes) -> Any:  # noqa: ANN401 - JSON of any shape
    try:
        return canonical.loads(value)
    except FormatError:
        return value


def _deepest(theirs: object, ours: object) -> tuple[str, object, object]:
    """Return path and values of the one place in which two objects differ, or of the whole."""
    path: list[str] = []
    while isinstance(theirs, dict) and isinstance(ours, dict):
        names = sorted(
            name
            for name in theirs.keys() | ours.keys()
            if theirs.get(name, _ABSENT) != ours.get(name, _ABSENT)
        )
        if not names:
            break
        path.append(names[0])
        theirs, ours = theirs.get(names[0], _ABSENT), ours.get(names[0], _ABSENT)
    return ".".join(path), theirs, ours


def _quoted(value: object) -> str:
    if value is _ABSENT:
        return "nothing"
    if isinstance(value, bytes):
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = "0x" + value[:TEXT_SIZE_MAX].hex()
    else:
        text = canonical.dumps(value).decode("utf-8", "replace")
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= TEXT_SIZE_MAX else f"{text[:TEXT_SIZE_MAX]}… ({len(text)})"
