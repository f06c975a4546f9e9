"""A small reader of JSON values by description, which reports every problem with its place.

The command line's users fix a configuration in one go only if they hear of all mistakes at
once, so readers collect problems and go on, instead of raising at the first.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_SHOWN_SIZE_MAX = 80


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the configuration.

    Attributes:
        path: Dotted path of the key, e.g. ``ledger.chunk_size``; list items as ``[2]``.
        got: What is there, shortened.
        want: What was expected.
    """

    path: str
    got: str
    want: str

    def line(self) -> str:
        """Return the problem as one line."""
        return f"{self.path or 'configuration'}: got {self.got}, want {self.want}"


class Refused(Exception):  # noqa: N818  (a signal within this package, never seen outside)
    """Raised by a leaf reader: the value is not what is wanted."""

    def __init__(self, want: str) -> None:
        super().__init__(want)
        self.want = want


class Invalid:
    """Stands for a value that was refused; its problem is already reported."""


INVALID: Final = Invalid()
Problems = list[Problem]


class Reader(Protocol[T_co]):
    """Turns a JSON value into a typed one."""

    def __call__(self, value: object, path: str, problems: Problems) -> T_co | Invalid:
        """Return the typed value, or report problems and return ``INVALID``."""
        ...


def show(value: object) -> str:
    """Return the value as one short line of JSON."""
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= _SHOWN_SIZE_MAX else text[: _SHOWN_SIZE_MAX - 3] + "..."


class Leaf(Generic[T]):
    """A value without parts, read by a function that raises ``Refused``."""

    def __init__(self, read: Callable[[object], T]) -> None:
        self._read = read

    def __call__(self, value: object, path: str, problems: Problems) -> T | Invalid:
        """Read one value."""
        try:
            return self._read(value)
        except Refused as refused:
            problems.append(Problem(path, show(value), refused.want))
            return INVALID


class Optional(Generic[T]):
    """``null`` or something else."""

    def __init__(self, reader: Reader[T]) -> None:
        self._reader = reader

    def __call__(self, value: object, path: str, problems: Problems) -> T | Invalid | None:
        """Read one value."""
        return None if value is None else self._reader(value, path, problems)


class Items(Generic[T]):
    """A list of values of one kind.

    Args:
        reader: Reads each item.
        least: Fewest items wanted.
        most: Most items wanted.
    """

    def __init__(self, reader: Reader[T], least: int = 0, most: int = 1000) -> None:
        self._reader = reader
        self._least = least
        self._most = most

    def __call__(self, value: object, path: str, problems: Problems) -> tuple[T, ...] | Invalid:
        """Read the list; invalid items are reported one by one."""
        if not isinstance(value, list) or not self._least <= len(value) <= self._most:
            want = f"a list of {self._least} to {self._most} items"
            problems.append(Problem(path, show(value), want))
            return INVALID
        items = [self._reader(item, f"{path}[{i}]", problems) for i, item in enumerate(value)]
        valid = tuple(item for item in items if not isinstance(item, Invalid))
        return valid if len(valid) == len(items) else INVALID


class Named(Generic[T]):
    """An object whose keys are names chosen by the operator, in the order of the file."""

    def __init__(self, reader: Reader[T], least: int = 0, most: int = 100) -> None:
        self._reader = reader
        self._least = least
        self._most = most

    def __call__(self, value: object, path: str, problems: Problems) -> dict[str, T] | Invalid:
        """Read the object; invalid values are reported one by one."""
        if not isinstance(value, dict) or not self._least <= len(value) <= self._most:
            want = f"an object with {self._least} to {self._most} entries"
            problems.append(Problem(path, show(value), want))
            return INVALID
        read = {k: self._reader(v, join(path, k), problems) for k, v in value.items()}
        valid = {k: v for k, v in read.items() if not isinstance(v, Invalid)}
        return valid if len(valid) == len(read) else INVALID


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a section.

    Attributes:
        reader: Reads the value.
        default: Value when the key is absent, written as in the file; it is read like one.
        required: Whether absence is a problem.
    """

    reader: Reader[Any]
    default: object = None
    required: bool = False


class Section(Generic[T]):
    """An object with known keys. Unknown ones are problems, with the nearest known names.

    Args:
        make: Called with the read values by key when all of them are valid.
        keys: The known keys.
    """

    def __init__(self, make: Callable[..., T], keys: Mapping[str, Key]) -> None:
        self._make = make
        self._keys = keys

    def __call__(self, value: object, path: str, problems: Problems) -> T | Invalid:
        """Read the object; every invalid, unknown and missing key is reported."""
        if not isinstance(value, dict):
            problems.append(Problem(path, show(value), "an object"))
            return INVALID
        known_before = len(problems)
        for name in value:
            if name not in self._keys:
                want = f"no such key; known here: {', '.join(sorted(self._keys))}"
                problems.append(Problem(join(path, name), show(value[name]), want))
        values: dict[str, Any] = {}
        for name, key in self._keys.items():
            if name in value:
                values[name] = key.reader(value[name], join(path, name), problems)
            elif key.required:
                problems.append(Problem(join(path, name), "nothing", "a value: it is required"))
            else:
                values[name] = self._default(key, name)
        return self._make(**values) if len(problems) == known_before else INVALID

    @staticmethod
    def _default(key: Key, name: str) -> object:
        if key.default is None:
            return None
        problems: Problems = []
        read = key.reader(key.default, name, problems)
        assert not problems, f"the default of {name} is valid"
        return read


def join(path: str, name: str) -> str:
    """Return the path of ``name`` below ``path``."""
    shown = name if len(name) <= _SHOWN_SIZE_MAX else name[:_SHOWN_SIZE_MAX] + "..."
    return f"{path}.{shown}" if path else shown


def listed(problems: Sequence[Problem]) -> str:
    """Return the problems as lines."""
    return "\n".join(problem.line() for problem in problems)


def plain(**values: Any) -> dict[str, Any]:  # noqa: ANN401  (typed by the readers)
    """Make a section that stays a dictionary."""
    return values
