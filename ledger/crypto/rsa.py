"""RSA-OAEP: secrets encrypted to one member or one node.

SHA-256 for the hash and for MGF1, no label. Padding and key generation draw from the library's
own generator: it takes no injected entropy, so two runs never give the same bytes.
"""

from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from ledger.base.errors import FormatError, MisuseError, VerificationError
from ledger.crypto.keys import load_private_key, pem_bytes, private_pem

KEY_BITS = 2048
"""Size of the keys that are generated, as CCF's."""
KEY_BITS_MIN = 2048
"""Smallest key that secrets are encrypted to (NIST SP 800-57: 112 bits of strength)."""
KEY_BITS_MAX = 16384
"""Largest key that is used: encryption to one takes some milliseconds."""

_OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label=None)
_PLAINTEXT_OVERHEAD = 2 * 32 + 2


@dataclass(frozen=True, slots=True)
class RsaPublicKey:
    """A key to encrypt to.

    Attributes:
        pem: SubjectPublicKeyInfo as PEM text that ends in a newline.
        library_key: The key as the library's object; for modules of this package only.
    """

    pem: str
    library_key: rsa.RSAPublicKey = field(repr=False, compare=False)

    @classmethod
    def from_pem(cls, pem: str | bytes) -> "RsaPublicKey":
        """Read a ``PUBLIC KEY`` PEM.

        Raises:
            FormatError: the text is no RSA public key of 2048 to 16384 bits.
        """
        data = pem_bytes(pem)
        try:
            key = serialization.load_pem_public_key(data)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise FormatError("got text that is no PEM public key") from error
        if not isinstance(key, rsa.RSAPublicKey):
            raise FormatError(f"got a {type(key).__name__}, want an RSA public key")
        if not KEY_BITS_MIN <= key.key_size <= KEY_BITS_MAX:
            raise FormatError(
                f"got an RSA key of {key.key_size} bits, want {KEY_BITS_MIN} to {KEY_BITS_MAX}"
            )
        return cls.from_library(key)

    @classmethod
    def from_library(cls, key: rsa.RSAPublicKey) -> "RsaPublicKey":
        """Wrap a key of the library; for modules of this package only."""
        layout = serialization.PublicFormat.SubjectPublicKeyInfo
        return cls(key.public_bytes(serialization.Encoding.PEM, layout).decode("ascii"), key)

    def wrap(self, plaintext: bytes) -> bytes:
        """Return the ciphertext, as long as the modulus (256 bytes for 2048 bits).

        Raises:
            MisuseError: the plaintext is longer than the modulus less 66 bytes.
        """
        longest = self.library_key.key_size // 8 - _PLAINTEXT_OVERHEAD
        if len(plaintext) > longest:
            raise MisuseError(f"got {len(plaintext)} bytes to encrypt, want at most {longest}")
        return self.library_key.encrypt(plaintext, _OAEP)


@dataclass(frozen=True, slots=True, eq=False)
class RsaPrivateKey:
    """A key to decrypt with. Never printed, never part of a message.

    Attributes:
        public: The public half.
        library_key: The key as the library's object; for modules of this package only.
    """

    public: RsaPublicKey
    library_key: rsa.RSAPrivateKey = field(repr=False)

    @classmethod
    def generate(cls, bits: int = KEY_BITS) -> "RsaPrivateKey":
        """Make a new key; takes 50 to 500 milliseconds."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        return cls(RsaPublicKey.from_library(key.public_key()), key)

    @classmethod
    def from_pem(cls, pem: str | bytes) -> "RsaPrivateKey":
        """Read an unencrypted private key PEM.

        Raises:
            FormatError: the text is no such key. The message never quotes the text.
        """
        key = load_private_key(pem)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise FormatError(f"got a {type(key).__name__}, want an RSA private key")
        return cls(RsaPublicKey.from_library(key.public_key()), key)

    def to_pem(self) -> str:
        """Return the key as unencrypted PKCS#8 PEM text, which ends in a newline."""
        return private_pem(self.library_key)

    def unwrap(self, ciphertext: bytes) -> bytes:
        """Open what was encrypted to this key.

        Raises:
            VerificationError: it was encrypted to another key, or changed.
        """
        try:
            return self.library_key.decrypt(ciphertext, _OAEP)
        except ValueError:
            raise VerificationError("got a ciphertext that this RSA key does not open") from None
