"""Checks of snapshot files against their receipt and against the ledger.

A snapshot is one entry of type 1 and a receipt of its evidence transaction. CCF's public reader
believes the names, the node ID and the certificate in it; here each is compared with the ledger.
"""

from dataclasses import dataclass, field
from pathlib import Path

from ledger.audit.directory import name_of, unreadable
from ledger.audit.findings import Findings, Place
from ledger.audit.report import SnapshotSummary
from ledger.audit.state import int_field, json_object, text_field
from ledger.base.errors import FormatError, UnavailableError, VerificationError
from ledger.codec.entry import Entry, EntryType, parse_entry
from ledger.crypto.certs import Certificate
from ledger.crypto.hashing import sha256
from ledger.files.names import SnapshotName, parse_snapshot_name
from ledger.receipts.verify import ProvedTransaction, VerifiedReceipt, verify


@dataclass(slots=True)
class SnapshotFacts:
    """What the ledger says that snapshots are compared with.

    Attributes:
        signature_leaves: Seqno of each signature transaction to its leaf.
        signed_roots: Roots of verified signatures.
        evidence: Seqno of each snapshot evidence to its value and leaf.
        services: Key ID of every service identity to its newest certificate.
    """

    signature_leaves: dict[int, bytes] = field(default_factory=dict)
    signed_roots: set[bytes] = field(default_factory=set)
    evidence: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    services: dict[str, Certificate] = field(default_factory=dict)


def check_snapshots(
    directory: Path, facts: SnapshotFacts, findings: Findings
) -> list[SnapshotSummary]:
    """Check every snapshot of a directory.

    Raises:
        UnavailableError: the directory or a file cannot be read.
    """
    summaries = []
    try:
        files = sorted(path for path in directory.iterdir() if path.name.startswith("snapshot_"))
        for path in files:
            summary = _check_file(path, facts, findings)
            if summary is not None:
                summaries.append(summary)
    except OSError as error:
        raise UnavailableError(f"cannot read {directory}: {error.strerror}") from error
    return summaries


def _check_file(path: Path, facts: SnapshotFacts, findings: Findings) -> SnapshotSummary | None:
    place = Place(path.name)
    name = name_of(path, parse_snapshot_name, findings)
    if name is None:
        return None
    problem = unreadable(path)
    if problem is not None:
        findings.error("file-unreadable", place, problem)
        return None
    data = path.read_bytes()
    before = findings.by_severity.total()
    verified = False
    try:
        entry = parse_entry(data, lenient=True)
    except FormatError as error:
        findings.error("snapshot-entry", place, str(error))
    else:
        _check_entry(place, name, entry, facts, findings)
        receipt = data[entry.size :]
        if receipt:
            _check_receipt(place, name, entry, (receipt, facts, findings))
            verified = findings.by_severity.total() == before
        elif name.is_committed:
            findings.error("snapshot-receipt", place, "got no receipt in a committed snapshot")
        else:
            findings.note("snapshot-receipt", place, "got no receipt: being written or given up")
    return SnapshotSummary(path.name, name.seqno, len(data), verified)


def _check_entry(
    place: Place, name: SnapshotName, entry: Entry, facts: SnapshotFacts, findings: Findings
) -> None:
    if entry.entry_type is not EntryType.SNAPSHOT:
        findings.error("snapshot-entry", place, f"got entry type {int(entry.entry_type)}, want 1")
        return
    if entry.seqno != name.seqno:
        findings.error("snapshot-name", place, f"got the state at {entry.seqno}")
    if (entry.iv_seqno, entry.view, entry.is_snapshot_iv) != (entry.seqno, 0, True):
        findings.error(
            "snapshot-iv",
            place,
            f"got seqno {entry.iv_seqno}, view {entry.view}, snapshot bit {entry.is_snapshot_iv} "
            f"in the IV, want {entry.seqno}, 0 and True",
        )
    if entry.version != 1 or entry.flags:
        findings.error(
            "snapshot-entry", place, f"got version {entry.version} and flags {entry.flags}"
        )
    leaf = facts.signature_leaves.get(entry.seqno)
    if leaf is None:
        findings.note("snapshot-alone", place, "the ledger at hand has no signature at its seqno")
    elif leaf != entry.header.snapshot_leaf:
        findings.error("snapshot-leaf", place, "got another leaf than the ledger's at its seqno")


def _check_receipt(
    place: Place,
    name: SnapshotName,
    entry: Entry,
    context: tuple[bytes, SnapshotFacts, Findings],
) -> None:
    receipt, facts, findings = context
    try:
        verified = _verify(receipt, facts)
    except (FormatError, VerificationError) as error:
        findings.error("snapshot-receipt", place, str(error))
        return
    (proved,) = verified.transactions[:1]
    if proved.claims_digest != sha256(entry.data):
        findings.error(
            "snapshot-changed", place, "got other bytes than the receipt's claims digest says"
        )
    if verified.root not in facts.signed_roots:
        findings.note("snapshot-alone", place, "the ledger at hand has no signature of its root")
    _check_evidence(place, name, entry, (proved, facts, findings))


def _check_evidence(
    place: Place,
    name: SnapshotName,
    entry: Entry,
    context: tuple[ProvedTransaction, SnapshotFacts, Findings],
) -> None:
    """Compare the proved transaction with the file name and with the ledger."""
    proved, facts, findings = context
    tx_id = proved.tx_id
    if tx_id is None:
        findings.error("snapshot-receipt", place, "got a receipt without commit evidence")
        return
    if tx_id.seqno != name.evidence_seqno:
        findings.error("snapshot-name", place, f"got evidence of {tx_id}")
    known = facts.evidence.get(tx_id.seqno)
    if known is None:
        findings.note("snapshot-alone", place, f"the ledger at hand has no evidence at {tx_id}")
        return
    value, leaf = known
    try:
        fields = json_object(value)
        of = (text_field(fields, "hash"), int_field(fields, "version"))
    except FormatError:
        of = ("", 0)
    if of != (sha256(entry.data).hex(), entry.seqno) or leaf != proved.leaf:
        findings.error("snapshot-evidence", place, f"the evidence at {tx_id} is of something else")


def _verify(receipt: bytes, facts: SnapshotFacts) -> VerifiedReceipt:
    """Verify a receipt under any of the ledger's service identities.

    Raises:
        FormatError: it does not parse.
        VerificationError: it is not true under any of them.
    """
    refusal = VerificationError("got no service identity in this ledger to verify it with")
    for service in facts.services.values():
        try:
            return verify(receipt, service)
        except VerificationError as error:
            refusal = error
    raise refusal
