"""What the ledger says, worked out a second time: what simulated replicas are held to.

For every entry that ever existed there is a *shadow*: the state after it, computed by other means
than a replica's. The Merkle tree is a list of peaks, the store a plain dictionary, entries are
opened the long way. A shadow is made once, when the first node appends the entry; whoever claims to
be at ``view.seqno`` must agree with the shadow of ``view.seqno``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from ledger.base.errors import LedgerError
from ledger.base.ids import NodeId
from ledger.codec import canonical
from ledger.codec.entry import Entry, parse_entry
from ledger.codec.tables import SINGLETON_KEY
from ledger.codec.writeset import Changes
from ledger.consensus.types import Applied
from ledger.crypto.sealing import EntrySealer, leaf_of_parsed
from ledger.crypto.wrapping import unwrap
from ledger.kv.contents import MapContents
from ledger.kv.store import Store
from ledger.merkle.tree import MerkleTree
from ledger.secrets.historical import parse_historical
from ledger.secrets.ledger_secret import LedgerSecret
from ledger.secrets.shares import unwrap_with_shares
from ledger.tables.internal import (
    COSE_SIGNATURES,
    ENCRYPTED_LEDGER_SECRETS,
    HISTORICAL_LEDGER_SECRET,
    RECOVERY_SHARES,
    SIGNATURES,
    TREE,
)
from ledger.tables.nodes import NODES_INFO, NodeStatus
from ledger.testing.checkers import require
from ledger.testing.sim_replica_identity import covered_secret, share_of_member

Row = tuple[str, bytes]
Rows = dict[Row, bytes]
Key = tuple[int, int]

ROWS_KEPT_EVERY = 50
"""Of the committed states that nobody is at any more, one in so many keeps its rows."""
_SUM = (1 << 64) - 1
_SIGNED = {SIGNATURES.name, COSE_SIGNATURES.name, TREE.name}


class Shadow:
    """The state after one entry.

    Attributes:
        view: View of the entry.
        seqno: Its seqno.
        before: The shadow of the entry before it, None for the first.
        entry: The entry, parsed; None for the empty state.
        changes: What it changes.
        peaks: Roots of the complete subtrees, left to right.
        root: Merkle root with this entry's leaf.
        rows: Every row of every map as the store keeps it; None when it was dropped.
        versions: Per map, the seqno of the last write or removal.
        total: Sum of hashes of all rows and versions, in ``[0, 2**64)``; of this process only.
        secrets: Ledger secrets known after it, oldest first.
        statuses: Nodes by their status.
        role: What the entry does in consensus.
    """

    __slots__ = (
        "before",
        "changes",
        "entry",
        "peaks",
        "role",
        "root",
        "rows",
        "secrets",
        "seqno",
        "statuses",
        "total",
        "versions",
        "view",
    )

    def __init__(self, view: int, seqno: int, before: "Shadow | None") -> None:
        self.view = view
        self.seqno = seqno
        self.before = before
        self.entry: Entry | None = None
        self.changes: Changes = {}
        self.peaks: tuple[bytes, ...] = (bytes(32),)
        self.root = bytes(32)
        self.rows: Rows | None = {}
        self.versions: dict[str, int] = {}
        self.total = 0
        self.secrets: tuple[LedgerSecret, ...] = ()
        self.statuses: Mapping[NodeId, NodeStatus] = {}
        self.role = Applied()

    def state(self) -> Rows:
        """Return every row, worked out again where it was dropped."""
        if self.rows is not None:
            return self.rows
        passed: list[Shadow] = []
        shadow = self
        while shadow.rows is None:
            passed.append(shadow)
            assert shadow.before is not None, "the empty state keeps its rows"
            shadow = shadow.before
        rows = dict(shadow.rows)
        for later in reversed(passed):
            _write(rows, later.seqno, later.changes)
        return rows

    @property
    def trusted(self) -> frozenset[NodeId]:
        """The Trusted nodes."""
        return frozenset(n for n, status in self.statuses.items() if status is NodeStatus.TRUSTED)


class Shadows:
    """The shadows of one service.

    Attributes:
        first: The empty state.
        by_id: All others.
        watcher: Told of every new one.
    """

    def __init__(self, first_secret: bytes) -> None:
        self.first = Shadow(0, 0, None)
        self.first.secrets = (LedgerSecret(first_secret, 1),)
        self.by_id: dict[Key, Shadow] = {}
        self.watcher: Callable[[Shadow], None] | None = None
        self._sealers: dict[bytes, EntrySealer] = {}
        self._dropped = 0

    def at(self, view: int, seqno: int) -> Shadow:
        """Return the shadow of an entry; that of nothing for seqno 0."""
        return self.by_id[view, seqno] if seqno else self.first

    def add(self, view: int, seqno: int, view_before: int, data: bytes) -> Shadow:
        """Work out the state after an entry that was just written.

        Raises:
            InvariantError: the entry is not what an entry after the one before it can be.
        """
        before = self.at(view_before, seqno - 1)
        shadow = Shadow(view, seqno, before)
        try:
            shadow.entry = entry = parse_entry(data)
            shadow.changes = self._sealer(before.secrets[-1].key).open(entry)
        except LedgerError as error:
            require(False, "Entry", f"{view}.{seqno} cannot be opened: {error}")
            raise
        require((entry.view, entry.seqno) == (view, seqno), "Entry", f"another than {view}.{seqno}")
        shadow.peaks = _with_leaf(before.peaks, seqno, leaf_of_parsed(entry))
        shadow.root = _root(shadow.peaks)
        _take_rows(shadow, before)
        _take_secrets(shadow, before)
        _take_nodes(shadow, before)
        if SIGNATURES.name in shadow.changes:
            _check_signature(shadow, before)
        self.by_id[view, seqno] = shadow
        if self.watcher is not None:
            self.watcher(shadow)
        return shadow

    def drop_rows(self, committed: Sequence[int]) -> None:
        """Forget the rows of most committed states but the newest.

        Args:
            committed: View of each committed seqno, from 0.
        """
        last = len(committed) - 1
        for seqno in range(max(1, self._dropped), last):
            if seqno % ROWS_KEPT_EVERY:
                self.by_id[committed[seqno], seqno].rows = None
        self._dropped = last

    def _sealer(self, key: bytes) -> EntrySealer:
        sealer = self._sealers.get(key)
        if sealer is None:
            sealer = self._sealers[key] = EntrySealer(key)
        return sealer


def total_of(contents: Iterator[MapContents]) -> int:
    """Return the sum that a shadow of the same contents has."""
    total = 0
    for each in contents:
        name = each.name
        total += hash((name, each.version))
        for key, record in each.records:
            total += hash((name, key, record))
    return total & _SUM


def total_of_newest(store: Store) -> int:
    """Return the same sum over a store's newest version, committed or not."""
    tx = store.begin(read_only=True)
    total = 0
    for name in store.map_names():
        total += hash((name, store.map_version(name)))
        rows = tx.map(name)
        for key, value in rows.items():
            version = rows.version_of(key)
            assert version is not None, "a key in the map has a version"
            total += hash((name, key, version.to_bytes(8, "little") + value))
    return total & _SUM


