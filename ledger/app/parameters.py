"""Path and query parameters by type hints.

``int`` is decimal digits with an optional minus, ``bool`` is ``true`` or ``false``, ``str`` is the
text; ``Literal``, enumerations and ``Annotated`` bounds are checked by ``msgspec``. ``T | None``
and defaults make a query parameter optional.
"""

import enum
import re
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from ledger.base.errors import MisuseError

_INT = re.compile(r"-?[0-9]{1,40}")

Reader = Callable[[str], Any]
"""Text of a parameter to its value; raises ``ValueError`` with a sentence for the client."""


def reader_for(hint: Any, where: str) -> Reader:  # noqa: ANN401 - a type hint
    """Return the function that reads a parameter of this type.

    Args:
        hint: The type hint.
        where: Function and parameter, for the message.

    Raises:
        MisuseError: the type is none that a parameter can have.
    """
    core = _core(hint)
    parse = _PLAIN.get(core)
    if parse is None:
        if not _is_choice(core):
            raise MisuseError(
                f"{where}: got type {hint!r}, want str, int, bool, float, Literal or an Enum "
                "(or T | None, or Annotated of these)"
            )
        parse = str
    if hint is core and core in _PLAIN:
        return parse
    try:
        msgspec.json.Decoder(hint)
    except (TypeError, ValueError) as problem:
        raise MisuseError(f"{where}: got type {hint!r}: {problem}") from problem
    strict = core in _PLAIN

    def read(text: str) -> Any:  # noqa: ANN401
        return msgspec.convert(parse(text), hint, strict=strict)

    return read


def is_optional(hint: Any) -> bool:  # noqa: ANN401 - a type hint
    """Say whether the hint allows None."""
    if get_origin(hint) is Annotated:
        return is_optional(get_args(hint)[0])
    return get_origin(hint) in {Union, UnionType} and NoneType in get_args(hint)


def _core(hint: Any) -> Any:  # noqa: ANN401
    """Strip ``Annotated`` and ``| None``."""
    while True:
        if get_origin(hint) is Annotated:
            hint = get_args(hint)[0]
        elif is_optional(hint):
            rest = [each for each in get_args(hint) if each is not NoneType]
            if len(rest) != 1:
                return hint
            hint = rest[0]
        else:
            return hint


def _is_choice(core: Any) -> bool:  # noqa: ANN401
    if get_origin(core) is Literal:
        return True
    return isinstance(core, type) and issubclass(core, enum.Enum)


def _read_int(text: str) -> int:
    if not _INT.fullmatch(text):
        raise ValueError("Expected decimal digits")
    return int(text)


def _read_bool(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError("Expected true or false")
    return text == "true"


def _read_float(text: str) -> float:
    value = msgspec.convert(text, float, strict=False)
    if not abs(value) < float("inf"):
        raise ValueError("Expected a finite number")
    return value


def _read_str(text: str) -> str:
    return text


_PLAIN: dict[Any, Reader] = {
    str: _read_str,
    int: _read_int,
    bool: _read_bool,
    float: _read_float,
}
