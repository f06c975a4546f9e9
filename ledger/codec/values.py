"""Values as bytes: the encodings of table keys and values.

``int`` is 8 bytes, signed big-endian with the sign bit flipped, so that byte order is number
order; ``str`` is UTF-8; ``bytes`` is itself; ``bool`` is one byte 0 or 1; everything else is
canonical JSON.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, get_origin

import msgspec

from ledger.base.errors import FormatError, MisuseError
from ledger.codec import canonical

T = TypeVar("T")


class Codec(Generic[T]):
    """A pair of functions between values and bytes.

    Attributes:
        name: What it encodes, for messages.
        encode: Value to bytes; raises ``MisuseError`` for a value that has no encoding.
        decode: Bytes to value; raises ``FormatError`` for bytes that ``encode`` cannot have made.
    """

    __slots__ = ("decode", "encode", "name")

    def __init__(
        self, name: str, encode: Callable[[T], bytes], decode: Callable[[bytes], T]
    ) -> None:
        self.name = name
        self.encode = encode
        self.decode = decode


_SIGN = 1 << 63


def _what(value: object) -> str:
    """Say what a value is and not which: messages reach logs, and values are private."""
    if type(value) is not int:
        return type(value).__name__
    return f"{'a negative int' if value < 0 else 'an int'} of {value.bit_length()} bits"


def _encode_int(value: int) -> bytes:
    try:
        return (value + _SIGN).to_bytes(8, "big")
    except (OverflowError, TypeError, AttributeError) as error:
        raise MisuseError(f"got {_what(value)}, want an int in [-2**63, 2**63)") from error


def _decode_int(data: bytes) -> int:
    if len(data) != 8:
        raise FormatError(f"got {len(data)} bytes, want the 8 of an int")
    return int.from_bytes(data, "big") - _SIGN


def _encode_u64le(value: int) -> bytes:
    try:
        return value.to_bytes(8, "little")
    except (OverflowError, AttributeError) as error:
        raise MisuseError(f"got {_what(value)}, want an int in [0, 2**64)") from error


def _decode_u64le(data: bytes) -> int:
    if len(data) != 8:
        raise FormatError(f"got {len(data)} bytes, want the 8 of an unsigned int")
    return int.from_bytes(data, "little")


def _encode_str(value: str) -> bytes:
    try:
        return value.encode()
    except (UnicodeEncodeError, AttributeError) as error:
        raise MisuseError(f"got {type(value).__name__}, want text that has a UTF-8 form") from error


def _decode_str(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"got {len(data)} bytes that are not UTF-8 text") from error


def _encode_bytes(value: bytes) -> bytes:
    if type(value) is not bytes:
        raise MisuseError(f"got {type(value).__name__}, want bytes")
    return value


def _encode_bool(value: bool) -> bytes:
    if value is True:
        return b"\x01"
    if value is False:
        return b"\x00"
    raise MisuseError(f"got {type(value).__name__}, want bool")


def _decode_bool(data: bytes) -> bool:
    if data == b"\x01":
        return True
    if data == b"\x00":
        return False
    raise FormatError(f"got {len(data)} bytes, want one byte 0 or 1")


def _encode_json_text(value: str) -> bytes:
    if type(value) is not str:
        raise MisuseError(f"got {type(value).__name__}, want text")
    return canonical.dumps(value)


INT: Codec[int] = Codec("int", _encode_int, _decode_int)
"""8 bytes, signed, big-endian, sign bit flipped: byte order is number order."""
U64LE: Codec[int] = Codec("u64le", _encode_u64le, _decode_u64le)
"""8 bytes, unsigned, little-endian, as CCF writes numbers; byte order is not number order."""
STR: Codec[str] = Codec("str", _encode_str, _decode_str)
"""UTF-8."""
BYTES: Codec[bytes] = Codec("bytes", _encode_bytes, bytes)
"""The bytes themselves."""
BOOL: Codec[bool] = Codec("bool", _encode_bool, _decode_bool)
"""One byte, 0 or 1."""


def _encode_json(value: object) -> bytes:
    """Return canonical JSON that is this value, and that can be read."""
    data = canonical.dumps(value)
    try:
        if b"null" in data:  # what a number that is not finite would become
            canonical.check_plain(msgspec.to_builtins(value))
        canonical.check_depth(data)
    except FormatError as error:
        raise MisuseError(str(error)) from error
    return data


JSON: Codec[Any] = Codec("JSON", _encode_json, canonical.loads)
"""Canonical JSON of any shape."""


def typed_json(kind: type[T]) -> Codec[T]:
    """Return the codec for canonical JSON of one type, validated both ways.

    What is written is read back at once, so that no table gets a value that nobody can read.

    Args:
        kind: Anything ``msgspec`` can decode to: a Struct, ``list[int]``, ``dict[str, bool]`` ….
    """
    decoder = msgspec.json.Decoder(kind)

    def decode(data: bytes) -> T:
        try:
            value = decoder.decode(data)
        except (ValueError, RecursionError, msgspec.MsgspecError) as error:
            raise FormatError(f"got JSON of {len(data)} bytes, want {kind}: {error}") from error
        canonical.check_depth(data)
        return value

    def encode(value: T) -> bytes:
        data = _encode_json(value)
        try:
            decode(data)
        except FormatError as error:
            raise MisuseError(f"got a value that the table cannot give back: {error}") from error
        return data

    return Codec(f"JSON of {kind}", encode, decode)


def struct_json(kind: type[T]) -> Codec[T]:
    """Return the codec for a ``msgspec.Struct`` as canonical JSON.

    Optional fields should be declared ``T | None = None`` in a Struct with ``omit_defaults=True``:
    the ledger leaves absent optionals out.
    """
    return typed_json(kind)


JSON_TEXT: Codec[str] = Codec("JSON text", _encode_json_text, typed_json(str).decode)
"""A JSON string, with its quotes."""

_PLAIN: dict[object, Codec[Any]] = {
    int: INT,
    str: STR,
    bytes: BYTES,
    bool: BOOL,
    dict: JSON,
    list: JSON,
    Any: JSON,
    object: JSON,
}


def codec_for(kind: "type[T] | Codec[T]") -> Codec[T]:
    """Return the encoding of a Python type.

    Args:
        kind: int, str, bytes, bool; dict, list or ``Any`` (JSON of any shape); a
            ``msgspec.Struct``, ``list[...]`` or ``dict[...]`` (JSON of that shape); or a codec,
            which is returned as it is.

    Raises:
        MisuseError: any other type.
    """
    if isinstance(kind, Codec):
        return kind
    try:
        plain = _PLAIN.get(kind)
    except TypeError:
        plain = None
    if plain is not None:
        return plain
    if _has_json_shape(kind):
        return typed_json(kind)
    raise MisuseError(f"got type {kind!r}, which has no table encoding")


def _has_json_shape(kind: object) -> bool:
    """Say whether the type is a Struct or a parametrised list, dict or tuple."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return True
    return get_origin(kind) in {list, dict, tuple}
