"""Signatures of tokens (JWS, RFC 7515): RSA PKCS#1 v1.5 or ECDSA, both with SHA-256.

The key decides which of the two it is, as in CCF; what the token's header says is no input here.
An ECDSA signature is ``r || s`` (RFC 7518, section 3.4), on any of our curves.
"""

from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from ledger.base.errors import FormatError, VerificationError
from ledger.crypto.certificate import Certificate
from ledger.crypto.rsa import KEY_BITS_MAX, KEY_BITS_MIN

KEY_SIZE_MAX = 4096
"""Longest public key that is read, in bytes of DER; RSA with 16384 bits takes 2,100."""

_PKCS1 = padding.PKCS1v15()
_SHA256 = hashes.SHA256()
_ECDSA = ec.ECDSA(_SHA256)


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A public key that verifies tokens.

    Attributes:
        library_key: The library's object; for modules of this package only.
    """

    library_key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey = field(repr=False)

    @classmethod
    def from_der(cls, der: bytes) -> "TokenKey":
        """Read a SubjectPublicKeyInfo.

        Raises:
            FormatError: it is neither an RSA key of 2048 to 16384 bits nor an ECDSA key.
        """
        if len(der) > KEY_SIZE_MAX:
            raise FormatError(f"got a key of {len(der)} bytes, want at most {KEY_SIZE_MAX}")
        try:
            key = serialization.load_der_public_key(der)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise FormatError(f"got {len(der)} bytes that are no public key") from error
        return cls._of(key)

    @classmethod
    def from_certificate(cls, der: bytes) -> "TokenKey":
        """Take the key of a certificate, whose dates and issuer do not matter.

        Raises:
            FormatError: the certificate does not parse, or has another kind of key.
        """
        certificate = Certificate.parse(der)
        try:
            key = certificate.library_certificate.public_key()
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise FormatError("got a certificate whose public key does not parse") from error
        return cls._of(key)

    @classmethod
    def _of(cls, key: object) -> "TokenKey":
        if isinstance(key, rsa.RSAPublicKey):
            if not KEY_BITS_MIN <= key.key_size <= KEY_BITS_MAX:
                raise FormatError(
                    f"got an RSA key of {key.key_size} bits, want {KEY_BITS_MIN} to {KEY_BITS_MAX}"
                )
            return cls(key)
        if isinstance(key, ec.EllipticCurvePublicKey):
            return cls(key)
        raise FormatError(f"got a {type(key).__name__}, want an RSA or ECDSA key")

    def verify(self, signature: bytes, signed: bytes) -> None:
        """Check a signature.

        Args:
            signature: As the token has it, decoded.
            signed: What it covers: the token up to its second dot.

        Raises:
            VerificationError: it is not this key's.
        """
        key = self.library_key
        try:
            if isinstance(key, rsa.RSAPublicKey):
                key.verify(signature, signed, _PKCS1, _SHA256)
                return
            size = (key.key_size + 7) // 8
            if len(signature) != 2 * size:
                raise InvalidSignature
            r = int.from_bytes(signature[:size], "big")
            s = int.from_bytes(signature[size:], "big")
            key.verify(encode_dss_signature(r, s), signed, _ECDSA)
        except InvalidSignature:
            raise VerificationError("the signature is not the key's") from None
