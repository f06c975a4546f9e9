"""Keys derived from keys: HKDF-SHA256 and the commit secret."""

from ledger.base.errors import MisuseError
from ledger.crypto.hashing import DIGEST_SIZE, hmac_sha256

_COMMIT_LABEL = b"Commit S"
"""CCF means "Commit Secret Label" and takes the size of a pointer; its readers need the same."""


def hkdf(key: bytes, size: int, *, salt: bytes = b"", info: bytes = b"") -> bytes:
    """Derive key material with HKDF-SHA256 (RFC 5869).

    Args:
        key: Input key material.
        size: Wanted bytes, in ``[1, 8160]``.
        salt: Empty means 32 zero bytes, as in the RFC.
        info: Context that separates uses of one key.

    Raises:
        MisuseError: size out of range.
    """
    if not 1 <= size <= 255 * DIGEST_SIZE:
        raise MisuseError(f"got {size} bytes of HKDF output wanted, want 1 to 8160")
    pseudorandom = hmac_sha256(salt or bytes(DIGEST_SIZE), key)
    block = b""
    output = b""
    for counter in range(1, -(-size // DIGEST_SIZE) + 1):
        block = hmac_sha256(pseudorandom, block + info + bytes((counter,)))
        output += block
    return output[:size]


def commit_secret(ledger_secret: bytes) -> bytes:
    """Return the 32-byte key of commit evidence that belongs to a ledger secret."""
    return hmac_sha256(ledger_secret, _COMMIT_LABEL)
