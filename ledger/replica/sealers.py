"""Which ledger secret seals which entry, as entries bring new secrets and roll-backs undo them.

A rekey at seqno R is sealed under the old secret; the new one begins with R + 1. Its entry hands it
to every node that is trusted at R. A node that is trusted later is given all secrets when it joins:
it keeps those that its own ledger does not know yet, and begins to use each when it comes to the
entry that announces it. So what a node uses follows from its ledger alone, and a roll-back of the
one takes back the other.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from ledger.base.errors import UnavailableError, VerificationError
from ledger.codec import canonical
from ledger.codec.tables import SINGLETON_KEY
from ledger.codec.writeset import Changes
from ledger.crypto.sealing import EntrySealer
from ledger.crypto.wrapping import unwrap
from ledger.secrets.chain import SecretChain
from ledger.secrets.historical import HistoricalSecret, parse_historical
from ledger.secrets.ledger_secret import LedgerSecret
from ledger.tables.internal import ENCRYPTED_LEDGER_SECRETS, HISTORICAL_LEDGER_SECRET
from ledger.tables.nodes import NODES_INFO

OpenBroadcast = Callable[[bytes, int], list[LedgerSecret]]
"""Value of the table of encrypted secrets and its seqno to the secrets meant for this node."""
MakeSealer = Callable[[bytes], EntrySealer]
"""The 32 bytes of a secret to what seals and opens under it."""

_BROADCAST = ENCRYPTED_LEDGER_SECRETS.name
_HISTORICAL = HISTORICAL_LEDGER_SECRET.name
SPECIAL_TABLES = frozenset({NODES_INFO.name, _BROADCAST, _HISTORICAL})
"""Tables whose changes mean something to the replica itself: nodes and ledger secrets."""


class Sealers:
    """A sealer for every secret that this node's ledger knows.

    Args:
        chain: The secrets that the node holds. The first one seals what it holds already; of the
            others those that begin after ``version + 1`` wait for the entry that announces them.
        open_broadcast: Finds this node's secrets in a broadcast.
        make_sealer: Makes the sealers.
        version: Newest seqno that the node holds.

    Attributes:
        chain: The secrets in use. Invariant: what the ledger up to the newest entry says.
        latest: Sealer of new entries.
    """

    __slots__ = ("_given", "_make", "_missing", "_open", "_sealers", "chain", "latest")

    def __init__(
        self,
        chain: SecretChain,
        open_broadcast: OpenBroadcast,
        make_sealer: MakeSealer = EntrySealer,
        *,
        version: int = 0,
    ) -> None:
        self._open = open_broadcast
        self._make = make_sealer
        self._given: dict[int, bytes] = {}
        self._missing: _Missing | None = None
        in_use = [each for each in chain.secrets if each.first <= version + 1]
        self.chain = SecretChain([_as_known_at(version, each) for each in in_use])
        self.give(chain.secrets)
        self._sealers = {each.first: make_sealer(each.key) for each in in_use}
        self.latest = self._sealers[self.chain.latest.first]

    def at(self, seqno: int) -> EntrySealer:
        """Return the sealer of the entry at ``seqno``.

        Raises:
            UnavailableError: the entry is older than every secret known here, or its secret was
                announced to other nodes and not given to this one.
        """
        if self._missing is not None and seqno > self._missing.announced_at:
            raise UnavailableError(
                f"got entry {seqno}, whose secret was announced at {self._missing.announced_at} "
                "to the nodes trusted there, and not given to this node"
            )
        if seqno >= self.chain.latest.first:
            return self.latest
        return self._sealers[self.chain.at(seqno).first]

    def give(self, secrets: Iterable[LedgerSecret]) -> None:
        """Keep secrets for when the ledger announces them; those it has announced are known."""
        known = self.chain.latest.first
        self._given.update({each.first: each.key for each in secrets if each.first > known})
        if self._missing is not None:
            self._use_given(self._missing)

    @property
    def lacks_latest(self) -> bool:
        """Whether the ledger has announced a secret that this node was not given."""
        return self._missing is not None

    def applied(self, seqno: int, changes: Changes) -> None:
        """Take in what an entry says of ledger secrets; almost none says anything."""
        if _BROADCAST in changes:
            value = changes[_BROADCAST].get(SINGLETON_KEY)
            if value is not None:
                for secret in self._open(value, seqno):
                    self._add(secret.key, secret.first, seqno)
        if _HISTORICAL in changes:
            value = changes[_HISTORICAL].get(SINGLETON_KEY)
            if value is not None:
                document: Mapping[str, object] = canonical.loads(value)
                self._announced(seqno, parse_historical(document))

    def _announced(self, seqno: int, secret: HistoricalSecret) -> None:
        """Follow an opening, a recovery, or a rekey that was not handed to this node."""
        if secret.next_version is not None:
            self.chain.note_stored(secret.next_version, seqno)
        elif self.chain.latest.first <= seqno and self._missing is None:
            self._use_given(_Missing(seqno, secret))

    def _use_given(self, missing: "_Missing") -> None:
        """Use a secret that was given, if it is the announced one: it opens the one before it.

        One that was given by a primary whose rekey was rolled back is not.
        """
        key = self._given.get(missing.announced_at + 1)
        previous = missing.secret.previous_ledger_secret
        if key is not None and previous is not None:
            try:
                opened = unwrap(key, canonical.b64decode(previous.encrypted_data))
            except VerificationError:
                opened = b""
            if opened == self.chain.latest.key:
                self._missing = None
                self._add(key, missing.announced_at + 1, missing.announced_at)
                return
        self._missing = missing

    def _add(self, key: bytes, first: int, stored_at: int) -> None:
        self.chain.add(LedgerSecret(key, first, stored_at))
        self.latest = self._sealers[first] = self._make(key)

    def rollback(self, seqno: int) -> None:
        """Forget what entries above ``seqno`` brought."""
        if self._missing is not None and self._missing.announced_at > seqno:
            self._missing = None
        self.chain.rollback(seqno)
        known = {secret.first for secret in self.chain.secrets}
        self._sealers = {first: each for first, each in self._sealers.items() if first in known}
        self.latest = self._sealers[self.chain.latest.first]


@dataclass(frozen=True, slots=True)
class _Missing:
    """A secret that an entry announced and that this node does not have."""

    announced_at: int
    secret: HistoricalSecret


def _as_known_at(version: int, secret: LedgerSecret) -> LedgerSecret:
    """Return a secret without the place of its announcement, if that is still to come."""
    if secret.stored_at is not None and secret.stored_at > version:
        return replace(secret, stored_at=None)
    return secret
