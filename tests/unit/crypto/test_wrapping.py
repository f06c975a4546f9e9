"""Wrapped blobs and the wrapping key."""

import pytest

from ledger.base.errors import FormatError, VerificationError
from ledger.crypto.sharing import Share
from ledger.crypto.wrapping import ONLY_IV, unwrap, wrap, wrapping_key

KEY = bytes(range(32))


def test_known_wrapping_key() -> None:
    assert wrapping_key(Share(0, tuple(range(1, 11)))).hex() == (
        "7719fb3d2c782eed982b25cc39ef9da2659541b610f6a0c6976d23da67d2a585"
    )


def test_layout_is_tag_iv_ciphertext() -> None:
    iv = b"abcdefghijkl"
    blob = wrap(KEY, b"secret", iv)
    assert len(blob) == 28 + 6
    assert blob[16:28] == iv
    assert unwrap(KEY, blob) == b"secret"
    assert wrap(KEY, b"secret", ONLY_IV)[16:28] == bytes(12)
    assert unwrap(KEY, wrap(KEY, b"", iv)) == b""


def test_every_flipped_bit_is_noticed() -> None:
    blob = wrap(KEY, b"secret", ONLY_IV)
    for position in range(8 * len(blob)):
        damaged = bytearray(blob)
        damaged[position // 8] ^= 1 << position % 8
        with pytest.raises(VerificationError):
            unwrap(KEY, bytes(damaged))
    with pytest.raises(VerificationError):
        unwrap(bytes(32), blob)


@pytest.mark.parametrize("size", range(28))
def test_short_blobs(size: int) -> None:
    with pytest.raises(FormatError, match="at least 28"):
        unwrap(KEY, bytes(size))


def test_a_share_is_no_key() -> None:
    with pytest.raises(AssertionError, match="stands for no key"):
        wrapping_key(Share(1, tuple(range(10))))
