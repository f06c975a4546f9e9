"""Comparing ledgers of several nodes: same bytes, same cuts, some may have fewer chunks."""

from pathlib import Path

import pytest

from ledger.base.errors import VerificationError
from ledger.sandbox.ledgers import committed_chunks, compare_ledgers

FIRST, SECOND, THIRD = "ledger_1-9.committed", "ledger_10-99.committed", "ledger_100-120.committed"
CHUNKS = {FIRST: b"one", SECOND: b"two", THIRD: b"three"}


def ledger(directory: Path, chunks: dict[str, bytes]) -> Path:
    directory.mkdir()
    for name, data in chunks.items():
        (directory / name).write_bytes(data)
    return directory


def test_equal_ledgers(tmp_path: Path) -> None:
    ledgers = [ledger(tmp_path / name, CHUNKS) for name in ("a", "b")]
    assert compare_ledgers(ledgers) == [FIRST, SECOND, THIRD]


def test_a_node_may_lag(tmp_path: Path) -> None:
    whole = ledger(tmp_path / "whole", CHUNKS)
    lagging = ledger(tmp_path / "lagging", {FIRST: b"one", "ledger_10": b"not committed yet"})
    assert compare_ledgers([whole, lagging]) == [FIRST]
    assert compare_ledgers([lagging, whole]) == [FIRST]
    assert compare_ledgers([whole, ledger(tmp_path / "new", {})]) == []


UNEQUAL = [
    {FIRST: b"One"},
    {FIRST: b"one", SECOND: b"other"},
    {"ledger_1-8.committed": b"one"},
    {FIRST: b"one", THIRD: b"three"},
]


@pytest.mark.parametrize("chunks", UNEQUAL)
def test_other_bytes_and_other_cuts_are_found(chunks: dict[str, bytes], tmp_path: Path) -> None:
    ledgers = [ledger(tmp_path / "a", CHUNKS), ledger(tmp_path / "b", chunks)]
    with pytest.raises(VerificationError):
        compare_ledgers(ledgers)


def test_only_committed_chunks_count_in_the_order_of_their_seqnos(tmp_path: Path) -> None:
    others = {"ledger_121": b"", "ledger_5-9.committed.ignored": b"", "README": b""}
    directory = ledger(tmp_path / "a", {**others, **CHUNKS})
    assert list(committed_chunks(directory)) == [FIRST, SECOND, THIRD]
