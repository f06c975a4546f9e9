"""Snapshots: a sound one with either receipt, and one finding for each way of being wrong."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest

from ledger.audit.report import Report
from ledger.audit.walk import audit
from ledger.base.ids import TxId
from ledger.codec import canonical
from ledger.codec.entry import frame, iv_for
from ledger.codec.tables import SINGLETON_KEY
from ledger.crypto import aead
from ledger.crypto.sealing import EntrySealer, leaf_of
from ledger.receipts.build import Leaf, SignedRoot, cose_receipt, transaction_receipt
from tests.unit.audit import ledger_writer as lw

EVIDENCE = "public:ccf.internal.snapshot_evidence"
STATE = 7
PROVED = 8


@dataclass(frozen=True, slots=True)
class Parts:
    """A ledger and its snapshot, before they are written."""

    writer: lw.LedgerWriter
    name: str
    entry: bytes
    leaf: Leaf
    path: tuple[tuple[bool, bytes], ...]
    signed: SignedRoot

    @property
    def json(self) -> bytes:
        return transaction_receipt(self.leaf, self.path, self.signed).to_json()


def snapshot_entry(leaf: bytes, seqno: int = STATE, iv: bytes | None = None) -> bytes:
    public = b"\x01" + seqno.to_bytes(8, "little") + bytes(8)
    public += (32).to_bytes(8, "little") + leaf + (16).to_bytes(8, "little")
    public += (1).to_bytes(8, "little") * 2
    iv = iv or iv_for(0, seqno, snapshot=True)
    tag, private = aead.seal(lw.SECRET, iv, b"maps of the state", public)
    return frame(0, tag, iv, public, private)


def make(entry_of: Callable[[bytes], bytes] = snapshot_entry) -> Parts:
    writer = lw.LedgerWriter()
    writer.genesis()
    writer.some_writes(2)
    assert writer.sign() == STATE
    entry = entry_of(leaf_of(writer.chunks[0].entries[-1]))
    digest = sha256(entry).digest()
    value = canonical.dumps({"hash": digest.hex(), "version": STATE})
    assert writer.write({EVIDENCE: {SINGLETON_KEY: value}}, claims=digest) == PROVED
    root = writer.tree.root()
    proved = writer.chunks[0].entries[-1]
    evidence = EntrySealer(lw.SECRET).commit_evidence(2, PROVED)
    leaf = Leaf(sha256(proved).digest(), evidence, digest)
    path = tuple(writer.tree.path(PROVED, PROVED))
    cose = writer._cose(TxId(2, PROVED + 1), root, {})
    writer.sign()
    node = lw.NODE
    signed = SignedRoot(root, node.id, node.certificate.pem, node.key.sign_digest(root), cose)
    return Parts(writer, f"snapshot_{STATE}_{PROVED}.committed", entry, leaf, path, signed)


def run(directory: Path, parts: Parts, data: bytes, name: str | None = None) -> Report:
    ledger = parts.writer.save(directory / "ledger")
    snapshots = directory / "snapshots"
    snapshots.mkdir()
    (snapshots / (name or parts.name)).write_bytes(data)
    return audit([ledger], snapshots=[snapshots], secrets={1: lw.SECRET})


def test_sound_snapshots(tmp_path: Path) -> None:
    parts = make()
    cose = cose_receipt(parts.leaf, parts.path, parts.signed)
    assert cose is not None
    for index, receipt in enumerate((parts.json, cose)):
        report = run(tmp_path / str(index), parts, parts.entry + receipt)
        assert report.findings.kept == []
        (snapshot,) = report.snapshots
        assert (snapshot.seqno, snapshot.is_verified) == (STATE, True)


def foreign_signer(parts: Parts) -> Parts:
    node = lw.Node.make(lw.OTHER_SERVICE)
    root = parts.signed.root
    signed = SignedRoot(root, node.id, node.certificate.pem, node.key.sign_digest(root))
    return replace(parts, signed=signed)


def other_node_id(parts: Parts) -> Parts:
    return replace(parts, signed=replace(parts.signed, node_id="0" * 64))


def bad_signature(parts: Parts) -> Parts:
    signature = lw.NODE.key.sign_digest(bytes(32))
    return replace(parts, signed=replace(parts.signed, signature=signature))


@pytest.mark.parametrize("change", [foreign_signer, other_node_id, bad_signature])
def test_receipts_that_are_not_true(change: Callable[[Parts], Parts], tmp_path: Path) -> None:
    parts = change(make())
    report = run(tmp_path, parts, parts.entry + parts.json)
    assert set(report.findings.by_code) == {"snapshot-receipt"}
    assert not report.is_sound
    assert not report.snapshots[0].is_verified


def test_changed_bytes(tmp_path: Path) -> None:
    parts = make()
    data = parts.entry[:-1] + bytes([parts.entry[-1] ^ 1])
    report = run(tmp_path, parts, data + parts.json)
    assert set(report.findings.by_code) == {"snapshot-changed", "snapshot-evidence"}


@pytest.mark.parametrize("name", ["snapshot_6_8.committed", "snapshot_7_9.committed"])
def test_numbers_in_the_name(name: str, tmp_path: Path) -> None:
    parts = make()
    report = run(tmp_path, parts, parts.entry + parts.json, name)
    assert set(report.findings.by_code) == {"snapshot-name"}


@pytest.mark.parametrize(
    "iv",
    [iv_for(2, STATE), iv_for(0, STATE), iv_for(0, 5, snapshot=True), iv_for(1, 7, snapshot=True)],
)
def test_iv(iv: bytes, tmp_path: Path) -> None:
    parts = make(lambda leaf: snapshot_entry(leaf, iv=iv))
    report = run(tmp_path, parts, parts.entry + parts.json)
    assert set(report.findings.by_code) == {"snapshot-iv"}


def test_leaf_of_another_ledger(tmp_path: Path) -> None:
    parts = make(lambda _leaf: snapshot_entry(b"l" * 32))
    report = run(tmp_path, parts, parts.entry + parts.json)
    assert set(report.findings.by_code) == {"snapshot-leaf"}


@pytest.mark.parametrize(
    ("name", "data", "codes"),
    [
        ("snapshot_7_8.committed", b"", {"snapshot-entry"}),
        ("snapshot_7_8.committed", None, {"snapshot-receipt"}),
        ("snapshot_7_8", None, {"snapshot-receipt"}),
        ("snapshot_7_8.committed.ignored", b"x", {"file-ignored"}),
        ("snapshot_8_7.committed", b"x", {"file-name"}),
    ],
)
def test_files_that_are_not_whole(
    name: str, data: bytes | None, codes: set[str], tmp_path: Path
) -> None:
    parts = make()
    report = run(tmp_path, parts, parts.entry if data is None else data, name)
    assert set(report.findings.by_code) == codes


def test_every_truncation_of_a_snapshot_is_noticed(tmp_path: Path) -> None:
    parts = make()
    data = parts.entry + parts.json
    parts.writer.save(tmp_path / "ledger")
    snapshots = tmp_path / "snapshots"
    snapshots.mkdir()
    for size in range(0, len(data), 7):
        (snapshots / parts.name).write_bytes(data[:size])
        report = audit([tmp_path / "ledger"], snapshots=[snapshots])
        assert not report.is_sound
