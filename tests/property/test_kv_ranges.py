"""Ordered reads of the past: a walk over a snapshot while others commit between any two keys."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.kv import order
from ledger.kv.store import Store

keys = st.integers(0, 30).map(lambda number: bytes([number]))
values = st.none() | st.binary(min_size=1, max_size=2)
changes = st.dictionaries(keys, values, max_size=12)
NAME = "records"


@pytest.fixture(scope="module", autouse=True)
def _small_blocks() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "_BLOCK", 2)
        yield


@settings(deadline=None)
@given(
    start=changes,
    own=changes,
    later=st.lists(changes, max_size=8),
    begin=st.none() | keys,
    end=st.none() | keys,
    reverse=st.booleans(),
    back=st.integers(0, 8),
)
def test_walk_shows_the_snapshot_whatever_is_committed_meanwhile(
    start: dict[bytes, bytes | None],
    own: dict[bytes, bytes | None],
    later: list[dict[bytes, bytes | None]],
    begin: bytes | None,
    end: bytes | None,
    reverse: bool,
    back: int,
) -> None:
    store = Store()
    store.apply(1, {NAME: start})
    tx = store.begin()
    for key, value in own.items():
        if value is None:
            tx.map(NAME).remove(key)
        else:
            tx.map(NAME).put(key, value)
    expected = [
        (key, value)
        for key, value in sorted({**start, **own}.items(), reverse=reverse)
        if value is not None and (begin is None or key >= begin) and (end is None or key < end)
    ]
    found = []
    rest = list(later)
    if rest:
        store.apply(store.version + 1, {NAME: rest.pop()})
    for pair in tx.map(NAME).items(begin, end, reverse=reverse):
        found.append(pair)
        if rest:
            store.apply(store.version + 1, {NAME: rest.pop()})
        else:
            store.rollback(max(store.version - back, 0))
        list(store.begin().map(NAME).items())  # others complete the order meanwhile
    assert found == expected
