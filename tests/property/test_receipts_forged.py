"""A receipt proves its own leaf and no other, for any size of ledger."""

import os
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.base.errors import LedgerError
from ledger.base.ids import TxId
from ledger.receipts.build import cose_receipt, transaction_receipt
from ledger.receipts.verify import verify
from tests.unit.receipts.receipt_world import World

EXAMPLES = int(os.environ.get("QUORATE_EXAMPLES", "60"))
WORLDS = {count: World(count=count) for count in (1, 2, 3, 7, 8, 9, 31)}


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.sampled_from(sorted(WORLDS)), st.data())
def test_only_the_own_leaf(count: int, data: st.DataObject) -> None:
    world = WORLDS[count]
    seqno = data.draw(st.integers(1, count))
    other = data.draw(st.integers(1, count))
    leaf, path = world.leaf(seqno), world.path(other)
    receipts = [
        transaction_receipt(leaf, path, world.signed).to_json(),
        cose_receipt(leaf, path, world.signed),
    ]
    for receipt in receipts:
        assert receipt is not None
        if seqno == other:
            proved = verify(receipt, world.service, tx_id=TxId(2, seqno)).transactions[0]
            assert proved.claims_digest == leaf.claims_digest
        else:
            with pytest.raises(LedgerError):
                verify(receipt, world.service)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.sampled_from(sorted(WORLDS)), st.data(), st.binary(min_size=32, max_size=32))
def test_no_other_claims(count: int, data: st.DataObject, claims: bytes) -> None:
    world = WORLDS[count]
    seqno = data.draw(st.integers(1, count))
    receipt = transaction_receipt(world.leaf(seqno), world.path(seqno), world.signed)
    with pytest.raises(LedgerError):
        verify(receipt, world.service, claims_digest=sha256(claims).digest())
