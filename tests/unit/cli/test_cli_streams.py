"""Output of ``quorate audit`` and ``quorate ledger``: odd names, encodings, a full device."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ledger.cli.audit import app as audit_app
from ledger.cli.ledger import app as ledger_app
from tests.unit.audit import ledger_writer as lw

VERDICT = "\nsound: 0 errors, 0 warnings, 0 notes\n"
FULL = Path("/dev/full")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return lw.sound().save(tmp_path / "ledger")


def audit(*arguments: object) -> Result:
    return CliRunner().invoke(audit_app, [str(argument) for argument in arguments])


def process(
    *arguments: object, encoding: str = "utf-8", output: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ledger.cli.main", *map(str, arguments)],
        check=False,
        stdout=output,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONIOENCODING": encoding},
        encoding="utf-8",
    )


def test_a_file_name_cannot_say_the_verdict(directory: Path) -> None:
    (directory / f"ledger_x{VERDICT}\x1b[2J").write_bytes(b"")
    result = audit(directory)
    assert result.exit_code == 1
    assert VERDICT not in result.stdout
    assert "\x1b" not in result.stdout
    assert r"ledger_x\nsound: 0 errors" in result.stdout


def test_a_node_name_cannot_say_the_verdict(tmp_path: Path) -> None:
    writer = lw.sound()
    writer.sign(signature={"node": VERDICT})
    result = audit(writer.save(tmp_path))
    assert result.exit_code == 1
    assert VERDICT not in result.stdout
    assert r"got signer \nsound: 0 errors" in result.stdout


def test_a_message_cannot_say_the_verdict(tmp_path: Path) -> None:
    result = audit(tmp_path / f"absent{VERDICT}")
    assert result.exit_code == 2
    assert VERDICT not in result.stderr


@pytest.mark.parametrize("options", [[], ["--full"]])
def test_a_table_cannot_say_an_entry(options: list[str], tmp_path: Path) -> None:
    false = b"\n2.99  type 4"
    writer = lw.sound()
    writer.write({"public:a\n2.99  type 4\x1b[2J": {b"k" + false: b"v" + false + b"\n"}})
    arguments = ["show", str(writer.save(tmp_path)), "--from", "13", *options]
    result = CliRunner().invoke(ledger_app, arguments)
    assert result.exit_code == 0
    assert "2.99  type 4" in result.stdout
    assert "\x1b" not in result.stdout
    assert not [line for line in result.stdout.splitlines() if line.startswith("2.99")]


NOT_UTF8 = b"ledger_\xff\xe4"


def test_file_name_that_is_not_utf8(directory: Path, tmp_path: Path) -> None:
    Path(os.fsdecode(bytes(directory) + b"/" + NOT_UTF8)).write_bytes(b"")
    text = process("audit", directory)
    assert (text.returncode, text.stderr) == (1, "")
    assert r"ledger_\udcff\udce4: got file name" in text.stdout
    file = tmp_path / "report.json"
    assert process("audit", directory, "--json", file).returncode == 1
    standard = process("audit", directory, "--json", "-")
    assert (standard.returncode, standard.stderr) == (1, "")
    for document in (file.read_text(encoding="utf-8"), standard.stdout):
        (found,) = json.loads(document)["findings"]
        assert os.fsencode(found["file"]) == NOT_UTF8


def test_output_that_takes_only_ascii(directory: Path) -> None:
    (directory / "ledger_ä").write_bytes(b"")
    text = process("audit", directory, encoding="ascii:strict")
    assert (text.returncode, text.stderr) == (1, "")
    assert r"ledger_\xe4: got file name" in text.stdout
    shown = process("ledger", "show", directory, encoding="ascii:strict")
    assert shown.returncode == 0
    assert r"\u2026 (" in shown.stdout


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has /dev/full")
@pytest.mark.parametrize(
    ("command", "program"),
    [
        (["audit"], "quorate audit"),
        (["audit", "--json", "-"], "quorate audit"),
        (["ledger", "show"], "quorate ledger"),
        (["ledger", "show", "--json"], "quorate ledger"),
    ],
)
def test_output_to_a_full_device(command: list[str], program: str, directory: Path) -> None:
    with FULL.open("wb") as full:
        result = process(*command, directory, output=full.fileno())
    assert result.returncode == 2
    assert result.stderr == f"{program}: cannot write standard output: No space left on device\n"


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has /dev/full")
@pytest.mark.parametrize(
    ("command", "program"),
    [(["gov", "actions"], "quorate gov"), (["node", "list", "--help"], "quorate node")],
)
def test_output_of_any_command_to_a_full_device(command: list[str], program: str) -> None:
    with FULL.open("wb") as full:
        result = process(*command, output=full.fileno())
    assert result.returncode == 2
    assert result.stderr == f"{program}: cannot write standard output: No space left on device\n"


def test_short_output_to_a_reader_that_has_gone() -> None:
    """It is written when the command ends."""
    reader, writer = os.pipe()
    os.close(reader)
    result = process("gov", "actions", "set_user", output=writer)
    os.close(writer)
    assert (result.returncode, result.stderr) == (1, "")


def test_output_to_a_reader_that_has_gone(directory: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = process("ledger", "show", directory, output=writer)
    os.close(writer)
    assert (result.returncode, result.stderr) == (1, "")
