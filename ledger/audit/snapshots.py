"""Checks of snapshot files against their receipt and against the ledger.

A snapshot is one entry of type 1 and a receipt of its evidence transaction. CCF's public reader
believes the names, the node ID and the certificate in it; here each is compared with the ledger.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ledger.audit.findings import Findings, Place
from ledger.audit.report import SnapshotSummary
from ledger.audit.state import int_field, json_object, text_field
from ledger.base.errors import FormatError, UnavailableError, VerificationError
from ledger.base.ids import TxId
from ledger.codec import canonical
from ledger.codec.entry import Entry, EntryType, parse_entry
from ledger.crypto import cbor, cose_ledger
from ledger.crypto.certs import Certificate, verify_signed_by
from ledger.crypto.hashing import sha256
from ledger.files.names import SnapshotName, parse_snapshot_name
from ledger.merkle.path import Path as Proof
from ledger.merkle.path import fold

_COSE_FIRST_BYTE = 0xD2
_PROOFS = 396
_INCLUSION = -1
_LEAF = 1
_PATH = 2


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


@dataclass(frozen=True, slots=True)
class _Proved:
    """What a receipt proves: leaf components, the evidence string, and the root it leads to."""

    write_set_digest: bytes
    commit_evidence: str
    claims_digest: bytes
    path: Proof

    @property
    def leaf(self) -> bytes:
        evidence = sha256(self.commit_evidence.encode())
        return sha256(self.write_set_digest + evidence + self.claims_digest)

    @property
    def root(self) -> bytes:
        return fold(self.leaf, self.path)


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
    try:
        name = parse_snapshot_name(path.name)
    except FormatError as error:
        findings.error("file-name", place, str(error))
        return None
    if name.is_ignored:
        findings.note("file-ignored", place, "left aside by a node, not read")
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
        if receipt[0] == _COSE_FIRST_BYTE:
            proved = _verify_cose(receipt, facts)
        else:
            proved = _verify_json(receipt, facts)
    except (FormatError, VerificationError) as error:
        findings.error("snapshot-receipt", place, str(error))
        return
    if proved.claims_digest != sha256(entry.data):
        findings.error(
            "snapshot-changed", place, "got other bytes than the receipt's claims digest says"
        )
    _check_evidence(place, name, entry, (proved, facts, findings))


def _check_evidence(
    place: Place,
    name: SnapshotName,
    entry: Entry,
    context: tuple[_Proved, SnapshotFacts, Findings],
) -> None:
    """Compare the proved transaction with the file name and with the ledger."""
    proved, facts, findings = context
    try:
        tx_id = TxId.parse(proved.commit_evidence.split(":")[1])
    except (FormatError, IndexError):
        findings.error("snapshot-receipt", place, "got commit evidence of another form")
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
        same = (text_field(fields, "hash"), int_field(fields, "version")) == (
            sha256(entry.data).hex(),
            entry.seqno,
        )
    except FormatError:
        same = False
    if not same or leaf != proved.leaf:
        findings.error("snapshot-evidence", place, f"the evidence at {tx_id} is of something else")
    if proved.root not in facts.signed_roots:
        findings.note("snapshot-alone", place, "the ledger at hand has no signature of its root")


def _verify_json(receipt: bytes, facts: SnapshotFacts) -> _Proved:
    """Check a JSON receipt: node ID, endorsement, signature.

    Raises:
        FormatError: it does not parse.
        VerificationError: it is not true.
    """
    fields = json_object(receipt)
    components = fields.get("leaf_components")
    if not isinstance(components, dict):
        raise FormatError("got a receipt without leaf components")
    proved = _Proved(
        canonical.from_hex(text_field(components, "write_set_digest"), 32),
        text_field(components, "commit_evidence"),
        canonical.from_hex(text_field(components, "claims_digest"), 32),
        [_json_step(step) for step in _list(fields.get("proof"))],
    )
    certificate = Certificate.parse(text_field(fields, "cert"))
    key = certificate.public_key
    key.verify_digest(canonical.b64decode(text_field(fields, "signature")), proved.root)
    node_id = fields.get("node_id")
    if node_id != key.id:
        raise VerificationError(f"got node id {str(node_id)[:64]}, want its key's digest {key.id}")
    chain = [Certificate.parse(str(pem)) for pem in _list(fields.get("service_endorsements", []))]
    _verify_chain(certificate, chain, facts)
    return proved


def _verify_chain(
    certificate: Certificate, chain: Sequence[Certificate], facts: SnapshotFacts
) -> None:
    for issuer in chain:
        certificate.verify_endorsed_by(issuer)
        certificate = issuer
    for service in facts.services.values():
        try:
            verify_signed_by(certificate, service.public_key)
        except VerificationError:
            continue
        return
    raise VerificationError("got a signer that no service identity of this ledger endorsed")


def _verify_cose(receipt: bytes, facts: SnapshotFacts) -> _Proved:
    """Check a COSE receipt against the ledger's service identities.

    Raises:
        FormatError: it does not parse.
        VerificationError: it is not true.
    """
    signature = cose_ledger.parse_root_signature(receipt)
    proofs = signature.message.unprotected.get(_PROOFS)
    inclusion = proofs.get(_INCLUSION) if isinstance(proofs, dict) else None
    if not isinstance(inclusion, list) or len(inclusion) != 1:
        raise FormatError("got a COSE receipt without exactly one inclusion proof")
    proved = _cose_proof(inclusion[0])
    service = facts.services.get(signature.kid)
    if service is None:
        raise VerificationError("got a receipt by a key that no service identity here has")
    cose_ledger.verify_root_signature(signature, service.public_key, proved.root)
    return proved


def _cose_proof(encoded: object) -> _Proved:
    proof = cbor.decode(encoded) if isinstance(encoded, bytes) else None
    leaf = proof.get(_LEAF) if isinstance(proof, dict) else None
    path = proof.get(_PATH) if isinstance(proof, dict) else None
    if not isinstance(leaf, list) or len(leaf) != 3 or not isinstance(path, list):
        raise FormatError("got an inclusion proof without leaf and path")
    write_set, evidence, claims = leaf
    if not isinstance(write_set, bytes) or not isinstance(claims, bytes):
        raise FormatError("got leaf digests that are no bstr")
    if not isinstance(evidence, str) or len(write_set) != 32 or len(claims) != 32:
        raise FormatError("got leaf components of another type or size")
    return _Proved(write_set, evidence, claims, [_cose_step(step) for step in path])


def _cose_step(step: object) -> tuple[bool, bytes]:
    if not isinstance(step, list) or len(step) != 2:
        raise FormatError("got a step of a proof that is no pair")
    left, sibling = step
    if not isinstance(left, bool) or not isinstance(sibling, bytes) or len(sibling) != 32:
        raise FormatError("got a step of a proof without side and 32 bytes")
    return left, sibling


def _json_step(step: object) -> tuple[bool, bytes]:
    if not isinstance(step, dict) or len(step) != 1:
        raise FormatError("got a step of a proof that is no object with one side")
    ((side, digest),) = step.items()
    if side not in {"left", "right"} or not isinstance(digest, str):
        raise FormatError(f"got side {str(side)[:20]!r} in a proof, want left or right")
    return side == "left", canonical.from_hex(digest, 32)


def _list(value: Any) -> list[Any]:  # noqa: ANN401 - a member of JSON from outside
    if not isinstance(value, list):
        raise FormatError(f"got {type(value).__name__} in a receipt, want a list")
    return value
