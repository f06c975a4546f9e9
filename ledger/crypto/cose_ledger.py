"""The COSE signature over a Merkle root that a signature transaction carries.

The message is tagged, its payload (the 32 bytes of the root) is detached, its unprotected
header is empty, and its protected header holds, in this order:

* ``1``: the algorithm of the service key's curve;
* ``4``: key id, 64 ASCII hex characters, SHA-256 of the service's public key (SPKI DER);
* ``395``: kind of verifiable data structure, 2 = CCF's ledger;
* ``15``: CWT claims ``6`` (time of signing, seconds), ``1`` (issuer), ``2`` (subject);
* ``"ccf.v1"``: ``{"txid": "view.seqno"}`` of the signature transaction.

A COSE receipt is the same message with proofs in its unprotected header.
"""

from dataclasses import dataclass
from typing import TypeVar

from ledger.base.errors import FormatError, MisuseError, VerificationError
from ledger.base.ids import TxId, is_hex_id
from ledger.crypto import cbor, cose
from ledger.crypto.keys import PublicKey, SigningKey

VDS = 395
"""Header label: kind of verifiable data structure."""
VDS_CCF_LEDGER_SHA256 = 2
"""The kind that CCF's ledger is."""
CWT_ISS = 1
CWT_SUB = 2
CWT_IAT = 6
CCF_V1 = "ccf.v1"
"""Header label under which CCF keeps what is its own."""

MESSAGE_SIZE_MAX = 64 * 1024
"""Longest signature message that is read; a usual one takes 300 bytes, a receipt 2 kB."""


_T = TypeVar("_T", int, str)


@dataclass(frozen=True, slots=True)
class RootSignature:
    """What a signature over a root says about itself.

    Attributes:
        kid: Id of the service key, 64 lower-case hex characters.
        issued_at: When it was signed, seconds since 1970; 0 when it does not say.
        issuer: Name of the service, as configured; empty when it does not say.
        subject: Name of the ledger, as configured; empty when it does not say.
        tx_id: The signature transaction; None when it does not say (older CCF).
        message: The message itself.
    """

    kid: str
    issued_at: int
    issuer: str
    subject: str
    tx_id: TxId | None
    message: cose.Sign1

    @property
    def has_exact_header(self) -> bool:
        """The protected header is, to the byte, the one that ``sign_root`` writes."""
        algorithm = self.message.protected.get(cose.ALG)
        curve = next((curve for curve, alg in cose.ALGORITHMS.items() if alg == algorithm), None)
        if curve is None or self.tx_id is None:
            return False
        pairs = _header(self.kid, self.issued_at, self.issuer, self.subject, self.tx_id)
        return cose.encode_protected(curve, pairs) == self.message.protected_bytes


def sign_root(
    key: SigningKey, root: bytes, tx_id: TxId, *, issuer: str, subject: str, issued_at: int
) -> bytes:
    """Return the message over the root of the tree before a signature transaction.

    Args:
        key: The service key.
        root: The 32 bytes of the root.
        tx_id: The signature transaction itself.
        issuer: Configured name of the service.
        subject: Configured name of the ledger.
        issued_at: Now, in whole seconds since 1970.

    Raises:
        MisuseError: the root does not have 32 bytes.
    """
    if len(root) != 32:
        raise MisuseError(f"got a root of {len(root)} bytes, want 32")
    pairs = _header(key.public.id, issued_at, issuer, subject, tx_id)
    return cose.sign1(key, pairs, root, detached=True)


def parse_root_signature(data: bytes, *, size_max: int = MESSAGE_SIZE_MAX) -> RootSignature:
    """Read a message without checking its signature; the unprotected header may hold anything.

    Raises:
        FormatError: the bytes are no COSE_Sign1 message of this kind: a header is missing or
            of another type, or the payload is attached.
    """
    message = cose.parse_sign1(data, size_max=size_max)
    if message.payload is not None:
        raise FormatError("got a root signature with its payload, want it detached")
    vds = message.protected.get(VDS)
    if vds != VDS_CCF_LEDGER_SHA256:
        raise FormatError(f"got data structure {str(vds)[:40]}, want {VDS_CCF_LEDGER_SHA256}")
    claims = message.protected.get(cose.CWT_CLAIMS, {})
    if not isinstance(claims, dict):
        raise FormatError("got CWT claims that are no map")
    return RootSignature(
        kid=key_id_of(message),
        issued_at=_claim(claims, CWT_IAT, int, 0),
        issuer=_claim(claims, CWT_ISS, str, ""),
        subject=_claim(claims, CWT_SUB, str, ""),
        tx_id=_tx_id_of(message),
        message=message,
    )


def verify_root_signature(
    signature: RootSignature, key: PublicKey, root: bytes, tx_id: TxId | None = None
) -> None:
    """Check that a service key signed a root.

    Args:
        signature: What was parsed.
        key: The service key.
        root: The 32 bytes of the recomputed root.
        tx_id: The signature transaction that it has to name; not looked at when None.

    Raises:
        VerificationError: the key id is another key's, the transaction is another one, or the
            signature is not the key's over this root.
    """
    if signature.kid != key.id:
        raise VerificationError(f"got a root signature by key {signature.kid}, want {key.id}")
    if tx_id is not None and signature.tx_id != tx_id:
        raise VerificationError(f"got a root signature of {signature.tx_id}, want {tx_id}")
    cose.verify(signature.message, key, root)


def key_id_of(message: cose.Sign1) -> str:
    """Return the key id (kid) of a message, when it has the form that CCF gives it.

    Raises:
        FormatError: it is missing, or no bstr of 64 lower-case ASCII hex characters.
    """
    kid = message.protected.get(cose.KID)
    if not isinstance(kid, bytes):
        raise FormatError("got a COSE message without a key id (kid) of type bstr")
    text = kid[:65].decode("latin-1")
    if not is_hex_id(text):
        raise FormatError(f"got key id {kid[:65]!r}, want 64 lower-case hex characters")
    return text


def _header(
    kid: str, issued_at: int, issuer: str, subject: str, tx_id: TxId
) -> list[tuple[cbor.Key, cbor.Encodable]]:
    return [
        (cose.KID, kid.encode("ascii")),
        (VDS, VDS_CCF_LEDGER_SHA256),
        (cose.CWT_CLAIMS, {CWT_IAT: issued_at, CWT_ISS: issuer, CWT_SUB: subject}),
        (CCF_V1, {"txid": str(tx_id)}),
    ]


def _claim(claims: cose.Header, label: int, kind: type[_T], default: _T) -> _T:
    value = claims.get(label, default)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise FormatError(f"got CWT claim {label} of type {type(value).__name__}")
    return value


def _tx_id_of(message: cose.Sign1) -> TxId | None:
    own = message.protected.get(CCF_V1)
    if own is None:
        return None
    text = own.get("txid") if isinstance(own, dict) else None
    if not isinstance(text, str):
        raise FormatError(f"got header {CCF_V1} without a txid of type tstr")
    return TxId.parse(text)
