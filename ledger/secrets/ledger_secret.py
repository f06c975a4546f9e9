"""A ledger secret: 32 bytes that seal every private write from one seqno on."""

from dataclasses import dataclass, field

from ledger.base.clock import Entropy
from ledger.base.errors import FormatError
from ledger.base.limits import SEQNO_MAX

SECRET_SIZE = 32
"""Bytes of a ledger secret, an AES-256 key."""


@dataclass(frozen=True, slots=True)
class LedgerSecret:
    """A secret and where it begins. The key never shows in a message.

    Attributes:
        key: 32 bytes.
        first: Seqno of the first entry that it seals, at least 1.
        stored_at: Seqno of the entry whose ``historical_encrypted_ledger_secret`` announced
            it, and holds the secret before it; None while there is no such entry.
    """

    key: bytes = field(repr=False)
    first: int
    stored_at: int | None = None

    def __post_init__(self) -> None:
        if len(self.key) != SECRET_SIZE:
            raise FormatError(f"got a ledger secret of {len(self.key)} bytes, want {SECRET_SIZE}")
        if not 1 <= self.first <= SEQNO_MAX:
            raise FormatError(f"got a ledger secret from seqno {self.first}, want at least 1")


def new_key(entropy: Entropy) -> bytes:
    """Return the 32 bytes of a new ledger secret."""
    return entropy.random_bytes(SECRET_SIZE)
