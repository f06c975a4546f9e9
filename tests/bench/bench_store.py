"""The store alone: time per operation, memory per key, and what the garbage collector costs.

Run it with ``python -m tests.bench.bench_store [KEYS]`` from the repository.
"""

import gc
import random
import sys
import time
from itertools import islice
from typing import TYPE_CHECKING

from ledger.codec.tables import Table
from ledger.kv.store import Store
from ledger.kv.tx import Tx
from tests.bench.timing import Figure, per_call_us, resident_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = 1_000_000
_VALUE_SIZE = 64
_KEY_AND_VALUE_BYTES = 48 + 112
"""What the allocator gives a bytes object of 8 and one of 64 + 8 bytes on a 64-bit CPython."""
_COMPACT_EVERY = 500
_CALLS = 100_000


def run(keys: int = KEYS) -> list[Figure]:
    """Measure all, a large store included; takes about half a minute for a million keys."""
    return [*_small_store(), *_large_store(keys)]


def _key(number: int) -> bytes:
    return number.to_bytes(8, "little")


def _value(number: int) -> bytes:
    return number.to_bytes(_VALUE_SIZE, "little")


class _Work:
    """What is timed, on one store whose keys are the first ``keys`` numbers, shuffled."""

    def __init__(self, store: Store, keys: int) -> None:
        self.store = store
        chance = random.Random(1)
        self.keys = [_key(chance.randrange(keys)) for _ in range(_CALLS)]
        self.value = _value(1)
        self.typed = Table("typed", int, str)

    def begin(self, count: int) -> None:
        for _ in range(count):
            self.store.begin()

    def read(self, count: int) -> None:
        begin = self.store.begin
        for key in islice(self.keys, count):
            begin().map("records").get(key)

    def write(self, count: int) -> None:
        store, value = self.store, self.value
        for key in islice(self.keys, count):
            tx = store.begin()
            tx.map("records").put(key, value)
            self._commit(tx)

    def read_and_write(self, count: int) -> None:
        store, value = self.store, self.value
        for key in islice(self.keys, count):
            tx = store.begin()
            records = tx.map("records")
            records.get(key)
            records.put(key, value)
            self._commit(tx)

    def write_typed(self, count: int) -> None:
        for number in range(count):
            tx = self.store.begin()
            tx.table(self.typed).put(number % 1000, "hello")
            self._commit(tx)

    def overtaken_commit(self, count: int) -> None:
        """Like ``read_and_write``, with another transaction committed in between."""
        store, value = self.store, self.value
        for key in islice(self.keys, count):
            tx = store.begin()
            records = tx.map("records")
            records.get(key)
            records.put(key, value)
            store.apply(store.version + 1, {"other": {key: value}})
            self._commit(tx)

    def apply(self, count: int) -> None:
        """What a backup does."""
        store, value = self.store, self.value
        for key in islice(self.keys, count):
            store.apply(store.version + 1, {"records": {key: value}})
            self._compact()

    def write_and_rollback(self, count: int) -> None:
        store, value = self.store, self.value
        start = store.version
        for key in islice(self.keys, count):
            store.apply(store.version + 1, {"records": {key: value}})
            if store.version - start == _COMPACT_EVERY:
                store.rollback(start)
        store.rollback(start)

    def page(self, count: int) -> None:
        """Ten keys from a random place on."""
        for key in islice(self.keys, count):
            list(islice(self.store.begin().map("records").items(key), 10))

    def write_and_page(self, count: int) -> None:
        """A new key, then ten keys from a random place on: the order is completed every time."""
        store = self.store
        for key in islice(self.keys, count):
            store.apply(store.version + 1, {"records": {key + b"+": self.value}})
            list(islice(store.begin().map("records").items(key), 10))
            self._compact()

    def _commit(self, tx: Tx) -> None:
        self.store.commit(tx, self.store.version + 1)
        self._compact()

    def _compact(self) -> None:
        store = self.store
        if store.version - store.committed >= _COMPACT_EVERY:
            store.compact(store.version)


def _filled(keys: int) -> tuple[Store, float]:
    """Return a store with that many keys, and the longest single commit in seconds."""
    store = Store()
    longest = 0.0
    for number in range(keys):
        key, value = _key(number), _value(number)
        start = time.perf_counter()
        store.apply(number + 1, {"records": {key: value}})
        longest = max(longest, time.perf_counter() - start)
        if number % _COMPACT_EVERY == 0:
            store.compact(number + 1)
    store.compact(keys)
    return store, longest


def _timed(work: _Work, names: list[tuple[str, str, int, float | None]]) -> list[Figure]:
    figures = []
    for label, method, count, bar in names:
        call: Callable[[int], object] = getattr(work, method)
        figures.append(Figure(label, per_call_us(call, count), "us", bar))
    return figures


def _small_store() -> list[Figure]:
    work = _Work(_filled(1000)[0], 1000)
    return _timed(
        work,
        [
            ("begin", "begin", _CALLS, None),
            ("begin, get", "read", _CALLS, None),
            ("begin, put, commit", "write", _CALLS, 3.0),
            ("begin, get, put, commit", "read_and_write", _CALLS, None),
            ("begin, typed put, commit", "write_typed", _CALLS, None),
            ("get, put, other commit, commit", "overtaken_commit", _CALLS, None),
            ("apply", "apply", _CALLS, None),
            ("apply and its rollback", "write_and_rollback", _CALLS, None),
            ("page of ten", "page", 10_000, None),
        ],
    )


def _large_store(keys: int) -> list[Figure]:
    gc.collect()
    before = resident_bytes()
    store, longest = _filled(keys)
    per_key = (resident_bytes() - before) / keys
    start = time.perf_counter()
    gc.collect()
    collection = time.perf_counter() - start
    start = time.perf_counter()
    next(store.begin().map("records").items())
    ordering = time.perf_counter() - start
    size = f"{keys} keys"
    figures = [
        Figure(f"memory per key, {size}, beside key and value", per_key - _KEY_AND_VALUE_BYTES,
               "B", 150.0),
        Figure(f"memory per key, {size}, 8 B key and 64 B value", per_key, "B"),
        Figure(f"longest commit while growing to {size}", longest * 1e3, "ms"),
        Figure(f"full garbage collection, {size}", collection * 1e3, "ms"),
        Figure(f"first ordered read, {size}", ordering * 1e3, "ms"),
    ]  # fmt: skip
    return figures + _timed(
        _Work(store, keys),
        [
            (f"begin, get, {size}", "read", _CALLS, None),
            (f"begin, put, commit, {size}", "write", _CALLS, None),
            (f"page of ten, {size}", "page", 10_000, None),
            (f"new key, page of ten, {size}", "write_and_page", 10_000, None),
        ],
    )


if __name__ == "__main__":
    for figure in run(int(sys.argv[1]) if len(sys.argv) > 1 else KEYS):
        bar = "" if figure.bar is None else f"   (bar {figure.bar:g})"
        sys.stdout.write(f"{figure.name:55} {figure.value:9.2f} {figure.unit}{bar}\n")
