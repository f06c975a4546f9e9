"""Versions of the store: rollback, compaction, the committed state, whole states in and out."""

import gc
from collections.abc import Callable

import pytest

from ledger.base.errors import MisuseError
from ledger.kv.contents import MapContents
from ledger.kv.point import Point
from ledger.kv.store import Conflict, Store

NAME = "records"


def contents(store: Store) -> dict[str, tuple[int, dict[bytes, bytes]]]:
    return {c.name: (c.version, dict(c.records)) for c in store.contents()}


def record(seqno: int, value: bytes) -> bytes:
    return seqno.to_bytes(8, "little") + value


def counted(seqnos: int) -> Store:
    """A store in which every seqno overwrote one key and made another."""
    store = Store()
    for seqno in range(1, seqnos + 1):
        number = b"%03d" % seqno
        store.apply(seqno, {NAME: {b"last": number, number: b"x"}})
    return store


def test_rollback_restores_values_versions_and_order() -> None:
    store = counted(5)
    assert len(list(store.begin().map(NAME).items())) == 6  # makes the order
    store.apply(6, {NAME: {b"001": None, b"last": b"6"}, "new": {b"k": b"v"}})
    store.rollback(3)
    handle = store.begin().map(NAME)
    assert [key for key, _ in handle.items()] == [b"001", b"002", b"003", b"last"]
    assert (handle.get(b"last"), handle.version_of(b"last")) == (b"003", 3)
    assert (store.version, store.committed) == (3, 0)
    assert store.map_names() == [NAME]


def test_snapshots_survive_a_rollback_but_cannot_commit() -> None:
    store = counted(2)
    kept, dropped = store.begin(), None
    store.apply(3, {NAME: {b"last": b"003"}})
    dropped = store.begin()
    store.rollback(2)
    store.apply(3, {NAME: {b"last": b"other"}})
    store.compact(3)
    assert kept.map(NAME).get(b"last") == b"002"
    assert dropped.map(NAME).get(b"last") == b"003"
    dropped.map(NAME).put(b"blind", b"write")
    assert store.commit(dropped, 4) == Conflict(None)
    assert not store.check(kept)


def test_transaction_at_the_kept_version_goes_on_after_a_rollback() -> None:
    store = counted(2)
    tx = store.begin()
    tx.map(NAME).get(b"last")
    store.apply(3, {NAME: {b"last": b"003"}})
    assert not store.check(tx)
    store.rollback(2)
    tx.map(NAME).put(b"k", b"v")
    assert store.commit(tx, 3) == {NAME: {b"k": b"v"}}


def test_versions_made_after_a_rollback_are_not_dropped_by_it() -> None:
    store = counted(3)
    store.rollback(1)
    for seqno in (2, 3):
        store.advance(seqno)
    tx = store.begin()
    tx.map(NAME).put(b"k", b"v")
    store.advance(4)
    assert store.commit(tx, 5) == {NAME: {b"k": b"v"}}


def test_second_rollback_drops_the_version_kept_by_the_first() -> None:
    store = counted(1)
    tx = store.begin()
    tx.map(NAME).put(b"k", b"v")
    store.advance(2)
    store.rollback(1)
    store.rollback(0)
    assert store.commit(tx, 1) == Conflict(None)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda store: store.rollback(1), r"seqno 1, want one in \[2, 4\]"),
        (lambda store: store.rollback(5), r"seqno 5, want one in \[2, 4\]"),
        (lambda store: store.compact(1), r"seqno 1, want one in \[2, 4\]"),
        (lambda store: store.compact(5), r"seqno 5, want one in \[2, 4\]"),
        (lambda store: store.apply(4, {}), "seqno 4, want 5"),
        (lambda store: store.apply(6, {}), "seqno 6, want 5"),
        (lambda store: store.advance(7), "seqno 7, want 5"),
        (lambda store: store.load(9, []), "want an empty one"),
    ],
)
def test_refusals(act: Callable[[Store], None], message: str) -> None:
    store = counted(4)
    store.compact(2)
    before = contents(store)
    with pytest.raises(MisuseError, match=message):
        act(store)
    assert (store.version, store.committed, contents(store)) == (4, 2, before)


