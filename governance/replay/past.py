"""The state of the past, rebuilt entry by entry: tables, tree, and where ledger secrets begin."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from governance.replay.recorded import RecordedEntry, is_kept
from ledger.base.errors import FormatError, MisuseError
from ledger.base.ids import TxId
from ledger.codec.tables import SINGLETON_KEY
from ledger.codec.writeset import Changes
from ledger.endpoints.endpoint import Suspension
from ledger.endpoints.log import Status
from ledger.kv.store import Store
from ledger.kv.tx import Tx
from ledger.merkle.tree import MerkleTree
from ledger.secrets.historical import parse_historical
from ledger.tables.internal import (
    COSE_SIGNATURES,
    HISTORICAL_LEDGER_SECRET,
    SIGNATURES,
    TREE,
)

ROOTS_KEPT = 1 << 18
"""Entries back to which the root is sought that a proposal is bound to: more than a node can
execute while the scripts of one message run."""

SIGNATURE_TABLES = (SIGNATURES.name, COSE_SIGNATURES.name, TREE.name)
"""What a signature transaction writes."""


@dataclass(frozen=True, slots=True)
class SecretPosition:
    """Where the latest ledger secret stands in the ledger; the secret itself is not known.

    Attributes:
        first: Seqno of the first entry that it seals.
        stored_at: Seqno of the entry that announced it; None before the service opened.
    """

    first: int
    stored_at: int | None


class PastLedger:
    """The service as it stood after some entry; ``GovernanceParts`` read from it.

    Attributes:
        store: Public tables of governance and of the framework.
        tree: Leaves of the entries so far.
        newest: Transaction of the newest entry taken, ``0.0`` before the first.
        secret: Position of the latest ledger secret.
        signed_roots: Roots of the newest signatures, in hex, oldest first.
        root: Root that the message at hand is bound to; that of the newest entry when None.
    """

    def __init__(self) -> None:
        self.store = Store()
        self.tree = MerkleTree()
        self.newest = TxId(0, 0)
        self.secret = SecretPosition(1, None)
        self.root: bytes | None = None
        self.signed_roots: dict[str, None] = {}
        self._signed_before: dict[str, bytes] = {}
        self._views: list[TxId] = []

    def take(self, entry: RecordedEntry) -> None:
        """Take over what an entry changes."""
        kept = {name: writes for name, writes in entry.changes.items() if is_kept(name)}
        seqno = entry.tx_id.seqno
        if SIGNATURES.name in kept:
            self._remember_signature()
        if kept:
            self.store.apply(seqno, kept)
            self._note_secret(seqno, kept)
            self._note_signature(kept)
        else:
            self.store.advance(seqno)
        self.store.compact(seqno)
        self.tree.append(entry.leaf)
        if self.tree.count - self.tree.first > 2 * ROOTS_KEPT:
            self.tree.flush(self.tree.count - ROOTS_KEPT)
        if entry.tx_id.view != self.newest.view:
            self._views.append(entry.tx_id)
        self.newest = entry.tx_id

    def begin_before_signature(self) -> Tx | None:
        """Open a transaction that does not see the newest signature; None before the second.

        While a node makes a signature, whose place in the ledger is reserved, it goes on with
        what it sees so far. The values of the tables of signatures stand in the transaction like
        writes of its own: ``without_signatures`` takes them out.
        """
        if not self._signed_before:
            return None
        tx = self.store.begin()
        for name, value in self._signed_before.items():
            tx.map(name).put(SINGLETON_KEY, value)
        return tx

    def roots(self) -> Iterator[bytes]:
        """Iterate the roots after each of the newest entries, newest first."""
        oldest = max(self.tree.first, self.tree.count - ROOTS_KEPT)
        return (self.tree.root(seqno) for seqno in range(self.tree.count - 1, oldest - 1, -1))

    def _remember_signature(self) -> None:
        tx = self.store.begin(read_only=True)
        found = {name: tx.map(name).get(SINGLETON_KEY) for name in SIGNATURE_TABLES}
        self._signed_before = {name: value for name, value in found.items() if value is not None}

    def _note_signature(self, changes: Changes) -> None:
        value = changes.get(SIGNATURES.name, {}).get(SINGLETON_KEY)
        if value is None:
            return
        try:
            self.signed_roots[SIGNATURES.value.decode(value).root] = None
        except FormatError:
            return
        if len(self.signed_roots) > ROOTS_KEPT:
            del self.signed_roots[next(iter(self.signed_roots))]

    def _note_secret(self, seqno: int, changes: Changes) -> None:
        value = changes.get(HISTORICAL_LEDGER_SECRET.name, {}).get(SINGLETON_KEY)
        if value is None:
            return
        try:
            link = parse_historical(HISTORICAL_LEDGER_SECRET.value.decode(value))
        except FormatError:
            return
        self.secret = SecretPosition(link.first_announced(seqno), seqno)

    # -- LedgerView ---------------------------------------------------------------------

    def root_at(self, seqno: int) -> bytes:
        """Return the root that the message at hand is bound to."""
        return self.tree.root(seqno) if self.root is None else self.root

    def await_root(self, seqno: int) -> Suspension | None:
        """Return None: every root of the past is there."""
        del seqno
        return None

    # -- TransactionLog -----------------------------------------------------------------

    @property
    def view(self) -> int:
        """View of the newest entry."""
        return self.newest.view

    @property
    def is_primary(self) -> bool:
        """Nothing is ordered here."""
        return False

    @property
    def at_capacity(self) -> bool:
        """Nothing waits for commit."""
        return False

    def begin(self) -> Tx:
        """Open a transaction after the newest entry."""
        return self.store.begin()

    def begin_read_only(self) -> Tx:
        """Open a transaction that refuses writes."""
        return self.store.begin(read_only=True)

    def commit(self, tx: Tx, claims_digest: bytes | None) -> TxId | None:
        """Refuse.

        Raises:
            MisuseError: always.
        """
        del tx, claims_digest
        raise MisuseError("got a transaction to order, want none: the past has its order")

    def current(self) -> TxId:
        """Return the newest entry's transaction."""
        return self.newest

    def committed(self) -> TxId:
        """Return the newest entry's transaction: the past is committed."""
        return self.newest

    def status(self, view: int, seqno: int) -> Status:
        """Say Committed for every transaction of the past, Unknown for later ones."""
        if seqno > self.newest.seqno:
            return "Unknown"
        starts = [start for start in self._views if start.seqno <= seqno]
        return "Committed" if starts and starts[-1].view == view else "Invalid"

    def view_history(self) -> list[TxId]:
        """Return every view with the first transaction in it."""
        return list(self._views)

    def on_decided(self, tx_id: TxId, callback: Callable[[Status], None]) -> None:
        """Call back at once."""
        callback(self.status(tx_id.view, tx_id.seqno))


def without_signatures(changes: Changes) -> Changes:
    """Return changes without the tables of signatures, which no message writes."""
    return {name: each for name, each in changes.items() if name not in SIGNATURE_TABLES}
