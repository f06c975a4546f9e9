"""``quorate sandbox``: what cannot work is refused in one line, before anything is started."""

import json
import socket
import tempfile
from pathlib import Path

import pytest

from ledger.cli import main


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Return the exit code and the last line that was said."""
    code = main.run(["sandbox", "--port", "0", *map(str, arguments)])
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return code, (said.out + said.err).splitlines()[-1]


def test_directory_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    for directory in (tmp_path / "file" / "below", Path("/proc/quorate")):
        code, line = refusal(capsys, "--dir", directory)
        assert code == 1
        assert line.startswith(f"[sandbox] failed: cannot make sandbox in {directory}: ")


def test_directory_that_is_a_file_or_is_not_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    for directory, found in ((tmp_path / "file", "a file"), (tmp_path, "not empty")):
        code, line = refusal(capsys, "--dir", directory)
        assert code == 1
        assert f"got {directory}, which is {found}, want a new or empty directory" in line


def test_no_place_for_a_temporary_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    code, line = refusal(capsys)
    assert code == 2
    assert line.startswith("quorate: cannot make a directory for the sandbox: ")


@pytest.mark.parametrize("content", [None, b"garbage", b"[]"])
def test_overlay_that_is_none(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overlay = tmp_path / "overlay.json"
    if content is not None:
        overlay.write_bytes(content)
    code, line = refusal(capsys, "--dir", tmp_path / "sandbox", "--overlay", overlay)
    assert code == 2
    assert line.startswith("quorate: ")
    assert str(overlay) in line
    assert not (tmp_path / "sandbox").exists()


@pytest.mark.parametrize(
    ("application", "said"),
    [
        ("no_such_package_here.app:app", "app: got 'no_such_package_here.app:app', want an app"),
        ("json:dumps", "got application 'json:dumps', which is function, want ledger.app.App"),
        ("app_samples.logging.app:ap", "whose module has no 'ap', want ledger.app.App"),
        ("app_samples.logging.ap:app", "No module named 'app_samples.logging.ap'"),
    ],
)
def test_application_that_is_none_leaves_the_directory_alone(
    application: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, line = refusal(capsys, "--dir", tmp_path / "sandbox", "--app", application)
    assert code == 1
    assert line.startswith("[sandbox] failed: ")
    assert said in line
    assert not (tmp_path / "sandbox").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"app": "no_such_package_here.app:app"}, "no_such_package_here"),
        ({"ledger": {"chunk_size": "tiny"}}, 'ledger.chunk_size: got "tiny", want a size'),
        (
            {"command": {"start": {"service_configuration": {"recovery_threshold": 4}}}},
            "Recovery threshold (4) cannot be greater than",
        ),
        ({"output_files": {"rpc_addresses_file": None}}, "rpc_addresses_file: got null, want"),
        ({"command": {"join": {"retry_timeout": 1}}}, "command.join.retry_timeout: got 1, want"),
        (
            {"command": {"service_certificate_file": "/no/such/cert.pem"}},
            'command.service_certificate_file: got "/no/such/cert.pem", whose directory does not',
        ),
        (
            {"ledger": {"directory": "l"}, "output_files": {"pid_file": "/no/such/pid"}},
            'output_files.pid_file: got "/no/such/pid", whose directory does not exist, want a',
        ),
    ],
)
def test_overlay_that_no_node_takes_leaves_the_directory_alone(
    content: dict[str, object], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overlay = tmp_path / "overlay.json"
    overlay.write_text(json.dumps(content))
    directory = tmp_path / "sandbox"
    code, line = refusal(capsys, "--dir", directory, "--overlay", overlay, "--nodes", "2")
    assert code == 1
    assert said in line
    assert not directory.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"output_files": {"pid_file": "{there}/file"}}, "PID file {there}/file already exists"),
        ({"ledger": {"directory": "{there}"}}, "should not exist or be empty ({there})"),
        ({"ledger": {"directory": "{there}/file/l"}}, ", which is or is below a file, want a"),
        ({"ledger": {"directory": "{new}"}}, "should not exist or be empty ({new})"),
        ({"ledger": {"directory": "{new}/node0"}}, "should not exist or be empty ({new}/node0)"),
        (
            {"output_files": {"rpc_addresses_file": "{new}/node0"}},
            ", which is a directory, want a file that can be written",
        ),
    ],
)
def test_overlay_that_a_start_refuses_leaves_the_directory_alone(
    content: dict[str, object], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there, new = tmp_path / "there", tmp_path / "sandbox"
    there.mkdir()
    (there / "file").touch()

    def filled(text: str) -> str:
        return text.replace("{there}", str(there)).replace("{new}", str(new))

    overlay = tmp_path / "overlay.json"
    overlay.write_text(filled(json.dumps(content)))
    code, line = refusal(capsys, "--dir", new, "--overlay", overlay)
    assert code == 1
    assert filled(said) in line
    assert not new.exists()


@pytest.mark.parametrize("number", [0, 1])
def test_port_that_is_taken_leaves_the_directory_alone(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = ["--dir", tmp_path / "new", "--port", port - number, "--nodes", 2]
        code, line = refusal(capsys, *options)
    assert code == 1
    assert line.endswith(f"cannot listen on 127.0.0.1:{port}: the address is in use")
    assert not (tmp_path / "new").exists()


def test_application_is_told_in_one_line_whatever_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "restless.py").write_text(
        "import atexit, threading, time\n"
        "atexit.register(print, 'bye')\n"
        "threading.Thread(target=time.sleep, args=(3600,)).start()\n"
        "raise ValueError('first line\\nsecond line')\n"
    )
    monkeypatch.chdir(tmp_path)
    code, line = refusal(capsys, "--dir", tmp_path / "sandbox", "--app", "restless:app")
    assert code == 1
    assert line.endswith("at restless.py:4 when it was imported: first line second line")