def _with_leaf(peaks: tuple[bytes, ...], leaves: int, leaf: bytes) -> tuple[bytes, ...]:
    """Add a leaf to the peaks of a tree of so many leaves."""
    kept = list(peaks)
    node = leaf
    while leaves & 1:
        node = sha256(kept.pop() + node).digest()
        leaves >>= 1
    kept.append(node)
    return tuple(kept)


def _root(peaks: tuple[bytes, ...]) -> bytes:
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = sha256(peak + root).digest()
    return root


def _write(rows: Rows, seqno: int, changes: Changes) -> None:
    stamp = seqno.to_bytes(8, "little")
    for name, writes in changes.items():
        for key, value in writes.items():
            if value is None:
                rows.pop((name, key), None)
            else:
                rows[name, key] = stamp + value


def _take_rows(shadow: Shadow, before: Shadow) -> None:
    old = before.state()
    rows = dict(old)
    _write(rows, shadow.seqno, shadow.changes)
    total = before.total
    versions = dict(before.versions)
    for name, writes in shadow.changes.items():
        if name in versions:
            total -= hash((name, versions[name]))
        versions[name] = shadow.seqno
        total += hash((name, shadow.seqno))
        for key in writes:
            was, now = old.get((name, key)), rows.get((name, key))
            if was is not None:
                total -= hash((name, key, was))
            if now is not None:
                total += hash((name, key, now))
    shadow.rows = rows
    shadow.versions = versions
    shadow.total = total & _SUM


