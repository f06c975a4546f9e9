"""Small parts of the replica: chunk ends, signature index, sealers, waiters."""

from functools import partial

import pytest

from ledger.base.ids import TxId
from ledger.codec.entry import FLAG_CHUNK_BEFORE
from ledger.codec.tables import SINGLETON_KEY
from ledger.replica.chunking import Chunking
from ledger.replica.sealers import Sealers
from ledger.replica.signatures import SignatureIndex
from ledger.replica.waiters import CommitWaiters
from ledger.secrets.chain import SecretChain
from ledger.secrets.ledger_secret import LedgerSecret
from ledger.tables.internal import ENCRYPTED_LEDGER_SECRETS


def test_a_chunk_ends_at_the_first_signature_after_its_size() -> None:
    chunking = Chunking(100)
    chunking.size += 99
    assert not chunking.ends_at(5)
    chunking.signed(5, 1, ends_chunk=False)
    assert chunking.ends_at(6)
    chunking.signed(6, 50, ends_chunk=True)
    assert not chunking.ends_at(7)


def test_a_requested_end_is_asked_for_again_when_it_is_rolled_back() -> None:
    chunking = Chunking(1000)
    chunking.request_end()
    assert chunking.ends_at(5)
    chunking.signed(5, 10, ends_chunk=True)
    assert not chunking.ends_at(6)
    chunking.rollback(4)
    assert chunking.ends_at(5)


def test_a_request_waits_for_a_signature_behind_its_transaction() -> None:
    chunking = Chunking(1000)
    chunking.request_end(6)
    assert not chunking.ends_at(5), "that signature was on its way before"
    chunking.signed(5, 10, ends_chunk=False)
    chunking.request_end(8)
    assert chunking.ends_at(7)
    chunking.signed(7, 10, ends_chunk=True)
    assert chunking.ends_at(9), "a second one asked behind the signature"
    chunking.signed(9, 10, ends_chunk=True)
    assert not chunking.ends_at(11)


def test_a_request_is_undone_with_its_transaction() -> None:
    chunking = Chunking(1000)
    chunking.request_end(6)
    chunking.rollback(5)
    assert not chunking.ends_at(7)
    chunking.request_end(6)
    chunking.signed(7, 10, ends_chunk=True)
    chunking.rollback(5)
    assert not chunking.ends_at(7), "who asked is undone too"
    chunking.request_end(6)
    chunking.signed(7, 10, ends_chunk=True)
    chunking.rollback(6)
    assert chunking.ends_at(7), "the end alone is undone"


def test_a_committed_end_is_never_asked_for_again() -> None:
    chunking = Chunking(1000)
    chunking.signed(5, 10, ends_chunk=True)
    chunking.committed(5)
    chunking.rollback(5)
    assert not chunking.ends_at(6)


def test_the_flag_before_goes_on_the_next_entry() -> None:
    chunking = Chunking(1)
    assert chunking.flags == 0
    chunking.begin_before_next()
    assert chunking.flags == FLAG_CHUNK_BEFORE


def test_signature_index_finds_what_covers_a_transaction() -> None:
    index = SignatureIndex()
    assert index.last == 0
    assert index.covering(1) is None
    for seqno in (2, 7, 9):
        index.add(seqno)
    cases = {1: 2, 2: 7, 3: 7, 7: 9, 8: 9, 9: None}
    assert {seqno: index.covering(seqno) for seqno in cases} == cases
    assert [seqno for seqno in range(11) if index.is_signature(seqno)] == [2, 7, 9]
    assert index.any_in(3, 7)
    assert not index.any_in(3, 6)
    index.rollback(7)
    assert index.last == 7
    with pytest.raises(AssertionError):
        index.add(7)


def test_sealers_follow_rekeys_and_roll_backs() -> None:
    def open_broadcast(value: bytes, seqno: int) -> list[LedgerSecret]:
        return [LedgerSecret(value, seqno + 1)]

    sealers = Sealers(SecretChain([LedgerSecret(bytes(32), 1)]), open_broadcast)
    first = sealers.latest
    sealers.applied(9, {"records": {b"k": b"v"}})
    assert sealers.latest is first
    rekey: dict[str, dict[bytes, bytes | None]] = {
        ENCRYPTED_LEDGER_SECRETS.name: {SINGLETON_KEY: bytes([1]) * 32}
    }
    sealers.applied(10, rekey)
    second = sealers.latest
    assert sealers.at(10) is first, "the rekey itself is under the old secret"
    assert sealers.at(11) is second
    sealers.rollback(10)
    assert sealers.latest is second, "a rekey at 10 is still there at 10"
    sealers.rollback(9)
    assert sealers.latest is first


def test_waiters_are_told_once_and_in_order() -> None:
    waiters = CommitWaiters()
    told: list[tuple[str, str]] = []

    def tell(name: str, status: str) -> None:
        told.append((name, status))

    for name, tx_id in {"b": TxId(2, 7), "a": TxId(2, 5), "c": TxId(3, 7), "d": TxId(3, 9)}.items():
        waiters.add(tx_id, partial(tell, name))
    waiters.release(7, lambda seqno: 2 if seqno < 6 else 3)
    assert told == [("a", "Committed"), ("b", "Invalid"), ("c", "Committed")]
    waiters.release(8, lambda _: 3)
    assert len(waiters) == 1
