"""The result of an audit, and its JSON form."""

from dataclasses import dataclass, field
from typing import Any

from ledger.audit.findings import Finding, Findings, Severity
from ledger.base.ids import TxId


@dataclass(slots=True)
class FileSummary:
    """One chunk: name, first and last seqno (0 without entries), entries, bytes."""

    name: str
    first: int
    last: int
    entries: int
    size: int


@dataclass(slots=True)
class SnapshotSummary:
    """One snapshot: name, seqno of the state, bytes, whether its receipt was there and right."""

    name: str
    seqno: int
    size: int
    is_verified: bool


@dataclass(slots=True)
class Report:
    """What an audit found.

    Attributes:
        findings: In the order in which they were made.
        files: Chunks, in order.
        snapshots: Snapshots, in order.
        entries: Entries read.
        first: Transaction ID of the first entry.
        last: Of the last entry.
        verified: Of the newest signature that covers everything before it.
        root: Root that it signed, hex; empty without one.
        unsigned: Entries after the newest verified signature.
        signatures: Signature transactions.
        node_signatures: Of them, with a valid node signature.
        cose_signatures: Of them, with a valid COSE signature.
        opened: Entries whose private domain was checked with a secret.
        views: View and the seqno at which it began.
        service_status: As the last service row says; empty without one.
        service_key_id: Hex SHA-256 of the service's public key; empty without one.
        signed_by: The same of the service that the newest verified signature is tied to; empty
            when it is tied to none.
        service_wanted: The same of the service that must have signed; empty when nobody said.
    """

    findings: Findings = field(default_factory=Findings)
    files: list[FileSummary] = field(default_factory=list)
    snapshots: list[SnapshotSummary] = field(default_factory=list)
    entries: int = 0
    first: TxId | None = None
    last: TxId | None = None
    verified: TxId | None = None
    root: str = ""
    unsigned: int = 0
    signatures: int = 0
    node_signatures: int = 0
    cose_signatures: int = 0
    opened: int = 0
    views: list[tuple[int, int]] = field(default_factory=list)
    service_status: str = ""
    service_key_id: str = ""
    signed_by: str = ""
    service_wanted: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether no error was found."""
        return self.findings.by_severity[Severity.ERROR] == 0

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object; the field names stay the same between versions."""
        return {
            "sound": self.is_sound,
            "counts": {kind.value: self.findings.by_severity[kind] for kind in Severity},
            "findings": [_finding_json(finding) for finding in self.findings.kept],
            "findings_by_code": dict(sorted(self.findings.by_code.items())),
            "files": [
                {
                    "name": file.name,
                    "first_seqno": file.first,
                    "last_seqno": file.last,
                    "entries": file.entries,
                    "size_bytes": file.size,
                }
                for file in self.files
            ],
            "snapshots": [
                {
                    "name": snapshot.name,
                    "seqno": snapshot.seqno,
                    "size_bytes": snapshot.size,
                    "verified": snapshot.is_verified,
                }
                for snapshot in self.snapshots
            ],
            "entries": self.entries,
            "first": _text(self.first),
            "last": _text(self.last),
            "verified": _text(self.verified),
            "root": self.root or None,
            "unsigned_entries": self.unsigned,
            "signatures": self.signatures,
            "node_signatures_valid": self.node_signatures,
            "cose_signatures_valid": self.cose_signatures,
            "private_domains_checked": self.opened,
            "views": [{"view": view, "first_seqno": seqno} for view, seqno in self.views],
            "service": {
                "status": self.service_status or None,
                "key_id": self.service_key_id or None,
                "signed_by": self.signed_by or None,
                "wanted": self.service_wanted or None,
            },
        }


def _finding_json(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity.value,
        "code": finding.code,
        "file": finding.place.file or None,
        "offset": finding.place.offset,
        "transaction": finding.place.tx or None,
        "message": finding.message,
    }


def _text(tx_id: TxId | None) -> str | None:
    return None if tx_id is None else str(tx_id)
