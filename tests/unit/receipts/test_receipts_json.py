"""JSON receipts: shape, verification, one refusal per way of being untrue."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from ledger.base.errors import FormatError, VerificationError
from ledger.base.ids import TxId
from ledger.codec import canonical
from ledger.crypto.certs import (
    certificate_request,
    endorse,
    endorse_previous_service,
    renew,
)
from ledger.crypto.keys import Curve, SigningKey
from ledger.receipts.build import Leaf, signature_receipt, transaction_receipt
from ledger.receipts.receipt import parse_receipt
from ledger.receipts.verify import verify
from tests.reference import merkle
from tests.unit.receipts.receipt_world import World

WORLD = World()
SEQNO = 5


def _receipt() -> dict[str, Any]:
    receipt = transaction_receipt(WORLD.leaf(SEQNO), WORLD.path(SEQNO), WORLD.signed)
    value: dict[str, Any] = json.loads(receipt.to_json())
    return value


def _verify(value: dict[str, Any], **wanted: Any) -> None:  # noqa: ANN401
    verify(json.dumps(value), WORLD.service, **wanted)


def test_shape() -> None:
    value = _receipt()
    assert set(value) == {"cert", "leaf_components", "node_id", "proof", "signature"}
    assert value["leaf_components"] == {
        "write_set_digest": WORLD.leaf(SEQNO).write_set_digest.hex(),
        "commit_evidence": WORLD.leaf(SEQNO).commit_evidence,
        "claims_digest": WORLD.leaf(SEQNO).claims_digest.hex(),  # type: ignore[union-attr]
    }
    assert value["node_id"] == WORLD.node_key.public.id
    assert all(len(step) == 1 and set(step) <= {"left", "right"} for step in value["proof"])
    assert value["cert"] == WORLD.node.pem


@pytest.mark.parametrize("curve", [Curve.P256, Curve.P384])
def test_every_transaction_verifies(curve: Curve) -> None:
    world = World(curve)
    for seqno in range(1, 10):
        leaf = world.leaf(seqno)
        receipt = transaction_receipt(leaf, world.path(seqno), world.signed)
        for form in (receipt, receipt.to_json(), receipt.to_json().decode()):
            verified = verify(
                form, world.service, tx_id=TxId(2, seqno), claims_digest=leaf.claims_digest
            )
            assert verified.root == world.root
            assert verified.node_id == world.node_key.public.id
            assert verified.signature_tx_id is None
            (proved,) = verified.transactions
            assert proved.tx_id == TxId(2, seqno)
            assert proved.claims_digest == leaf.claims_digest
            assert proved.leaf == leaf.digest


def test_signature_transaction() -> None:
    receipt = signature_receipt(WORLD.signed)
    value = json.loads(receipt.to_json())
    assert value["leaf"] == WORLD.root.hex()
    assert value["proof"] == []
    assert "leaf_components" not in value
    (proved,) = verify(receipt, WORLD.service).transactions
    assert (proved.tx_id, proved.claims_digest, proved.leaf) == (None, None, WORLD.root)
    with pytest.raises(VerificationError):
        verify(receipt, WORLD.service, tx_id=WORLD.signature_tx)
    with pytest.raises(VerificationError):
        verify(receipt, WORLD.service, claims_digest=bytes(32))


def test_wanted_transaction_and_claims() -> None:
    value = _receipt()
    _verify(value, tx_id=TxId(2, SEQNO), claims_digest=WORLD.leaf(SEQNO).claims_digest)
    with pytest.raises(VerificationError, match=r"want 2\.6"):
        _verify(value, tx_id=TxId(2, 6))
    with pytest.raises(VerificationError, match="claims digest"):
        _verify(value, claims_digest=bytes(32))


def test_claims_that_the_application_keeps_back() -> None:
    value = _receipt()
    claims = value["leaf_components"].pop("claims_digest")
    _verify(value, claims_digest=bytes.fromhex(claims))
    with pytest.raises(VerificationError):
        _verify(value)
    with pytest.raises(VerificationError):
        _verify(value, claims_digest=bytes(32))


def test_entries_from_before_there_were_claims() -> None:
    old = Leaf(WORLD.leaf(3).write_set_digest, WORLD.leaf(3).commit_evidence, None)
    oldest = Leaf(WORLD.leaf(3).write_set_digest, None, None)
    for leaf, tx_id in [(old, TxId(2, 3)), (oldest, None)]:
        world = World()
        world.tree[3] = leaf.digest
        root = merkle.root_of(world.tree)
        signed = replace(world.signed, root=root, signature=world.node_key.sign_digest(root))
        receipt = transaction_receipt(leaf, world.path(3), signed)
        assert (receipt.leaf is None) == (leaf is old)
        assert (receipt.leaf_components is None) == (leaf is oldest)
        (proved,) = verify(receipt, world.service).transactions
        assert proved.tx_id == tx_id
        assert proved.claims_digest is None


def test_recovered_service() -> None:
    _, service, link = WORLD.recovered()
    receipt = transaction_receipt(WORLD.leaf(1), WORLD.path(1), WORLD.signed, [link])
    assert json.loads(receipt.to_json())["service_endorsements"] == [link.pem]
    verify(receipt, service)
    # Without the link, with another one, or against the old service the chain does not close.
    bare = transaction_receipt(WORLD.leaf(1), WORLD.path(1), WORLD.signed)
    _, _, other = WORLD.recovered()
    with pytest.raises(VerificationError):
        verify(bare, service)
    with pytest.raises(VerificationError):
        verify(transaction_receipt(WORLD.leaf(1), WORLD.path(1), WORLD.signed, [other]), service)
    with pytest.raises(VerificationError):
        verify(receipt, WORLD.service)


def test_every_link_of_the_chain_is_checked() -> None:
    """A link that the service endorsed, but that did not endorse the node."""
    new_key, service, _ = WORLD.recovered()
    stranger = World().service
    link = endorse_previous_service(stranger, new_key, service, WORLD.now, 30)
    link.verify_endorsed_by(service)
    receipt = transaction_receipt(WORLD.leaf(1), WORLD.path(1), WORLD.signed, [link])
    with pytest.raises(VerificationError, match="not signed by key"):
        verify(receipt, service)


def test_renewed_service_certificate_verifies_too() -> None:
    renewed = renew(WORLD.service, WORLD.service_key, None, WORLD.now + 100, 30)
    verify(json.dumps(_receipt()), renewed)


def test_a_node_cannot_endorse_another_node() -> None:
    """A node's key signs roots; a certificate that it signs must lead nowhere."""
    stranger = SigningKey.generate(Curve.P256)
    request = certificate_request(stranger, "CN=CCF Node", ["iPAddress:127.0.0.1"])
    forged = endorse(request, WORLD.node_key, WORLD.node, WORLD.now, 1)
    value = _receipt()
    value["cert"] = forged.pem
    value["node_id"] = stranger.public.id
    value["signature"] = canonical.b64encode(stranger.sign_digest(WORLD.root))
    value["service_endorsements"] = [WORLD.node.pem]
    with pytest.raises(VerificationError, match="CA"):
        _verify(value)


