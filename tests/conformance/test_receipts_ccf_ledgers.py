"""Receipts out of CCF's own data, and of every transaction in CCF's ledgers."""

import base64
import json
from hashlib import sha256

import pytest

from ledger.base.errors import VerificationError
from ledger.base.ids import TxId
from ledger.codec import canonical
from ledger.codec.entry import Entry, parse_entry
from ledger.codec.tables import SINGLETON_KEY
from ledger.crypto import cose
from ledger.crypto.certs import Certificate
from ledger.receipts.build import Leaf, SignedRoot, cose_receipt, transaction_receipt
from ledger.receipts.cose import encode_receipt, parse_cose_receipt
from ledger.receipts.receipt import parse_receipt
from ledger.receipts.verify import verify
from tests.conformance.ccf_package import LEDGERS, NAMES, entries_of, needs_data, vectors_of
from tests.reference import merkle

SIGNATURES = "public:ccf.internal.signatures"
COSE_SIGNATURES = "public:ccf.internal.cose_signatures"
SERVICE_INFO = "public:ccf.gov.service.info"

pytestmark = needs_data


def test_receipt_of_a_snapshot() -> None:
    data = (LEDGERS / "expired_service/snapshots/snapshot_61_62.committed").read_bytes()
    entry = parse_entry(data, 0)
    text = data[entry.size :]
    assert parse_receipt(text).to_json() == text
    service = Certificate.parse((LEDGERS / "expired_service/certs/service_cert.pem").read_text())
    verify(text, service, tx_id=TxId(4, 62), claims_digest=sha256(data[: entry.size]).digest())
    other = Certificate.parse((LEDGERS / f"{NAMES[0]}/certs/service_cert.pem").read_text())
    with pytest.raises(VerificationError):
        verify(text, other)


def test_receipt_of_a_production_service() -> None:
    """A signed statement that carries its receipt; the claims are the statement without it."""
    statement = cose.parse_sign1((LEDGERS / "azure_scitt_receipt/uvm_0.2.10.cose").read_bytes())
    receipts = statement.unprotected[394]
    assert isinstance(receipts, list)
    (receipt,) = receipts
    assert isinstance(receipt, bytes)
    bare = cose.assemble(statement.protected_bytes, statement.payload, statement.signature)
    claims = sha256(bare).digest()
    trusted = json.loads((LEDGERS / "azure_scitt_receipt/esrp-cts-db.json").read_text())
    services = [
        Certificate.parse(base64.b64decode(each["serviceCertificate"]))
        for each in trusted["parameters"]
    ]
    parsed = parse_cose_receipt(receipt)
    (service,) = {
        each.public_key: each for each in services if each.public_key.id == parsed.signature.kid
    }.values()
    verified = verify(receipt, service, claims_digest=claims)
    assert verified.signature_tx_id == TxId(458, 12441)
    assert verified.transactions[0].tx_id == TxId(458, 12440)
    with pytest.raises(VerificationError, match="claims"):
        verify(receipt, service, claims_digest=sha256(b"another statement").digest())
    for other in services:
        if other.public_key != service.public_key:
            with pytest.raises(VerificationError):
                verify(receipt, other)
    assert encode_receipt(receipt, parsed.proofs) == receipt


@pytest.mark.parametrize("name", NAMES)
def test_receipts_of_every_transaction(name: str) -> None:
    """Made of the entry, the known evidence and the next signature transaction."""
    rows = vectors_of(name)["transactions"]
    evidence = [row["commit_evidence"] for row in rows]
    leaves = [bytes(32), *(bytes.fromhex(row["leaf"]) for row in rows)]
    waiting: list[Entry] = []
    service: Certificate | None = None
    proved = 0
    for entry, changes in entries_of(name):
        if SERVICE_INFO in changes:
            info = json.loads(changes[SERVICE_INFO][SINGLETON_KEY] or b"")
            service = Certificate.parse(info["cert"])
        if SIGNATURES in changes:
            assert service is not None
            signed = _signed_root(changes)
            for older in waiting:
                _check_receipts(
                    older, evidence[older.seqno - 1], leaves[: entry.seqno], signed, service
                )
                proved += 1
            waiting = []
        waiting.append(entry)
    assert proved == len(rows) - len(waiting)
    assert proved >= len(rows) - 2


def _signed_root(changes: dict[str, dict[bytes, bytes | None]]) -> SignedRoot:
    value = json.loads(changes[SIGNATURES][SINGLETON_KEY] or b"")
    message = changes.get(COSE_SIGNATURES, {}).get(SINGLETON_KEY)
    return SignedRoot(
        root=bytes.fromhex(value["root"]),
        node_id=value["node"],
        certificate=value["cert"],
        signature=canonical.b64decode(value["sig"]),
        cose=None if message is None else canonical.b64decode(json.loads(message)),
    )


def _check_receipts(
    entry: Entry, evidence: str, leaves: list[bytes], signed: SignedRoot, service: Certificate
) -> None:
    leaf = Leaf(sha256(entry.data).digest(), evidence, entry.claims_digest)
    assert leaf.digest == leaves[entry.seqno]
    path = merkle.path_of(leaves, entry.seqno)
    tx_id = TxId(entry.view, entry.seqno)
    verified = verify(transaction_receipt(leaf, path, signed).to_json(), service, tx_id=tx_id)
    assert verified.root == signed.root
    data = cose_receipt(leaf, path, signed)
    assert (data is None) == (signed.cose is None or leaf.claims_digest is None)
    if data is not None:
        again = verify(data, service, tx_id=tx_id, claims_digest=leaf.claims_digest)
        assert again.root == signed.root
