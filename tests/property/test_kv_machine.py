"""The store against plain dicts: transactions that interleave, rollback, compaction, ranges."""

import os
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from typing_extensions import override

from ledger.kv import order
from ledger.kv.state import STAMP_SIZE, version_of_record
from ledger.kv.store import Conflict, Store
from ledger.kv.tx import Savepoint, Tx
from tests.reference.kv_reference import ReferenceStore, ReferenceTx

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL = bool(os.environ.get("QUORATE_FULL"))
MAPS = ("records", "public:log")
FILLED = "public:signatures"
"""Only written by ``fill``."""
names = st.sampled_from(MAPS)
read_names = st.sampled_from([*MAPS, FILLED])
keys = st.sampled_from([b"", b"a", b"a\x00", b"ab", b"b", b"b\xff", b"\xff", b"\xff\xff"])
values = st.binary(max_size=3)
ends = st.none() | keys


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "_BLOCK", 2)


class Pair:
    """One transaction in both worlds, with its savepoints and open iterators."""

    def __init__(self, tx: Tx, reference: ReferenceTx) -> None:
        self.tx = tx
        self.reference = reference
        self.savepoints: list[tuple[Savepoint, dict[str, dict[bytes, bytes | None]]]] = []
        self.walks: list[tuple[Iterator[tuple[bytes, bytes]], list[tuple[bytes, bytes]]]] = []


