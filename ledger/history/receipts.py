"""What a receipt is made of, for any committed transaction of this node's ledger.

The transaction's entry and the signature transaction that covers it are read back from the host
and checked before use: the signature transaction carries both signatures and the leaves of its
tree, so a changed file is found here and never served.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ledger.base.errors import FormatError, MisuseError, VerificationError
from ledger.base.ids import TxId
from ledger.codec import canonical
from ledger.codec.entry import NO_CLAIMS, Entry, parse_entry
from ledger.codec.tables import SINGLETON_KEY
from ledger.codec.writeset import Changes, decode
from ledger.crypto.hashing import sha256
from ledger.history.reading import EntryReader
from ledger.merkle.path import Path
from ledger.merkle.tree import MerkleTree
from ledger.receipts.build import Leaf, SignedRoot
from ledger.replica.replica import Replica
from ledger.replica.signature_check import check_signature_transaction
from ledger.tables.internal import COSE_SIGNATURES, SIGNATURES, TREE

_CACHED_SIGNATURES = 64


@dataclass(frozen=True, slots=True)
class ReceiptParts:
    """What a receipt is made of.

    Attributes:
        signed: The signature over the root.
        leaf: The transaction; None when it is the signature transaction itself.
        path: Its proof in the signed tree; empty for the signature transaction itself.
    """

    signed: SignedRoot
    leaf: Leaf | None
    path: Path


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why there is no receipt: the ledger files lack an entry, or hold another one."""

    reason: str


Found = Callable[[ReceiptParts | Unavailable], None]


@dataclass(frozen=True, slots=True)
class _Signature:
    """A checked signature transaction and the tree it signed."""

    signed: SignedRoot
    tree: MerkleTree


class ReceiptSource:
    """Finds the parts of receipts."""

    def __init__(self, replica: Replica, reader: EntryReader) -> None:
        self._replica = replica
        self._reader = reader
        self._checked: OrderedDict[int, _Signature] = OrderedDict()

    def find(self, tx_id: TxId, found: Found) -> None:
        """Find the parts of the receipt of a committed transaction; ``found`` comes later."""
        assert tx_id.seqno <= self._replica.commit_id.seqno, "receipts are for the committed"
        signatures = self._replica.signatures
        seqno = tx_id.seqno
        if signatures.is_signature(seqno):
            # Always read anew: the answer must not come before this call returns.
            done = partial(self._check, seqno, partial(self._own_receipt, found))
            self._reader.read_entries(seqno, seqno, done)
            return
        covering = signatures.covering(seqno)
        assert covering is not None, "a committed transaction is covered by a signature"
        self._signature(covering, partial(self._with_signature, seqno, covering, found))

    def _own_receipt(self, found: Found, signature: "_Signature | Unavailable") -> None:
        if isinstance(signature, Unavailable):
            found(signature)
        else:
            found(ReceiptParts(signature.signed, None, []))

    def _with_signature(
        self, seqno: int, covering: int, found: Found, signature: "_Signature | Unavailable"
    ) -> None:
        if isinstance(signature, Unavailable):
            found(signature)
            return
        done = partial(self._with_entry, seqno, covering, signature, found)
        self._reader.read_entries(seqno, seqno, done)

    def _with_entry(
        self,
        seqno: int,
        covering: int,
        signature: _Signature,
        found: Found,
        data: bytes | None,
        problem: str,
    ) -> None:
        try:
            entry = _entry(data, seqno, problem)
            leaf = self._leaf(entry)
            if leaf.digest != signature.tree.leaf(seqno):
                raise VerificationError(f"the ledger files hold another entry at {seqno}")
            path = signature.tree.path(seqno, covering - 1)
        except (FormatError, VerificationError, MisuseError) as error:
            found(Unavailable(str(error)))
        else:
            found(ReceiptParts(signature.signed, leaf, path))

    def _leaf(self, entry: Entry) -> Leaf:
        sealer = self._replica.sealers.at(entry.seqno)
        evidence = sealer.commit_evidence(entry.view, entry.seqno)
        return Leaf(sha256(entry.data), evidence, entry.claims_digest or NO_CLAIMS)

    # -- signature transactions --------------------------------------------------------

    def _signature(self, seqno: int, done: "Callable[[_Signature | Unavailable], None]") -> None:
        checked = self._checked.get(seqno)
        if checked is not None:
            self._checked.move_to_end(seqno)
            done(checked)
            return
        self._reader.read_entries(seqno, seqno, partial(self._check, seqno, done))

    def _check(
        self,
        seqno: int,
        done: "Callable[[_Signature | Unavailable], None]",
        data: bytes | None,
        problem: str,
    ) -> None:
        try:
            entry = _entry(data, seqno, problem)
            changes = decode(entry.public_maps)
            tree = MerkleTree.deserialise(_value(changes, TREE.name))
            check_signature_transaction(
                TxId(entry.view, seqno), changes, tree.root(), self._replica.store, is_past=True
            )
            if tree.count != seqno:
                raise VerificationError(f"got a tree of {tree.count} leaves at {seqno}")
        except (FormatError, VerificationError) as error:
            done(Unavailable(str(error)))
            return
        signature = _Signature(_signed_root(changes), tree)
        self._checked[seqno] = signature
        if len(self._checked) > _CACHED_SIGNATURES:
            self._checked.popitem(last=False)
        done(signature)


def _signed_root(changes: Changes) -> SignedRoot:
    info = SIGNATURES.value.decode(_value(changes, SIGNATURES.name))
    cose = COSE_SIGNATURES.value.decode(_value(changes, COSE_SIGNATURES.name))
    assert info.cert is not None, "our signatures carry their certificate"
    return SignedRoot(
        root=bytes.fromhex(info.root),
        node_id=info.node,
        certificate=info.cert,
        signature=canonical.b64decode(info.sig),
        cose=canonical.b64decode(cose),
    )


def _value(changes: Changes, name: str) -> bytes:
    value = changes.get(name, {}).get(SINGLETON_KEY)
    if value is None:
        raise FormatError(f"got no value in {name}, want one in every signature transaction")
    return value


def _entry(data: bytes | None, seqno: int, problem: str) -> Entry:
    if data is None:
        raise FormatError(problem)
    entry = parse_entry(data)
    if entry.size != len(data) or entry.seqno != seqno:
        raise FormatError(f"got entry {entry.seqno} of {entry.size} bytes, want {seqno} alone")
    return entry
