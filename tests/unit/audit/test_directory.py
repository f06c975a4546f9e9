"""Which files are a ledger's chunks: odd kinds of files, doubles, and a live node's renaming."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.audit import directory as directory_module
from ledger.audit.directory import open_directory
from ledger.audit.findings import Findings, Severity
from ledger.audit.walk import audit
from ledger.base.errors import UnavailableError
from ledger.files.names import parse_chunk_name
from tests.unit.audit import ledger_writer as lw


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return lw.sound().save(tmp_path / "ledger")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))


KINDS: list[tuple[str, Callable[[Path], object], str]] = [
    ("directory", Path.mkdir, "a directory"),
    ("pipe", os.mkfifo, "a pipe"),
    ("socket", make_socket, "a socket"),
    ("dangling link", lambda path: path.symlink_to("/nonexistent"), "a link that leads nowhere"),
    ("link loop", lambda path: path.symlink_to(path.name), "out of reach"),
    ("link to a device", lambda path: path.symlink_to("/dev/zero"), "a device"),
]


@pytest.mark.parametrize("name", ["ledger_6-9.committed", "ledger_10", "snapshot_4_6.committed"])
@pytest.mark.parametrize(("make", "said"), [k[1:] for k in KINDS], ids=[k[0] for k in KINDS])
def test_names_of_chunks_on_other_files(
    make: Callable[[Path], object],
    said: str,
    name: str,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(directory)
    path = directory / name
    path.unlink(missing_ok=True)
    make(path)
    report = audit([directory], snapshots=[directory])
    assert not report.is_sound
    (found,) = (found for found in report.findings.kept if found.code == "file-unreadable")
    assert (found.place.file, found.severity) == (name, Severity.ERROR)
    assert said in found.message


def test_file_larger_than_offsets_reach_is_not_read(directory: Path) -> None:
    with (directory / "ledger_10").open("wb") as file:
        file.truncate(5 << 30)
    report = audit([directory])
    (found,) = (found for found in report.findings.kept if found.code == "file-unreadable")
    assert "got 5368709120 bytes, want at most" in found.message


def test_other_names_on_other_files_are_nobodys_business(directory: Path) -> None:
    (directory / "old").mkdir()
    (directory / "pipe").symlink_to("/nonexistent")
    assert audit([directory]).findings.kept == []


def test_only_odd_files_to_read(tmp_path: Path) -> None:
    (tmp_path / "ledger_1").mkdir()
    with pytest.raises(UnavailableError, match=r"no ledger chunk .*ledger_1: got a directory"):
        audit([tmp_path])


def beside(directory: Path, name: str, data: bytes) -> list[Path]:
    copy = directory.parent / "copy"
    copy.mkdir()
    (copy / name).write_bytes(data)
    return [directory, copy]


@pytest.mark.parametrize("is_reversed", [False, True])
@pytest.mark.parametrize("name", ["ledger_1-5.committed", "ledger_1-4.committed"])
def test_two_committed_histories(*, name: str, is_reversed: bool, directory: Path) -> None:
    data = bytearray((directory / "ledger_1-5.committed").read_bytes())
    data[200] ^= 1
    paths = beside(directory, name, bytes(data))
    report = audit(paths[::-1] if is_reversed else paths)
    assert not report.is_sound
    (found,) = (found for found in report.findings.kept if found.code == "file-fork")
    assert "offset 200 " in found.message


def test_a_part_of_a_chunk_beside_the_whole_is_a_note(directory: Path) -> None:
    whole = (directory / "ledger_1-5.committed").read_bytes()
    report = audit(beside(directory, "ledger_1", bytes(8) + whole[8:500]))
    assert [found.severity for found in report.findings.kept] == [Severity.NOTE]


def test_other_entries_in_an_open_chunk_lost_to_another_view(directory: Path) -> None:
    data = bytearray((directory / "ledger_1-5.committed").read_bytes())
    data[200] ^= 1
    report = audit(beside(directory, "ledger_1", bytes(data)))
    assert [found.severity for found in report.findings.kept] == [Severity.WARNING]


def test_another_position_table_is_a_warning(directory: Path) -> None:
    data = bytearray((directory / "ledger_1-5.committed").read_bytes())
    data[-1] ^= 1
    report = audit(beside(directory, "ledger_1-5.committed", bytes(data)))
    assert [found.severity for found in report.findings.kept] == [Severity.WARNING]


@pytest.fixture
def closed(directory: Path) -> Path:
    """A ledger whose last chunk is complete and not committed yet: ``ledger_10``."""
    writer = lw.sound()
    writer.sign(flags=1)
    writer.end_chunk()
    saved = writer.save(directory.parent / "closed")
    (saved / "ledger_10-13.committed").rename(saved / "ledger_10")
    return saved


def test_a_chunk_that_is_committed_between_listing_and_looking(
    closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = directory_module._listed

    def listed_then_renamed(paths: list[Path]) -> list[Path]:
        files = listed(paths)
        (closed / "ledger_10").rename(closed / "ledger_10-13.committed")
        return files

    monkeypatch.setattr(directory_module, "_listed", listed_then_renamed)
    report = audit([closed])
    assert report.findings.kept == []
    assert (report.entries, report.files[-1].name) == (13, "ledger_10-13.committed")


def test_a_chunk_that_is_committed_between_listing_and_reading(closed: Path) -> None:
    def rename(_done: int, _total: int) -> None:
        if (closed / "ledger_10").exists():
            (closed / "ledger_10").rename(closed / "ledger_10-13.committed")

    report = audit([closed], progress=rename)
    assert report.findings.kept == []
    assert (report.entries, report.files[-1].name) == (13, "ledger_10-13.committed")


def test_a_chunk_that_is_rolled_back_meanwhile(directory: Path) -> None:
    report = audit(
        [directory], progress=lambda _done, _total: (directory / "ledger_10").unlink(True)
    )
    assert report.is_sound
    assert set(report.findings.by_code) == {"chunk-gone"}


def test_a_committed_chunk_that_goes_meanwhile_cannot_be_read(directory: Path) -> None:
    path = directory / "ledger_6-9.committed"
    with pytest.raises(UnavailableError, match="removed meanwhile"):
        audit([directory], progress=lambda _done, _total: path.unlink(missing_ok=True))


def test_a_name_that_a_listing_missed_is_seen_by_the_next(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listings = 0
    files_of = directory_module._files_of

    def missing_once(path: Path) -> list[Path]:
        nonlocal listings
        listings += 1
        files = files_of(path)
        return [file for file in files if listings > 1 or file.name != "ledger_6-9.committed"]

    monkeypatch.setattr(directory_module, "_files_of", missing_once)
    found = open_directory([directory], Findings())
    assert [chunk.name for chunk in found.chunks] == [
        parse_chunk_name(name)
        for name in ("ledger_1-5.committed", "ledger_6-9.committed", "ledger_10")
    ]
    assert listings == 2


def test_an_open_chunk_before_a_committed_one(directory: Path) -> None:
    (directory / "ledger_1-5.committed").rename(directory / "ledger_1")
    report = audit([directory])
    assert not report.is_sound
    assert set(report.findings.by_code) == {"chunk-overtaken"}


def test_open_chunks_at_the_end(directory: Path) -> None:
    (directory / "ledger_6-9.committed").rename(directory / "ledger_6")
    report = audit([directory])
    assert report.is_sound
    assert set(report.findings.by_code) == {"chunk-open"}
