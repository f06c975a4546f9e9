"""Verifying a receipt offline, with nothing but today's service certificate.

    >>> verified = verify(data, Certificate.parse(service_pem), tx_id=TxId.parse("2.17"))
    >>> verified.transactions[0].claims_digest

What a verified receipt proves: a node that this service vouched for signed a Merkle root that
covers the transaction. What the caller still has to decide: whether it trusts that service
certificate, and whether the claims digest is the digest of what it was told.

Dates are not looked at: a receipt outlives the certificates of its signer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ledger.base.errors import FormatError, VerificationError
from ledger.base.ids import NodeId, TxId
from ledger.codec import canonical
from ledger.crypto.certs import Certificate
from ledger.crypto.cose_endorsement import parse_endorsement, verify_endorsement
from ledger.crypto.cose_ledger import verify_root_signature
from ledger.crypto.keys import PublicKey
from ledger.merkle.path import fold
from ledger.receipts.claims import leaf_digest, transaction_of
from ledger.receipts.cose import CoseReceipt, parse_cose_receipt
from ledger.receipts.receipt import ENDORSEMENTS_MAX, Receipt, parse_receipt, path_of


@dataclass(frozen=True, slots=True)
class ProvedTransaction:
    """One transaction that a receipt proves.

    Attributes:
        tx_id: Its id, by its commit evidence; None where there is no evidence (the receipt of
            a signature transaction, or of an entry of an old ledger).
        claims_digest: What its application claims, 32 bytes; None where the leaf has none.
        leaf: Its leaf in the Merkle tree, 32 bytes.
    """

    tx_id: TxId | None
    claims_digest: bytes | None
    leaf: bytes


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """What a receipt proves.

    Attributes:
        transactions: At least one; a node's receipts have exactly one.
        root: The signed Merkle root, 32 bytes.
        node_id: The node that signed it; None when the service key did (COSE).
        signature_tx_id: The signature transaction; None when the receipt does not say (JSON).
    """

    transactions: tuple[ProvedTransaction, ...]
    root: bytes
    node_id: NodeId | None
    signature_tx_id: TxId | None


def verify(
    receipt: bytes | str | Receipt,
    service: Certificate,
    *,
    tx_id: TxId | None = None,
    claims_digest: bytes | None = None,
    key_endorsements: Sequence[bytes] = (),
) -> VerifiedReceipt:
    """Verify a JSON or a COSE receipt.

    Args:
        receipt: The receipt as it was got. Bytes that begin with COSE's tag are a COSE receipt.
        service: Certificate of the service as it is today.
        tx_id: The transaction that the receipt has to be of; any when None.
        claims_digest: The claims that it has to carry, 32 bytes; any when None. When a JSON
            receipt leaves its claims digest out, this one completes the leaf.
        key_endorsements: For COSE receipts signed by an earlier service key: the COSE
            endorsements that lead to it from today's, newest first.

    Raises:
        FormatError: the data is no receipt.
        VerificationError: the receipt is not true, or not of this transaction or these claims.
    """
    if isinstance(receipt, bytes) and receipt[:1] in _COSE_STARTS:
        parsed = parse_cose_receipt(receipt)
        key = _key_of_signer(parsed, service.public_key, key_endorsements)
        verified = _verify_cose(parsed, key)
    else:
        value = receipt if isinstance(receipt, Receipt) else parse_receipt(receipt)
        verified = _verify_json(value, service, claims_digest)
    for proved in verified.transactions:
        _check_wanted(proved, tx_id, claims_digest)
    return verified


# Tag 18 in its shortest form (which all known writers use) and in the next longer one.
_COSE_STARTS = (b"\xd2", b"\xd8")


def _check_wanted(
    proved: ProvedTransaction, tx_id: TxId | None, claims_digest: bytes | None
) -> None:
    if tx_id is not None and proved.tx_id != tx_id:
        raise VerificationError(f"got a receipt of transaction {proved.tx_id}, want {tx_id}")
    if claims_digest is not None and proved.claims_digest != claims_digest:
        got = None if proved.claims_digest is None else proved.claims_digest.hex()
        raise VerificationError(f"got claims digest {got}, want {claims_digest.hex()}")


def _verify_json(
    receipt: Receipt, service: Certificate, claims_digest: bytes | None
) -> VerifiedReceipt:
    certificate = Certificate.parse(receipt.cert)
    proved = _proved_by(receipt, claims_digest)
    root = fold(proved.leaf, path_of(receipt))
    key = certificate.public_key
    key.verify_digest(canonical.b64decode(receipt.signature), root)
    if receipt.node_id != key.id:
        raise VerificationError(f"got node id {receipt.node_id[:70]}, want {key.id} of its key")
    if certificate.is_ca:
        # A service key signs certificates and COSE messages; were it taken for a node's, one of
        # those signatures could be passed off as one over a root.
        raise VerificationError("got a root signed with a CA's certificate, want a node's")
    endorsements = [Certificate.parse(pem) for pem in receipt.service_endorsements or ()]
    _verify_chain(certificate, endorsements, service)
    return VerifiedReceipt((proved,), root, NodeId(key.id), None)


def _proved_by(receipt: Receipt, claims_digest: bytes | None) -> ProvedTransaction:
    components = receipt.leaf_components
    if components is None:
        assert receipt.leaf is not None, "parsing left one of the two"
        return ProvedTransaction(None, None, canonical.from_hex(receipt.leaf, 32))
    claims = claims_digest
    if components.claims_digest is not None:
        claims = canonical.from_hex(components.claims_digest, 32)
    evidence = components.commit_evidence
    write_set_digest = canonical.from_hex(components.write_set_digest, 32)
    tx_id = None if evidence is None else transaction_of(evidence)
    return ProvedTransaction(tx_id, claims, leaf_digest(write_set_digest, evidence, claims))


def _verify_chain(
    certificate: Certificate, endorsements: Iterable[Certificate], service: Certificate
) -> None:
    """Check the signatures from a node's certificate over earlier services to the present one."""
    for endorsement in endorsements:
        if not endorsement.is_ca:
            raise VerificationError(f"got endorsement {endorsement.subject}, want one of a CA")
        certificate.verify_endorsed_by(endorsement)
        certificate = endorsement
    certificate.verify_endorsed_by(service)