def test_a_certificate_signature_is_no_root_signature() -> None:
    """The service key signs certificates; its signature on one is not one over a root."""
    library = WORLD.node.library_certificate
    receipt = {
        "cert": WORLD.service.pem,
        "node_id": WORLD.service_key.public.id,
        "leaf": hashlib.sha256(library.tbs_certificate_bytes).hexdigest(),
        "proof": [],
        "signature": canonical.b64encode(library.signature),
    }
    with pytest.raises(VerificationError, match="CA"):
        verify(json.dumps(receipt), WORLD.service)


def _flipped(text: str) -> str:
    return ("1" if text[0] == "0" else "0") + text[1:]


def _change_evidence(value: dict[str, Any]) -> None:
    evidence = value["leaf_components"]["commit_evidence"]
    value["leaf_components"]["commit_evidence"] = evidence.replace("2.5", "2.6")


CHANGES: dict[str, Any] = {
    "write set": lambda value: value["leaf_components"].update(
        write_set_digest=_flipped(value["leaf_components"]["write_set_digest"])
    ),
    "claims": lambda value: value["leaf_components"].update(
        claims_digest=_flipped(value["leaf_components"]["claims_digest"])
    ),
    "evidence": _change_evidence,
    "proof hash": lambda value: value["proof"].__setitem__(
        0, {side: _flipped(text) for side, text in value["proof"][0].items()}
    ),
    "proof side": lambda value: value["proof"].__setitem__(
        0,
        {("right" if side == "left" else "left"): text for side, text in value["proof"][0].items()},
    ),
    "proof shorter": lambda value: value["proof"].pop(),
    "proof longer": lambda value: value["proof"].append({"left": "00" * 32}),
    "proof order": lambda value: value["proof"].reverse(),
    "signature": lambda value: value.update(
        signature=canonical.b64encode(SigningKey.generate(Curve.P256).sign_digest(WORLD.root))
    ),
    "node id": lambda value: value.update(node_id="00" * 32),
    "certificate": lambda value: value.update(cert=World().node.pem),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_is_noticed(name: str) -> None:
    value = _receipt()
    CHANGES[name](value)
    with pytest.raises(VerificationError):
        _verify(value)


BROKEN: dict[str, Any] = {
    "no certificate": lambda value: value.update(cert="-"),
    "hex": lambda value: value["leaf_components"].update(write_set_digest="xy"),
    "short hex": lambda value: value["leaf_components"].update(claims_digest="00"),
    "evidence": lambda value: value["leaf_components"].update(commit_evidence="ce:"),
    "claims without evidence": lambda value: value["leaf_components"].pop("commit_evidence"),
    "no write set": lambda value: value["leaf_components"].pop("write_set_digest"),
    "both leaves": lambda value: value.update(leaf="00" * 32),
    "no leaf": lambda value: value.pop("leaf_components"),
    "two sides": lambda value: value["proof"].append({"left": "00" * 32, "right": "00" * 32}),
    "no side": lambda value: value["proof"].append({}),
    "step of another type": lambda value: value["proof"].append([True, "00" * 32]),
    "proof too long": lambda value: value.update(proof=[{"left": "00" * 32}] * 65),
    "base64": lambda value: value.update(signature="*"),
    "node id missing": lambda value: value.pop("node_id"),
    "endorsement": lambda value: value.update(service_endorsements=["-"]),
    "endorsements": lambda value: value.update(service_endorsements=["-"] * 1001),
}


@pytest.mark.parametrize("name", BROKEN)
def test_malformed_receipts(name: str) -> None:
    value = _receipt()
    BROKEN[name](value)
    with pytest.raises(FormatError):
        _verify(value)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"null", b"\xff", "[" * 100_000, b"x" * (2 << 20)]
)
def test_no_receipt(data: bytes | str) -> None:
    with pytest.raises(FormatError):
        parse_receipt(data)
    with pytest.raises(FormatError):
        verify(data, WORLD.service)


def test_bounds() -> None:
    value = _receipt()
    value["proof"] = [{"left": "00" * 32}] * 64
    value["service_endorsements"] = [""] * 1000
    text = json.dumps(value)
    parse_receipt(text.ljust(1 << 20))
    with pytest.raises(FormatError, match="at most 1048576"):
        parse_receipt(text.ljust((1 << 20) + 1))
    with pytest.raises(FormatError, match="more than 1000"):
        parse_receipt(json.dumps(value | {"service_endorsements": [""] * 1001}))


def test_unknown_fields_are_ignored_and_newer_ones_are_kept() -> None:
    value = _receipt() | {"is_signature_transaction": False, "later": 1}
    _verify(value)
    assert parse_receipt(json.dumps(value)).is_signature_transaction is False
