"""The COSE receipt: a root signature with Merkle proofs in its unprotected header.

The protected header, the detached payload and the signature are those of the signature
transaction, byte for byte. The unprotected header is ``{396: {-1: [proof, …]}}`` and a proof is
a byte string that holds the CBOR map::

    {1: [write_set_digest, commit_evidence, claims_digest], 2: [[left, hash], …]}

(draft-ietf-cose-merkle-tree-proofs with the profile of draft-birkholz-cose-receipts-ccf-profile.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ledger.base.errors import FormatError
from ledger.crypto import cbor, cose
from ledger.crypto.cose_ledger import RootSignature, parse_root_signature
from ledger.receipts.receipt import PROOF_STEPS_MAX, RECEIPT_SIZE_MAX

VDP: Final = 396
"""Header label: verifiable data proofs."""
INCLUSION: Final = -1
"""Key of the inclusion proofs among them."""
PROOFS_MAX: Final = 64
"""Most proofs that are read of one receipt; a node writes one."""

_LEAF = 1
_PATH = 2


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """One transaction and its path to the root.

    Attributes:
        write_set_digest: 32 bytes.
        commit_evidence: ``ce:view.seqno:…``.
        claims_digest: 32 bytes.
        path: From leaf to root, as ``merkle.path.fold`` takes it.
    """

    write_set_digest: bytes
    commit_evidence: str
    claims_digest: bytes
    path: tuple[tuple[bool, bytes], ...]

    def encode(self) -> bytes:
        """Return the proof as the CBOR that a receipt holds."""
        leaf: cbor.Encodable = [self.write_set_digest, self.commit_evidence, self.claims_digest]
        path: cbor.Encodable = [[left, digest] for left, digest in self.path]
        return cbor.encode({_LEAF: leaf, _PATH: path})


@dataclass(frozen=True, slots=True)
class CoseReceipt:
    """A parsed receipt; ``verify`` says whether it is true.

    Attributes:
        signature: The root signature that covers the proofs.
        proofs: At least one.
    """

    signature: RootSignature
    proofs: tuple[InclusionProof, ...]


def encode_receipt(signature_message: bytes, proofs: Sequence[InclusionProof]) -> bytes:
    """Return a COSE receipt.

    Args:
        signature_message: The COSE message of the covering signature transaction.
        proofs: At least one, each with a path to the root that the message signs.

    Raises:
        FormatError: the message is no COSE_Sign1.
    """
    assert proofs, "a receipt proves something"
    message = cose.parse_sign1(signature_message)
    encoded: dict[cbor.Key, cbor.Encodable] = {INCLUSION: [proof.encode() for proof in proofs]}
    unprotected: dict[cbor.Key, cbor.Encodable] = {VDP: encoded}
    return cose.assemble(message.protected_bytes, None, message.signature, unprotected=unprotected)


def parse_cose_receipt(data: bytes) -> CoseReceipt:
    """Read a COSE receipt without checking it.

    Raises:
        FormatError: the bytes are no COSE receipt of this profile.
    """
    signature = parse_root_signature(data, size_max=RECEIPT_SIZE_MAX)
    proofs = signature.message.unprotected.get(VDP)
    inclusion = proofs.get(INCLUSION) if isinstance(proofs, dict) else None
    if not isinstance(inclusion, list) or not 1 <= len(inclusion) <= PROOFS_MAX:
        raise FormatError(f"got a COSE receipt without 1 to {PROOFS_MAX} inclusion proofs")
    return CoseReceipt(signature, tuple(_parse_proof(proof) for proof in inclusion))


def _parse_proof(encoded: cbor.Value) -> InclusionProof:
    if not isinstance(encoded, bytes):
        raise FormatError("got an inclusion proof that is no bstr")
    proof = cbor.decode(encoded)
    leaf = proof.get(_LEAF) if isinstance(proof, dict) else None
    path = proof.get(_PATH) if isinstance(proof, dict) else None
    if not isinstance(leaf, list) or len(leaf) != 3 or not isinstance(leaf[1], str):
        raise FormatError("got an inclusion proof without a leaf of bstr, tstr and bstr")
    if not isinstance(path, list) or len(path) > PROOF_STEPS_MAX:
        raise FormatError(f"got an inclusion proof without a path of at most {PROOF_STEPS_MAX}")
    return InclusionProof(
        write_set_digest=_digest(leaf[0]),
        commit_evidence=leaf[1],
        claims_digest=_digest(leaf[2]),
        path=tuple(_parse_step(step) for step in path),
    )


def _parse_step(step: cbor.Value) -> tuple[bool, bytes]:
    if not isinstance(step, list) or len(step) != 2 or not isinstance(step[0], bool):
        raise FormatError("got a proof step that is no pair of bool and bstr")
    return step[0], _digest(step[1])


def _digest(value: cbor.Value) -> bytes:
    if not isinstance(value, bytes) or len(value) != 32:
        raise FormatError("got a hash that is no bstr of 32 bytes")
    return value
