"""Building receipts on a node, of the parts that entry, tree and signature transaction give."""

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.codec import canonical
from ledger.crypto.certs import Certificate
from ledger.receipts.claims import leaf_digest
from ledger.receipts.cose import InclusionProof, encode_receipt
from ledger.receipts.receipt import LeafComponents, ProofStep, Receipt


@dataclass(frozen=True, slots=True)
class SignedRoot:
    """What a committed signature transaction says.

    Attributes:
        root: The signed root, 32 bytes: of the tree over everything before it.
        node_id: The signing node.
        certificate: PEM of the signing node's certificate.
        signature: The node's signature over the root, DER.
        cose: The COSE message by the service key; None in ledgers without them.
    """

    root: bytes
    node_id: str
    certificate: str
    signature: bytes
    cose: bytes | None = None


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a committed transaction's leaf is made of.

    Attributes:
        write_set_digest: SHA-256 of the entry, 32 bytes.
        commit_evidence: The evidence text; None for an entry from before there was any.
        claims_digest: 32 bytes; None for an entry from before there was any.
    """

    write_set_digest: bytes
    commit_evidence: str | None
    claims_digest: bytes | None

    @property
    def digest(self) -> bytes:
        """The leaf itself, 32 bytes."""
        return leaf_digest(self.write_set_digest, self.commit_evidence, self.claims_digest)


def transaction_receipt(
    leaf: Leaf,
    path: Sequence[tuple[bool, bytes]],
    signed: SignedRoot,
    endorsements: Sequence[Certificate] = (),
) -> Receipt:
    """Return the JSON receipt of a transaction.

    Args:
        leaf: The transaction.
        path: Its proof in the tree before the signature transaction, from leaf to root.
        signed: The first signature transaction after it whose tree still has the leaf.
        endorsements: Certificates that link the signer's service identity to today's, nearest
            to the signer first; empty when they are the same.
    """
    components = leaf_whole = None
    if leaf.commit_evidence is None and leaf.claims_digest is None:
        leaf_whole = leaf.write_set_digest.hex()
    else:
        components = LeafComponents(
            write_set_digest=leaf.write_set_digest.hex(),
            commit_evidence=leaf.commit_evidence,
            claims_digest=None if leaf.claims_digest is None else leaf.claims_digest.hex(),
        )
    steps = [
        ProofStep(left=digest.hex()) if left else ProofStep(right=digest.hex())
        for left, digest in path
    ]
    return _receipt(signed, endorsements, steps, leaf_whole, components)


def signature_receipt(signed: SignedRoot, endorsements: Sequence[Certificate] = ()) -> Receipt:
    """Return the JSON receipt of a signature transaction: the root that it signed, no proof."""
    return _receipt(signed, endorsements, [], signed.root.hex(), None)


def cose_receipt(
    leaf: Leaf, path: Sequence[tuple[bool, bytes]], signed: SignedRoot
) -> bytes | None:
    """Return the COSE receipt of a transaction; arguments as for the JSON one.

    Returns:
        The encoded receipt; None when there cannot be one: the signature transaction has no
        COSE part, or the entry is from before there were evidence and claims.
    """
    if signed.cose is None or leaf.commit_evidence is None or leaf.claims_digest is None:
        return None
    proof = InclusionProof(
        leaf.write_set_digest, leaf.commit_evidence, leaf.claims_digest, tuple(path)
    )
    return encode_receipt(signed.cose, [proof])


def _receipt(
    signed: SignedRoot,
    endorsements: Sequence[Certificate],
    steps: list[ProofStep],
    leaf: str | None,
    components: LeafComponents | None,
) -> Receipt:
    return Receipt(
        cert=signed.certificate,
        node_id=signed.node_id,
        proof=steps,
        signature=canonical.b64encode(signed.signature),
        leaf=leaf,
        leaf_components=components,
        service_endorsements=[each.pem for each in endorsements] or None,
    )
