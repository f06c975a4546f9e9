"""Tables, singletons and sets: codecs in front of a map."""

import msgspec
import pytest

from ledger.base.errors import FormatError, MisuseError
from ledger.codec.tables import SET_MEMBER, SINGLETON_KEY, U64LE, SetTable, Singleton, Table
from ledger.kv.store import Store


class Account(msgspec.Struct):
    owner: str
    amount: int


accounts = Table("accounts", int, Account)
names = Table("public:names", str, U64LE)
motto = Singleton("public:motto", str)
admins = SetTable("admins", str)


def test_tables_hold_typed_keys_and_values() -> None:
    store = Store()
    tx = store.begin()
    table = tx.table(accounts)
    for key in (5, -3, 0):
        table.put(key, Account("alice", key * 10))
    assert table.get(-3) == Account("alice", -30)
    assert table.get(7) is None
    assert [key for key, _ in table.items()] == [-3, 0, 5]
    assert [key for key, _ in table.items(0, 5, reverse=True)] == [0]
    assert (table.size(), table.has(0), table.has(1)) == (3, True, False)
    changes = store.commit(tx, 1)
    assert changes == {
        "accounts": {
            (key + 2**63).to_bytes(8, "big"): b'{"amount":%d,"owner":"alice"}' % (key * 10)
            for key in (5, -3, 0)
        }
    }
    later = store.begin().table(accounts)
    assert (later.version_of(5), later.version_of(6)) == (1, None)
    assert later.get_committed(5) is None
    later.remove(5)
    later.clear()
    assert list(later.items()) == []


def test_prefixes_are_bytes_of_the_encoding() -> None:
    table = Store().begin().table(names)
    for name in ("anna", "ann", "bert", "änne"):
        table.put(name, len(name))
    assert list(table.prefix(b"ann")) == [("ann", 3), ("anna", 4)]
    assert list(table.prefix("ä".encode(), reverse=True)) == [("änne", 4)]


def test_singleton() -> None:
    store = Store()
    tx = store.begin()
    value = tx.singleton(motto)
    assert value.get() is None
    assert not value.has()
    value.put("together")
    assert value.get() == "together"
    assert store.commit(tx, 1) == {"public:motto": {SINGLETON_KEY: b"together"}}
    store.compact(1)
    later = store.begin().singleton(motto)
    assert (later.has(), later.version(), later.get_committed()) == (True, 1, "together")
    later.remove()
    assert later.get() is None


def test_set() -> None:
    store = Store()
    tx = store.begin()
    members = tx.set(admins)
    for name in ("bob", "alice", "bob"):
        members.add(name)
    members.remove("carol")
    assert list(members.keys()) == ["alice", "bob"]
    assert list(members.keys("b")) == ["bob"]
    assert list(members.keys(None, "b", reverse=True)) == ["alice"]
    assert (members.size(), members.has("bob"), members.has("carol")) == (2, True, False)
    expected = {b"bob": SET_MEMBER, b"alice": SET_MEMBER, b"carol": None}
    assert store.commit(tx, 1) == {"admins": expected}
    later = store.begin().set(admins)
    assert later.version_of("bob") == 1
    later.clear()
    assert list(later.keys()) == []


def test_foreign_bytes_are_reported() -> None:
    store = Store()
    store.apply(1, {"accounts": {bytes(8): b"[]"}, "admins": {b"\xff": SET_MEMBER}})
    tx = store.begin()
    with pytest.raises(FormatError):
        list(tx.table(accounts).items())
    with pytest.raises(FormatError):
        list(tx.set(admins).keys())


def test_wrong_types_are_refused_before_anything_is_written() -> None:
    tx = Store().begin()
    with pytest.raises(MisuseError):
        tx.table(names).put("a", -1)
    with pytest.raises(MisuseError):
        tx.table(accounts).put("a", Account("a", 1))  # type: ignore[arg-type]
    assert not tx.has_writes
