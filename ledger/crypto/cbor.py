"""CBOR (RFC 8949) as far as COSE and attestation need it, safe on bytes from anyone.

Writing is left to cbor2: definite lengths, shortest integers, maps in the order given.
Reading is done here, because what cbor2 makes of hostile bytes differs between its releases
(tags become dates, sets and shared references, nesting ends in a RecursionError, declared
lengths are allocated before they are seen). Accepted is a strict subset: definite lengths
only, map keys that are integers, text or byte strings and occur once, tags only where the
caller asked for them, no trailing bytes. Every other input is a FormatError.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cbor2

from ledger.base.errors import FormatError

DEPTH_MAX = 16
"""Deepest nesting that is read. A COSE receipt nests 5 deep, counted from its tag."""

SIZE_MAX = 16 << 20
"""Longest input that is read when the caller names no bound of its own."""

_SIMPLE: dict[int, bool | None] = {20: False, 21: True, 22: None}
_FLOATS = {25: struct.Struct(">e"), 26: struct.Struct(">f"), 27: struct.Struct(">d")}


@dataclass(frozen=True, slots=True)
class Tagged:
    """A value with a tag number in front."""

    number: int
    value: "Value"


Key: TypeAlias = int | str | bytes
"""What a map key may be."""
Scalar: TypeAlias = int | str | bytes | float | bool | None
Value: TypeAlias = Scalar | list["Value"] | dict[Key, "Value"] | Tagged
"""What is read."""
Encodable: TypeAlias = Scalar | Sequence["Encodable"] | Mapping[Key, "Encodable"] | Tagged
"""What can be written."""


def encode(value: Encodable) -> bytes:
    """Return a value as CBOR; maps keep their order, so the caller decides the bytes."""
    return cbor2.dumps(value, default=_encode_tagged)


def decode(data: bytes, *, tags: bool = False, size_max: int = SIZE_MAX) -> Value:
    """Read one value that takes all of the bytes.

    Args:
        data: The encoded value.
        tags: Accept tags, as ``Tagged``. Their meaning is not looked at.
        size_max: Most bytes that are looked at.

    Raises:
        FormatError: the bytes are longer, are not one value, or use more of CBOR than the
            subset that this module reads.
    """
    if len(data) > size_max:
        raise FormatError(f"got {len(data)} bytes of CBOR, want at most {size_max}")
    reader = _Reader(data, tags=tags)
    value = reader.value(DEPTH_MAX)
    if reader.position != len(data):
        raise FormatError(f"got {len(data) - reader.position} bytes after the end of a CBOR value")
    return value


class _Reader:
    """Walks over the bytes. Nothing is allocated before its bytes are known to be there."""

    __slots__ = ("_data", "_tags", "position")

    def __init__(self, data: bytes, *, tags: bool) -> None:
        self._data = data
        self._tags = tags
        self.position = 0

    def value(self, depth: int) -> Value:
        if depth == 0:
            raise FormatError(f"got CBOR nested deeper than {DEPTH_MAX}")
        initial = self._take(1)[0]
        kind, detail = initial >> 5, initial & 31
        if kind == 7:
            return self._simple(detail)
        argument = self._argument(detail)
        match kind:
            case 0:
                return argument
            case 1:
                return -1 - argument
            case 2:
                return bytes(self._take(argument))
            case 3:
                return self._text(argument)
            case 4:
                self._want_room(argument)
                return [self.value(depth - 1) for _ in range(argument)]
            case 5:
                return self._map(argument, depth - 1)
            case _:
                return self._tagged(argument, depth - 1)

    def _argument(self, detail: int) -> int:
        if detail < 24:
            return detail
        if detail > 27:
            raise FormatError(
                f"got CBOR of indefinite or reserved length before byte {self.position}"
            )
        return int.from_bytes(self._take(1 << (detail - 24)), "big")

    def _take(self, count: int) -> bytes:
        begin, end = self.position, self.position + count
        if end > len(self._data):
            raise FormatError(
                f"got {len(self._data) - begin} bytes of CBOR from byte {begin}, want {count}"
            )
        self.position = end
        return self._data[begin:end]

    def _want_room(self, items: int) -> None:
        left = len(self._data) - self.position
        if items > left:
            raise FormatError(f"got {left} bytes of CBOR for {items} items")

    def _text(self, size: int) -> str:
        try:
            return self._take(size).decode("utf-8")
        except UnicodeDecodeError:
            raise FormatError(
                f"got CBOR text that is not UTF-8, ending at byte {self.position}"
            ) from None

    def _map(self, pairs: int, depth: int) -> dict[Key, Value]:
        self._want_room(2 * pairs)
        found: dict[Key, Value] = {}
        for _ in range(pairs):
            key = self.value(depth)
            # A bool is an int to Python, and True would be taken for 1.
            if isinstance(key, bool) or not isinstance(key, int | str | bytes):
                raise FormatError(f"got a CBOR map key of type {type(key).__name__}")
            if key in found:
                raise FormatError(f"got CBOR map key {str(key)[:40]!r} twice")
            found[key] = self.value(depth)
        return found

    def _tagged(self, number: int, depth: int) -> Tagged:
        if not self._tags:
            raise FormatError(f"got CBOR tag {number}, want none here")
        return Tagged(number, self.value(depth))

    def _simple(self, detail: int) -> float | bool | None:
        if detail in _SIMPLE:
            return _SIMPLE[detail]
        layout = _FLOATS.get(detail)
        if layout is None:
            raise FormatError(f"got CBOR simple value {detail} before byte {self.position}")
        number: float = layout.unpack(self._take(layout.size))[0]
        return number


def _encode_tagged(encoder: cbor2.CBOREncoder, value: object) -> None:
    assert isinstance(value, Tagged), f"a {type(value).__name__} cannot be encoded as CBOR"
    encoder.encode(cbor2.CBORTag(value.number, value.value))
