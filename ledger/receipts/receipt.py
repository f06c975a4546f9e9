"""The JSON receipt: what it says, as a value and as text.

Example::

    {"cert": "-----BEGIN CERTIFICATE-----…",
     "leaf_components": {"claims_digest": "00…", "commit_evidence": "ce:2.7:…",
                         "write_set_digest": "5a21…"},
     "node_id": "…", "proof": [{"left": "…"}, {"right": "…"}], "signature": "MGYC…",
     "service_endorsements": ["-----BEGIN CERTIFICATE-----…"]}

A signature transaction has ``leaf`` (the root it signed) and an empty proof instead of
``leaf_components``. Hashes are hexadecimal, the signature is base64 of DER.
"""

from typing import Final

import msgspec

from ledger.base.errors import FormatError
from ledger.codec import canonical

RECEIPT_SIZE_MAX: Final = 1 << 20
"""Longest receipt that is read; a usual one takes 3 kB."""

PROOF_STEPS_MAX: Final = 64
"""Longest proof: a tree with a leaf for every seqno is 64 levels high."""

ENDORSEMENTS_MAX: Final = 1000
"""Most earlier service identities between a signer and today's: one per disaster recovery."""


class LeafComponents(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the leaf is the hash of.

    Attributes:
        write_set_digest: SHA-256 of the entry, hex.
        commit_evidence: ``ce:view.seqno:…``; None for an entry from before there was any.
        claims_digest: Hex; None when the application keeps it from the receipt (whoever
            verifies must know the claims) or the entry is from before there was any.
    """

    write_set_digest: str
    commit_evidence: str | None = None
    claims_digest: str | None = None


class ProofStep(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step from leaf to root: the sibling's hash, hex, and on which side it stands.

    Invariant: exactly one of the two is set.
    """

    left: str | None = None
    right: str | None = None


class Receipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A JSON receipt.

    Attributes:
        cert: PEM of the signing node's certificate.
        node_id: The signing node, 64 hex characters.
        proof: From leaf to root.
        signature: Base64 of the node's DER signature over the root.
        leaf: The leaf itself, hex, instead of its components.
        leaf_components: What the leaf is the hash of.
        service_endorsements: PEM certificates from the one that verifies ``cert`` towards the
            current service; None when the current service itself does.
        is_signature_transaction: Written by newer versions of CCF; not looked at.
    """

    cert: str
    node_id: str
    proof: list[ProofStep]
    signature: str
    leaf: str | None = None
    leaf_components: LeafComponents | None = None
    service_endorsements: list[str] | None = None
    is_signature_transaction: bool | None = None

    def to_json(self) -> bytes:
        """Return the receipt as canonical JSON bytes, as they end a snapshot file."""
        return canonical.dumps(self)


_decoder = msgspec.json.Decoder(Receipt)


def parse_receipt(data: bytes | str) -> Receipt:
    """Read a JSON receipt; fields that are not known are ignored.

    Raises:
        FormatError: the text is no receipt.
    """
    if len(data) > RECEIPT_SIZE_MAX:
        raise FormatError(f"got a receipt of {len(data)} bytes, want at most {RECEIPT_SIZE_MAX}")
    try:
        receipt = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise FormatError(f"got no JSON receipt: {error}") from error
    if (receipt.leaf is None) == (receipt.leaf_components is None):
        raise FormatError("got a receipt with both or none of leaf and leaf_components")
    components = receipt.leaf_components
    if components is not None and components.commit_evidence is None and components.claims_digest:
        # Entries like that (type 2) exist in the oldest ledgers. Their leaf is a hash of two
        # digests, as an inner node of the tree is, so one could be passed off as the other.
        raise FormatError("got a claims digest without commit evidence")
    if len(receipt.proof) > PROOF_STEPS_MAX:
        raise FormatError(f"got a proof of {len(receipt.proof)} steps, want at most 64")
    if len(receipt.service_endorsements or ()) > ENDORSEMENTS_MAX:
        raise FormatError(f"got more than {ENDORSEMENTS_MAX} service endorsements")
    if any((step.left is None) == (step.right is None) for step in receipt.proof):
        raise FormatError("got a proof step with both or none of left and right")
    return receipt


def path_of(receipt: Receipt) -> list[tuple[bool, bytes]]:
    """Return the proof as ``merkle.path.fold`` takes it.

    Raises:
        FormatError: a hash is not 64 hex characters.
    """
    path = []
    for step in receipt.proof:
        text = step.left if step.left is not None else step.right
        assert text is not None, "parsing left one side in every step"
        path.append((step.left is not None, canonical.from_hex(text, 32)))
    return path