def test_reads_at_the_committed_version() -> None:
    store = counted(3)
    store.compact(2)
    store.apply(4, {NAME: {b"001": None}})
    tx = store.begin_committed()
    newest = store.begin()
    assert (tx.read_version, tx.read_only) == (2, True)
    assert tx.map(NAME).get(b"last") == b"002"
    assert newest.map(NAME).get(b"last") == b"003"
    assert newest.map(NAME).get_committed(b"last") == b"002"
    assert newest.map(NAME).get_committed(b"003") is None
    assert newest.map(NAME).get_committed(b"001") == b"x"  # removed, but not for sure
    assert newest.map(NAME).get_committed(b"002") == b"x"
    store.compact(3)
    assert newest.map(NAME).get_committed(b"last") == b"002"  # as when it began
    assert store.begin().map(NAME).get_committed(b"last") == b"003"


def test_reads_at_the_version_before_the_newest() -> None:
    store = counted(3)
    store.compact(2)
    tx = store.begin_previous()
    assert (tx.read_version, tx.read_only) == (2, True)
    store.apply(4, {NAME: {b"last": None}})
    before = store.begin_previous()
    store.rollback(3)
    assert tx.map(NAME).get(b"last") == b"002"
    assert before.map(NAME).get(b"last") == b"003"
    assert store.begin_previous().map(NAME).get(b"003") is None
    store.compact(3)
    with pytest.raises(AssertionError, match="version 3 is committed already"):
        store.begin_previous()


SIGNATURES = "public:signatures"


def test_a_reserved_version_is_filled_later() -> None:
    store = counted(2)
    store.apply(3, {SIGNATURES: {b"k": b"old"}})
    store.compact(3)
    store.advance(4)
    blind, reader, walker = store.begin(), store.begin(), store.begin()
    assert reader.map(SIGNATURES).get(b"k") == b"old"
    assert list(walker.map(SIGNATURES).items()) == [(b"k", b"old")]  # makes the order
    walk = walker.map(SIGNATURES).items()
    store.apply(5, {NAME: {b"last": b"005"}})
    later = store.begin(read_only=True)
    store.fill(4, {SIGNATURES: {b"k": b"new", b"l": b"new"}})
    for tx in (blind, later):
        assert tx.map(SIGNATURES).version_of(b"k") == 3
    assert list(walk) == [(b"k", b"old")]
    assert not store.check(reader)
    newest = store.begin()
    assert newest.read_version == 5
    assert list(newest.map(SIGNATURES).items()) == [(b"k", b"new"), (b"l", b"new")]
    assert newest.map(SIGNATURES).version_of(b"l") == 4
    assert newest.map(SIGNATURES).get_committed(b"k") == b"old"
    store.compact(4)
    assert store.begin_committed().map(SIGNATURES).get(b"k") == b"new"
    assert store.begin_committed().map(NAME).get(b"last") == b"002"
    assert contents(store)[SIGNATURES][0] == 4


def test_a_filled_version_is_rolled_back_with_its_changes() -> None:
    for target, expected in ((4, b"new"), (3, b"old"), (2, None)):
        store = counted(2)
        store.apply(3, {SIGNATURES: {b"k": b"old"}})
        store.advance(4)
        store.apply(5, {NAME: {b"last": b"005"}})
        before = store.begin()
        before.map(NAME).put(b"blind", b"write")
        store.fill(4, {SIGNATURES: {b"k": b"new"}})
        store.rollback(target)
        assert store.begin().map(SIGNATURES).get(b"k") == expected
        assert store.begin().map(NAME).get(b"last") == b"002"
        assert store.commit(before, target + 1) == Conflict(None)
        assert before.map(SIGNATURES).get(b"k") == b"old"


def test_only_an_open_reservation_can_be_filled() -> None:
    store = counted(2)
    store.advance(3)
    store.compact(1)
    with pytest.raises(AssertionError, match="not open"):
        store.fill(1, {SIGNATURES: {b"k": b"v"}})
    with pytest.raises(AssertionError, match="not open"):
        store.fill(4, {SIGNATURES: {b"k": b"v"}})
    with pytest.raises(AssertionError, match="has changes already"):
        store.fill(2, {SIGNATURES: {b"k": b"v"}})
    store.apply(4, {SIGNATURES: {b"k": b"v"}})
    with pytest.raises(AssertionError, match="was written after seqno 3"):
        store.fill(3, {SIGNATURES: {b"k": b"w"}})


