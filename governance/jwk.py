"""JSON Web Keys (RFC 7517) that verify tokens: RSA, EC, or a certificate chain.

A key is kept as SubjectPublicKeyInfo (DER). The few lines of DER here only carry numbers in and a
certificate's key out; whether they make a key is for the key classes to say.
"""

import base64
import binascii
import re

from ledger.base.errors import FormatError, LedgerError
from ledger.crypto.certificate import Certificate
from ledger.crypto.keys import Curve, PublicKey
from ledger.crypto.rsa import RsaPublicKey

KID_SIZE_MAX = 1024
NUMBER_SIZE_MAX = 4096
"""Longest number, in characters of base64url: far beyond a modulus of 16,384 bits."""
CERTIFICATE_SIZE_MAX = 65536
"""Longest certificate of a chain, in characters of base64."""
_BASE64URL = re.compile(r"[A-Za-z0-9_\-]*={0,2}")
_OID_RSA = bytes.fromhex("06092a864886f70d010101")
_OID_EC = bytes.fromhex("06072a8648ce3d0201")
_EXPLICIT_VERSION = 0xA0
_CURVES = {
    "P-256": (Curve.P256, bytes.fromhex("06082a8648ce3d030107")),
    "P-384": (Curve.P384, bytes.fromhex("06052b81040022")),
    "P-521": (Curve.P521, bytes.fromhex("06052b81040023")),
}


class JwkError(LedgerError):
    """The value is no key that can verify tokens."""


def public_key_of_jwk(jwk: object) -> tuple[str, bytes]:
    """Return key ID and public key (SPKI DER) of one entry of a key set.

    Args:
        jwk: Object with ``kid`` and one of: ``x5c`` (the first certificate counts), ``kty`` RSA
            with ``n`` and ``e``, ``kty`` EC with ``crv``, ``x`` and ``y``.

    Raises:
        JwkError: another shape, or numbers that make no key.
    """
    if not isinstance(jwk, dict):
        raise JwkError("got a key that is no object")
    kid = jwk.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= KID_SIZE_MAX:
        raise JwkError("got a key without kid, want a text that names it")
    try:
        if "x5c" in jwk:
            return kid, _key_of_chain(jwk["x5c"])
        kty = jwk.get("kty")
        if kty == "RSA":
            return kid, _rsa(jwk)
        if kty == "EC":
            return kid, _elliptic(jwk)
    except FormatError as error:
        raise JwkError(f"key {kid!r}: {error}") from error
    raise JwkError(f"key {kid!r} has kty {str(kty)[:40]!r} and no x5c, want RSA, EC or x5c")


def _key_of_chain(chain: object) -> bytes:
    if not isinstance(chain, list) or not chain or not isinstance(chain[0], str):
        raise FormatError("x5c is no list of certificates in base64")
    if len(chain[0]) > CERTIFICATE_SIZE_MAX:
        raise FormatError(f"x5c begins with more than {CERTIFICATE_SIZE_MAX} characters")
    try:
        der = base64.b64decode(chain[0], validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError("x5c is no base64") from error
    return _checked(_subject_key(Certificate.parse(der).der))


def _checked(der: bytes) -> bytes:
    """Return a public key that is one of those that verify tokens."""
    try:
        return PublicKey.from_der(der).der
    except FormatError:
        RsaPublicKey.from_pem(public_key_pem(der))
        return der


def public_key_pem(der: bytes) -> str:
    """Return a public key (SPKI DER) as PEM text."""
    encoded = base64.b64encode(der).decode("ascii")
    lines = [encoded[begin : begin + 64] for begin in range(0, len(encoded), 64)]
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])


def _subject_key(certificate: bytes) -> bytes:
    """Return the key of a certificate that parses (RFC 5280, section 4.1)."""
    begin, _ = _content(certificate, 0)
    at, _ = _content(certificate, begin)
    fields_before = 6 if certificate[at] == _EXPLICIT_VERSION else 5
    for _ in range(fields_before):
        _, at = _content(certificate, at)
    _, end = _content(certificate, at)
    return certificate[at:end]


def _content(data: bytes, at: int) -> tuple[int, int]:
    """Return begin and end of the content of the DER value at an offset."""
    size, begin = data[at + 1], at + 2
    if size & 0x80:
        count = size & 0x7F
        size, begin = int.from_bytes(data[begin : begin + count], "big"), begin + count
    return begin, begin + size


def _rsa(jwk: dict[str, object]) -> bytes:
    modulus, exponent = _number(jwk, "n"), _number(jwk, "e")
    key = _sequence(_integer(modulus) + _integer(exponent))
    der = _sequence(_sequence(_OID_RSA + b"\x05\x00") + _bits(key))
    RsaPublicKey.from_pem(public_key_pem(der))
    return der


def _elliptic(jwk: dict[str, object]) -> bytes:
    name = jwk.get("crv")
    if not isinstance(name, str) or name not in _CURVES:
        raise FormatError(f"crv is {str(name)[:40]!r}, want {', '.join(_CURVES)}")
    curve, oid = _CURVES[name]
    x, y = _number(jwk, "x"), _number(jwk, "y")
    if max(x, y).bit_length() > 8 * curve.size:
        raise FormatError(f"x or y is too large for {name}")
    point = b"\x04" + x.to_bytes(curve.size, "big") + y.to_bytes(curve.size, "big")
    der = _sequence(_sequence(_OID_EC + oid) + _bits(point))
    return PublicKey.from_der(der).der


def _number(jwk: dict[str, object], name: str) -> int:
    text = jwk.get(name)
    if not isinstance(text, str) or not text or len(text) > NUMBER_SIZE_MAX:
        raise FormatError(f"{name} is no number of 1 to {NUMBER_SIZE_MAX} characters")
    if _BASE64URL.fullmatch(text) is None:
        raise FormatError(f"{name} is no number in base64url")
    bare = text.rstrip("=")
    try:
        data = base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except (binascii.Error, ValueError) as error:
        raise FormatError(f"{name} is no number in base64url") from error
    return int.from_bytes(data, "big")


def _tagged(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _sequence(content: bytes) -> bytes:
    return _tagged(0x30, content)


def _bits(content: bytes) -> bytes:
    return _tagged(0x03, b"\x00" + content)


def _integer(value: int) -> bytes:
    return _tagged(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))
