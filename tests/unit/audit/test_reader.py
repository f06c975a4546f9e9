"""Directories of chunks: order, doubles, suffixes, gaps, cuts, partial ledgers."""

import json
from pathlib import Path

import pytest

from ledger.audit.directory import open_directory
from ledger.audit.findings import PER_CODE_MAX, Findings, Place, Severity
from ledger.audit.walk import audit
from ledger.base.errors import UnavailableError
from ledger.files import chunk
from tests.unit.audit import ledger_writer as lw


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return lw.sound().save(tmp_path / "ledger")


def codes(*paths: Path) -> set[str]:
    return set(audit(paths).findings.by_code)


def test_order_is_by_number(tmp_path: Path) -> None:
    for name in ("ledger_10", "ledger_9-9.committed", "ledger_1-8.committed"):
        (tmp_path / name).write_bytes(bytes(8))
    found = open_directory([tmp_path], Findings())
    assert [chunk.name.first for chunk in found.chunks] == [1, 9, 10]
    assert found.size == 24


def test_ledger_in_several_directories(directory: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "read-only"
    elsewhere.mkdir()
    (directory / "ledger_1-5.committed").rename(elsewhere / "ledger_1-5.committed")
    assert codes(directory, elsewhere) == set()
    assert "ledger-partial" in codes(directory)


def test_single_files(directory: Path) -> None:
    files = sorted(directory.iterdir())
    assert codes(*files) == set()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("notes.txt", "file-unknown"),
        ("ledger_01", "file-name"),
        ("ledger_5-4.committed", "file-name"),
        ("ledger_10.ignored", "file-ignored"),
        ("ledger_1", "file-double"),
        ("snapshot_4_6", ""),
        (".ledger_13.ignored", ""),
    ],
)
def test_other_files(name: str, code: str, directory: Path) -> None:
    (directory / name).write_bytes(b"anything")
    assert codes(directory) == ({code} if code else set())


def test_same_chunk_twice_is_a_note(directory: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    name = "ledger_1-5.committed"
    (copy / name).write_bytes((directory / name).read_bytes())
    report = audit([directory, copy])
    assert report.is_sound
    assert set(report.findings.by_code) == {"file-double"}


def test_recovery_suffix_is_read(directory: Path) -> None:
    (directory / "ledger_10").rename(directory / "ledger_10.recovery")
    report = audit([directory])
    assert (report.entries, set(report.findings.by_code)) == (12, {"file-recovery"})


def test_missing_chunk(directory: Path) -> None:
    (directory / "ledger_6-9.committed").unlink()
    report = audit([directory])
    assert set(report.findings.by_code) == {"ledger-gap", "tree-trusted"}
    assert str(report.verified) == "2.12"


def test_ledger_without_its_past(directory: Path) -> None:
    (directory / "ledger_1-5.committed").unlink()
    report = audit([directory])
    assert report.is_sound
    assert {"ledger-partial", "tree-trusted"} <= set(report.findings.by_code)
    assert str(report.verified) == "2.12"


def test_cut_tail_of_the_newest_open_chunk_is_an_accident(directory: Path) -> None:
    path = directory / "ledger_10"
    path.write_bytes(path.read_bytes()[:-5])
    report = audit([directory])
    assert report.is_sound
    assert set(report.findings.by_code) == {"chunk-cut", "unsigned-tail"}
    assert report.findings.by_severity[Severity.WARNING] == 1
    assert (report.entries, report.unsigned) == (11, 2)


@pytest.mark.parametrize("size", range(8))
def test_newest_chunk_without_its_header_is_an_accident(size: int, tmp_path: Path) -> None:
    writer = lw.sound()
    writer.sign(flags=1)
    writer.end_chunk()
    directory = writer.save(tmp_path)
    (directory / "ledger_14").write_bytes(bytes(size))
    report = audit([directory])
    assert report.is_sound
    assert report.findings.by_code["chunk-cut"] == 1
    assert report.findings.by_severity[Severity.WARNING] == 1


@pytest.mark.parametrize("name", ["ledger_6-9.committed", "ledger_3", "ledger_13-13.committed"])
def test_other_chunk_without_its_header_is_an_error(name: str, directory: Path) -> None:
    (directory / name).write_bytes(b"")
    report = audit([directory])
    assert not report.is_sound
    assert "chunk-cut" in report.findings.by_code


@pytest.mark.parametrize("size", [0, 8])
@pytest.mark.parametrize(("first", "what"), [(999, "a gap"), (12, "an overlap")])
def test_chunk_without_entries_at_another_place(
    size: int, first: int, what: str, directory: Path
) -> None:
    (directory / f"ledger_{first}").write_bytes(bytes(size))
    report = audit([directory])
    (found,) = (found for found in report.findings.kept if found.code == "ledger-gap")
    assert found.message == f"got {what}: a chunk from {first}, want 13"


def test_cut_of_an_older_chunk_is_an_error(directory: Path) -> None:
    path = directory / "ledger_6-9.committed"
    path.write_bytes(path.read_bytes()[:900])
    report = audit([directory])
    assert not report.is_sound
    assert {"chunk-table", "chunk-name", "ledger-gap"} <= set(report.findings.by_code)


@pytest.mark.parametrize("name", ["ledger_1-5.committed", "ledger_10"])
def test_any_truncation_and_any_changed_byte_end_in_a_report(name: str, directory: Path) -> None:
    """Only a byte of the newest signature itself may change unnoticed: nothing covers it yet."""
    path = directory / name
    whole = path.read_bytes()
    covered = len(whole) if name != "ledger_10" else chunk.scan(whole).offsets[-1]
    for position in range(0, len(whole), 97):
        path.write_bytes(whole[:position])
        audit([directory])
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x41]) + whole[position + 1 :])
        report = audit([directory])
        assert not report.is_sound or position >= covered


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "ledger_1").write_bytes(b"")
    report = audit([tmp_path])
    assert (report.entries, set(report.findings.by_code)) == (0, {"chunk-cut", "service-untied"})


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="no ledger chunk"):
        audit([tmp_path])
    with pytest.raises(UnavailableError, match="want a ledger directory"):
        audit([tmp_path / "absent"])


def test_findings_of_one_kind_are_bounded() -> None:
    findings = Findings()
    for _ in range(PER_CODE_MAX + 5):
        findings.error("code", Place(), "message")
    assert len(findings.kept) == PER_CODE_MAX
    assert findings.by_code["code"] == findings.by_severity[Severity.ERROR] == PER_CODE_MAX + 5


def test_report_as_json(directory: Path) -> None:
    progress: list[tuple[int, int]] = []
    report = audit(
        [directory],
        secrets={1: lw.SECRET},
        progress=lambda done, total: progress.append((done, total)),
    )
    value = json.loads(json.dumps(report.to_json()))
    assert value["sound"] is True
    assert value["counts"] == {"error": 0, "warning": 0, "note": 0}
    assert (value["first"], value["last"], value["verified"]) == ("2.1", "2.12", "2.12")
    assert value["signatures"] == value["cose_signatures_valid"] == 5
    assert value["views"] == [{"view": 2, "first_seqno": 1}]
    key_id = lw.SERVICE.key.public.id
    assert value["service"] == {
        "status": "Open",
        "key_id": key_id,
        "signed_by": key_id,
        "wanted": None,
    }
    assert [file["entries"] for file in value["files"]] == [5, 4, 3]
    total = sum(file["size_bytes"] for file in value["files"])
    assert progress[-1] == (total, total)
