"""What counts as verified: a signature checked with a key, and none beside it that fails."""

from pathlib import Path

from ledger.audit.walk import audit
from tests.unit.audit import ledger_writer as lw


def newest_chunk(writer: lw.LedgerWriter, directory: Path) -> Path:
    """Save a ledger and return its last chunk, which knows neither service nor nodes."""
    saved = writer.save(directory)
    return max(saved.iterdir(), key=lambda path: int(path.name.split("_")[1].split("-")[0]))


def test_nothing_is_verified_without_a_key(tmp_path: Path) -> None:
    """In a part of a ledger, a COSE signature alone could be anybody's."""
    writer = lw.sound()
    writer.end_chunk()
    writer.some_writes()
    writer.sign(signature=None)
    report = audit([newest_chunk(writer, tmp_path)])
    assert report.verified is None
    assert report.unsigned == report.entries == 4
    assert {"node-signature-missing", "unsigned-tail"} <= set(report.findings.by_code)


def test_row_that_is_no_signature_is_not_taken_for_a_missing_one(tmp_path: Path) -> None:
    writer = lw.sound()
    writer.some_writes()
    writer.sign(signature={"sig": 5})
    report = audit([writer.save(tmp_path)])
    assert not report.is_sound
    assert str(report.verified) == "2.12"
