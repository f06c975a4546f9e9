"""What one transaction promises: own writes, stable reads, conflicts, savepoints, refusals."""

import pytest

from ledger.base.errors import MisuseError
from ledger.kv.handle import end_of_prefix
from ledger.kv.store import Conflict, Store
from ledger.kv.tx import Tx

NAME = "records"


def store_with(**values: bytes) -> Store:
    store = Store()
    store.apply(1, {NAME: {key.encode(): value for key, value in values.items()}})
    return store


def put(store: Store, key: bytes, value: bytes | None) -> None:
    """Another transaction commits one write."""
    store.apply(store.version + 1, {NAME: {key: value}})


def test_maps_need_no_creation_and_reading_makes_none() -> None:
    store = Store()
    tx = store.begin()
    assert tx.map("new").get(b"k") is None
    assert list(tx.map("new").items()) == []
    assert tx.map("new").size() == 0
    assert store.map_names() == []
    tx.map("new").put(b"k", b"")
    assert store.commit(tx, 1) == {"new": {b"k": b""}}
    assert store.map_names() == ["new"]
    assert store.begin().map("new").get(b"k") == b""


def test_one_handle_per_map() -> None:
    tx = Store().begin()
    assert tx.map(NAME) is tx.map(NAME)


def test_own_writes_are_seen_by_every_read() -> None:
    store = store_with(a=b"1", b=b"2")
    handle = store.begin().map(NAME)
    handle.put(b"c", b"3")
    handle.put(b"a", b"9")
    handle.remove(b"b")
    assert [handle.get(key) for key in (b"a", b"b", b"c")] == [b"9", None, b"3"]
    assert (handle.has(b"a"), handle.has(b"b")) == (True, False)
    assert handle.size() == 2
    assert list(handle.items()) == [(b"a", b"9"), (b"c", b"3")]
    assert list(handle.items(reverse=True)) == [(b"c", b"3"), (b"a", b"9")]
    assert handle.version_of(b"a") == 1  # of the last committed write, not of the own one
    assert handle.version_of(b"c") is None


def test_snapshot_stays_while_others_commit() -> None:
    store = store_with(a=b"1", b=b"2")
    tx = store.begin(read_only=True)
    put(store, b"a", b"changed")
    put(store, b"b", None)
    put(store, b"c", b"new")
    store.compact(store.version)
    handle = tx.map(NAME)
    assert [handle.get(key) for key in (b"a", b"b", b"c")] == [b"1", b"2", None]
    assert list(handle.items()) == [(b"a", b"1"), (b"b", b"2")]
    assert (handle.size(), handle.version_of(b"a")) == (2, 1)


def test_snapshot_hides_a_map_made_later() -> None:
    store = Store()
    tx = store.begin()
    early = tx.map("first")
    store.apply(1, {"first": {b"k": b"v"}, "second": {b"k": b"v"}})
    for handle in (early, tx.map("second")):
        assert handle.get(b"k") is None
        assert handle.size() == 0
        assert list(handle.prefix(b"k")) == []


def read_key(tx: Tx) -> None:
    tx.map(NAME).get(b"a")


def read_absent(tx: Tx) -> None:
    tx.map(NAME).has(b"x")


def read_version(tx: Tx) -> None:
    tx.map(NAME).version_of(b"a")


def read_range(tx: Tx) -> None:
    list(tx.map(NAME).items(b"a", b"c"))


def read_one_of_range(tx: Tx) -> None:
    next(tx.map(NAME).items())


def read_last_of_range(tx: Tx) -> None:
    next(tx.map(NAME).items(reverse=True))


def read_two_of_range(tx: Tx) -> None:
    walk = tx.map(NAME).items()
    assert [next(walk)[0], next(walk)[0]] == [b"a", b"b"]


def read_last_two_of_range(tx: Tx) -> None:
    walk = tx.map(NAME).items(reverse=True)
    assert [next(walk)[0], next(walk)[0]] == [b"d", b"b"]


def read_prefix(tx: Tx) -> None:
    list(tx.map(NAME).prefix(b"a"))


def read_size(tx: Tx) -> None:
    tx.map(NAME).size()


def read_all_by_clearing(tx: Tx) -> None:
    tx.map(NAME).clear()


def read_own(tx: Tx) -> None:
    tx.map(NAME).put(b"a", b"own")
    tx.map(NAME).get(b"a")


def read_committed(tx: Tx) -> None:
    tx.map(NAME).get_committed(b"a")


