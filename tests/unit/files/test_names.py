"""File names, both directions, and what is not one."""

import pytest

from ledger.base.errors import FormatError
from ledger.files.names import (
    ChunkName,
    SnapshotName,
    is_temporary_chunk_name,
    parse_chunk_name,
    parse_snapshot_name,
    temporary_chunk_name,
)

CHUNKS = [
    ("ledger_1", ChunkName(1)),
    ("ledger_21", ChunkName(21)),
    ("ledger_1-1.committed", ChunkName(1, 1)),
    ("ledger_14-20.committed", ChunkName(14, 20)),
    ("ledger_29.recovery", ChunkName(29, is_recovery=True)),
    ("ledger_29-46.committed.recovery", ChunkName(29, 46, is_recovery=True)),
    ("ledger_29.ignored", ChunkName(29, is_ignored=True)),
    ("ledger_29.recovery.ignored", ChunkName(29, is_recovery=True, is_ignored=True)),
    ("ledger_18446744073709551615", ChunkName(2**64 - 1)),
]
SNAPSHOTS = [
    ("snapshot_61_62.committed", SnapshotName(61, 62, is_committed=True)),
    ("snapshot_2_4", SnapshotName(2, 4)),
    ("snapshot_2_4.committed.ignored", SnapshotName(2, 4, is_committed=True, is_ignored=True)),
]


@pytest.mark.parametrize(("text", "name"), CHUNKS)
def test_chunk_name(text: str, name: ChunkName) -> None:
    assert parse_chunk_name(text) == name
    assert name.text == text
    assert name.is_committed == (name.last is not None)


@pytest.mark.parametrize(("text", "name"), SNAPSHOTS)
def test_snapshot_name(text: str, name: SnapshotName) -> None:
    assert parse_snapshot_name(text) == name
    assert name.text == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ledger_",
        "ledger_0",
        "ledger_01",
        "ledger_-1",
        "ledger_1-2",
        "ledger_2-1.committed",
        "ledger_1.committed",
        "ledger_1-02.committed",
        "ledger_1\n",
        "ledger_1.ignored.recovery",
        "ledger_18446744073709551616",
        "ledger_\u0661",
        "Ledger_1",
        "xledger_1",
        "snapshot_1_2",
    ],
)
def test_not_a_chunk_name(text: str) -> None:
    with pytest.raises(FormatError, match="got"):
        parse_chunk_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "snapshot_1",
        "snapshot_2_1",
        "snapshot_2_2",
        "snapshot_0_1",
        "snapshot_1_2.recovery",
        "ledger_1",
    ],
)
def test_not_a_snapshot_name(text: str) -> None:
    with pytest.raises(FormatError, match="got"):
        parse_snapshot_name(text)


def test_names_of_chunks_to_be() -> None:
    name = temporary_chunk_name(17)
    assert name == ".ledger_17.ignored"
    assert is_temporary_chunk_name(name)
    for other in ("ledger_17.ignored", ".ledger_0.ignored", ".ledger_x.ignored", f"{name}\n"):
        assert not is_temporary_chunk_name(other)
