"""The chain of secrets in the ledger: each new one is recorded with the one before it inside.

Values of ``public:ccf.internal.historical_encrypted_ledger_secret``::

    {"next_version": 1}                                          when a first service opens
    {"previous_ledger_secret": {"encrypted_data": "<base64>",    at a rekey: the new secret
                                "version": 1,                    begins with the next entry
                                "previous_secret_stored_version": 17}}
    {"next_version": 29, "previous_ledger_secret": {…}}          after a disaster recovery

``encrypted_data`` is the previous secret, wrapped under the new one. Whoever holds the latest
secret can so walk back to the first.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ledger.base.clock import Entropy
from ledger.base.errors import FormatError, VerificationError
from ledger.codec import canonical
from ledger.crypto.aead import IV_SIZE
from ledger.crypto.wrapping import unwrap, wrap
from ledger.secrets.ledger_secret import LedgerSecret


class PreviousSecret(msgspec.Struct, frozen=True, omit_defaults=True):
    """The secret before the announced one.

    Attributes:
        encrypted_data: Base64 of the wrapped blob, under the announced secret.
        version: First seqno of the previous secret.
        previous_secret_stored_version: Seqno at which the previous secret was announced.
    """

    encrypted_data: str
    version: int
    previous_secret_stored_version: int | None = None


class HistoricalSecret(msgspec.Struct, frozen=True, omit_defaults=True):
    """The table value, typed.

    Attributes:
        previous_ledger_secret: The secret before the announced one; None for the first.
        next_version: First seqno of the announced secret; None means the entry after this one.
    """

    previous_ledger_secret: PreviousSecret | None = None
    next_version: int | None = None

    def first_announced(self, stored_at: int) -> int:
        """Return the first seqno of the announced secret, for a value written at a seqno."""
        return stored_at + 1 if self.next_version is None else self.next_version


def opening_value(secret: LedgerSecret) -> dict[str, Any]:
    """Return the value that a first service writes when it opens."""
    return {"next_version": secret.first}


def rekey_value(previous: LedgerSecret, new_key: bytes, entropy: Entropy) -> dict[str, Any]:
    """Return the value of a rekey, whose secret begins with the entry after it.

    Args:
        previous: The secret that seals this entry for the last time.
        new_key: The 32 bytes of the new secret.
        entropy: Where the IV comes from.
    """
    blob = wrap(new_key, previous.key, entropy.random_bytes(IV_SIZE))
    recorded: dict[str, Any] = {
        "encrypted_data": canonical.b64encode(blob),
        "version": previous.first,
    }
    if previous.stored_at is not None:
        recorded["previous_secret_stored_version"] = previous.stored_at
    return {"previous_ledger_secret": recorded}


def recovery_value(previous: LedgerSecret, new: LedgerSecret, entropy: Entropy) -> dict[str, Any]:
    """Return the value of a recovered service that opens.

    Args:
        previous: The last secret from before the disaster.
        new: The secret of the recovered service.
        entropy: Where the IV comes from.
    """
    return rekey_value(previous, new.key, entropy) | {"next_version": new.first}


def parse_historical(value: Mapping[str, Any]) -> HistoricalSecret:
    """Read a value.

    Raises:
        FormatError: it has another shape.
    """
    try:
        return msgspec.convert(value, HistoricalSecret)
    except msgspec.ValidationError as error:
        raise FormatError(f"got no historical ledger secret: {error}") from error


def walk_back(
    values: Iterable[tuple[int, Mapping[str, Any]]], latest_key: bytes
) -> list[LedgerSecret]:
    """Rebuild all secrets from the latest one.

    Args:
        values: Every value of the table up to the last one that counts, with its seqno,
            oldest first.
        latest_key: The secret that the newest of them announces, 32 bytes.

    Returns:
        All secrets, oldest first.

    Raises:
        FormatError: a value is malformed, or there is none.
        VerificationError: a link does not open, or two links disagree about where a secret
            begins.
    """
    links = [(stored_at, parse_historical(value)) for stored_at, value in values]
    if not links:
        raise FormatError("got no historical ledger secrets, want at least one")
    secrets: list[LedgerSecret] = []
    key = latest_key
    wanted_first: int | None = None
    for stored_at, link in reversed(links):
        first = link.first_announced(stored_at)
        if wanted_first is not None and first != wanted_first:
            raise VerificationError(
                f"got a secret from {first} at seqno {stored_at}, want one from {wanted_first}"
            )
        secrets.append(LedgerSecret(key, first, stored_at))
        previous = link.previous_ledger_secret
        if previous is None:
            break
        key = unwrap(key, canonical.b64decode(previous.encrypted_data))
        wanted_first = previous.version
    else:
        secrets.append(_unannounced(key, wanted_first))
    return secrets[::-1]


def _unannounced(key: bytes, first: int | None) -> LedgerSecret:
    """A secret whose own announcement is missing: old services wrote none when they opened."""
    assert first is not None, "the oldest value named the secret before it"
    return LedgerSecret(key, first)
