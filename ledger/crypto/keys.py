"""ECDSA keys: how they are made, named, written as PEM, and what they sign.

Two kinds of signature are made with one key, and the two never mix:

* *digest signatures* (DER) over the 32 bytes of a Merkle root, taken as the already hashed
  message whatever the curve. They carry no domain separation, so whoever holds a node key
  must never sign 32 bytes that somebody else chose.
* *raw signatures* (``r || s``, fixed width) over a message, hashed with the hash of the
  curve. COSE uses them (RFC 9053, section 2.1).

A worked session::

    key = SigningKey.generate(Curve.P384)
    signature = key.sign_digest(root)
    key.public.verify_digest(signature, root)      # VerificationError if it is not true
"""

import functools
import hashlib
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from ledger.base.clock import Entropy
from ledger.base.errors import FormatError, MisuseError, VerificationError
from ledger.crypto.curves import Curve, curve_hash, curve_of, library_curve, twin_signature

__all__ = [
    "PEM_SIZE_MAX",
    "Curve",
    "PublicKey",
    "SigningKey",
    "curve_hash",
    "load_private_key",
    "pem_bytes",
    "private_pem",
    "twin_signature",
]

PEM_SIZE_MAX = 16 * 1024
"""Longest key PEM that is read; a P-521 private key takes 365 bytes, RSA-8192 about 6,500."""

_PREHASHED = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
_PREHASHED_DETERMINISTIC = ec.ECDSA(utils.Prehashed(hashes.SHA256()), deterministic_signing=True)


