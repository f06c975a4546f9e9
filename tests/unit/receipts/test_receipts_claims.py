"""Leaves and commit evidence."""

from hashlib import sha256

import pytest

from ledger.base.errors import FormatError
from ledger.base.ids import TxId
from ledger.receipts.claims import NO_CLAIMS, claims_digest, leaf_digest, transaction_of


def test_known_leaf() -> None:
    leaf = leaf_digest(
        bytes.fromhex("5a21aa0c8fd87f7094cdcf4bea066a02a120e7f146e0083980a1d2c49c3b927f"),
        "ce:2.7:c1b206e9faa7aed319d14b40a6bb2817733f2a768ad010b181ffd7bb11064e90",
        claims_digest(b"claim"),
    )
    assert leaf.hex() == "61cbbc28e46c6b1236cd5125946c0668a37a04d9d395af5dc9bb9c59c9a7d648"


def test_leaves_of_older_entries() -> None:
    write_set, claims = sha256(b"w").digest(), sha256(b"c").digest()
    evidence = "ce:2.1:" + "0" * 64
    hashed = sha256(evidence.encode()).digest()
    assert leaf_digest(write_set, None, None) == write_set
    assert leaf_digest(write_set, evidence, None) == sha256(write_set + hashed).digest()
    assert leaf_digest(write_set, None, claims) == sha256(write_set + claims).digest()
    assert (
        leaf_digest(write_set, evidence, NO_CLAIMS)
        == sha256(write_set + hashed + bytes(32)).digest()
    )


def test_transaction_of_evidence() -> None:
    assert transaction_of("ce:2.17:" + "0f" * 32) == TxId(2, 17)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ce:2.17",
        "2.17:" + "0" * 64,
        "ce:2.17:" + "0" * 63,
        "ce:2.17:" + "0" * 65,
        "ce:2.17:" + "G" * 64,
        "ce:2.17:" + "A" * 64,
        "ce:2.17:" + "0" * 64 + "\n",
        "ce:2:" + "0" * 64,
        "ce:0.1:" + "0" * 64,
        "ce:2.-1:" + "0" * 64,
        "CE:2.17:" + "0" * 64,
    ],
)
def test_texts_that_are_no_evidence(text: str) -> None:
    with pytest.raises(FormatError):
        transaction_of(text)
