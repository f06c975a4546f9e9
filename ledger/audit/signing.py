"""Checks of signature transactions: tables, tree value, root, node signature, COSE signature.

The auditor keeps its own Merkle tree over the leaves it computed. When a signed root differs,
the tree value beside it (whose root must be the signed one) says which entries differ, and the
audit goes on with it, so that one changed entry is one finding.
"""

from dataclasses import dataclass
from typing import Any

from ledger.audit.cose_checks import check_cose
from ledger.audit.findings import Findings, Place
from ledger.audit.identity import Identity
from ledger.audit.leaves import LeafLog
from ledger.audit.reader import Located
from ledger.audit.service import ServiceChecker
from ledger.audit.signers import Signers
from ledger.audit.state import PublicState, int_field, json_object, text_field
from ledger.base.errors import FormatError, MisuseError, VerificationError
from ledger.base.ids import TxId
from ledger.codec import canonical
from ledger.codec.entry import Entry
from ledger.codec.tables import SINGLETON_KEY
from ledger.codec.writeset import Changes
from ledger.crypto.certs import Certificate
from ledger.merkle.tree import MerkleTree
from ledger.tables.internal import COSE_SIGNATURES, SIGNATURES, TREE

_NO_CLAIMS = bytes(32)
_OWN = frozenset({SIGNATURES.name, COSE_SIGNATURES.name, TREE.name})


