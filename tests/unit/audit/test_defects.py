"""The audit names each defect, names nothing else, and finds nothing in a sound ledger."""

from pathlib import Path

import pytest

from ledger.audit.walk import audit
from tests.unit.audit import ledger_writer as lw
from tests.unit.audit.defects import MISSED, REFUSED, Defect, within
from tests.unit.audit.defects_own import OWN, mark_gone


def test_sound_ledger(tmp_path: Path) -> None:
    report = audit([lw.sound().save(tmp_path)], secrets={1: lw.SECRET})
    assert report.findings.kept == []
    assert report.is_sound
    assert (report.entries, report.opened, report.unsigned) == (12, 12, 0)
    assert str(report.verified) == "2.12"


@pytest.mark.parametrize("defect", MISSED + REFUSED + OWN, ids=lambda defect: defect.name)
def test_defect(defect: Defect, tmp_path: Path) -> None:
    report = audit([defect.ledger().save(tmp_path)], secrets={1: lw.SECRET})
    said = [(found.code, found.message) for found in report.findings.kept]
    assert set(report.findings.by_code) == defect.codes, said
    assert report.is_sound is not defect.is_error


def test_a_primary_signs_its_own_leaving_and_on_until_it_knows_of_the_commit(
    tmp_path: Path,
) -> None:
    def some_more(writer: lw.LedgerWriter) -> None:
        writer.sign()
        writer.some_writes(1)
        writer.sign()

    report = audit([within(mark_gone, some_more)().save(tmp_path)])
    assert report.findings.kept == []
