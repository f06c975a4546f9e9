"""Output files: whole or absent, and one process file for one node."""

from pathlib import Path

import pytest

from ledger.host.output import (
    PidFileExistsError,
    check_pid_file,
    remove_pid_file,
    write_file,
    write_pid_file,
)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "cert.pem"
    path.write_bytes(b"old and longer")
    write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["cert.pem"]


def test_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").mkdir()
    with pytest.raises(OSError, match=r"cert\.pem"):
        write_file(tmp_path / "cert.pem", b"new")
    assert names(tmp_path) == ["cert.pem"]


def test_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_file(tmp_path / "missing" / "cert.pem", b"new")


def test_process_file_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "node.pid"
    check_pid_file(path)
    write_pid_file(path, 17)
    assert path.read_text() == "17"
    assert names(tmp_path) == ["node.pid"]
    wanted = r"PID file .*node\.pid already exists\. Exiting\."
    with pytest.raises(PidFileExistsError, match=wanted):
        check_pid_file(path)
    with pytest.raises(PidFileExistsError, match=wanted):
        write_pid_file(path, 18)
    assert path.read_text() == "17"
    assert names(tmp_path) == ["node.pid"]


def test_only_the_own_process_file_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "node.pid"
    remove_pid_file(path, 17)
    write_pid_file(path, 17)
    remove_pid_file(path, 18)
    assert path.read_text() == "17"
    remove_pid_file(path, 17)
    assert names(tmp_path) == []
