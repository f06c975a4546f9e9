"""Store, Merkle tree and consensus as one state machine.

A write goes: ``begin`` → the handler works on the transaction → ``commit`` (conflict check,
seqno, write set) → once per loop turn ``flush`` (seal entries, append leaves, sign when due, hand
the batch to consensus, collect effects). The shell executes the effects and feeds completion back
through ``signature_made``, ``persisted``, ``receive`` and ``tick``.

While a signature for seqno s is being made in a thread, s is reserved: later transactions are
executed, answered and sealed, but held back from tree and consensus until its bytes exist. After
``tx_count`` of them the next signature is reserved, and so on (``signing``).

Invariants: ``store.version`` is the newest seqno given out; the tree holds the leaves of
everything sealed below the oldest outstanding signature; entries reach consensus in seqno order;
what is ordered and not yet sealed is of one view, under one ledger secret, and newer than all else.
"""

from collections.abc import Callable, Sequence

from ledger.base.clock import Clock
from ledger.base.ids import NodeId, TxId
from ledger.base.limits import VIEW_MAX
from ledger.codec.entry import FLAG_CHUNK_AFTER, EntrySizeError
from ledger.codec.writeset import Changes
from ledger.consensus.messages import Message
from ledger.consensus.raft import Raft
from ledger.consensus.types import Proposed
from ledger.crypto.sealing import Ordered, ordered
from ledger.kv.store import Store
from ledger.kv.tx import Tx
from ledger.merkle.tree import MerkleTree
from ledger.replica.backup import EntryApplier
from ledger.replica.chunking import END_CHUNK, Chunking
from ledger.replica.effects import Effect, SignRoot
from ledger.replica.identity import RootSignatures, signature_changes
from ledger.replica.membership import NO_CHANGE, MembershipChange, membership_change
from ledger.replica.outputs import Outputs
from ledger.replica.sealers import SPECIAL_TABLES, Sealers
from ledger.replica.settings import ReplicaSettings
from ledger.replica.signatures import SignatureIndex
from ledger.replica.signing import Signing
from ledger.replica.waiters import CommitWaiters, Decided, Status
from ledger.tables.nodes import NODES_ENDORSED_CERTIFICATES

BATCH_ENTRIES = 256
"""Entries that are given to consensus, and so to the disk, without waiting for a signature."""

BRAKE_MS = 50
"""How long clients are held back at most, in steps of the loop of a millisecond or more each: less
than a refusal costs them."""

_SPECIAL = SPECIAL_TABLES | {END_CHUNK}
_FINAL = frozenset({"Committed", "Invalid"})


