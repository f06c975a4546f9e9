"""The audit on ledgers that CCF wrote: no errors, and the legal old features as notes."""

import os
from pathlib import Path

import pytest

from ledger.audit.findings import Severity
from ledger.audit.walk import audit
from ledger.codec import canonical

ROOT = Path(
    os.environ.get("QUORATE_TESTDATA", Path(__file__).parents[2].parent / "shared" / "testdata")
)
LEDGERS = ROOT / "ccf-ledgers"
CASES = [
    ("acme_containing_service", 22, "2.22", (8, 8, 8), set()),
    ("cose_flipflop_service", 46, "2.46", (23, 23, 5), {"cose-missing"}),
    (
        "expired_service",
        74,
        "4.74",
        (26, 26, 18),
        {"cose-missing", "chunk-end-unflagged", "entry-type-old", "recovery"},
    ),
]

pytestmark = pytest.mark.skipif(
    not LEDGERS.is_dir(), reason="CCF's ledgers are not here; set QUORATE_TESTDATA to have them"
)


@pytest.mark.parametrize(("name", "entries", "verified", "signatures", "codes"), CASES)
def test_whole_ledger(
    name: str, entries: int, verified: str, signatures: tuple[int, int, int], codes: set[str]
) -> None:
    vectors = canonical.loads((LEDGERS / name / "vectors.json").read_bytes())
    secrets = {int(first): bytes.fromhex(text) for first, text in vectors["ledger_secrets"].items()}
    snapshots = [path for path in [LEDGERS / name / "snapshots"] if path.is_dir()]
    report = audit([LEDGERS / name / "ledger"], snapshots=snapshots, secrets=secrets)
    assert set(report.findings.by_code) == codes
    assert report.findings.by_severity[Severity.NOTE] == report.findings.by_severity.total()
    assert (report.entries, report.opened, str(report.verified)) == (entries, entries, verified)
    totals = (report.signatures, report.node_signatures, report.cose_signatures)
    assert totals == signatures
    assert report.service_status == "Open"
    assert all(snapshot.is_verified for snapshot in report.snapshots)
    assert len(report.snapshots) == len(snapshots)


def test_newest_chunks_alone() -> None:
    directory = LEDGERS / "expired_service" / "ledger"
    report = audit([directory / "ledger_49-61.committed", directory / "ledger_62"])
    assert report.is_sound
    assert {"ledger-partial", "tree-trusted"} <= set(report.findings.by_code)


def test_wrong_secret() -> None:
    report = audit([LEDGERS / "cose_flipflop_service" / "ledger"], secrets={1: bytes(32)})
    assert set(report.findings.by_code) == {"cose-missing", "private-domain", "commit-evidence"}


@pytest.mark.parametrize("seqno", [1, 7, 12, 13])
def test_changed_entry_is_named(seqno: int, tmp_path: Path) -> None:
    """A tag is nowhere checked without a secret; only the tree shows that it changed."""
    source = LEDGERS / "acme_containing_service" / "ledger"
    for path in source.iterdir():
        data = bytearray(path.read_bytes())
        first = int(path.name.split("_")[1].split("-")[0])
        table = int.from_bytes(data[:8], "little")
        if table and first <= seqno < first + (len(data) - table) // 4:
            at = table + 4 * (seqno - first)
            data[int.from_bytes(data[at : at + 4], "little") + 9] ^= 1
        (tmp_path / path.name).write_bytes(data)
    report = audit([tmp_path])
    assert set(report.findings.by_code) == {"signature-root", "entry-changed"}
    (changed,) = (found for found in report.findings.kept if found.code == "entry-changed")
    assert f"seqno {seqno} " in changed.message
    assert str(report.verified) == "2.22"
