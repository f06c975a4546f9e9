"""Signatures on their way: several at once, their order, what is held behind them."""

from itertools import pairwise

from ledger.base.ids import TxId
from ledger.codec.entry import FLAG_CHUNK_AFTER, parse_entry
from ledger.codec.writeset import decode
from ledger.crypto.sealing import leaf_of
from ledger.merkle.tree import MerkleTree
from ledger.replica.cadence import SigningSettings
from ledger.replica.replica import BRAKE_MS
from ledger.replica.settings import ReplicaSettings
from ledger.replica.signing import OUTSTANDING_MAX
from ledger.tables.internal import SIGNATURES
from tests.unit.replica.harness import TestNode, entries_of, started

CHUNK_SIZE = 4000
TX_COUNT = 3
WRITES = 40


def _is_signature(entry: bytes) -> bool:
    return SIGNATURES.name in decode(parse_entry(entry).public_maps)


def _written_in_one_turn() -> TestNode:
    """A node whose signer has made none of the signatures over its writes."""
    node = started(ReplicaSettings(SigningSettings(tx_count=TX_COUNT), chunk_size=CHUNK_SIZE))
    for number in range(WRITES):
        seqno = 3 + number + number // TX_COUNT
        assert node.write(f"k{number}", "v" * 300) == TxId(2, seqno)
    node.turn(sign=False)
    return node


def test_no_two_signatures_are_further_apart_than_the_transaction_count() -> None:
    node = _written_in_one_turn()
    while node.signing:
        assert len(node.signing) == 1, "a signature covers the one before it"
        node.finish_signature()
        node.turn(sign=False)
    node.settle()
    entries = entries_of(node)
    assert [parse_entry(entry).seqno for entry in entries] == list(range(1, len(entries) + 1))
    signed = [parse_entry(entry).seqno for entry in entries if _is_signature(entry)]
    assert [after - before for before, after in pairwise(signed)] == [TX_COUNT + 1] * 13 + [2]
    tree = MerkleTree()
    for entry in entries:
        if _is_signature(entry):
            info = SIGNATURES.value.decode(
                decode(parse_entry(entry).public_maps)[SIGNATURES.name][bytes(8)] or b""
            )
            assert info.root == tree.root().hex()
        tree.append(leaf_of(entry))
    assert tree.root() == node.replica.tree.root()


def test_a_chunk_counts_what_is_in_front_of_its_last_signature() -> None:
    node = _written_in_one_turn()
    while node.signing:
        node.finish_signature()
        node.turn(sign=False)
    node.settle()
    size, ends = 0, 0
    for entry in entries_of(node):
        ends_here = _is_signature(entry) and size >= CHUNK_SIZE
        assert parse_entry(entry).flags == (FLAG_CHUNK_AFTER if ends_here else 0)
        ends += ends_here
        size = 0 if ends_here else size + len(entry)
    assert ends > 2


def test_the_distance_grows_once_too_many_are_on_their_way() -> None:
    node = started(ReplicaSettings(SigningSettings(tx_count=1)))
    for number in range(1, OUTSTANDING_MAX + 50):
        node.write(f"k{number}", "v")
        assert node.replica.store.version == 2 + number + min(number, OUTSTANDING_MAX)
        assert node.replica.brake_ms == (BRAKE_MS if 2 * number >= OUTSTANDING_MAX else 0)
    node.turn(sign=False)
    while node.signing:
        node.finish_signature()
        node.turn(sign=False)
    node.settle()
    signed = [parse_entry(entry).seqno for entry in entries_of(node) if _is_signature(entry)]
    gaps = [after - before for before, after in pairwise(signed)]
    assert gaps == [2] * OUTSTANDING_MAX + [50]


def test_who_waits_for_a_root_asks_again_after_each_signature() -> None:
    node = _written_in_one_turn()
    last = node.replica.store.version
    waited: list[None] = []
    signatures = 0
    while not node.replica.has_root(last):
        node.replica.when_signed(waited.append)
        node.finish_signature()
        signatures += 1
        assert len(waited) == signatures
        node.turn(sign=False)
    assert signatures == WRITES // TX_COUNT
    assert node.replica.tree.root(last) == node.replica.tree.root()


def test_a_roll_back_forgets_all_signatures_on_their_way() -> None:
    node = _written_in_one_turn()
    waited: list[None] = []
    node.replica.when_signed(waited.append)
    node.replica.roll_back(2)
    assert waited == [None]
    assert node.replica.outstanding_signature is None
    assert not node.replica.brake_ms
    node.finish_signature()
    assert node.replica.store.version == 2, "a signature that comes too late is dropped"