@dataclass(slots=True)
class SignatureTotals:
    """What the signatures of a ledger add up to.

    Attributes:
        count: Signature transactions.
        node_signatures: Of them, with a valid node signature.
        cose_signatures: Of them, with a valid COSE signature.
        without_cose: Of them, without the COSE table.
        verified: The newest whose root and signatures are right.
        root: Its root.
        issued_at: Latest time a COSE signature claimed, 0 before one.
        names: Issuer and subject of the newest COSE signature.
    """

    count: int = 0
    node_signatures: int = 0
    cose_signatures: int = 0
    without_cose: int = 0
    verified: TxId | None = None
    root: bytes = b""
    issued_at: int = 0
    names: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one signature.

    Attributes:
        is_right: None when there was no key to check it with.
        service_id: Key ID of the service that it is tied to, empty for none.
    """

    is_right: bool | None
    service_id: str = ""


class SignatureChecker:
    """Checks signature transactions in order.

    Args:
        findings: Takes what is found.
        state: State before each signature transaction (which changes none of its tables).
        service: Checks node certificates.
        identity: Knows the service key, and takes whom signatures are tied to.
        leaves: Leaves before each signature transaction.

    Attributes:
        totals: What came of all signatures.
        signers: Knows who signed in which view.
    """

    def __init__(
        self,
        findings: Findings,
        state: PublicState,
        service: ServiceChecker,
        identity: Identity,
        leaves: LeafLog,
    ) -> None:
        self.totals = SignatureTotals()
        self.signers = Signers(findings, state, service)
        self._findings = findings
        self._identity = identity
        self._leaves = leaves

    def check(self, located: Located, changes: Changes) -> None:
        """Check one signature transaction, before its own leaf is appended."""
        place = located.place
        tx_id = TxId(located.entry.view, located.position)
        self.totals.count += 1
        self._check_tables(place, changes)
        self._check_rest(place, located.entry)
        signature = self._parse_node_signature(place, changes)
        stored_tree = self._parse_tree(place, changes, tx_id.seqno)
        root, is_computed = self._check_root(located, signature, stored_tree)
        if not root:
            return
        cose_value = _value(changes, COSE_SIGNATURES.name)
        verdicts: list[Verdict] = []
        if cose_value is not None:
            verdicts.append(self._check_cose(place, cose_value, tx_id, root))
        else:
            self.totals.without_cose += 1
        if signature is not None:
            verdicts.append(self._check_node_signature(place, signature, tx_id, root))
        elif SIGNATURES.name in changes:
            verdicts.append(Verdict(is_right=False))
        else:
            self._findings.note("node-signature-missing", place, "got only the COSE signature")
        self._conclude(tx_id, root, verdicts, is_computed=is_computed)

    def _conclude(
        self, tx_id: TxId, root: bytes, verdicts: list[Verdict], *, is_computed: bool
    ) -> None:
        """Take what came of the signatures of a transaction together."""
        rights = [verdict.is_right for verdict in verdicts]
        services = [verdict.service_id for verdict in verdicts if verdict.is_right]
        is_verified = is_computed and True in rights and False not in rights
        self._identity.note_signature(max(services, default=""), is_newest=is_verified)
        if is_verified:
            self.totals.verified = tx_id
            self.totals.root = root

    def finish(self) -> None:
        """Say once what is legal but worth knowing about all signatures."""
        totals = self.totals
        if totals.without_cose:
            self._findings.note(
                "cose-missing",
                Place(),
                f"got {totals.without_cose} of {totals.count} signatures without the COSE table",
            )

    def _check_tables(self, place: Place, changes: Changes) -> None:
        for name in sorted(changes.keys() - _OWN):
            message = f"got map {name!r} beside a signature, want only the signature's maps"
            self._findings.error("signature-extra-map", place, message)
        for name in sorted(changes.keys() & _OWN):
            for key, value in changes[name].items():
                if key != SINGLETON_KEY:
                    self._findings.error(
                        "signature-key", place, f"got key {key[:32].hex()} in {name!r}, want zeros"
                    )
                if value is None:
                    message = f"got a remove in {name!r}, want a write"
                    self._findings.error("signature-remove", place, message)

    def _check_rest(self, place: Place, entry: Entry) -> None:
        """A signature transaction is its public maps and nothing else."""
        if entry.private:
            message = f"got {len(entry.private)} private bytes in a signature, want none"
            self._findings.error("signature-private", place, message)
        if entry.claims_digest not in (None, _NO_CLAIMS):
            self._findings.error("signature-claims", place, "got a signature with a claims digest")

    def _parse_node_signature(self, place: Place, changes: Changes) -> dict[str, Any] | None:
        value = _value(changes, SIGNATURES.name)
        if value is None:
            return None
        try:
            fields = json_object(value)
            for name in ("node", "root", "sig", *(["cert"] if "cert" in fields else [])):
                text_field(fields, name)
            for name in ("seqno", "view"):
                int_field(fields, name)
            canonical.from_hex(fields["root"], 32)
            canonical.b64decode(fields["sig"])
        except FormatError as error:
            self._findings.error("signature-format", place, str(error))
            return None
        return fields

    def _parse_tree(self, place: Place, changes: Changes, seqno: int) -> MerkleTree | None:
        value = _value(changes, TREE.name)
        if value is None:
            self._findings.error("tree-missing", place, "got a signature without the tree value")
            return None
        try:
            tree = MerkleTree.deserialise(value)
        except FormatError as error:
            self._findings.error("tree-value", place, str(error))
            return None
        if tree.count != seqno:
            self._findings.error(
                "tree-value", place, f"got a tree of {tree.count} leaves, want {seqno}"
            )
            return None
        return tree

    def _check_root(
        self, located: Located, signature: dict[str, Any] | None, stored: MerkleTree | None
    ) -> tuple[bytes, bool]:
        """Compare the roots that are stored with the one computed.

        Returns:
            The root that signatures are to be checked over, empty when there is none; and
            whether it is that of the entries at hand.
        """
        place = located.place
        signed = canonical.from_hex(signature["root"]) if signature is not None else None
        own = self._leaves.tree
        computed = own.root() if own is not None and own.count == located.position else None
        if stored is not None and stored.root() != (signed or computed or stored.root()):
            self._findings.error("tree-value", place, "got a tree whose root is not the signed one")
            stored = None
        if computed is None or signed not in (None, computed):
            self._bridge(place, computed, stored)
        elif stored is not None and own is not None:
            self._compare_tree(place, own, stored)
        root = signed or computed or (stored.root() if stored is not None else b"")
        return root, root == computed or (computed is None and self._leaves.tree is not None)

    def _bridge(self, place: Place, computed: bytes | None, stored: MerkleTree | None) -> None:
        """The computed root is unknown or wrong: find what differs and go on from the stored."""
        if computed is not None:
            self._findings.error(
                "signature-root", place, "got a signed root that the entries before do not have"
            )
        if stored is None:
            return
        for seqno in self._leaves.differences(stored):
            self._findings.error(
                "entry-changed",
                place,
                f"got another entry at seqno {seqno} than the one that was signed",
            )
        if computed is None:
            message = f"took the past before seqno {stored.first} from a signed tree value"
            self._findings.note("tree-trusted", place, message)
        self._leaves.adopt(stored)

    def _compare_tree(self, place: Place, own: MerkleTree, stored: MerkleTree) -> None:
        try:
            same = stored.first < own.first or own.serialise(stored.first) == stored.serialise()
        except MisuseError:
            same = False
        if not same:
            self._findings.error("tree-value", place, "got hashes that are not the tree's")

    def _check_cose(self, place: Place, value: bytes, tx_id: TxId, root: bytes) -> Verdict:
        result = check_cose(self._findings, place, value, (tx_id, root), self._identity.key_for)
        totals = self.totals
        totals.cose_signatures += bool(result.signed_by)
        if result.issued_at and result.issued_at < totals.issued_at:
            self._findings.warning(
                "cose-time", place, f"got time {result.issued_at} after {totals.issued_at}"
            )
        totals.issued_at = max(totals.issued_at, result.issued_at)
        if result.names is not None:
            if totals.names not in (None, result.names):
                self._findings.warning(
                    "cose-names",
                    place,
                    f"got issuer and subject {result.names} after {totals.names}",
                )
            totals.names = result.names
        if result.signed_by is None:
            return Verdict(is_right=None)
        return Verdict(is_right=bool(result.signed_by), service_id=result.signed_by)

    def _check_node_signature(
        self, place: Place, signature: dict[str, Any], tx_id: TxId, root: bytes
    ) -> Verdict:
        got = TxId(signature["view"], signature["seqno"])
        if got != tx_id:
            self._findings.error("signature-txid", place, f"got a signature of {got}, want {tx_id}")
        node_id: str = signature["node"]
        certificate = self.signers.certificate(place, node_id, signature.get("cert"), tx_id.view)
        if certificate is None:
            return Verdict(is_right=False)
        self._check_expiry(place, certificate, node_id)
        try:
            certificate.public_key.verify_digest(canonical.b64decode(signature["sig"]), root)
        except VerificationError as error:
            self._findings.error("signature-node", place, str(error))
            return Verdict(is_right=False)
        self.signers.signed(place, node_id, tx_id.view)
        self.totals.node_signatures += 1
        return Verdict(is_right=got == tx_id, service_id=self._identity.endorser(certificate))

    def _check_expiry(self, place: Place, certificate: Certificate, node_id: str) -> None:
        now = self.totals.issued_at
        if now and not certificate.is_valid_at(now):
            self._findings.error(
                "node-certificate-expired",
                place,
                f"got a signature at {now} by node {node_id[:64]}, whose certificate is valid "
                f"from {certificate.not_before} to {certificate.not_after}",
            )


def _value(changes: Changes, name: str) -> bytes | None:
    """Return a singleton's value; when the key is wrong, its only value."""
    rows = changes.get(name, {})
    if SINGLETON_KEY in rows:
        return rows[SINGLETON_KEY]
    return next(iter(rows.values()), None)