def test_contents_are_the_committed_state_at_the_call() -> None:
    store = counted(2)
    store.apply(3, {"emptied": {b"k": b"v"}})
    store.apply(4, {"emptied": {b"k": None}})
    store.compact(4)
    store.apply(5, {NAME: {b"last": b"005"}, "later": {b"k": b"v"}})
    whole = store.contents()
    store.apply(6, {NAME: {b"001": None}})
    store.compact(6)
    assert {c.name: (c.version, dict(c.records)) for c in whole} == {
        NAME: (2, {b"last": record(2, b"002"), b"001": record(1, b"x"), b"002": record(2, b"x")}),
        "emptied": (4, {}),
    }


def test_loading_gives_the_same_state() -> None:
    store = counted(4)
    store.compact(4)
    copy = Store()
    copy.load(7, store.contents())
    assert (copy.version, copy.committed) == (7, 7)
    assert contents(copy) == contents(store)
    assert copy.begin().map(NAME).version_of(b"003") == 3
    copy.apply(8, {NAME: {b"k": b"v"}})
    copy.rollback(7)


@pytest.mark.parametrize(
    "maps",
    [
        [MapContents(NAME, 9, [])],
        [MapContents(NAME, 0, [])],
        [MapContents(NAME, 3, [(b"k", record(4, b"v"))])],
        [MapContents("good", 1, []), MapContents(NAME, 3, [(b"k", record(4, b"v"))])],
    ],
)
def test_loading_refuses_impossible_versions(maps: list[MapContents]) -> None:
    store = Store()
    with pytest.raises(MisuseError, match="records <= map <= state"):
        store.load(8, maps)
    assert store.map_names() == []
    assert store.version == 0


def test_a_store_can_start_late() -> None:
    store = Store(41)
    store.apply(42, {NAME: {b"k": b"v"}})
    assert store.begin().map(NAME).version_of(b"k") == 42
    store.rollback(41)
    assert store.map_names() == []


def test_an_old_reader_finds_its_way_past_points_that_jump() -> None:
    store = counted(1)
    oldest = store.begin(read_only=True)
    store.apply(2, {NAME: {b"first": b"2", b"last": b"2"}})
    middle = store.begin(read_only=True)
    for seqno in range(3, 6):
        store.apply(seqno, {NAME: {b"k%d" % seqno: b"v", b"last": b"%d" % seqno}})
    assert middle.map(NAME).get(b"last") == b"2"  # its point jumps to the newest now
    store.apply(6, {NAME: {b"k3": b"w", b"k5": None}})
    expected = [(b"001", b"x"), (b"last", b"001")]
    assert list(oldest.map(NAME).items()) == expected
    assert [oldest.map(NAME).get(key) for key in (b"first", b"k3", b"k4", b"k5")] == [None] * 4
    assert middle.map(NAME).size() == 3


def live_points() -> int:
    gc.collect()
    return sum(type(thing) is Point for thing in gc.get_objects())


def test_the_past_lives_only_as_long_as_somebody_may_ask() -> None:
    before = live_points()
    store = counted(50)
    assert live_points() == before + 51
    store.compact(50)
    assert live_points() == before + 1
    reader = store.begin()
    for seqno in range(51, 60):
        store.advance(seqno)
    store.compact(59)
    assert live_points() == before + 10
    assert reader.map(NAME).get(b"last") == b"050"
    assert live_points() == before + 2  # the reader's jumps over what it has looked at
    del reader
    assert live_points() == before + 1


def test_transactions_make_no_reference_cycles() -> None:
    store = counted(3)
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        tx = store.begin()
        list(tx.map(NAME).items())
        tx.map(NAME).put(b"k", b"v")
        tx.restore(tx.savepoint())
        del tx
        assert len(gc.get_objects()) - before < 10  # the order it made stays
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_long_chains_are_let_go_without_deep_recursion() -> None:
    store = Store()
    reader = store.begin()
    for seqno in range(1, 100_001):
        store.advance(seqno)
    store.compact(100_000)
    del reader
    assert store.begin().read_version == 100_000
