"""AES-256-GCM with 12-byte IVs and 16-byte tags."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger.base.errors import MisuseError, VerificationError

KEY_SIZE = 32
IV_SIZE = 12
TAG_SIZE = 16


def cipher(key: bytes) -> AESGCM:
    """Return a reusable cipher object; making one costs more than sealing a small message.

    Raises:
        MisuseError: the key has not 32 bytes.
    """
    if len(key) != KEY_SIZE:
        raise MisuseError(f"got a key of {len(key)} bytes, want {KEY_SIZE}")
    return AESGCM(key)


def seal(key: bytes, iv: bytes, plaintext: bytes, associated: bytes = b"") -> tuple[bytes, bytes]:
    """Encrypt and authenticate.

    Args:
        key: 32 bytes.
        iv: 12 bytes, never used twice with one key.
        plaintext: Any length.
        associated: Authenticated, not encrypted.

    Returns:
        Tag (16 bytes) and ciphertext (as long as the plaintext).
    """
    sealed = cipher(key).encrypt(iv, plaintext, associated)
    return sealed[-TAG_SIZE:], sealed[:-TAG_SIZE]


def unseal(key: bytes, iv: bytes, tag: bytes, ciphertext: bytes, associated: bytes = b"") -> bytes:
    """Check and decrypt.

    Raises:
        VerificationError: another key, or any part was changed.
    """
    return unseal_with(cipher(key), iv, tag, ciphertext, associated)


def unseal_with(
    reusable: AESGCM, iv: bytes, tag: bytes, ciphertext: bytes, associated: bytes
) -> bytes:
    """Check and decrypt with a reusable cipher object.

    Raises:
        VerificationError: another key, or any part was changed.
    """
    try:
        return reusable.decrypt(iv, ciphertext + tag, associated)
    except (InvalidTag, ValueError) as error:
        raise VerificationError("got data that its AES-GCM tag does not authenticate") from error