def _take_secrets(shadow: Shadow, before: Shadow) -> None:
    """Follow opening, rekey and new shares, and check that they fit the secrets before them."""
    changes, seqno = shadow.changes, shadow.seqno
    secrets = list(before.secrets)
    name = f"{shadow.view}.{seqno}"
    historical = _json(changes, HISTORICAL_LEDGER_SECRET.name)
    if historical is not None:
        announced = parse_historical(historical)
        latest = secrets[-1]
        if announced.previous_ledger_secret is None:
            require(announced.next_version == latest.first, "Secrets", f"{name} opens another one")
            secrets[-1] = LedgerSecret(latest.key, latest.first, seqno)
        else:
            secret = _rekeyed(shadow)
            previous = announced.previous_ledger_secret
            blob = canonical.b64decode(previous.encrypted_data)
            require(
                previous.version == latest.first
                and previous.previous_secret_stored_version == latest.stored_at
                and unwrap(secret.key, blob) == latest.key,
                "Secrets",
                f"the rekey {name} does not lead back to the secret from {latest.first}, "
                f"stored at {latest.stored_at}: it says {previous.version}, "
                f"stored at {previous.previous_secret_stored_version}",
            )
            secrets.append(secret)
    shares = _json(changes, RECOVERY_SHARES.name)
    if shares is not None:
        opened = unwrap_with_shares(shares, [share_of_member(shares)])
        is_new = len(secrets) > len(before.secrets)
        stored_at = None if is_new else before.secrets[-1].stored_at
        require(
            opened == secrets[-1].key and shares.get("previous_secret_stored_version") == stored_at,
            "Secrets",
            f"the shares {name} are not of the secret from {secrets[-1].first}",
        )
    shadow.secrets = tuple(secrets)


def _rekeyed(shadow: Shadow) -> LedgerSecret:
    value = shadow.changes[ENCRYPTED_LEDGER_SECRETS.name][SINGLETON_KEY]
    assert value is not None, "a rekey puts the secrets for the nodes"
    node = next(iter(canonical.loads(value)))
    (secret,) = covered_secret(value, node, shadow.seqno)
    return secret


def _json(changes: Changes, name: str) -> dict[str, Any] | None:
    value = changes.get(name, {}).get(SINGLETON_KEY)
    if value is None:
        return None
    document = canonical.loads(value)
    assert isinstance(document, dict), f"the value of {name} is an object"
    return document


def _take_nodes(shadow: Shadow, before: Shadow) -> None:
    """Work out the role of the entry from what it says of nodes."""
    shadow.statuses = before.statuses
    if SIGNATURES.name in shadow.changes:
        shadow.role = Applied(committable=True)
    written = shadow.changes.get(NODES_INFO.name)
    if written is None:
        return
    statuses = dict(before.statuses)
    marked = set()
    for key, value in written.items():
        node = NodeId(NODES_INFO.key.decode(key))
        if value is None:
            statuses.pop(node, None)
            continue
        info = NODES_INFO.value.decode(value)
        statuses[node] = info.status
        if info.retired_committed:
            marked.add(node)
    shadow.statuses = statuses
    if marked:
        shadow.role = Applied(retired_committed=frozenset(marked))
    else:
        shadow.role = Applied(configuration=shadow.trusted)


def _check_signature(shadow: Shadow, before: Shadow) -> None:
    """Check that a signature transaction signs the state before it and carries its tree."""
    name = f"{shadow.view}.{shadow.seqno}"
    require(set(shadow.changes) == _SIGNED, "Signature", f"{name} writes {sorted(shadow.changes)}")
    value = shadow.changes[SIGNATURES.name][SINGLETON_KEY]
    tree = shadow.changes[TREE.name][SINGLETON_KEY]
    assert value is not None, "a signature transaction puts its tables"
    assert tree is not None, "a signature transaction puts its tables"
    info = SIGNATURES.value.decode(value)
    require(info.root == before.root.hex(), "Signature", f"{name} signs another root")
    carried = MerkleTree.deserialise(tree)
    require(
        carried.count == shadow.seqno and carried.root() == before.root,
        "Signature",
        f"{name} carries the tree of {carried.count - 1}",
    )
    require(
        before.statuses.get(NodeId(info.node)) in (NodeStatus.TRUSTED, NodeStatus.RETIRED),
        "Signature",
        f"{name} is by {info.node}, which is {before.statuses.get(NodeId(info.node))}",
    )
