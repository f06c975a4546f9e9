"""Directories and files that the configuration names and that cannot be used."""

import os
from pathlib import Path
from typing import Any

import pytest

from ledger.base.errors import FormatError
from ledger.host.config import read_configuration
from ledger.host.config_sections import Configuration
from ledger.host.places import make_ledger_directory, unusable_places
from tests.unit.host.test_host_config import MINIMAL


@pytest.fixture(autouse=True)
def in_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("directory").mkdir()


def lines(**sections: Any) -> list[str]:  # noqa: ANN401  (sections of the configuration)
    read = read_configuration({**MINIMAL, **sections})
    assert isinstance(read, Configuration)
    return [problem.line() for problem in unusable_places(read)]


def test_what_is_usable() -> None:
    assert lines() == []
    assert lines(ledger={"read_only_directories": ["directory", "absent"]}) == []
    assert lines(output_files={"pid_file": "directory/pid", "rpc_addresses_file": "file"}) == []


def test_output_file_beside_a_ledger_directory_that_is_still_to_be_made() -> None:
    ledger = {"directory": "node/data/ledger"}
    for file in ("node/pid", "node/data/pid", "node/data/ledger/pid"):
        assert lines(ledger=ledger, output_files={"pid_file": file}) == []
    assert len(lines(ledger=ledger, output_files={"pid_file": "node/other/pid"})) == 1


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("absent/name", "whose directory does not exist"),
        ("file/name", "whose directory does not exist"),
        ("directory", "which is a directory"),
    ],
)
@pytest.mark.parametrize(
    "key",
    ["node_certificate_file", "pid_file", "node_to_node_address_file", "rpc_addresses_file"],
)
def test_output_file_that_cannot_be_written(key: str, file: str, why: str) -> None:
    want = f'output_files.{key}: got "{file}", {why}, want a file that can be written'
    assert lines(output_files={key: file}) == [want]


def test_service_certificate_is_written_by_a_start_and_read_by_a_join() -> None:
    command = {**MINIMAL["command"], "service_certificate_file": "absent/name"}
    (line,) = lines(command=command)
    assert line.startswith('command.service_certificate_file: got "absent/name", whose')
    join = {
        "type": "Join",
        "service_certificate_file": "absent/name",
        "join": {"target_rpc_address": "127.0.0.1:1"},
    }
    assert lines(command=join) == []


def test_read_only_directory_that_is_a_file() -> None:
    (line,) = lines(ledger={"read_only_directories": ["directory", "file"]})
    want = 'ledger.read_only_directories[1]: got "file", which is a file, want a directory'
    assert line == want


def test_ledger_directory_is_made() -> None:
    make_ledger_directory(Path("new/ledger"))
    make_ledger_directory(Path("new/ledger"))
    assert Path("new/ledger").is_dir()


@pytest.mark.parametrize("path", ["file", "file/below"])
def test_ledger_directory_that_is_a_file(path: str) -> None:
    want = f'ledger.directory: got "{path}", which is or is below a file, want a directory'
    with pytest.raises(FormatError) as refused:
        make_ledger_directory(Path(path))
    assert str(refused.value) == want


def test_ledger_directory_that_cannot_be_made() -> None:
    with pytest.raises(FormatError, match=r"^ledger\.directory: got .* cannot be made \("):
        make_ledger_directory(Path("/proc/quorate"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission() -> None:
    Path("directory").chmod(0o500)
    (line,) = lines(output_files={"pid_file": "directory/pid"})
    assert "whose directory cannot be written" in line
    with pytest.raises(FormatError, match=r"ledger\.directory"):
        make_ledger_directory(Path("directory"))
