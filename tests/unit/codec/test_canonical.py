"""Canonical JSON against the definition, refusals of what is not JSON, strict hex and base64."""

import json

import msgspec
import pytest

from ledger.base.errors import FormatError, MisuseError
from ledger.base.limits import JSON_DEPTH_MAX
from ledger.codec import canonical


class Record(msgspec.Struct, omit_defaults=True):
    z: int
    a: str | None = None


@pytest.mark.parametrize(
    ("value", "want"),
    [
        (None, b"null"),
        (True, b"true"),
        (0, b"0"),
        (-(2**63), b"-9223372036854775808"),
        (10**30, b"1" + b"0" * 30),
        ("", b'""'),
        ("a/b", b'"a/b"'),
        ("é\u2028\U0001f600", '"é\u2028\U0001f600"'.encode()),
        ('"\\\b\f\n\r\t', b'"\\"\\\\\\b\\f\\n\\r\\t"'),
        ("\x00\x1f\x7f", b'"\\u0000\\u001f\x7f"'),
        ([1, [], {}], b"[1,[],{}]"),
        ({"b": 1, "a": {"d": 2, "c": 3}}, b'{"a":{"c":3,"d":2},"b":1}'),
        ({"é": 1, "z": 2, "Z": 3, "": 4}, '{"":4,"Z":3,"z":2,"é":1}'.encode()),
        ({"\U0001f600": 1, "\uffee": 2}, '{"\uffee":2,"\U0001f600":1}'.encode()),
        (b"\x00\xff", b'"AP8="'),
        (Record(1), b'{"z":1}'),
        (Record(1, "x"), b'{"a":"x","z":1}'),
    ],
)
def test_dumps(value: object, want: bytes) -> None:
    assert canonical.dumps(value) == want
    if not isinstance(value, bytes | Record):
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert text.encode() == want
        assert canonical.loads(want) == value


@pytest.mark.parametrize("value", ["\ud800", {1: 2}, object(), {"a": object()}])
def test_values_without_a_json_form(value: object) -> None:
    with pytest.raises(MisuseError, match="no JSON form"):
        canonical.dumps(value)


def test_endless_value_is_refused() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(MisuseError):
        canonical.dumps(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"nul",
        b"NaN",
        b"Infinity",
        b"1 2",
        b"[1,]",
        b"{'a':1}",
        b'{"a"}',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\\ud800"',
        b'"\n"',
        b"01",
        b"1e999",
        b"\xef\xbb\xbf1",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_not_json(data: bytes) -> None:
    with pytest.raises(FormatError):
        canonical.loads(data)


@pytest.mark.parametrize(("begin", "end"), [(b"[", b"]"), (b'{"[":', b"}")])
def test_depth_is_bounded(begin: bytes, end: bytes) -> None:
    deepest = begin * JSON_DEPTH_MAX + b"0" + end * JSON_DEPTH_MAX
    assert canonical.loads(deepest) is not None
    with pytest.raises(FormatError, match="deeper"):
        canonical.loads(begin + deepest + end)


def test_brackets_in_text_and_side_by_side_are_not_depth() -> None:
    value = ["[" * 500, '\\"[{' * 200, *([[]] * 500)]
    assert canonical.loads(canonical.dumps(value)) == value


def test_hex() -> None:
    assert canonical.from_hex("00aB") == b"\x00\xab"
    assert canonical.from_hex("00ab", 2) == b"\x00\xab"


@pytest.mark.parametrize("text", ["0", "0g", "00 ab", "0x00", "é0", "\ud800"])
def test_not_hex(text: str) -> None:
    with pytest.raises(FormatError, match="hexadecimal"):
        canonical.from_hex(text)


def test_hex_of_another_size() -> None:
    with pytest.raises(FormatError, match="got 1 bytes in hexadecimal, want 2"):
        canonical.from_hex("ab", 2)


def test_base64() -> None:
    assert canonical.b64encode(b"\xfb\xff") == "+/8="
    assert canonical.b64decode("+/8=") == b"\xfb\xff"
    assert canonical.b64decode("") == b""


@pytest.mark.parametrize(
    "text", ["A", "+/8", "-_8=", "+/8=\n", " +/8=", "+/8==", "+/9=", "é", "AA=A"]
)
def test_not_base64(text: str) -> None:
    with pytest.raises(FormatError, match="base64"):
        canonical.b64decode(text)
