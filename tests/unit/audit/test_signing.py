"""What counts as verified: a signature checked with a key, and none beside it that fails."""

from pathlib import Path

from ledger.audit.walk import audit
from tests.unit.audit import ledger_writer as lw
from tests.unit.audit.defects import within
from tests.unit.audit.defects_own import recovered


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


def codes_for(wanted: lw.Service, ledger: Path) -> set[str]:
    return set(audit([ledger], service=wanted.certificate).findings.by_code)


def test_the_wanted_service_is_the_one_after_a_recovery(tmp_path: Path) -> None:
    ledger = within(recovered())().save(tmp_path)
    assert codes_for(lw.OTHER_SERVICE, ledger) == {"recovery"}
    assert "service-other" in codes_for(lw.SERVICE, ledger)


def test_signatures_before_a_recovery_are_not_checked_with_the_later_service(
    tmp_path: Path,
) -> None:
    writer = lw.sound()
    recovered()(writer)
    ledger = writer.save(tmp_path)
    min(ledger.iterdir(), key=lambda path: int(path.name.split("_")[1].split("-")[0])).unlink()
    assert audit([ledger], service=lw.OTHER_SERVICE.certificate).is_sound
    assert codes_for(lw.SERVICE, ledger) >= {"service-other"}


def test_a_forger_who_goes_on_without_a_service_row_is_not_the_wanted_service(
    tmp_path: Path,
) -> None:
    """Newer entries signed by a node and a service of somebody's own, with every table at hand."""
    writer = lw.sound()
    writer.end_chunk()
    writer.some_writes()
    writer.sign()
    writer.service, writer.node = lw.OTHER_SERVICE, lw.Node.make(lw.OTHER_SERVICE)
    writer.sign()
    ledger = newest_chunk(writer, tmp_path)
    assert "service-other" in codes_for(lw.SERVICE, ledger)


def test_a_node_of_the_wanted_service_ties_a_ledger_without_cose(tmp_path: Path) -> None:
    writer = lw.sound()
    writer.end_chunk()
    writer.sign(cose=None)
    ledger = newest_chunk(writer, tmp_path)
    assert audit([ledger], service=lw.SERVICE.certificate).signed_by == lw.SERVICE.key.public.id
    assert "service-other" in codes_for(lw.OTHER_SERVICE, ledger)
    assert "service-untied" in audit([ledger]).findings.by_code
