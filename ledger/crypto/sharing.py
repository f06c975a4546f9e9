"""Shamir's sharing of a 40-byte secret: any ``threshold`` shares rebuild it, fewer say nothing.

The secret is ten *limbs*, each the constant term of its own polynomial of degree
``threshold - 1`` over the integers modulo 2^31 - 1, with uniform coefficients. The share of
``x`` holds the ten values at ``x``. ``x = 0`` marks the secret itself.

Shares are not authenticated: a wrong one rebuilds a wrong secret, which shows when what the
secret protects does not open.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ledger.base.clock import Entropy
from ledger.base.errors import FormatError, MisuseError

PRIME = (1 << 31) - 1
"""The modulus, a Mersenne prime, so that every value takes 4 bytes."""
LIMBS = 10
"""Polynomials of one secret, as CCF."""
SHARE_SIZE = 4 + 4 * LIMBS
"""Bytes of an encoded share: ``x`` and ten values, little-endian."""


@dataclass(frozen=True, slots=True)
class Share:
    """A point of every polynomial.

    Attributes:
        x: Where, in ``[0, PRIME)``; 0 for the secret itself.
        values: The ten values there, each in ``[0, PRIME)``.
    """

    x: int
    values: tuple[int, ...] = field(repr=False)

    def encode(self) -> bytes:
        """Return the share as 44 bytes."""
        return b"".join(word.to_bytes(4, "little") for word in (self.x, *self.values))

    @classmethod
    def parse(cls, data: bytes) -> "Share":
        """Read a share.

        Raises:
            FormatError: another size, or a number that is not below the modulus. The message
                does not show the share.
        """
        if len(data) != SHARE_SIZE:
            raise FormatError(f"got a share of {len(data)} bytes, want {SHARE_SIZE}")
        words = [int.from_bytes(data[at : at + 4], "little") for at in range(0, SHARE_SIZE, 4)]
        if max(words) >= PRIME:
            raise FormatError(f"got a share with a number that is not below {PRIME}")
        return cls(words[0], tuple(words[1:]))

    @property
    def is_whole_secret(self) -> bool:
        """The share is the secret itself, as recovery owners hold it."""
        return self.x == 0

    @property
    def key_material(self) -> bytes:
        """The ten values as 40 bytes, little-endian: of the secret, what keys derive from."""
        return b"".join(value.to_bytes(4, "little") for value in self.values)


def split(threshold: int, count: int, entropy: Entropy) -> tuple[Share, list[Share]]:
    """Make a new secret and share it out.

    Args:
        threshold: Shares that rebuild the secret, at least 1.
        count: Shares to make, for ``x`` of 1 … ``count``; 0 or at least ``threshold``.
        entropy: Where the coefficients come from.

    Returns:
        The secret (``x = 0``) and its shares.

    Raises:
        MisuseError: no share could ever rebuild the secret, or there are too many shares.
    """
    if threshold < 1 or (count and not threshold <= count < PRIME):
        raise MisuseError(f"got threshold {threshold} for {count} shares, want 1 to {count}")
    polynomials = [[_uniform(entropy) for _ in range(threshold)] for _ in range(LIMBS)]
    secret, *shares = (
        Share(x, tuple(_value_at(polynomial, x) for polynomial in polynomials))
        for x in range(count + 1)
    )
    return secret, shares


def rejoin(shares: Sequence[Share]) -> Share:
    """Rebuild the secret from exactly as many shares as its threshold says, or more.

    With fewer, or with a wrong one, the result is some other secret. One whole secret among
    them is enough, and is taken.

    Raises:
        MisuseError: no shares, or two for one ``x``.
    """
    whole = next((share for share in shares if share.is_whole_secret), None)
    if whole is not None:
        return whole
    points = [share.x for share in shares]
    if not points or len(set(points)) != len(points):
        raise MisuseError(f"got shares for x of {sorted(points)}, want at least one, each once")
    weights = [_weight_at_zero(x, points) for x in points]
    values = tuple(
        sum(weight * share.values[limb] for weight, share in zip(weights, shares, strict=True))
        % PRIME
        for limb in range(LIMBS)
    )
    return Share(0, values)


def _value_at(polynomial: Sequence[int], x: int) -> int:
    """Horner's rule; the constant term comes first."""
    value = 0
    for coefficient in reversed(polynomial):
        value = (value * x + coefficient) % PRIME
    return value


def _weight_at_zero(x: int, points: Sequence[int]) -> int:
    """Lagrange's basis polynomial of ``x`` among the points, at 0."""
    numerator = denominator = 1
    for other in points:
        if other != x:
            numerator = numerator * other % PRIME
            denominator = denominator * (other - x) % PRIME
    return numerator * pow(denominator, -1, PRIME) % PRIME


def _uniform(entropy: Entropy) -> int:
    """Draw from ``[0, PRIME)`` without bias: of 31 random bits only all ones are refused."""
    while True:
        drawn = int.from_bytes(entropy.random_bytes(4), "little") & PRIME
        if drawn != PRIME:
            return drawn
