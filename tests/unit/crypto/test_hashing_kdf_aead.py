"""SHA-256, HMAC, HKDF and AES-GCM: published vectors and the libraries' own results."""

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ledger.base.errors import MisuseError, VerificationError
from ledger.crypto import aead
from ledger.crypto.hashing import hmac_sha256, hmac_states, sha256
from ledger.crypto.kdf import commit_secret, hkdf

KEY = bytes(range(32))


def test_sha256() -> None:
    want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(b"abc").hex() == sha256(memoryview(b"abc")).hex() == want


@pytest.mark.parametrize("size", [0, 1, 32, 63, 64, 65, 200])
def test_hmac(size: int) -> None:
    key = bytes(number % 256 for number in range(size))
    assert hmac_sha256(key, b"message") == hmac.digest(key, b"message", "sha256")


def test_copied_states_serve_many_messages() -> None:
    inner, outer = hmac_states(KEY)
    for message in (b"", b"one", b"two" * 100):
        first = inner.copy()
        first.update(message)
        second = outer.copy()
        second.update(first.digest())
        assert second.digest() == hmac.digest(KEY, message, "sha256")


def test_hkdf_vector_of_the_rfc() -> None:
    """RFC 5869 appendix A.1."""
    output = hkdf(
        bytes.fromhex("0b" * 22),
        42,
        salt=bytes(range(13)),
        info=bytes(range(0xF0, 0xFA)),
    )
    assert output.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )


@pytest.mark.parametrize("size", [1, 31, 32, 33, 64, 8160])
def test_hkdf_equals_the_library(size: int) -> None:
    for salt in (b"", b"salt"):
        want = HKDF(SHA256(), size, salt or None, b"info").derive(KEY)
        assert hkdf(KEY, size, salt=salt, info=b"info") == want


@pytest.mark.parametrize("size", [0, -1, 8161])
def test_hkdf_size(size: int) -> None:
    with pytest.raises(MisuseError, match="want 1 to 8160"):
        hkdf(KEY, size)


def test_commit_secret_known_answer() -> None:
    assert commit_secret(KEY).hex() == (
        "e1b0511cb3b6e8a15d3562449660cfe5223acc76fdbec763c3cdd0a92bd478ed"
    )


def test_wrapping_key_known_answer() -> None:
    """HKDF of the limbs 1 … 10 with themselves as info."""
    limbs = b"".join(number.to_bytes(4, "little") for number in range(1, 11))
    assert hkdf(limbs, 32, info=limbs).hex() == (
        "7719fb3d2c782eed982b25cc39ef9da2659541b610f6a0c6976d23da67d2a585"
    )


def test_aead_both_directions_and_every_change() -> None:
    tag, ciphertext = aead.seal(KEY, bytes(12), b"plain", b"associated")
    assert (len(tag), len(ciphertext)) == (16, 5)
    assert aead.unseal(KEY, bytes(12), tag, ciphertext, b"associated") == b"plain"
    parts = [KEY, bytes(12), tag, ciphertext, b"associated"]
    for index, part in enumerate(parts):
        for position in range(len(part)):
            changed = part[:position] + bytes([part[position] ^ 1]) + part[position + 1 :]
            with pytest.raises(VerificationError):
                aead.unseal(*[*parts[:index], changed, *parts[index + 1 :]])


def test_aead_of_nothing_authenticates_the_rest() -> None:
    tag, ciphertext = aead.seal(KEY, bytes(12), b"", b"associated")
    assert ciphertext == b""
    assert aead.unseal(KEY, bytes(12), tag, b"", b"associated") == b""
    with pytest.raises(VerificationError):
        aead.unseal(KEY, bytes(12), tag, b"", b"other")


def test_aead_parts_of_another_size() -> None:
    with pytest.raises(MisuseError, match="want 32"):
        aead.cipher(bytes(31))
    with pytest.raises(VerificationError):
        aead.unseal(KEY, b"", bytes(16), b"")


def test_message_digest_is_hashlib() -> None:
    assert sha256(b"") == hashlib.sha256().digest()
