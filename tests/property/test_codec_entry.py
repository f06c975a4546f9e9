"""Canonical JSON, write sets, entries and chunks: round trips, definitions, and arbitrary bytes."""

import contextlib
import json
import os

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger.base.errors import FormatError, VerificationError
from ledger.codec import canonical, tables, writeset
from ledger.codec.entry import parse_entry
from ledger.codec.writeset import Changes
from ledger.crypto.sealing import EntrySealer, leaf_of
from ledger.files import chunk
from ledger.files.names import parse_chunk_name, parse_snapshot_name
from ledger.merkle.tree import MerkleTree
from tests.reference import writeset as reference

EXAMPLES = int(os.environ.get("QUORATE_EXAMPLES", "60"))
SECRET = bytes(range(32))
SEALER = EntrySealer(SECRET)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
NAMES = st.one_of(TEXT.filter(bool), TEXT.map(lambda text: f"public:{text}"))
WRITES = st.dictionaries(st.binary(max_size=9), st.none() | st.binary(max_size=40), max_size=5)
CHANGES = st.dictionaries(NAMES, WRITES, max_size=4)


def without_empty(changes: Changes) -> Changes:
    return {name: writes for name, writes in changes.items() if writes}


@settings(max_examples=EXAMPLES, deadline=None)
@given(VALUES)
def test_json_is_the_definition(value: object) -> None:
    data = canonical.dumps(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert data == text.encode()
    assert canonical.loads(data) == value


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_int_keys_keep_their_order(numbers: list[int]) -> None:
    assert sorted(numbers, key=tables.INT.encode) == sorted(numbers)
    assert [tables.INT.decode(tables.INT.encode(number)) for number in numbers] == numbers


@settings(max_examples=EXAMPLES, deadline=None)
@given(CHANGES)
def test_write_set_is_the_definition_and_round_trips(changes: Changes) -> None:
    public, private = writeset.encode(changes)
    assert (public, private) == reference.encode(changes)
    assert writeset.decode(public) | writeset.decode(private) == without_empty(changes)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    CHANGES,
    st.integers(1, 2**31 - 1),
    st.integers(1, 2**64 - 1),
    st.integers(0, 3),
    st.none() | st.binary(min_size=32, max_size=32),
)
def test_sealing_is_the_definition_and_opens(
    changes: Changes, view: int, seqno: int, flags: int, claims: bytes | None
) -> None:
    entry, leaf = SEALER.seal(view, seqno, flags, changes, claims)
    assert (entry, leaf) == reference.seal(SECRET, view, seqno, flags, changes, claims or bytes(32))
    parsed = parse_entry(entry)
    assert (parsed.view, parsed.seqno, parsed.flags) == (view, seqno, flags)
    assert SEALER.open(parsed) == without_empty(changes)
    assert leaf_of(entry) == leaf


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.integers(1, 2**40),
    st.lists(CHANGES, max_size=5),
    st.integers(0, 2000),
    st.binary(max_size=4),
    st.booleans(),
)
@example(first=1, batch=[{}], position=40, patch=b"\x00\x00\x00\x80", whole=False)
def test_scan_of_a_damaged_chunk_keeps_whole_entries(
    first: int, batch: list[Changes], position: int, patch: bytes, whole: bool
) -> None:
    entries = [SEALER.seal(2, first + index, 0, made)[0] for index, made in enumerate(batch)]
    sound = chunk.build(entries) if whole else chunk.OPEN_HEADER + b"".join(entries)
    result = chunk.scan(sound, first)
    assert result.problem is None
    assert [parse_entry(sound, offset).data for offset in result.offsets] == entries
    at = position % (len(sound) + 1)
    damaged = sound[:at] + patch + sound[at + len(patch) :]
    for data in (damaged, sound[:at], sound + patch):
        again = chunk.scan(data, first)
        for index, offset in enumerate(again.offsets):
            assert parse_entry(data, offset).seqno == first + index


@settings(max_examples=EXAMPLES * 5, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_give_a_value_or_a_format_error(data: bytes) -> None:
    chunk.scan(data)
    for read in (
        canonical.loads,
        writeset.decode,
        writeset.deviations,
        parse_entry,
        leaf_of,
        MerkleTree.deserialise,
        tables.INT.decode,
        tables.STR.decode,
        tables.BOOL.decode,
        tables.JSON_TEXT.decode,
        lambda raw: parse_chunk_name(raw.decode("latin-1")),
        lambda raw: parse_snapshot_name(raw.decode("latin-1")),
        lambda raw: canonical.from_hex(raw.decode("latin-1")),
        lambda raw: canonical.b64decode(raw.decode("latin-1")),
    ):
        with contextlib.suppress(FormatError):
            read(data)


@settings(max_examples=EXAMPLES, deadline=None)
@given(CHANGES, st.integers(0, 10_000), st.integers(0, 255))
def test_changed_entry_never_opens_as_something_else(
    changes: Changes, position: int, byte: int
) -> None:
    entry, leaf = SEALER.seal(2, 7, 0, changes)
    at = position % len(entry)
    damaged = entry[:at] + bytes([byte]) + entry[at + 1 :]
    try:
        opened = SEALER.open(parse_entry(damaged))
    except (FormatError, VerificationError):
        return
    assert opened == without_empty(changes)
    assert (leaf_of(damaged) == leaf) == (damaged == entry)