class StoreMachine(RuleBasedStateMachine):
    running = Bundle("open")

    def __init__(self) -> None:
        super().__init__()
        self.store = Store()
        self.reference = ReferenceStore()
        self.reserved: list[int] = []

    # Transactions.

    @rule(target=running)
    def begin(self) -> Pair:
        return Pair(self.store.begin(), self.reference.begin())

    @rule(target=running)
    def begin_committed(self) -> Pair:
        return Pair(self.store.begin_committed(), self.reference.begin_committed())

    @rule(pair=running, name=read_names, key=keys)
    def get(self, pair: Pair, name: str, key: bytes) -> None:
        assert pair.tx.map(name).get(key) == pair.reference.get(name, key)

    @rule(pair=running, name=read_names, key=keys)
    def has(self, pair: Pair, name: str, key: bytes) -> None:
        assert pair.tx.map(name).has(key) == (pair.reference.get(name, key) is not None)

    @rule(pair=running, name=read_names, key=keys)
    def version_of(self, pair: Pair, name: str, key: bytes) -> None:
        assert pair.tx.map(name).version_of(key) == pair.reference.version_of(name, key)

    @rule(pair=running, name=read_names, key=keys)
    def get_committed(self, pair: Pair, name: str, key: bytes) -> None:
        assert pair.tx.map(name).get_committed(key) == pair.reference.get_committed(name, key)

    @rule(pair=running, name=read_names)
    def size(self, pair: Pair, name: str) -> None:
        assert pair.tx.map(name).size() == pair.reference.size(name)

    @rule(
        pair=running,
        name=read_names,
        begin=keys,
        end=ends,
        reverse=st.booleans(),
        limit=st.integers(0, 9),
    )
    def items(
        self, pair: Pair, name: str, begin: bytes, end: bytes | None, reverse: bool, limit: int
    ) -> None:
        walk = pair.tx.map(name).items(begin, end, reverse=reverse)
        expected = pair.reference.items(name, begin, end, reverse=reverse, limit=limit)
        assert list(islice(walk, limit)) == expected

    @rule(pair=running, name=read_names, prefix=keys, reverse=st.booleans())
    def prefix(self, pair: Pair, name: str, prefix: bytes, reverse: bool) -> None:
        found = list(pair.tx.map(name).prefix(prefix, reverse=reverse))
        visible = pair.reference.visible(name)
        expected = [item for item in visible.items() if item[0].startswith(prefix)]
        assert found == (expected[::-1] if reverse else expected)
        pair.reference.reads.append(lambda n, k: n == name and k.startswith(prefix))

    @rule(pair=running, name=read_names, reverse=st.booleans())
    def start_walk(self, pair: Pair, name: str, reverse: bool) -> None:
        """An iterator that stays open while everything else goes on; it reads the whole map."""
        expected = pair.reference.items(name, b"", None, reverse=reverse, limit=1 << 20)
        walk = pair.tx.map(name).items(reverse=reverse)
        if expected:
            assert next(walk) == expected[0]
        pair.walks.append((walk, expected[1:]))

    @rule(pair=running)
    def finish_walks(self, pair: Pair) -> None:
        for walk, expected in pair.walks:
            assert list(walk) == expected
        pair.walks.clear()

    @rule(pair=running, name=names, key=keys, value=values)
    def put(self, pair: Pair, name: str, key: bytes, value: bytes) -> None:
        if not pair.tx.read_only:
            pair.tx.map(name).put(key, value)
            pair.reference.own(name)[key] = value

    @rule(pair=running, name=names, key=keys)
    def remove(self, pair: Pair, name: str, key: bytes) -> None:
        if not pair.tx.read_only:
            pair.tx.map(name).remove(key)
            pair.reference.own(name)[key] = None

    @rule(pair=running, name=names)
    def clear(self, pair: Pair, name: str) -> None:
        if not pair.tx.read_only:
            pair.tx.map(name).clear()
            pair.reference.clear(name)

    @rule(pair=running)
    def save(self, pair: Pair) -> None:
        copy = {name: dict(writes) for name, writes in pair.reference.writes.items()}
        pair.savepoints.append((pair.tx.savepoint(), copy))

    @rule(pair=running, choice=st.integers(0, 3))
    def restore(self, pair: Pair, choice: int) -> None:
        if pair.savepoints:
            savepoint, writes = pair.savepoints[choice % len(pair.savepoints)]
            pair.tx.restore(savepoint)
            pair.reference.writes = {name: dict(own) for name, own in writes.items()}

    @rule(pair=consumes(running))
    def commit(self, pair: Pair) -> None:
        self.finish_walks(pair)
        assert self.store.check(pair.tx) is not self.reference.conflicts(pair.reference)
        expected = {name: own for name, own in pair.reference.writes.items() if own}
        assert pair.tx.has_writes == bool(expected)
        if not expected:
            return
        outcome = self.store.commit(pair.tx, self.store.version + 1)
        if self.reference.conflicts(pair.reference):
            assert isinstance(outcome, Conflict)
            return
        assert {name: own for name, own in pair.tx.changes.items() if own} == expected
        assert outcome is pair.tx.changes
        self.reference.apply(expected)

    @rule(target=running, pair=consumes(running), drop=st.booleans())
    def check(self, pair: Pair, drop: bool) -> object:
        self.finish_walks(pair)
        assert self.store.check(pair.tx) is not self.reference.conflicts(pair.reference)
        return multiple() if drop else pair

    # The store as a whole.

    @rule(changes=st.dictionaries(names, st.dictionaries(keys, st.none() | values, max_size=4)))
    def apply(self, changes: dict[str, dict[bytes, bytes | None]]) -> None:
        self.store.apply(self.store.version + 1, changes)
        self.reference.apply(changes)

    @rule()
    def advance(self) -> None:
        self.store.advance(self.store.version + 1)
        self.reference.apply({})

    @rule()
    def reserve(self) -> None:
        self.advance()
        self.reserved.append(self.store.version)

    @precondition(lambda self: self.reserved)
    @rule(writes=st.dictionaries(keys, values, min_size=1, max_size=2))
    def fill(self, writes: dict[bytes, bytes]) -> None:
        changes: dict[str, dict[bytes, bytes | None]] = {FILLED: dict(writes.items())}
        oldest = self.reserved.pop(0)
        self.store.fill(oldest, changes)
        self.reference.fill(oldest, changes)

    @rule(back=st.integers(0, 6))
    def rollback(self, back: int) -> None:
        seqno = max(self.store.version - back, self.store.committed)
        self.store.rollback(seqno)
        self.reference.rollback(seqno)
        self.reserved = [each for each in self.reserved if each <= seqno]

    @rule(behind=st.integers(0, 4))
    def compact(self, behind: int) -> None:
        newest = self.reserved[0] - 1 if self.reserved else self.store.version
        seqno = max(newest - behind, self.store.committed)
        self.store.compact(seqno)
        self.reference.compact(seqno)

    @rule(name=read_names, reverse=st.booleans())
    def read_newest(self, name: str, reverse: bool) -> None:
        found = list(self.store.begin().map(name).items(reverse=reverse))
        expected = list(self.reference.begin().visible(name).items())
        assert found == (expected[::-1] if reverse else expected)

    @rule()
    def reload(self) -> None:
        """The committed state, written out and read into another store, is the same state."""
        fresh = Store()
        fresh.load(self.store.committed, self.store.contents())
        assert fresh.version == fresh.committed == self.store.committed
        self.same_state(fresh, self.reference.committed.seqno, committed=True)

    @invariant()
    def versions_agree(self) -> None:
        assert self.store.version == self.reference.newest.seqno
        assert self.store.committed == self.reference.committed.seqno
        assert self.store.map_names() == sorted(self.reference.newest.map_versions)

    def same_state(self, store: Store, seqno: int, *, committed: bool) -> None:
        version = self.reference.committed if committed else self.reference.newest
        assert version.seqno == seqno
        found = {c.name: (c.version, dict(c.records)) for c in store.contents()}
        assert {name: v for name, (v, _) in found.items()} == version.map_versions
        for name, (_, records) in found.items():
            split = {k: (version_of_record(r), r[STAMP_SIZE:]) for k, r in records.items()}
            assert split == version.state.get(name, {})

    @override
    def teardown(self) -> None:
        self.same_state(self.store, self.store.committed, committed=True)
        self.store.compact(self.store.version)
        self.same_state(self.store, self.store.version, committed=False)


EXAMPLES = int(os.environ.get("QUORATE_KV_EXAMPLES") or 100 * (30 if FULL else 1))


def test_store_machine() -> None:
    run_state_machine_as_test(
        StoreMachine,
        settings=settings(max_examples=EXAMPLES, stateful_step_count=50, deadline=None),
    )