class Replica:
    """The deterministic state machine of one node.

    Attributes:
        store: Key-value store; its version is the newest seqno given out.
        tree: Merkle tree, up to but not including an outstanding signature or what is not sealed.
        raft: Consensus.
        view: The view that new transactions get while primary. On a backup, the view whose primary
            wrote its newest entry; from a change of view, the end of being primary or a roll-back
            until there is one, a number that is no view and was not used before. Invariant:
            nothing is rolled back while it stays the same, so a client that finds it unchanged
            finds what it has read and written before.
        is_primary: Whether this node takes writes.
        commit_id: Highest committed transaction, ``0.0`` before any.
        truncations: How often entries were removed from the ledger, the newest time included
            whose ``TruncateLedger`` is not drained yet: a report of the disk that knows of fewer
            speaks of entries that are gone.
    """

    def __init__(
        self,
        node_id: NodeId,
        raft: Raft,
        store: Store,
        tree: MerkleTree,
        sealers: Sealers,
        settings: ReplicaSettings,
        clock: Clock,
    ) -> None:
        self.node_id = node_id
        self.raft = raft
        self.store = store
        self.tree = tree
        self.sealers = sealers
        self.signatures = SignatureIndex()
        self.waiters = CommitWaiters()
        self.chunking = Chunking(settings.chunk_size)
        self.view = 0
        self.is_primary = False
        self.commit_id = TxId(0, 0)
        self.truncations = 0
        self._uncommitted_max = raft.state.settings.max_uncommitted
        self._clock = clock
        self._signing = Signing(settings.signing, clock)
        self._followed = 0
        self._views_left = 0
        self._unsealed: list[Ordered] = []
        self._batch: list[Proposed] = []
        self._batch_due = False
        self._outputs = Outputs(self)
        self.applier = EntryApplier(self)

    # -- transactions ------------------------------------------------------------------

    def begin(self) -> Tx:
        """Open a transaction on the newest state."""
        return self.store.begin()

    def begin_read_only(self) -> Tx:
        """Open a transaction on the newest state that refuses writes."""
        return self.store.begin(read_only=True)

    def commit(self, tx: Tx, claims_digest: bytes | None) -> TxId | None:
        """Give the transaction its ID; its entry is made by the next ``flush``, or before.

        Args:
            tx: A transaction with writes.
            claims_digest: 32 bytes bound to it, or None for zeros.

        Returns:
            Its ID, or None when something it read has changed since it began.

        Raises:
            EntrySizeError: it changes too much for one entry; it is as if it had never been.
        """
        assert self.is_primary, "only a primary gives out transaction IDs"
        store = self.store
        seqno = store.version + 1
        changes = store.commit(tx, seqno)
        if type(changes) is not dict:
            return None
        chunking = self.chunking
        try:
            self._unsealed.append(ordered(seqno, chunking.flags, changes, claims_digest))
        except EntrySizeError:
            store.rollback(seqno - 1)
            raise
        chunking.flags = 0
        signing = self._signing
        signing.unsigned += 1
        if not _SPECIAL.isdisjoint(changes):
            self._special(seqno, changes)
        if signing.unsigned >= signing.tx_count and not signing.is_full:
            self._reserve_signature()
        return TxId(self.view, seqno)

    def _special(self, seqno: int, changes: Changes) -> None:
        """Take in what the newest transaction says of nodes, ledger secrets and chunks."""
        self._seal(membership_change(changes, self.store))
        if END_CHUNK in changes:
            self.chunking.request_end(seqno)
        self.sealers.applied(seqno, changes)
        assert not self.sealers.lacks_latest, "a primary hands a new ledger secret to itself too"

    def _seal(self, newest: MembershipChange = NO_CHANGE) -> None:
        """Make the entries of what was ordered since the last time.

        Not at once: so answers leave earlier, and one loop over many costs less.

        Args:
            newest: What the newest of them says of nodes.
        """
        if not self._unsealed:
            return
        unsealed, self._unsealed = self._unsealed, []
        entries, leaves = self.sealers.latest.seal_all(self.view, unsealed)
        proposed = [Proposed(each[0], entry) for each, entry in zip(unsealed, entries, strict=True)]
        if newest is not NO_CHANGE:
            proposed[-1] = Proposed(
                proposed[-1].seqno,
                entries[-1],
                False,
                newest.configuration,
                newest.retired_committed,
            )
        if self._signing.oldest is not None:
            self._signing.hold(proposed, leaves)
        else:
            self.tree.extend(leaves)
            self._release(proposed)

    def _release(self, proposed: Sequence[Proposed]) -> None:
        """Take entries into the next batch for consensus."""
        self._batch += proposed
        self.chunking.size += sum([len(each.data) for each in proposed])

    # -- status ------------------------------------------------------------------------

    def view_at(self, seqno: int) -> int:
        """Return the view of the transaction this node has at ``seqno``, 0 for none."""
        if seqno > self.store.version:
            return 0
        if self._last_in_consensus < seqno:
            return self.view
        return self.raft.view_at(seqno)

    def current(self) -> TxId:
        """Return the ID of the newest transaction, ``0.0`` in an empty store."""
        seqno = self.store.version
        return TxId(self.view_at(seqno), seqno)

    def committed(self) -> TxId:
        """Return the ID of the newest committed transaction, ``0.0`` before the first."""
        return self.commit_id

    def view_history(self) -> list[TxId]:
        """Return every view that has transactions here with its first seqno, oldest first."""
        starts = self.raft.view_starts
        last = self.raft.last
        # A view without entries shares its start with the next one.
        return [
            TxId(index + 1, start)
            for index, start in enumerate(starts)
            if start <= last and starts[index + 1 : index + 2] != [start]
        ]

    def status(self, view: int, seqno: int) -> Status:
        """Return Unknown, Pending, Committed or Invalid; the last two are final."""
        local = self.view_at(seqno)
        if self.commit_id.seqno >= seqno:
            return "Committed" if local == view else "Invalid"
        if local == view:
            return "Pending"
        return "Invalid" if self.commit_id.view > view else "Unknown"

    def on_decided(self, tx_id: TxId, callback: Decided) -> None:
        """Call back once with the final status of ``tx_id``; at once when it is known."""
        status = self.status(tx_id.view, tx_id.seqno)
        if status in _FINAL:
            callback(status)
        else:
            self.waiters.add(tx_id, callback)

    def has_root(self, seqno: int) -> bool:
        """Seal what is ordered, and say whether the Merkle root at ``seqno`` can be computed.

        It cannot behind an outstanding signature.
        """
        self._seal()
        return seqno < self.tree.count

    def when_signed(self, resume: Callable[[None], None]) -> None:
        """Call ``resume`` once the oldest outstanding signature is made or dropped."""
        self._signing.when_made(resume)

    @property
    def at_capacity(self) -> bool:
        """Whether so much is uncommitted that new user requests are refused."""
        return 0 < self._uncommitted_max <= self.store.version - self.commit_id.seqno

    @property
    def brake_ms(self) -> int:
        """How long clients may be held back now, because they write faster than can be committed.

        When half of the signatures that may be on their way are, or half of what may be
        uncommitted is: whoever slows clients down now need not refuse them.
        """
        uncommitted = self.store.version - self.commit_id.seqno
        is_half = self.is_primary and 0 < self._uncommitted_max < 2 * uncommitted
        return BRAKE_MS if is_half or self._signing.is_half_full else 0

    @property
    def _last_in_consensus(self) -> int:
        return self.raft.last

    # -- once per loop turn ------------------------------------------------------------

    def flush(self) -> Sequence[Effect]:
        """Seal, sign when due, hand entries to consensus, and return what the shell has to do."""
        if self.is_primary:
            self._seal()
            if self._signing.is_due():
                self._reserve_signature()
            if self._batch_due or len(self._batch) >= BATCH_ENTRIES:
                self._hand_over_batch()
        return self._outputs.drain()

    def _hand_over_batch(self) -> None:
        """Give consensus the entries since the last time: at a signature, when many, or a tick.

        Nothing can commit before a signature, so small batches would only cost time.
        """
        self._batch_due = False
        if self._batch:
            batch, self._batch = self._batch, []
            accepted = self.raft.replicate(batch, self.view)
            assert accepted, f"consensus refused entries {batch[0].seqno} to {batch[-1].seqno}"
            self._outputs.take()

    @property
    def outstanding_signature(self) -> TxId | None:
        """The ID that is reserved for the signature being made, None while there is none."""
        oldest = self._signing.oldest
        return None if oldest is None else oldest.tx_id

    @property
    def unsealed(self) -> int:
        """How many transactions have no entry yet; ``flush`` and ``has_root`` leave none."""
        return len(self._unsealed)

    @property
    def awaits_signature(self) -> bool:
        """Whether there is something unsigned and no signature being made."""
        return self.is_primary and self._signing.is_idle

    def wait_ms(self) -> float:
        """Return how long until ``flush`` would sign what is unsigned now."""
        return self._signing.wait_ms()

    def sign_soon(self) -> None:
        """Have the next flush write a signature whether or not one is due."""
        self._signing.ask()

    def _reserve_signature(self) -> None:
        """Give the next seqno to a signature over everything before it."""
        self._seal()
        seqno = self.store.version + 1
        self.store.advance(seqno)
        is_first = self._signing.oldest is None
        self._signing.reserve(TxId(self.view, seqno))
        if is_first:
            self._sign_oldest()

    def _sign_oldest(self) -> None:
        """Have the oldest outstanding signature made: all that it signs is in the tree."""
        oldest = self._signing.oldest
        assert oldest is not None, "there is a signature to make"
        oldest.root = self.tree.root()
        issued_at = int(self._clock.unix_seconds())
        self._outputs.add(SignRoot(oldest.tx_id, oldest.root, issued_at))

    def signature_made(self, tx_id: TxId, signatures: RootSignatures) -> None:
        """Turn finished signatures into the reserved entry and release what was held.

        A signature whose reservation was rolled back meanwhile is dropped.
        """
        if self.outstanding_signature != tx_id:
            return
        signing = self._signing.made()
        certificate = self.store.begin().table(NODES_ENDORSED_CERTIFICATES).get(self.node_id)
        assert certificate is not None, "a primary has an endorsed certificate"
        tree = self.tree.serialise()
        changes = signature_changes(
            tx_id, signing.root, signatures, self.node_id, certificate, tree
        )
        self.store.fill(tx_id.seqno, changes)
        ends_chunk = self.chunking.ends_at(tx_id.seqno)
        flags = FLAG_CHUNK_AFTER if ends_chunk else 0
        entry, leaf = self.sealers.at(tx_id.seqno).seal(
            tx_id.view, tx_id.seqno, flags, changes, None
        )
        self.chunking.signed(tx_id.seqno, len(entry), ends_chunk=ends_chunk)
        self.signatures.add(tx_id.seqno)
        self.tree.extend([leaf, *signing.leaves])
        self._batch.append(Proposed(tx_id.seqno, entry, True, None, None))
        self._release(signing.entries)
        self._batch_due = True
        if self._signing.oldest is not None:
            self._sign_oldest()
        self._signing.tell()

    # -- inputs ------------------------------------------------------------------------

    def adopt_secrets(self, sealers: Sealers) -> None:
        """Use the ledger secrets that a joiner was given; nothing was written or applied yet."""
        assert self.store.version == 0, "secrets are adopted before the first entry"
        self.sealers = sealers

    def bootstrap(self) -> None:
        """Make this node the first primary of a new service, in view 2."""
        self.raft.bootstrap_primary()
        self._outputs.take()

    def tick(self, elapsed_ms: int) -> None:
        """Advance consensus time."""
        self._batch_due = True
        self.raft.tick(elapsed_ms)
        self._outputs.take()

    def receive(self, sender: NodeId, message: Message) -> None:
        """Handle one message of a peer."""
        self.raft.step(sender, message)
        self._outputs.take()
        if self.view > self.raft.view:
            self._maybe_settle()

    def _maybe_settle(self) -> None:
        """Show a view once the newest entry is its primary's: what is before it stays."""
        raft = self.raft
        if raft.primary_id is not None and raft.view_at(raft.last) == raft.view:
            self.view = raft.view

    def persisted(self, seqno: int) -> None:
        """Note that everything up to ``seqno`` is on this node's disk."""
        self.raft.persisted(seqno)
        self._outputs.take()

    def hand_over(self) -> bool:
        """Ask the best-matched peer to become primary; False when there is nobody to ask."""
        asked = self.raft.hand_over()
        self._outputs.take()
        return asked is not None

    # -- what consensus decided (called by Outputs) ------------------------------------

    def become_primary(self, view: int) -> None:
        """Take writes in ``view``; its first signature is due at once."""
        assert not self.sealers.lacks_latest, "who can win an election knows every ledger secret"
        self.view = view
        self.is_primary = True
        self._signing.ask()

    def become_backup(self, view: int) -> None:
        """Stop taking writes; follow in ``view``, or wait there for a primary."""
        if self.is_primary or view != self._followed:
            self._followed = view
            self._leave_view()
        self.is_primary = False
        if self.store.version > self.raft.last:
            self.roll_back(self.raft.last)

    def _leave_view(self) -> None:
        """Show a number that is no view, and another one each time."""
        self._views_left += 1
        self.view = VIEW_MAX - self._views_left

    def roll_back(self, seqno: int) -> None:
        """Forget everything above ``seqno``, which is at least the committed seqno."""
        self._signing.drop()
        self._unsealed.clear()
        self._batch.clear()
        if self.store.version > seqno:
            self._leave_view()
            self.store.rollback(seqno)
        if self.tree.count > seqno + 1:
            self.tree.retract(seqno)
        self.signatures.rollback(seqno)
        self.chunking.rollback(seqno)
        self.sealers.rollback(seqno)
        self._signing.tell()

    def commit_advanced(self, seqno: int) -> TxId:
        """Note that everything up to ``seqno`` is committed."""
        self.commit_id = TxId(self.raft.view_at(seqno), seqno)
        self.store.compact(seqno)
        self.tree.flush(seqno)
        self.chunking.committed(seqno)
        self.waiters.release(seqno, self.raft.view_at)
        return self.commit_id
