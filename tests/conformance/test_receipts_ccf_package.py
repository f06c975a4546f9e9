"""Our receipts and certificates before the public ``ccf`` package, good and bad ones."""

import base64
import datetime
import json
from typing import Any

import pytest

from ledger.crypto.keys import Curve
from ledger.receipts.build import cose_receipt, transaction_receipt
from tests.conformance.ccf_package import CcfPackage
from tests.unit.receipts.receipt_world import World

# Prints, for each receipt, "" when every check of the package passes, or what failed.
JSON_SCRIPT = """
import json, sys
from hashlib import sha256
from cryptography.x509 import load_pem_x509_certificate as load
import ccf.receipt

def check(receipt, service, dated):
    parts = receipt["leaf_components"]
    leaf = sha256(
        bytes.fromhex(parts["write_set_digest"])
        + sha256(parts["commit_evidence"].encode()).digest()
        + bytes.fromhex(parts["claims_digest"])
    ).hexdigest()
    node = load(receipt["cert"].encode())
    service = load(service.encode())
    between = [load(pem.encode()) for pem in receipt.get("service_endorsements", [])]
    root = ccf.receipt.root(leaf, receipt["proof"])
    ccf.receipt.verify(root, receipt["signature"], node)
    ccf.receipt.check_endorsements(node, service, between)
    if dated:
        ccf.receipt.check_cert_chain(node, service, between)

results = []
for receipt, service in json.load(sys.stdin):
    try:
        check(receipt, service, True)
        results.append("")
    except Exception as error:
        results.append(type(error).__name__ + ": " + str(error))
json.dump(results, sys.stdout)
"""

COSE_SCRIPT = """
import base64, json, sys
from cryptography.x509 import load_pem_x509_certificate as load
try:
    from ccf.receipt import verify_cose as verify
except ImportError:
    from ccf.cose import verify_receipt as verify

results = []
for receipt, service, claims in json.load(sys.stdin):
    try:
        key = load(service.encode()).public_key()
        verify(base64.b64decode(receipt), key, bytes.fromhex(claims))
        results.append("")
    except Exception as error:
        results.append(type(error).__name__ + ": " + str(error))
json.dump(results, sys.stdout)
"""


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
    assert ccf.run(JSON_SCRIPT, good) == [""] * 10


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
    assert all(ccf.run(JSON_SCRIPT, bad))


def test_cose_receipts(world: World, ccf: CcfPackage) -> None:
    good = []
    for seqno in range(1, 10):
        leaf = world.leaf(seqno)
        data = cose_receipt(leaf, world.path(seqno), world.signed)
        assert data is not None
        assert leaf.claims_digest is not None
        good.append((_text(data), world.service.pem, leaf.claims_digest.hex()))
    assert ccf.run(COSE_SCRIPT, good) == [""] * 9
    receipt, pem, claims = good[0]
    damaged = bytearray(base64.b64decode(receipt))
    damaged[-1] ^= 1
    bad = [
        (receipt, World(world.node_key.curve).service.pem, claims),
        (receipt, pem, "00" * 32),
        (_text(bytes(damaged)), pem, claims),
    ]
    assert all(ccf.run(COSE_SCRIPT, bad))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
