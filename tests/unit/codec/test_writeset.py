"""Write sets: bytes by hand, everything that is not canonical, every truncation."""

import struct

import pytest

from ledger.base.errors import FormatError
from ledger.codec import writeset
from ledger.codec.writeset import Changes
from tests.reference import writeset as reference


def blob(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data


def record(
    name: bytes = b"m",
    version: int = 0,
    reads: tuple[bytes, ...] = (),
    writes: tuple[bytes, ...] = (b"k",),
    removes: tuple[bytes, ...] = (),
) -> bytes:
    data = blob(name) + struct.pack("<QQ", version, len(reads))
    data += b"".join(blob(key) + struct.pack("<Q", 9) for key in reads)
    data += struct.pack("<Q", len(writes)) + b"".join(blob(key) + blob(b"v") for key in writes)
    return data + struct.pack("<Q", len(removes)) + b"".join(map(blob, removes))


MANY: Changes = {
    "public:b": {b"2": b"two", b"1": None, b"10": b"", b"0": None},
    "a": {b"": b"empty key"},
    "public:a": {b"k": None},
    "é": {b"k": b"v" * 5000},
    "empty": {},
    "z": {b"k" * 2000: b"w" * 1024},
}


def test_known_bytes() -> None:
    public, private = writeset.encode({"public:a": {b"k": b"v", b"j": None}, "b": {b"x": b"y"}})
    assert public == blob(b"public:a") + struct.pack("<QQQ", 0, 0, 1) + blob(b"k") + blob(
        b"v"
    ) + struct.pack("<Q", 1) + blob(b"j")
    assert private == record(b"b", writes=(b"x",)).replace(blob(b"v"), blob(b"y"))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"m": {}},
        MANY,
        {"m": {b"k": b"v"}},
        {"m": {b"k": None}},
        {"m": {b"b": None, b"a": None}},
    ],
)
def test_equal_to_the_definition_and_back(changes: Changes) -> None:
    public, private = writeset.encode(changes)
    assert (public, private) == reference.encode(changes)
    decoded = writeset.decode(public) | writeset.decode(private)
    assert decoded == {name: writes for name, writes in changes.items() if writes}
    assert writeset.deviations(public) == writeset.deviations(private) == []


@pytest.mark.parametrize("size", [0, 1, 1022, 1023, 1024, 1025, 70_000])
def test_lengths_around_the_packed_table(size: int) -> None:
    changes: Changes = {"m": {b"k" * size: b"v" * size}}
    assert writeset.encode(changes) == reference.encode(changes)


DEVIATIONS = [
    (record(b"b") + record(b"a"), "got map 'a' after 'b', want them ordered"),
    (record(b"a") + record(b"a"), "got map 'a' twice"),
    (record(b""), "got an empty map name"),
    (record(version=7), "got read version 7 in map 'm', want 0"),
    (record(reads=(b"r",)), "got 1 reads in map 'm', want none"),
    (record(writes=()), "got map 'm' without writes and removes"),
    (record(writes=(b"b", b"a")), "got written key 61 out of order in map 'm'"),
    (record(writes=(b"a", b"a")), "got written key 61 twice in map 'm'"),
    (record(removes=(b"b", b"a")), "got removed key 61 out of order in map 'm'"),
    (record(removes=(b"a", b"a")), "got removed key 61 twice in map 'm'"),
    (record(removes=(b"k",)), "got key 6b written and removed in map 'm'"),
]


@pytest.mark.parametrize(("data", "message"), DEVIATIONS)
def test_what_is_not_canonical(data: bytes, message: str) -> None:
    assert message in writeset.deviations(data)
    assert writeset.decode(data, strict=False)
    with pytest.raises(FormatError, match="got"):
        writeset.decode(data)


def test_public_and_private_maps_in_one_domain() -> None:
    with pytest.raises(FormatError, match="one domain"):
        writeset.decode(record(b"a") + record(b"public:a"))


def test_last_of_equal_keys_wins_when_lenient() -> None:
    data = record(b"m", removes=(b"k",)) + record(b"m", writes=(b"l",))
    assert writeset.decode(data, strict=False) == {"m": {b"k": None, b"l": b"v"}}


def test_every_truncation_is_refused_or_ends_at_a_map() -> None:
    public, private = writeset.encode(
        {"a": {b"1": b"x", b"2": None}, "b": {b"3": b"y"}, "c": {b"4": None}}
    )
    assert public == b""
    boundaries = []
    for size in range(len(private)):
        try:
            decoded = writeset.decode(private[:size])
        except FormatError:
            continue
        boundaries.append(size)
        assert len(decoded) == len(boundaries) - 1
    assert len(boundaries) == 3


def test_every_changed_byte_is_a_value_or_refused() -> None:
    _, private = writeset.encode({"ab": {b"1": b"x", b"2": None}, "b": {b"3": b"y"}})
    for position in range(len(private)):
        for byte in (0, 1, 2, 0x7F, 0x80, 0xFF):
            data = private[:position] + bytes([byte]) + private[position + 1 :]
            for strict in (True, False):
                try:
                    decoded = writeset.decode(data, strict=strict)
                except FormatError:
                    continue
                if strict:
                    assert data in writeset.encode(decoded)


@pytest.mark.parametrize(
    "data",
    [
        b"\x01",
        b"\xff" * 8,
        blob(b"\xff") + struct.pack("<QQQQ", 0, 0, 0, 0),
        blob(b"m") + struct.pack("<QQQQ", 0, 0, 2**63, 0),
        blob(b"m") + struct.pack("<QQQQ", 0, 0, 0, 2**64 - 1),
        blob(b"m") + struct.pack("<QQQQ", 0, 2**64 - 1, 0, 0),
        blob(b"m") + struct.pack("<QQQ", 0, 0, 0),
        record() + b"\0",
    ],
)
def test_not_a_write_set(data: bytes) -> None:
    for strict in (True, False):
        with pytest.raises(FormatError, match="got"):
            writeset.decode(data, strict=strict)


def test_map_prefixes_are_remembered_within_a_bound() -> None:
    for number in range(5000):
        changes: Changes = {f"map{number}": {b"k": b"v"}}
        assert writeset.encode(changes) == writeset.encode(changes) == reference.encode(changes)
    assert len(writeset._prefixes) <= 4096
