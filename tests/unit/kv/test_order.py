"""The lazily kept key order, at block boundaries and under every kind of noted change."""

import random

import pytest

from ledger.kv import order
from ledger.kv.order import KeyOrder


def walk(keys: KeyOrder, begin: bytes, end: bytes | None, *, reverse: bool) -> list[bytes]:
    found: list[bytes] = []
    done = False
    while not done:
        run, done = keys.run(begin, end, reverse=reverse)
        assert run or done
        found += run
        if run and reverse:
            end = run[-1]
        elif run:
            begin = run[-1] + b"\x00"
    return found


@pytest.mark.parametrize("block", [1, 2, 3, 512])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6, 7])
def test_every_range(monkeypatch: pytest.MonkeyPatch, block: int, count: int) -> None:
    monkeypatch.setattr(order, "_BLOCK", block)
    present = [bytes([2 * number]) for number in range(count)]
    keys = KeyOrder(reversed(present))
    bounds = [bytes([number]) for number in range(2 * count + 2)]
    for begin in [b"", *bounds]:
        for end in [None, *bounds]:
            expected = [key for key in present if key >= begin and (end is None or key < end)]
            assert walk(keys, begin, end, reverse=False) == expected
            assert walk(keys, begin, end, reverse=True) == expected[::-1]


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_noted_changes_are_sorted_in(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr(order, "_BLOCK", 4)
    chance = random.Random(batch)
    present: set[bytes] = set()
    keys = KeyOrder(present)
    for _ in range(300):
        for _ in range(batch):
            key = bytes([chance.randrange(60)])
            if key in present:
                present.remove(key)
            else:
                present.add(key)
            if not keys.note(key):
                keys = KeyOrder(present)
        keys.settle(present)
        assert walk(keys, b"", None, reverse=False) == sorted(present)
        assert walk(keys, b"", None, reverse=True) == sorted(present, reverse=True)


def test_too_many_notes_ask_for_a_new_order() -> None:
    keys = KeyOrder(bytes([number]) for number in range(10))
    answers = [keys.note(b"k") for _ in range(600)]
    assert answers == [True] * 522 + [False] * 78
