r"""Canonical JSON, hexadecimal and base64: the text encodings that enter hashes.

JSON is UTF-8 with object keys in code point order, no spaces, non-ASCII characters kept raw,
``/`` not escaped, control characters in the short form or as ``\u00xx`` (RFC 8259 leaves all of
this open; one choice makes equal values equal bytes on every node). Integers are exact at any
size. A float that is not finite becomes ``null``; replicated data should hold no floats at all.
"""

import base64
import binascii
import math
import re
from typing import Any

import msgspec

from ledger.base.errors import FormatError, MisuseError
from ledger.base.limits import JSON_DEPTH_MAX

_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder()
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")


def dumps(value: object) -> bytes:
    """Return the canonical JSON bytes of a value.

    Args:
        value: None, bool, int, float, str, bytes (becomes base64 text), list, tuple, dict with
            str keys, or a ``msgspec.Struct`` of these.

    Raises:
        MisuseError: the value holds something that JSON cannot say, a lone surrogate, or nests
            too deep for the encoder.
    """
    try:
        return _encoder.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise MisuseError(f"got a value that has no JSON form: {error}") from error


def loads(data: bytes) -> Any:  # noqa: ANN401 - JSON from outside has every shape
    """Parse JSON bytes from outside, canonical or not.

    Raises:
        FormatError: not one JSON value in UTF-8, or nested deeper than ``JSON_DEPTH_MAX``.
    """
    try:
        value = _decoder.decode(data)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise FormatError(f"got {len(data)} bytes that are not JSON: {error}") from error
    check_depth(data)
    return value


def check_depth(data: bytes) -> None:
    """Refuse nesting that a later recursive reader could choke on.

    Args:
        data: Valid JSON; with few brackets in it nothing is scanned.

    Raises:
        FormatError: nested deeper than ``JSON_DEPTH_MAX``.
    """
    if data.count(b"[") + data.count(b"{") <= JSON_DEPTH_MAX:
        return
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", data)):
        depth += 1 if bracket in b"[{" else -1
        if depth > JSON_DEPTH_MAX:
            raise FormatError(f"got JSON nested deeper than {JSON_DEPTH_MAX} levels")


def check_plain(value: object) -> None:
    """Refuse a value that JSON could not carry here and back: too deep, or a float without a form.

    Args:
        value: What a parser of JSON or MessagePack returned.

    Raises:
        FormatError: nested deeper than ``JSON_DEPTH_MAX``, or a NaN or an infinity.
    """
    level = [value]
    for _ in range(JSON_DEPTH_MAX + 1):
        if any(isinstance(item, float) and not math.isfinite(item) for item in level):
            raise FormatError("got a number that is not finite, which JSON does not have")
        containers = [item for item in level if isinstance(item, dict | list | tuple)]
        if not containers:
            return
        level = [
            inner
            for item in containers
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
    raise FormatError(f"got values nested deeper than {JSON_DEPTH_MAX} levels")


def from_hex(text: str, size: int | None = None) -> bytes:
    """Parse hexadecimal of either case, without separators.

    Args:
        text: The digits.
        size: Wanted number of bytes; any when None.

    Raises:
        FormatError: other characters, an odd number of digits, another size.
    """
    try:
        data = binascii.unhexlify(text)
    except (binascii.Error, ValueError) as error:
        raise FormatError(f"got {text[:80]!r}, want hexadecimal digits") from error
    if size is not None and len(data) != size:
        raise FormatError(f"got {len(data)} bytes in hexadecimal, want {size}")
    return data


def b64encode(data: bytes) -> str:
    """Return base64 in the standard alphabet, padded, on one line (RFC 4648 section 4)."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def b64decode(text: str) -> bytes:
    """Parse what ``b64encode`` makes and nothing else.

    Raises:
        FormatError: other characters, wrong padding, or non-zero bits under the padding.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError(f"got text of {len(text)} characters, want base64: {error}") from error
    if b64encode(data) != text:
        raise FormatError(f"got base64 of {len(text)} characters in a non-canonical form")
    return data