def read_nothing(tx: Tx) -> None:
    tx.map(NAME).items()


@pytest.mark.parametrize(
    ("read", "overtaken_by", "spared_by"),
    [
        (read_key, [b"a"], [b"b", b"x", b""]),
        (read_absent, [b"x"], [b"a", b"xx"]),
        (read_version, [b"a"], [b"b"]),
        (read_range, [b"a", b"a\x00", b"b", b"bzz"], [b"", b"c", b"z"]),
        (read_one_of_range, [b"", b"a"], [b"a\x00", b"b", b"z"]),
        (read_last_of_range, [b"d", b"d\x00", b"zzz"], [b"a", b"c\xff"]),
        (read_two_of_range, [b"", b"a", b"a+", b"b"], [b"b\x00", b"d"]),
        (read_last_two_of_range, [b"b", b"c", b"d", b"z"], [b"a", b"a+"]),
        (read_prefix, [b"a", b"a\xff\xff"], [b"", b"`", b"b"]),
        (read_size, [b"", b"a", b"\xff"], []),
        (read_all_by_clearing, [b"", b"a", b"\xff"], []),
        (read_own, [], [b"a", b"b"]),
        (read_committed, [], [b"a", b"b"]),
        (read_nothing, [], [b"a", b"b"]),
    ],
)
def test_conflicts(read: object, overtaken_by: list[bytes], spared_by: list[bytes]) -> None:
    assert callable(read)
    for key in overtaken_by + spared_by:
        store = store_with(a=b"1", b=b"2", d=b"4")
        tx = store.begin()
        read(tx)
        tx.map("answer").put(b"k", b"v")
        assert store.check(tx)
        put(store, key, b"other")
        outcome = store.commit(tx, 3)
        if key in overtaken_by:
            assert outcome == Conflict(NAME)
            assert store.version == 2
        else:
            assert outcome is tx.changes
            assert store.version == 3


def test_blind_writes_do_not_conflict_and_the_last_wins() -> None:
    store = store_with(a=b"1")
    tx = store.begin()
    tx.map(NAME).put(b"a", b"mine")
    put(store, b"a", b"theirs")
    assert store.commit(tx, 3) == {NAME: {b"a": b"mine"}}
    assert store.begin().map(NAME).get(b"a") == b"mine"


def test_same_value_written_again_is_a_conflict() -> None:
    store = store_with(a=b"1")
    tx = store.begin()
    tx.map(NAME).get(b"a")
    put(store, b"a", b"1")
    assert not store.check(tx)


def test_removal_of_a_missing_key_is_recorded_and_disturbs_nobody() -> None:
    store = store_with(a=b"1")
    reader = store.begin()
    reader.map(NAME).get(b"x")
    reader.map(NAME).size()
    tx = store.begin()
    tx.map(NAME).remove(b"x")
    assert tx.has_writes
    assert store.commit(tx, 2) == {NAME: {b"x": None}}
    assert store.check(reader)


def test_clear_removes_own_new_keys_too() -> None:
    store = store_with(a=b"1")
    tx = store.begin()
    tx.map(NAME).put(b"b", b"2")
    tx.map(NAME).clear()
    assert list(tx.map(NAME).items()) == []
    assert store.commit(tx, 2) == {NAME: {b"a": None, b"b": None}}


def test_a_change_that_was_rolled_back_is_no_conflict() -> None:
    store = store_with(a=b"1")
    tx = store.begin()
    tx.map(NAME).get(b"a")
    list(tx.map(NAME).items())
    store.advance(2)
    put(store, b"a", b"2")
    assert not store.check(tx)
    store.rollback(2)
    assert store.check(tx)
    put(store, b"other", None)
    assert store.check(tx)
    put(store, b"a", b"1")
    assert not store.check(tx)


def test_writes_during_iteration_do_not_show_in_it() -> None:
    store = store_with(a=b"1", b=b"2", c=b"3")
    handle = store.begin().map(NAME)
    found = []
    for key, value in handle.items():
        found.append((key, value))
        handle.remove(b"b")
        handle.put(key + b"+", b"new")
    assert found == [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]
    assert [key for key, _ in handle.items()] == [b"a", b"a+", b"b+", b"c", b"c+"]


