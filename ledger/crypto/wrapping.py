"""A secret sealed under another one, and the key that recovery shares rebuild.

A *wrapped blob* is ``tag (16) || iv (12) || ciphertext``, AES-256-GCM without associated data.
"""

from ledger.base.errors import FormatError
from ledger.crypto.aead import IV_SIZE, KEY_SIZE, TAG_SIZE, seal, unseal
from ledger.crypto.kdf import hkdf
from ledger.crypto.sharing import Share

ONLY_IV = bytes(IV_SIZE)
"""The IV under a key that is used a single time."""


def wrap(key: bytes, plaintext: bytes, iv: bytes) -> bytes:
    """Return a wrapped blob, 28 bytes longer than the plaintext.

    Args:
        key: 32 bytes.
        plaintext: What to seal.
        iv: 12 bytes: ``ONLY_IV`` under a key that seals nothing else, random otherwise.
    """
    tag, ciphertext = seal(key, iv, plaintext)
    return tag + iv + ciphertext


def unwrap(key: bytes, blob: bytes) -> bytes:
    """Open a wrapped blob.

    Raises:
        FormatError: the blob is too short to be one.
        VerificationError: another key sealed it, or it was changed.
    """
    head = TAG_SIZE + IV_SIZE
    if len(blob) < head:
        raise FormatError(f"got a wrapped blob of {len(blob)} bytes, want at least {head}")
    return unseal(key, blob[TAG_SIZE:head], blob[:TAG_SIZE], blob[head:])


def wrapping_key(secret: Share) -> bytes:
    """Return the 32-byte key that a rebuilt secret (``x = 0``) stands for.

    HKDF-SHA256 of the secret's 40 bytes with an empty salt, and the same 40 bytes as info: CCF
    defines a text for the info and then passes the key material, so its readers need the same.
    """
    assert secret.is_whole_secret, "a single share stands for no key"
    material = secret.key_material
    return hkdf(material, KEY_SIZE, info=material)
