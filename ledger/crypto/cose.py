"""COSE_Sign1 (RFC 9052, section 4.2) with ECDSA: one signature over one payload.

A message is the CBOR array ``[protected, unprotected, payload, signature]`` behind tag 18:
``protected`` is a byte string that holds an encoded map, ``payload`` is bytes or nil when it
travels elsewhere (detached), ``signature`` is ``r || s``. What is signed is the CBOR array
``["Signature1", protected, h'', payload]``, so the protected bytes are kept as they came.

The algorithm is bound to the key: ES256 (-7) with P-256, ES384 (-35) with P-384, ES512 (-36)
with P-521, and nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ledger.base.errors import FormatError, MisuseError, VerificationError
from ledger.crypto import cbor
from ledger.crypto.keys import Curve, PublicKey, SigningKey

ALG = 1
"""Header label of the algorithm."""
CRIT = 2
"""Header label of the list of headers that a reader must understand."""
KID = 4
"""Header label of the key id."""
CWT_CLAIMS = 15
"""Header label of CWT claims (RFC 9597)."""
TAG_SIGN1 = 18
"""Tag of a COSE_Sign1 message."""

MESSAGE_SIZE_MAX = 16 << 20
"""Longest message that is read when the caller names no bound of its own."""

ALGORITHMS: dict[Curve, int] = {Curve.P256: -7, Curve.P384: -35, Curve.P521: -36}
"""The algorithm of each curve: ES256, ES384, ES512 (RFC 9053, table 1)."""

Header = dict[cbor.Key, cbor.Value]


@dataclass(frozen=True, slots=True)
class Sign1:
    """A parsed message. Parsing says nothing about whether the signature is right.

    Attributes:
        protected_bytes: The protected header as it came, which is what was signed.
        protected: The same, decoded.
        unprotected: The unprotected header; anyone may have changed it.
        payload: The payload, None when it is detached.
        signature: ``r || s``, as sent.
    """

    protected_bytes: bytes = field(repr=False)
    protected: Header
    unprotected: Header
    payload: bytes | None = field(repr=False)
    signature: bytes = field(repr=False)


def sign1(
    key: SigningKey,
    protected: Sequence[tuple[cbor.Key, cbor.Encodable]],
    payload: bytes,
    *,
    detached: bool = False,
    unprotected: Mapping[cbor.Key, cbor.Encodable] | None = None,
) -> bytes:
    """Return a signed, tagged message.

    Args:
        key: Who signs; its curve decides the algorithm.
        protected: Labels and values in the order in which they are written. The algorithm is
            put before them when it is missing.
        payload: What is signed.
        detached: Leave the payload out of the message.
        unprotected: The unprotected header; empty without it.

    Raises:
        MisuseError: the protected header names another algorithm, or a label twice.
    """
    encoded = encode_protected(key.curve, protected)
    signature = key.sign_raw(signature_input(encoded, payload))
    return assemble(encoded, None if detached else payload, signature, unprotected=unprotected)


def encode_protected(curve: Curve, protected: Sequence[tuple[cbor.Key, cbor.Encodable]]) -> bytes:
    """Return a protected header for a key of a curve; arguments and errors as for ``sign1``."""
    algorithm = ALGORITHMS[curve]
    pairs = dict(protected)
    if len(pairs) != len(protected):
        raise MisuseError(f"got {len(protected) - len(pairs)} repeated labels, want none")
    if pairs.get(ALG, algorithm) != algorithm:
        raise MisuseError(f"got algorithm {pairs[ALG]!r}, want {algorithm} for {curve.value}")
    if ALG not in pairs:
        pairs = {ALG: algorithm, **pairs}
    return cbor.encode(pairs)


def signature_input(protected_bytes: bytes, payload: bytes) -> bytes:
    """Return the bytes that are signed: ``["Signature1", protected, h'', payload]``."""
    return cbor.encode(["Signature1", protected_bytes, b"", payload])


def assemble(
    protected_bytes: bytes,
    payload: bytes | None,
    signature: bytes,
    *,
    unprotected: Mapping[cbor.Key, cbor.Encodable] | None = None,
) -> bytes:
    """Return the tagged message of its four parts."""
    # The tag is its own byte, so the parts need no intermediate object.
    parts: list[cbor.Encodable] = [protected_bytes, dict(unprotected or {}), payload, signature]
    return bytes((0xC0 | TAG_SIGN1,)) + cbor.encode(parts)


def parse_sign1(
    data: bytes, *, size_max: int = MESSAGE_SIZE_MAX, tag_required: bool = True
) -> Sign1:
    """Read a message without checking its signature.

    Args:
        data: The whole message and nothing after it.
        size_max: Most bytes that are looked at.
        tag_required: Refuse a message without tag 18.

    Raises:
        FormatError: the bytes are no COSE_Sign1 message, or a label occurs twice.
    """
    value = cbor.decode(data, tags=True, size_max=size_max)
    if isinstance(value, cbor.Tagged) and value.number == TAG_SIGN1:
        value = value.value
    elif tag_required or isinstance(value, cbor.Tagged):
        raise FormatError("got CBOR without tag 18, want a tagged COSE_Sign1 message")
    if not isinstance(value, list) or len(value) != 4:
        raise FormatError("got CBOR that is no array of 4 parts, want a COSE_Sign1 message")
    protected_bytes, unprotected, payload, signature = value
    if not isinstance(protected_bytes, bytes) or not isinstance(signature, bytes):
        raise FormatError("got a COSE_Sign1 message whose protected header or signature is no bstr")
    if not isinstance(unprotected, dict):
        raise FormatError("got a COSE_Sign1 message whose unprotected header is no map")
    if payload is not None and not isinstance(payload, bytes):
        raise FormatError("got a COSE_Sign1 message whose payload is neither bstr nor nil")
    protected = _decode_protected(protected_bytes)
    both = protected.keys() & unprotected.keys()
    if both:
        raise FormatError(f"got {len(both)} header labels in both headers, want each once")
    return Sign1(protected_bytes, protected, unprotected, payload, signature)


def verify(message: Sign1, key: PublicKey, payload: bytes | None = None) -> None:
    """Check the signature of a message.

    Args:
        message: What was parsed.
        key: Whose signature it has to be.
        payload: The payload when the message does not carry it.

    Raises:
        MisuseError: the payload is given twice or not at all.
        VerificationError: the algorithm does not fit the key, a header is marked critical
            (none is known here), or the signature is not the key's.
    """
    if (message.payload is None) == (payload is None):
        raise MisuseError("got a payload twice or never, want it attached or given")
    signed = payload if payload is not None else message.payload
    assert signed is not None, "one of the two was just seen to be there"
    algorithm = message.protected.get(ALG)
    if algorithm != ALGORITHMS[key.curve]:
        raise VerificationError(
            f"got algorithm {str(algorithm)[:40]}, want {ALGORITHMS[key.curve]} "
            f"for a key of {key.curve.value}"
        )
    if CRIT in message.protected:
        raise VerificationError("got headers marked as critical, and none of them is known")
    key.verify_raw(message.signature, signature_input(message.protected_bytes, signed))


def _decode_protected(encoded: bytes) -> Header:
    # RFC 9052, section 3: an empty map is written as an empty string; an encoded one is read.
    if not encoded:
        return {}
    value = cbor.decode(encoded, tags=True)
    if not isinstance(value, dict):
        raise FormatError("got a protected header that is no map")
    return value