def test_order_follows_what_is_committed_between_ordered_reads() -> None:
    store = store_with(b=b"1", d=b"1")
    old = store.begin(read_only=True)
    seen = []
    for key, value in ((b"c", b"1"), (b"a", b"1"), (b"d", None), (b"b", None), (b"d", b"1")):
        put(store, key, value)
        seen.append(b"".join(key for key, _ in store.begin().map(NAME).items()))
        assert [key for key, _ in old.map(NAME).items()] == [b"b", b"d"]
    assert seen == [b"bcd", b"abcd", b"abc", b"ac", b"acd"]
    store.rollback(2)
    assert [key for key, _ in store.begin().map(NAME).items()] == [b"b", b"c", b"d"]


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (None, None, "abcd"),
        (b"b", None, "bcd"),
        (None, b"b", "a"),
        (b"a\x00", b"c\x00", "bc"),
        (b"b", b"b", ""),
        (b"c", b"b", ""),
        (b"e", None, ""),
        (None, b"", ""),
    ],
)
def test_ranges_are_half_open(begin: bytes | None, end: bytes | None, expected: str) -> None:
    handle = store_with(a=b"1", b=b"1", c=b"1", d=b"1").begin().map(NAME)
    forward = b"".join(key for key, _ in handle.items(begin, end)).decode()
    backward = b"".join(key for key, _ in handle.items(begin, end, reverse=True)).decode()
    assert (forward, backward) == (expected, expected[::-1])


@pytest.mark.parametrize(
    ("prefix", "end"),
    [
        (b"", None),
        (b"a", b"b"),
        (b"a\xff", b"b"),
        (b"\xff", None),
        (b"\xff\xff", None),
        (b"a\xfe", b"a\xff"),
        (b"\x00\xff\xff", b"\x01"),
    ],
)
def test_end_of_prefix(prefix: bytes, end: bytes | None) -> None:
    assert end_of_prefix(prefix) == end


def test_read_only_transactions_refuse_writes() -> None:
    store = store_with(a=b"1")
    for tx in (store.begin(read_only=True), store.begin_committed()):
        handle = tx.map(NAME)
        with pytest.raises(MisuseError, match="read-only"):
            handle.put(b"a", b"2")
        with pytest.raises(MisuseError, match="read-only"):
            handle.remove(b"a")
        with pytest.raises(MisuseError, match="read-only"):
            handle.clear()
        assert tx.read_only
        assert not tx.has_writes


@pytest.mark.parametrize("key", ["a", 1, bytearray(b"a"), None])
def test_only_bytes_are_stored(key: object) -> None:
    handle = Store().begin().map(NAME)
    with pytest.raises(MisuseError, match="want bytes"):
        handle.put(key, b"")  # type: ignore[arg-type]
    with pytest.raises(MisuseError, match="want bytes"):
        handle.put(b"", key)  # type: ignore[arg-type]
    with pytest.raises(MisuseError, match="want bytes"):
        handle.remove(key)  # type: ignore[arg-type]
    assert handle.size() == 0


def test_touched_and_has_writes() -> None:
    seen = []
    tx = Store().begin()
    handle = tx.map(NAME)
    seen.append((tx.touched, tx.has_writes))
    handle.get(b"a")
    seen.append((tx.touched, tx.has_writes))
    handle.clear()
    seen.append((tx.touched, tx.has_writes))
    handle.put(b"a", b"1")
    seen.append((tx.touched, tx.has_writes))
    assert seen == [(False, False), (True, False), (True, False), (True, True)]
    other = Store().begin()
    other.map(NAME).size()
    assert other.touched


def test_savepoints() -> None:
    store = store_with(a=b"1")
    tx = store.begin()
    first, second = tx.map(NAME), tx.map("second")
    start = tx.savepoint()
    first.put(b"b", b"2")
    middle = tx.savepoint()
    first.remove(b"a")
    second.put(b"k", b"v")
    for _ in range(2):
        tx.restore(middle)
        assert tx.changes == {NAME: {b"b": b"2"}}
        assert (first.get(b"a"), second.get(b"k")) == (b"1", None)
        first.put(b"c", b"3")
        second.put(b"k", b"w")
    tx.restore(start)
    assert not tx.has_writes
    first.put(b"d", b"4")
    assert store.commit(tx, 2) == {NAME: {b"d": b"4"}}


def test_reads_before_a_restore_still_conflict() -> None:
    store = store_with(a=b"1")
    tx = store.begin()
    start = tx.savepoint()
    tx.map(NAME).get(b"a")
    tx.restore(start)
    put(store, b"a", b"2")
    assert not store.check(tx)
