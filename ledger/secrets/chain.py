"""All ledger secrets that a node knows, in order: which one sealed a given entry?

The secret of an entry is the one with the greatest first seqno that is not above the entry's.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import replace

from ledger.base.errors import MisuseError, UnavailableError
from ledger.secrets.ledger_secret import LedgerSecret


class SecretChain:
    """Secrets by their first seqno.

    Invariant: there is at least one, and first seqnos ascend.
    """

    __slots__ = ("_firsts", "_secrets")

    def __init__(self, secrets: Iterable[LedgerSecret]) -> None:
        """Take at least one secret.

        Raises:
            MisuseError: none is given, or two begin at one seqno.
        """
        self._secrets = sorted(secrets, key=lambda secret: secret.first)
        self._firsts = [secret.first for secret in self._secrets]
        if not self._firsts or len(set(self._firsts)) != len(self._firsts):
            raise MisuseError(f"got secrets from {self._firsts}, want at least one, each once")

    def __len__(self) -> int:
        return len(self._secrets)

    @property
    def secrets(self) -> tuple[LedgerSecret, ...]:
        """All secrets, oldest first."""
        return tuple(self._secrets)

    @property
    def latest(self) -> LedgerSecret:
        """The secret that seals new entries."""
        return self._secrets[-1]

    def at(self, seqno: int) -> LedgerSecret:
        """Return the secret of an entry.

        Raises:
            UnavailableError: the entry is older than every secret known here.
        """
        index = bisect_right(self._firsts, seqno) - 1
        if index < 0:
            raise UnavailableError(
                f"got seqno {seqno}, want one from {self._firsts[0]}: no older secret is known"
            )
        return self._secrets[index]

    def add(self, secret: LedgerSecret) -> None:
        """Use a new secret, which begins after every one so far.

        Raises:
            MisuseError: it begins earlier.
        """
        if secret.first <= self.latest.first:
            raise MisuseError(f"got a secret from {secret.first}, want after {self.latest.first}")
        self._secrets.append(secret)
        self._firsts.append(secret.first)

    def add_past(self, secrets: Iterable[LedgerSecret]) -> None:
        """Take in secrets from before the ones known, as a recovery rebuilds them.

        Raises:
            MisuseError: one of them is not older than every secret known.
        """
        past = sorted(secrets, key=lambda secret: secret.first)
        if any(secret.first >= self._firsts[0] for secret in past):
            raise MisuseError(f"got a past secret that does not begin before {self._firsts[0]}")
        self._secrets[:0] = past
        self._firsts[:0] = [secret.first for secret in past]

    def note_stored(self, first: int, stored_at: int) -> None:
        """Note where the secret from seqno ``first`` was announced in the ledger.

        Raises:
            MisuseError: no secret begins there.
        """
        if first not in self._firsts:
            raise MisuseError(f"got first seqno {first}, want one of {self._firsts}")
        index = self._firsts.index(first)
        self._secrets[index] = replace(self._secrets[index], stored_at=stored_at)

    def rollback(self, seqno: int) -> None:
        """Forget what entries above ``seqno`` brought.

        A rekey at R brings a secret from R + 1, so one that begins at ``seqno + 1`` stays.
        """
        while len(self._firsts) > 1 and self._firsts[-1] > seqno + 1:
            self._firsts.pop()
            self._secrets.pop()
        for index, secret in enumerate(self._secrets):
            if secret.stored_at is not None and secret.stored_at > seqno:
                self._secrets[index] = replace(secret, stored_at=None)
