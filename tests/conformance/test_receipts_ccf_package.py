"""Our receipts and certificates before the public ``ccf`` package, good and bad ones."""

import base64
import datetime
import json
from typing import Any

import pytest

from ledger.crypto.keys import Curve
from ledger.receipts.build import cose_receipt, transaction_receipt
from tests.conformance.ccf_package import CcfPackage
from tests.conformance.receipt_scripts import COSE_RECEIPTS, JSON_RECEIPTS
from tests.unit.receipts.receipt_world import World


@pytest.fixture(scope="module", params=[Curve.P256, Curve.P384], ids=lambda curve: curve.value)
def world(request: pytest.FixtureRequest) -> World:
    # The package checks dates against the clock of the machine.
    clock = datetime.datetime.now(datetime.UTC)  # noqa: TID251
    return World(request.param, now=int(clock.timestamp()) - 100)


def _json(world: World, seqno: int, **endorsed: Any) -> dict[str, Any]:  # noqa: ANN401
    receipt = transaction_receipt(
        world.leaf(seqno), world.path(seqno), world.signed, endorsed.get("by", ())
    )
    value: dict[str, Any] = json.loads(receipt.to_json())
    return value


def test_json_receipts(world: World, ccf: CcfPackage) -> None:
    good = [(_json(world, seqno), world.service.pem) for seqno in range(1, 10)]
    _, service, link = world.recovered()
    good.append((_json(world, 3, by=[link]), service.pem))
    assert ccf.run(JSON_RECEIPTS, good) == [""] * 10


def test_untrue_json_receipts(world: World, ccf: CcfPackage) -> None:
    changed = _json(world, 1)
    changed["leaf_components"]["claims_digest"] = "00" * 31 + "01"
    moved = _json(world, 2)
    moved["proof"] = moved["proof"][:-1]
    _, service, _ = world.recovered()
    bad = [
        (changed, world.service.pem),
        (moved, world.service.pem),
        (_json(world, 3), service.pem),
        (_json(world, 3), World(world.node_key.curve).service.pem),
    ]
    assert all(ccf.run(JSON_RECEIPTS, bad))


def test_cose_receipts(world: World, ccf: CcfPackage) -> None:
    good = []
    for seqno in range(1, 10):
        leaf = world.leaf(seqno)
        data = cose_receipt(leaf, world.path(seqno), world.signed)
        assert data is not None
        assert leaf.claims_digest is not None
        good.append((_text(data), world.service.pem, leaf.claims_digest.hex()))
    assert ccf.run(COSE_RECEIPTS, good) == [""] * 9
    receipt, pem, claims = good[0]
    damaged = bytearray(base64.b64decode(receipt))
    damaged[-1] ^= 1
    bad = [
        (receipt, World(world.node_key.curve).service.pem, claims),
        (receipt, pem, "00" * 32),
        (_text(bytes(damaged)), pem, claims),
    ]
    assert all(ccf.run(COSE_RECEIPTS, bad))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