def _verify_cose(receipt: CoseReceipt, key: PublicKey) -> VerifiedReceipt:
    transactions = []
    roots = set()
    for proof in receipt.proofs:
        leaf = leaf_digest(proof.write_set_digest, proof.commit_evidence, proof.claims_digest)
        tx_id = transaction_of(proof.commit_evidence)
        signed = receipt.signature.tx_id
        if signed is not None and tx_id.seqno >= signed.seqno:
            raise VerificationError(f"got transaction {tx_id}, want one before its root, {signed}")
        transactions.append(ProvedTransaction(tx_id, proof.claims_digest, leaf))
        roots.add(fold(leaf, proof.path))
    if len(roots) != 1:
        raise VerificationError(f"got proofs that lead to {len(roots)} roots, want one")
    (root,) = roots
    verify_root_signature(receipt.signature, key, root)
    return VerifiedReceipt(tuple(transactions), root, None, receipt.signature.tx_id)


def _key_of_signer(
    receipt: CoseReceipt, service: PublicKey, key_endorsements: Sequence[bytes]
) -> PublicKey:
    """Follow endorsements from today's service key to the one that signed the receipt."""
    if len(key_endorsements) > ENDORSEMENTS_MAX:
        raise FormatError(f"got more than {ENDORSEMENTS_MAX} key endorsements")
    key = service
    for data in key_endorsements:
        if key.id == receipt.signature.kid:
            break
        endorsement = parse_endorsement(data)
        verify_endorsement(endorsement, key)
        if endorsement.endorsed.id == receipt.signature.kid:
            _check_epoch(receipt, endorsement.begin, endorsement.end)
        key = endorsement.endorsed
    return key


def _check_epoch(receipt: CoseReceipt, begin: TxId, end: TxId | None) -> None:
    signed = receipt.signature.tx_id
    if signed is None or signed < begin or (end is not None and signed > end):
        raise VerificationError(
            f"got a root signed at {signed}, want one in the epoch of its key, {begin} to {end}"
        )
