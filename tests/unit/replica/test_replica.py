"""One replica: what gets which ID, when it is signed, when it commits, what is held back."""

from itertools import pairwise

import pytest

from ledger.base.ids import TxId
from ledger.base.limits import WRITTEN_ENTRY_SIZE_MAX
from ledger.codec.entry import (
    FLAG_CHUNK_AFTER,
    FLAG_CHUNK_BEFORE,
    EntrySizeError,
    parse_entry,
)
from ledger.codec.writeset import decode
from ledger.consensus.types import Settings
from ledger.crypto.sealing import leaf_of
from ledger.merkle.tree import MerkleTree
from ledger.replica.cadence import SigningSettings
from ledger.replica.chunking import END_CHUNK
from ledger.replica.replica import BRAKE_MS
from ledger.replica.settings import ReplicaSettings
from ledger.tables.internal import SIGNATURES, TREE
from ledger.tables.nodes import NODES_INFO
from tests.unit.replica.harness import RECORDS, SECRET, Service, TestNode, entries_of, started


def test_genesis_is_2_1_and_its_signature_commits_it() -> None:
    node = started()
    assert node.commits == [TxId(2, 2)]
    assert node.replica.status(2, 1) == "Committed"
    assert node.replica.status(2, 3) == "Unknown"
    assert node.replica.status(1, 1) == "Invalid"
    assert node.replica.view_history() == [TxId(2, 1)]


def test_a_write_is_pending_until_its_signature_is_on_disk() -> None:
    node = started()
    tx_id = node.write("k", "v")
    assert tx_id == TxId(2, 3)
    node.clock.ms += 20
    node.turn(persist=False)
    node.turn(persist=False)
    assert node.replica.status(*tx_id) == "Pending"
    node.replica.persisted(4)
    node.turn()
    assert node.replica.status(*tx_id) == "Committed"
    assert node.replica.commit_id == TxId(2, 4)


@pytest.mark.parametrize(("limit", "full"), [(3, True), (4, False), (0, False)])
def test_every_id_given_out_counts_as_uncommitted_at_once(limit: int, full: bool) -> None:
    node = TestNode(Service(), None, Settings(max_uncommitted=limit))
    node.start()
    for key in "abc":
        assert not node.replica.at_capacity
        node.write(key, "1")
    assert node.replica.at_capacity is full
    assert node.replica.brake_ms == (BRAKE_MS if limit else 0)
    node.clock.ms += 20
    node.settle()
    assert not node.replica.at_capacity


def test_what_is_not_sealed_goes_with_the_leadership() -> None:
    node = started()
    before = node.replica.raft.last
    node.write("k", "v")
    assert node.replica.unsealed == 1
    node.replica.become_backup(node.replica.raft.view)
    assert node.replica.unsealed == 0
    assert node.replica.store.version == before


def test_chunks_end_after_their_size_and_begin_when_asked() -> None:
    node = started(ReplicaSettings(chunk_size=4000))
    node.replica.chunking.begin_before_next()
    for number in range(40):
        node.write(f"key {number}", "x" * 100)
    node.clock.ms += 20
    node.settle()
    flags = [parse_entry(entry).flags for entry in entries_of(node)]
    assert flags[2:] == [FLAG_CHUNK_BEFORE] + [0] * 39 + [FLAG_CHUNK_AFTER]


def test_entries_behind_an_outstanding_signature_are_held() -> None:
    node = started()
    node.write("a", "1")
    node.clock.ms += 20
    node.turn(sign=False)
    written = len(entries_of(node))
    late = node.write("b", "2")
    assert late == TxId(2, 5), "seqno 4 is reserved for the signature"
    node.turn(sign=False)
    assert len(entries_of(node)) == written, "nothing leaves before the signature"
    assert node.replica.status(*late) == "Pending"
    node.finish_signature()
    node.settle()
    seqnos = [parse_entry(entry).seqno for entry in entries_of(node)]
    assert seqnos == list(range(1, 7))


def test_every_signature_signs_the_root_of_all_leaves_before_it() -> None:
    node = started()
    for number in range(40):
        node.write(f"k{number}", "v")
        node.clock.ms += 3
        node.turn(sign=number % 3 > 0)
        if node.signing:
            node.write("held", str(number))
            node.finish_signature()
    node.settle()
    tree = MerkleTree()
    signatures = 0
    for data in entries_of(node):
        maps = decode(parse_entry(data).public_maps)
        if SIGNATURES.name in maps:
            info = SIGNATURES.value.decode(maps[SIGNATURES.name][bytes(8)] or b"")
            assert info.root == tree.root().hex()
            value = maps[TREE.name][bytes(8)] or b""
            assert MerkleTree.deserialise(value).root() == tree.root()
            signatures += 1
        tree.append(leaf_of(data))
    assert signatures > 5
    assert tree.root() == node.replica.tree.root()


