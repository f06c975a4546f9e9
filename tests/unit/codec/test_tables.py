"""Encodings of keys and values, both directions, and the roles that names give."""

import math
from typing import Annotated, Any

import msgspec
import pytest

from ledger.base.errors import FormatError, MisuseError
from ledger.codec import tables
from ledger.codec.tables import Codec, MapRole, SetTable, Singleton, Table, codec_for


class Record(msgspec.Struct, omit_defaults=True):
    amount: int
    note: str | None = None


class Priced(msgspec.Struct):
    price: Annotated[float, msgspec.Meta(ge=0)]


class Free(msgspec.Struct):
    anything: Any


def nested(depth: int) -> Any:  # noqa: ANN401
    value: Any = None
    for _ in range(depth):
        value = [value]
    return value


CASES: list[tuple[Codec[Any], object, bytes]] = [
    (tables.INT, 0, b"\x80" + bytes(7)),
    (tables.INT, -1, b"\x7f" + b"\xff" * 7),
    (tables.INT, 1, b"\x80" + bytes(6) + b"\x01"),
    (tables.INT, -(2**63), bytes(8)),
    (tables.INT, 2**63 - 1, b"\xff" * 8),
    (tables.U64LE, 258, b"\x02\x01" + bytes(6)),
    (tables.U64LE, 2**64 - 1, b"\xff" * 8),
    (tables.STR, "é", b"\xc3\xa9"),
    (tables.STR, "", b""),
    (tables.BYTES, b"\x00\xff", b"\x00\xff"),
    (tables.BOOL, True, b"\x01"),
    (tables.BOOL, False, b"\x00"),
    (tables.JSON, {"b": [1], "a": None}, b'{"a":null,"b":[1]}'),
    (tables.JSON_TEXT, 'a"b', b'"a\\"b"'),
    (tables.struct_json(Record), Record(5), b'{"amount":5}'),
    (tables.struct_json(Record), Record(5, "x"), b'{"amount":5,"note":"x"}'),
    (codec_for(list[int]), [3, 1], b"[3,1]"),
    (tables.JSON, nested(64), b"[" * 64 + b"null" + b"]" * 64),
    (tables.struct_json(Free), Free(None), b'{"anything":null}'),
]


@pytest.mark.parametrize(("codec", "value", "data"), CASES)
def test_both_directions(codec: Codec[Any], value: object, data: bytes) -> None:
    assert codec.encode(value) == data
    assert codec.decode(data) == value


def test_byte_order_of_ints_is_number_order() -> None:
    numbers = [-(2**63), -256, -255, -1, 0, 1, 255, 256, 2**63 - 1]
    assert sorted(numbers, key=tables.INT.encode) == numbers


@pytest.mark.parametrize(
    ("codec", "value"),
    [
        (tables.INT, 2**63),
        (tables.INT, -(2**63) - 1),
        (tables.INT, "1"),
        (tables.INT, None),
        (tables.U64LE, -1),
        (tables.U64LE, 2**64),
        (tables.U64LE, 1.0),
        (tables.STR, "\ud800"),
        (tables.STR, b"x"),
        (tables.BYTES, "x"),
        (tables.BYTES, bytearray(b"x")),
        (tables.BOOL, 1),
        (tables.JSON, object()),
        (tables.JSON, {"a": [math.nan]}),
        (tables.JSON, {"a": [Priced(math.inf)]}),
        (tables.JSON, nested(65)),
        (tables.struct_json(Record), Record("5")),  # type: ignore[arg-type]
        (tables.struct_json(Priced), Priced(math.nan)),
        (tables.struct_json(Priced), Priced(-1.0)),
        (tables.struct_json(Free), Free(math.nan)),
        (tables.struct_json(Free), Free(nested(64))),
        (tables.JSON_TEXT, 5),
    ],
)
def test_values_that_have_no_encoding(codec: Codec[Any], value: object) -> None:
    with pytest.raises(MisuseError, match="got"):
        codec.encode(value)


