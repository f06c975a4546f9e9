"""Sharing: any threshold of shares rebuilds the secret, fewer do not; the bytes; refusals."""

import hashlib
import itertools

import pytest

from ledger.base.errors import FormatError, MisuseError
from ledger.crypto.sharing import LIMBS, PRIME, SHARE_SIZE, Share, rejoin, split


class SeededEntropy:
    """Bytes of SHA-256 over a seed and a counter, the same in every run."""

    def __init__(self, seed: bytes = b"") -> None:
        self._seed = seed
        self._count = 0

    def random_bytes(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += hashlib.sha256(self._seed + self._count.to_bytes(8, "big")).digest()
            self._count += 1
        return data[:count]


class ListedEntropy:
    """Words that are given beforehand."""

    def __init__(self, *words: int) -> None:
        self._words = list(words)

    def random_bytes(self, count: int) -> bytes:
        return self._words.pop(0).to_bytes(count, "little")


@pytest.mark.parametrize(("threshold", "count"), [(1, 1), (1, 3), (2, 3), (3, 3), (3, 5), (7, 9)])
def test_every_choice_of_threshold_shares_rebuilds(threshold: int, count: int) -> None:
    secret, shares = split(threshold, count, SeededEntropy())
    assert [share.x for share in shares] == list(range(1, count + 1))
    for chosen in itertools.combinations(shares, threshold):
        assert rejoin(chosen) == secret
        assert rejoin(chosen[::-1]) == secret
    assert rejoin(shares) == secret
    for chosen in itertools.combinations(shares, threshold - 1):
        if chosen:
            assert rejoin(chosen) != secret


def test_too_few_shares_fit_every_secret() -> None:
    """With k - 1 shares every value of a limb is as likely: there is a line through any."""
    _, (share, *_) = split(2, 3, SeededEntropy())
    for guess in (0, 1, PRIME - 1):
        slope = (share.values[0] - guess) * pow(share.x, -1, PRIME) % PRIME
        assert (guess + slope * share.x) % PRIME == share.values[0]


def test_the_whole_secret_alone_is_enough() -> None:
    secret, shares = split(3, 5, SeededEntropy())
    assert secret.is_whole_secret
    assert rejoin([secret]) == secret
    assert rejoin([shares[0], secret]) == secret


def test_without_participants_there_is_only_the_secret() -> None:
    secret, shares = split(1, 0, SeededEntropy())
    assert shares == []
    assert rejoin([secret]) == secret


@pytest.mark.parametrize(("threshold", "count"), [(0, 1), (-1, 1), (2, 1), (0, 0), (1, PRIME)])
def test_impossible_splits(threshold: int, count: int) -> None:
    with pytest.raises(MisuseError):
        split(threshold, count, SeededEntropy())


def test_impossible_rejoins() -> None:
    _, shares = split(2, 3, SeededEntropy())
    with pytest.raises(MisuseError):
        rejoin([])
    with pytest.raises(MisuseError):
        rejoin([shares[0], shares[0]])


def test_the_bytes_of_a_share() -> None:
    share = Share(3, tuple(range(10, 20)))
    data = share.encode()
    assert len(data) == SHARE_SIZE == 44
    assert data.hex() == "03000000" + "".join(f"{value:02x}000000" for value in range(10, 20))
    assert Share.parse(data) == share
    assert share.key_material == data[4:]
    assert "10" not in repr(share)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(43),
        bytes(45),
        PRIME.to_bytes(4, "little") + bytes(40),
        bytes(40) + PRIME.to_bytes(4, "little"),
        b"\xff" * 44,
    ],
)
def test_bytes_that_are_no_share(data: bytes) -> None:
    with pytest.raises(FormatError):
        Share.parse(data)


def test_coefficients_are_uniform_below_the_prime() -> None:
    # All ones is refused and drawn again; the top bit is dropped.
    words = [PRIME, 0xFFFFFFFF, 5, *range(1, LIMBS)]
    secret, _ = split(1, 1, ListedEntropy(*words))
    assert secret.values == (5, *range(1, LIMBS))
    secret, _ = split(1, 1, ListedEntropy(*([0x80000007] * LIMBS)))
    assert set(secret.values) == {7}