_RAW = {curve: ec.ECDSA(curve_hash(curve)) for curve in Curve}
_RAW_DETERMINISTIC = {
    curve: ec.ECDSA(curve_hash(curve), deterministic_signing=True) for curve in Curve
}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An ECDSA public key. Equal when the encoded keys are equal.

    Attributes:
        curve: The curve of the key.
        id: 64 lower-case hex characters, SHA-256 of ``der``: the node id of a node key and
            the key id (kid) of a service key.
        der: SubjectPublicKeyInfo, DER, with the point uncompressed.
        pem: The same as PEM text that ends in a newline.
        library_key: The key as the library's object; for modules of this package only.
    """

    curve: Curve
    id: str
    der: bytes = field(repr=False)
    pem: str = field(repr=False)
    library_key: ec.EllipticCurvePublicKey = field(repr=False, compare=False)

    @classmethod
    def wrap(cls, key: ec.EllipticCurvePublicKey) -> "PublicKey":
        """Wrap a key of the library; for modules of this package only.

        Raises:
            FormatError: the key's curve is not P-256, P-384 or P-521.
        """
        curve = curve_of(key.curve)
        layout = serialization.PublicFormat.SubjectPublicKeyInfo
        der = key.public_bytes(serialization.Encoding.DER, layout)
        pem = key.public_bytes(serialization.Encoding.PEM, layout).decode("ascii")
        return cls(curve, hashlib.sha256(der).hexdigest(), der, pem, key)

    @classmethod
    def from_der(cls, der: bytes) -> "PublicKey":
        """Read a SubjectPublicKeyInfo.

        Loaded keys are kept (the 256 used last), since verifiers meet the same few keys again.

        Raises:
            FormatError: the bytes are no public key of P-256, P-384 or P-521.
        """
        if len(der) > PEM_SIZE_MAX:
            raise FormatError(f"got a public key of {len(der)} bytes, want at most {PEM_SIZE_MAX}")
        return _load_public_der(bytes(der))

    @classmethod
    def from_pem(cls, pem: str | bytes) -> "PublicKey":
        """Read a ``PUBLIC KEY`` PEM.

        Raises:
            FormatError: the text is no public key of P-256, P-384 or P-521.
        """
        data = pem_bytes(pem)
        try:
            key = serialization.load_pem_public_key(data)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise FormatError("got text that is no PEM public key") from error
        return cls.wrap(_want_elliptic(key))

    def verify_digest(self, signature: bytes, digest: bytes) -> None:
        """Check a digest signature.

        Args:
            signature: ECDSA signature, DER.
            digest: The 32 bytes that were signed as an already hashed message.

        Raises:
            VerificationError: the signature is not this key's over this digest.
        """
        if len(digest) != 32:
            raise VerificationError(f"got a digest of {len(digest)} bytes, want 32")
        try:
            self.library_key.verify(signature, digest, _PREHASHED)
        except InvalidSignature:
            raise VerificationError(f"signature over a digest is not by key {self.id}") from None

    def verify_raw(self, signature: bytes, message: bytes) -> None:
        """Check a raw signature over a message that is hashed with the curve's hash.

        Args:
            signature: ``r || s``, big-endian, ``2 * curve.size`` bytes.
            message: What was signed, not hashed.

        Raises:
            VerificationError: the signature is not this key's over this message.
        """
        size = self.curve.size
        if len(signature) != 2 * size:
            raise VerificationError(
                f"got a signature of {len(signature)} bytes, want {2 * size} for {self.curve.value}"
            )
        first = int.from_bytes(signature[:size], "big")
        second = int.from_bytes(signature[size:], "big")
        try:
            self.library_key.verify(
                utils.encode_dss_signature(first, second), message, _RAW[self.curve]
            )
        except InvalidSignature:
            raise VerificationError(f"signature over a message is not by key {self.id}") from None


@dataclass(frozen=True, slots=True, eq=False)
class SigningKey:
    """An ECDSA private key. Never printed, never part of a message.

    Attributes:
        public: The public half.
        library_key: The key as the library's object; for modules of this package only.
        deterministic: Signatures are made as RFC 6979 says.
    """

    public: PublicKey
    library_key: ec.EllipticCurvePrivateKey = field(repr=False)
    deterministic: bool = False

    @classmethod
    def wrap(cls, key: ec.EllipticCurvePrivateKey, *, deterministic: bool = False) -> "SigningKey":
        """Wrap a key of the library; for modules of this package only.

        Raises:
            FormatError: the key's curve is not P-256, P-384 or P-521.
        """
        return cls(PublicKey.wrap(key.public_key()), key, deterministic)

    @property
    def curve(self) -> Curve:
        """The curve of the key."""
        return self.public.curve

    @classmethod
    def generate(
        cls, curve: Curve, entropy: Entropy | None = None, *, deterministic: bool = False
    ) -> "SigningKey":
        """Make a new key.

        Args:
            curve: The curve of the key.
            entropy: Where the scalar comes from. Without it the library's own generator is
                used. With it the scalar is drawn with 64 extra bits (FIPS 186-5, A.2.1), so
                the same entropy gives the same key.
            deterministic: Sign as RFC 6979 says, so that the same key and message give the
                same signature. For tests and simulation: a fault during signing then leaks more.
        """
        if entropy is None:
            key = ec.generate_private_key(library_curve(curve))
            return cls.wrap(key, deterministic=deterministic)
        drawn = int.from_bytes(entropy.random_bytes(curve.size + 8), "big")
        scalar = drawn % (curve.order - 1) + 1
        key = ec.derive_private_key(scalar, library_curve(curve))
        return cls.wrap(key, deterministic=deterministic)

    @classmethod
    def from_pem(cls, pem: str | bytes, *, deterministic: bool = False) -> "SigningKey":
        """Read an unencrypted private key PEM, PKCS#8 or ``EC PRIVATE KEY``.

        Raises:
            FormatError: the text is no such key. The message never quotes the text.
        """
        key = load_private_key(pem)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise FormatError(f"got a {type(key).__name__}, want an ECDSA private key")
        return cls.wrap(key, deterministic=deterministic)

    def to_pem(self) -> str:
        """Return the private key as unencrypted PKCS#8 PEM text, which ends in a newline."""
        return private_pem(self.library_key)

    def sign_digest(self, digest: bytes) -> bytes:
        """Return an ECDSA signature (DER) over 32 bytes taken as the already hashed message.

        Raises:
            MisuseError: ``digest`` does not have 32 bytes.
        """
        if len(digest) != 32:
            raise MisuseError(f"got a digest of {len(digest)} bytes, want 32")
        return self.library_key.sign(
            digest, _PREHASHED_DETERMINISTIC if self.deterministic else _PREHASHED
        )

    def sign_raw(self, message: bytes) -> bytes:
        """Return ``r || s`` (``2 * curve.size`` bytes) over a message.

        The message is hashed here: SHA-256 for P-256, SHA-384 for P-384, SHA-512 for P-521.
        """
        algorithm = (_RAW_DETERMINISTIC if self.deterministic else _RAW)[self.curve]
        first, second = utils.decode_dss_signature(self.library_key.sign(message, algorithm))
        size = self.curve.size
        return first.to_bytes(size, "big") + second.to_bytes(size, "big")


def load_private_key(pem: str | bytes) -> PrivateKeyTypes:
    """Read an unencrypted private key PEM of any kind; for modules of this package only.

    Raises:
        FormatError: the text is no such key. The message never quotes the text.
    """
    data = pem_bytes(pem)
    try:
        return serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise FormatError("got text that is no unencrypted PEM private key") from None


def private_pem(key: PrivateKeyTypes) -> str:
    """Return a private key as unencrypted PKCS#8 PEM text; for modules of this package only."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode("ascii")


def pem_bytes(pem: str | bytes) -> bytes:
    """Return bounded PEM text as bytes; for modules of this package only.

    Raises:
        FormatError: the text is too long or not ASCII.
    """
    if len(pem) > PEM_SIZE_MAX:
        raise FormatError(f"got a PEM of {len(pem)} characters, want at most {PEM_SIZE_MAX}")
    if isinstance(pem, bytes):
        return pem
    try:
        return pem.encode("ascii")
    except UnicodeEncodeError:
        raise FormatError("got a PEM with characters outside ASCII") from None


@functools.lru_cache(maxsize=256)
def _load_public_der(der: bytes) -> PublicKey:
    try:
        key = serialization.load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise FormatError(f"got {len(der)} bytes that are no DER public key") from error
    return PublicKey.wrap(_want_elliptic(key))


def _want_elliptic(key: object) -> ec.EllipticCurvePublicKey:
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise FormatError(f"got a {type(key).__name__}, want an ECDSA public key")
    return key
