"""The curves of ECDSA keys, and what depends on the curve alone."""

import enum

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from ledger.base.errors import FormatError


class Curve(enum.Enum):
    """A NIST prime curve. The value is its common name."""

    P256 = "P-256"
    P384 = "P-384"
    P521 = "P-521"

    @property
    def size(self) -> int:
        """Bytes of one coordinate or scalar: 32, 48 or 66. A raw signature has twice as many."""
        return _SIZES[self]

    @property
    def order(self) -> int:
        """Number of points of the curve's group, the modulus of ``r`` and ``s``."""
        return _ORDERS[self]


_SIZES = {Curve.P256: 32, Curve.P384: 48, Curve.P521: 66}
# Group orders: NIST SP 800-186, section 3.2.1.
_ORDERS = {
    Curve.P256: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    Curve.P384: int(
        "ffffffffffffffffffffffffffffffffffffffffffffffff"
        "c7634d81f4372ddf581a0db248b0a77aecec196accc52973",
        16,
    ),
    Curve.P521: int(
        "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
        "fa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
        16,
    ),
}
_LIBRARY_CURVES: dict[Curve, ec.EllipticCurve] = {
    Curve.P256: ec.SECP256R1(),
    Curve.P384: ec.SECP384R1(),
    Curve.P521: ec.SECP521R1(),
}
_BY_LIBRARY_NAME = {curve.name: ours for ours, curve in _LIBRARY_CURVES.items()}
# RFC 9053, table 1, pairs each hash with the curve of the same strength.
_HASHES: dict[Curve, hashes.SHA256 | hashes.SHA384 | hashes.SHA512] = {
    Curve.P256: hashes.SHA256(),
    Curve.P384: hashes.SHA384(),
    Curve.P521: hashes.SHA512(),
}


def curve_hash(curve: Curve) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512:
    """Return the hash that goes with a curve; for modules of this package only."""
    return _HASHES[curve]


def library_curve(curve: Curve) -> ec.EllipticCurve:
    """Return the library's object for a curve; for modules of this package only."""
    return _LIBRARY_CURVES[curve]


def curve_of(curve: ec.EllipticCurve) -> Curve:
    """Return the curve of a library's object; for modules of this package only.

    Raises:
        FormatError: it is none of ours.
    """
    ours = _BY_LIBRARY_NAME.get(curve.name)
    if ours is None:
        raise FormatError(f"got a key of curve {curve.name}, want P-256, P-384 or P-521")
    return ours


def twin_signature(signature: bytes, curve: Curve) -> bytes:
    """Return the other signature that verifies whenever this one does: ``r || n - s``.

    Anyone can compute it, so whoever must recognise a message that was seen before has to look
    for both.

    Args:
        signature: ``r || s``, ``2 * curve.size`` bytes.
        curve: The curve of the signing key.

    Raises:
        FormatError: the signature has another size, or ``s`` is not in ``[1, n - 1]``.
    """
    size = curve.size
    if len(signature) != 2 * size:
        raise FormatError(f"got a signature of {len(signature)} bytes, want {2 * size}")
    second = int.from_bytes(signature[size:], "big")
    if not 0 < second < curve.order:
        raise FormatError("got a signature whose s is not below the order of the curve")
    return signature[:size] + (curve.order - second).to_bytes(size, "big")


def raw_signature(data: bytes, curve: Curve) -> bytes | None:
    """Return an ECDSA signature as ``r || s``, None when it is none.

    Args:
        data: ``r || s`` already, ``2 * curve.size`` bytes, or DER.
        curve: Curve of the key that signed.
    """
    if len(data) == 2 * curve.size:
        return data
    try:
        first, second = utils.decode_dss_signature(data)
        return first.to_bytes(curve.size, "big") + second.to_bytes(curve.size, "big")
    except (ValueError, OverflowError):
        return None