@pytest.mark.parametrize("codec", [tables.INT, tables.U64LE])
@pytest.mark.parametrize("value", [2**70 + 123, -(2**70) - 123, "secret"])
def test_messages_say_what_a_value_is_and_not_which(codec: Codec[Any], value: object) -> None:
    with pytest.raises(MisuseError) as caught:
        codec.encode(value)
    assert str(value) not in str(caught.value)
    assert "int of 71 bits" in str(caught.value) or "got str" in str(caught.value)


@pytest.mark.parametrize(
    ("codec", "data"),
    [
        (tables.INT, bytes(7)),
        (tables.INT, bytes(9)),
        (tables.U64LE, b""),
        (tables.STR, b"\xff"),
        (tables.BOOL, b""),
        (tables.BOOL, b"\x02"),
        (tables.JSON, b"{"),
        (tables.JSON_TEXT, b"5"),
        (tables.struct_json(Record), b'{"amount":"5"}'),
        (tables.struct_json(Record), b"{}"),
        (tables.struct_json(Record), b"[" * 100_000),
        (codec_for(list[int]), b'["x"]'),
        (codec_for(dict[str, list[Any]]), b'{"a":' + b"[" * 65 + b"]" * 65 + b"}"),
    ],
)
def test_bytes_that_no_value_has(codec: Codec[Any], data: bytes) -> None:
    with pytest.raises(FormatError, match="got"):
        codec.decode(data)


@pytest.mark.parametrize(
    ("kind", "codec"),
    [
        (int, tables.INT),
        (str, tables.STR),
        (bytes, tables.BYTES),
        (bool, tables.BOOL),
        (dict, tables.JSON),
        (list, tables.JSON),
        (Any, tables.JSON),
        (tables.U64LE, tables.U64LE),
    ],
)
def test_codec_of_a_type(kind: type[object], codec: Codec[Any]) -> None:
    assert codec_for(kind) is codec


@pytest.mark.parametrize("kind", [float, set, None, set[int], object()])
def test_types_without_an_encoding(kind: type[object]) -> None:
    with pytest.raises(MisuseError, match="no table encoding"):
        codec_for(kind)


def test_definitions() -> None:
    table = Table("accounts", str, int)
    assert (table.name, table.key, table.value) == ("accounts", tables.STR, tables.INT)
    assert Singleton("public:x", tables.U64LE).value is tables.U64LE
    assert SetTable("seen", bytes).key is tables.BYTES
    assert tables.SINGLETON_KEY == tables.SET_MEMBER == bytes(8)


@pytest.mark.parametrize("name", ["", "\ud800"])
def test_names_that_cannot_name_a_map(name: str) -> None:
    with pytest.raises(MisuseError, match="map name"):
        Table(name, str, int)


@pytest.mark.parametrize(
    ("name", "public", "role"),
    [
        ("public:ccf.internal.tree", True, MapRole.INTERNAL),
        ("ccf.internal.tree", False, MapRole.INTERNAL),
        ("public:ccf.gov.nodes.info", True, MapRole.GOVERNANCE),
        ("public:ccf.other", True, MapRole.RESERVED),
        ("ccf.", False, MapRole.RESERVED),
        ("public:quorate.gov.closed", True, MapRole.GOVERNANCE),
        ("public:quorate.internal.x", True, MapRole.INTERNAL),
        ("quorate.app", False, MapRole.RESERVED),
        ("ccf", False, MapRole.APPLICATION),
        ("ccfx.y", False, MapRole.APPLICATION),
        ("public:records", True, MapRole.APPLICATION),
        ("records", False, MapRole.APPLICATION),
        ("public:public:ccf.gov.x", True, MapRole.APPLICATION),
        ("Public:x", False, MapRole.APPLICATION),
    ],
)
def test_privacy_and_role(name: str, public: bool, role: MapRole) -> None:
    assert tables.is_public(name) is public
    assert tables.map_role(name) is role
