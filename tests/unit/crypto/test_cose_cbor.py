"""The CBOR subset: what is read, what is refused, byte by byte (RFC 8949, appendix A)."""

import math

import pytest

from ledger.base.errors import FormatError
from ledger.crypto import cbor

# Examples of RFC 8949, appendix A, that fall into the subset.
VALUES: list[tuple[str, cbor.Value]] = [
    ("00", 0),
    ("17", 23),
    ("1818", 24),
    ("18ff", 255),
    ("1903e8", 1000),
    ("1a000f4240", 1_000_000),
    ("1b000000e8d4a51000", 1_000_000_000_000),
    ("1bffffffffffffffff", (1 << 64) - 1),
    ("20", -1),
    ("3903e7", -1000),
    ("3bffffffffffffffff", -(1 << 64)),
    ("f4", False),
    ("f5", True),
    ("f6", None),
    ("40", b""),
    ("4401020304", b"\x01\x02\x03\x04"),
    ("60", ""),
    ("62c3bc", "ü"),
    ("64f0908591", "\U00010151"),
    ("80", []),
    ("8301820203820405", [1, [2, 3], [4, 5]]),
    ("a0", {}),
    ("a201020304", {1: 2, 3: 4}),
    ("a26161016162820203", {"a": 1, "b": [2, 3]}),
]


@pytest.mark.parametrize(("encoded", "value"), VALUES)
def test_values_both_ways(encoded: str, value: cbor.Value) -> None:
    assert cbor.decode(bytes.fromhex(encoded)) == value
    assert cbor.encode(value).hex() == encoded


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        ("f90000", 0.0),
        ("f93c00", 1.0),
        ("fa47c35000", 100000.0),
        ("fb3ff199999999999a", 1.1),
        ("f97c00", math.inf),
    ],
)
def test_floats(encoded: str, value: float) -> None:
    assert cbor.decode(bytes.fromhex(encoded)) == value


@pytest.mark.parametrize("encoded", ["1817", "1900ff", "1b0000000000000001", "5801aa", "b80101"])
def test_longer_heads_than_needed_are_read(encoded: str) -> None:
    data = bytes.fromhex(encoded) + (b"\x02" if encoded == "b80101" else b"")
    cbor.decode(data)


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        ("", "want 1"),
        ("18", "want 1"),
        ("19ff", "want 2"),
        ("1c", "reserved"),
        ("1f", "indefinite"),
        ("5f42010243030405ff", "indefinite"),
        ("7f657374726561646d696e67ff", "indefinite"),
        ("9fff", "indefinite"),
        ("bfff", "indefinite"),
        ("ff", "simple value 31"),
        ("f7", "simple value 23"),
        ("f0", "simple value 16"),
        ("f8ff", "simple value 24"),
        ("f97c", "want 2"),
        ("4401", "want 4"),
        ("5bffffffffffffffff", "want 18446744073709551615"),
        ("7bffffffffffffffff", "want"),
        ("9bffffffffffffffff", "items"),
        ("bbffffffffffffffff", "items"),
        ("8201", "items"),
        ("a101", "items"),
        ("a1f501", "map key"),
        ("a1f601", "map key"),
        ("a18001", "map key"),
        ("a1a001", "map key"),
        ("a1f93c0001", "map key"),
        ("a201010102", "twice"),
        ("a20101180102", "twice"),
        ("a2616101616102", "twice"),
        ("61ff", "UTF-8"),
        ("63eda080", "UTF-8"),
        ("0000", "after the end"),
        ("c000", "tag 0"),
        ("c249010000000000000000", "tag 2"),
        ("d81c00", "tag 28"),
        ("81" * 16 + "00", "deeper"),
    ],
)
def test_refused(encoded: str, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        cbor.decode(bytes.fromhex(encoded))


def test_deepest_nesting() -> None:
    value = cbor.decode(b"\x81" * 15 + b"\x00")
    for _ in range(15):
        assert isinstance(value, list)
        (value,) = value
    assert value == 0
    for opening in (b"\x81", b"\xa1\x01", b"\xc1"):
        with pytest.raises(FormatError, match="deeper"):
            cbor.decode(opening * 1_000_000, tags=True)


def test_tags_where_they_are_asked_for() -> None:
    value = cbor.decode(bytes.fromhex("d2c100"), tags=True)
    assert value == cbor.Tagged(18, cbor.Tagged(1, 0))
    assert cbor.encode(value).hex() == "d2c100"


def test_integer_and_text_keys_differ() -> None:
    assert cbor.decode(cbor.encode({1: "a", "1": "b", b"1": "c"})) == {1: "a", "1": "b", b"1": "c"}


def test_size_bound() -> None:
    with pytest.raises(FormatError, match="at most 3"):
        cbor.decode(b"\x83\x01\x02\x03", size_max=3)


def test_maps_keep_their_order() -> None:
    assert cbor.encode({6: 0, 1: "", 2: ""}).hex() == "a3060001600260"
