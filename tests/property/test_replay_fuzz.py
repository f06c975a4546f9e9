"""A replay of a ledger in which anything may stand anywhere: a verdict, never an accident."""

import dataclasses
import functools
import os
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from governance.interpreter import run
from governance.replay.recorded import RecordedEntry, recorded
from governance.replay.replay import Replay
from governance.script_tables import BUILT_IN
from ledger.codec import canonical
from ledger.codec.entry import parse_entry
from ledger.codec.tables import SINGLETON_KEY
from ledger.tables.internal import (
    COSE_SIGNATURES,
    ENCRYPTED_LEDGER_SECRETS,
    HISTORICAL_LEDGER_SECRET,
    RECOVERY_SHARES,
    SIGNATURES,
    TREE,
)
from ledger.tables.members import COSE_HISTORY
from tests.unit.governance.replay_story import story

if TYPE_CHECKING:
    from ledger.codec.writeset import Changes

EXAMPLES = int(os.environ.get("QUORATE_FUZZ_INPUTS", "0")) // 10 or 150
"""Hypothesis takes long to make them."""
PLACES = (1, 3, 12, 30, 60)
"""Entries of the story before which a replay is kept."""

FREE = {1, 3}
"""Genesis and a join: what an operator or a joiner says of itself is nowhere else."""
SEALED = {
    RECOVERY_SHARES.name,
    HISTORICAL_LEDGER_SECRET.name,
    ENCRYPTED_LEDGER_SECRETS.name,
    COSE_HISTORY.name,
}
"""Where other bytes can stand for the same: sealed ones, and headers that nobody signed."""

SIGNATURE_TABLES = {SIGNATURES.name, COSE_SIGNATURES.name, TREE.name}
"""The audit of the ledger judges these."""

tables = st.sampled_from(sorted(BUILT_IN))
keys = st.one_of(st.just(SINGLETON_KEY), st.just(b"0" * 64), st.binary(max_size=80))
json_texts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
).map(canonical.dumps)
bent_rows = st.integers(0, 10**6)


@functools.cache
def entries() -> list[RecordedEntry]:
    return [recorded(parse_entry(data)) for data in story().entries]


@functools.cache
def replay_before(seqno: int) -> Replay:
    replay = Replay(run)
    for entry in entries()[: seqno - 1]:
        assert replay.feed(entry) is None
    return replay


def cut(value: bytes, at: int, put: bytes) -> bytes:
    position = at % (len(value) + 1)
    return value[:position] + put + value[position + len(put) :]


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    place=st.sampled_from(PLACES),
    which=st.integers(0, 10**6),
    at=bent_rows,
    put=st.one_of(st.binary(min_size=1, max_size=4), st.sampled_from([b"{", b'"', b"0", b"\xff"])),
)
def test_bytes_that_are_changed_give_a_verdict(place: int, which: int, at: int, put: bytes) -> None:
    replay = replay_before(place)
    entry = entries()[place - 1]
    changes: Changes = {name: dict(rows) for name, rows in entry.changes.items()}
    rows = [(name, key) for name in sorted(changes) for key in sorted(changes[name])]
    name, key = rows[which % len(rows)]
    value = changes[name][key]
    changes[name][key] = None if value is None else cut(value, at, put)
    verdict = replay.judge(dataclasses.replace(entry, changes=changes))
    assert verdict is not None
    same = changes[name][key] == value
    assert verdict.problem is None if same else verdict.problem or place in FREE or name in SEALED


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    place=st.sampled_from(PLACES[1:]),
    rows=st.lists(
        st.tuples(tables, keys, st.none() | st.binary(max_size=60) | json_texts),
        min_size=1,
        max_size=3,
    ),
)
def test_rows_that_are_made_up_give_a_verdict(
    place: int, rows: list[tuple[str, bytes, bytes | None]]
) -> None:
    replay = replay_before(place)
    changes: Changes = {}
    for table, key, value in rows:
        changes.setdefault(table, {})[key] = value
    entry = dataclasses.replace(entries()[place - 1], changes=changes)
    verdict = replay.judge(entry)
    assert changes.keys() <= SIGNATURE_TABLES if verdict is None else verdict.problem is not None
