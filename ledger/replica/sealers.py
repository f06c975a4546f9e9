"""Which ledger secret seals which entry, as entries bring new secrets and roll-backs undo them.

A rekey at seqno R is sealed under the old secret; the new one begins with R + 1.
"""

from collections.abc import Callable

from ledger.codec.tables import SINGLETON_KEY
from ledger.codec.writeset import Changes
from ledger.crypto.sealing import EntrySealer
from ledger.secrets.chain import SecretChain
from ledger.secrets.ledger_secret import LedgerSecret
from ledger.tables.internal import ENCRYPTED_LEDGER_SECRETS, HISTORICAL_LEDGER_SECRET
from ledger.tables.nodes import NODES_INFO

OpenBroadcast = Callable[[bytes, int], list[LedgerSecret]]
"""Value of the table of encrypted secrets and its seqno to the secrets meant for this node."""

_BROADCAST = ENCRYPTED_LEDGER_SECRETS.name
_HISTORICAL = HISTORICAL_LEDGER_SECRET.name
SPECIAL_TABLES = frozenset({NODES_INFO.name, _BROADCAST, _HISTORICAL})
"""Tables whose changes mean something to the replica itself: nodes and ledger secrets."""


class Sealers:
    """A sealer for every known secret.

    Attributes:
        chain: The secrets.
        latest: Sealer of new entries.
    """

    __slots__ = ("_open", "_sealers", "chain", "latest")

    def __init__(self, chain: SecretChain, open_broadcast: OpenBroadcast) -> None:
        self.chain = chain
        self._open = open_broadcast
        self._sealers = {secret.first: EntrySealer(secret.key) for secret in chain.secrets}
        self.latest = self._sealers[chain.latest.first]

    def at(self, seqno: int) -> EntrySealer:
        """Return the sealer of the entry at ``seqno``.

        Raises:
            UnavailableError: the entry is older than every secret known here.
        """
        if seqno >= self.chain.latest.first:
            return self.latest
        return self._sealers[self.chain.at(seqno).first]

    def applied(self, seqno: int, changes: Changes) -> None:
        """Take in what an entry says of ledger secrets; almost none says anything."""
        if _HISTORICAL in changes:
            self.chain.note_stored(self.chain.latest.first, seqno)
        if _BROADCAST in changes:
            value = changes[_BROADCAST].get(SINGLETON_KEY)
            if value is not None:
                self._add(seqno, self._open(value, seqno))

    def _add(self, seqno: int, secrets: list[LedgerSecret]) -> None:
        for secret in secrets:
            self.chain.add(LedgerSecret(secret.key, secret.first, seqno))
            self.latest = self._sealers[secret.first] = EntrySealer(secret.key)

    def rollback(self, seqno: int) -> None:
        """Forget what entries above ``seqno`` brought."""
        self.chain.rollback(seqno)
        known = {secret.first for secret in self.chain.secrets}
        self._sealers = {first: each for first, each in self._sealers.items() if first in known}
        self.latest = self._sealers[self.chain.latest.first]