def test_the_store_reads_the_filled_signature() -> None:
    node = started()
    info = node.replica.begin().singleton(SIGNATURES).get()
    assert info is not None
    assert info.seqno == 2
    assert node.replica.begin().singleton(SIGNATURES).version() == 2


def test_a_conflict_gives_no_id_and_no_entry() -> None:
    node = started()
    node.write("k", "0")
    tx = node.replica.begin()
    value = tx.table(RECORDS).get("k")
    tx.table(RECORDS).put("k", f"{value}1")
    node.write("k", "other")
    before = node.replica.store.version
    assert node.replica.commit(tx, None) is None
    assert node.replica.store.version == before


def test_a_transaction_asks_for_the_end_of_a_chunk_and_leaves_no_trace() -> None:
    node = started()
    dropped = node.replica.begin()
    dropped.changes.setdefault(END_CHUNK, {})
    undone = node.replica.begin()
    savepoint = undone.savepoint()
    undone.changes.setdefault(END_CHUNK, {})
    undone.restore(savepoint)
    undone.table(RECORDS).put("a", "b")
    assert node.replica.commit(undone, None) is not None
    node.settle()
    assert not parse_entry(entries_of(node)[-1]).flags & FLAG_CHUNK_AFTER
    asking = node.replica.begin()
    asking.changes.setdefault(END_CHUNK, {})
    asking.table(RECORDS).put("k", "v")
    assert node.replica.commit(asking, None) is not None
    node.settle()
    signed = parse_entry(entries_of(node)[-1])
    assert signed.flags & FLAG_CHUNK_AFTER
    assert END_CHUNK not in node.replica.store.map_names()
    assert END_CHUNK.encode() not in b"".join(node.ledger)
    node.write("x", "y")
    node.settle()
    assert not parse_entry(entries_of(node)[-1]).flags & FLAG_CHUNK_AFTER


def test_a_chunk_ends_at_a_signature_once_it_is_large_enough() -> None:
    node = started(ReplicaSettings(chunk_size=1000))
    for number in range(10):
        node.write(f"k{number}", "v" * 300)
        node.settle()
    flags = {e.seqno: e.flags for e in map(parse_entry, entries_of(node)) if e.flags}
    assert len(flags) >= 2
    assert set(flags.values()) == {FLAG_CHUNK_AFTER}
    assert all(node.replica.signatures.is_signature(seqno) for seqno in flags)


def test_load_does_not_wait_for_every_signature() -> None:
    node = started(ReplicaSettings(SigningSettings(tx_count=50)))
    for number in range(200):
        node.write(f"k{number}", "v")
        node.turn()
    signed = [seqno for seqno in range(3, 205) if node.replica.signatures.is_signature(seqno)]
    assert len(signed) >= 3
    assert all(after - before <= 52 for before, after in pairwise(signed))


def test_decisions_are_told_once() -> None:
    node = started()
    told: list[str] = []
    node.replica.on_decided(TxId(2, 1), told.append)
    assert told == ["Committed"]
    tx_id = node.write("k", "v")
    node.replica.on_decided(tx_id, told.append)
    assert told == ["Committed"]
    node.settle()
    assert told == ["Committed", "Committed"]


def test_private_values_are_sealed_and_open_with_the_secret() -> None:
    node = started()
    node.write("key", "very secret")
    node.settle()
    data = next(e for e in entries_of(node) if parse_entry(e).seqno == 3)
    assert b"very secret" not in data
    assert node.replica.sealers.at(3).open(parse_entry(data)) == {
        "records": {b"key": b"very secret"}
    }
    assert SECRET not in b"".join(node.ledger)


def test_the_first_node_is_its_configuration() -> None:
    node = started()
    assert node.replica.raft.status().configs == [(1, {node.id})]
    assert node.replica.begin().table(NODES_INFO).get(node.id) is not None


def test_a_transaction_too_large_for_an_entry_never_was() -> None:
    node = started()
    before = node.write("k", "v")
    tx = node.replica.begin()
    tx.table(RECORDS).put("k", "x" * WRITTEN_ENTRY_SIZE_MAX)
    with pytest.raises(EntrySizeError, match="change less at a time"):
        node.replica.commit(tx, None)
    assert node.replica.begin().table(RECORDS).get("k") == "v"
    assert node.write("l", "w") == TxId(before.view, before.seqno + 1)
    node.clock.ms += 20
    node.turn()
    seqnos = [parse_entry(entry).seqno for entry in entries_of(node)]
    assert seqnos == list(range(1, len(seqnos) + 1))
    assert node.replica.begin().table(RECORDS).get("l") == "w"
