"""``quorate ledger show|cut``: filters, forms, parts, refusals."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ledger.audit.walk import audit
from ledger.cli.ledger import app
from ledger.files import chunk
from tests.unit.audit import ledger_writer as lw


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return lw.sound().save(tmp_path / "ledger")


def ids(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [line.split()[0] for line in result.stdout.splitlines() if line.startswith("2.")]


def test_show_everything(directory: Path) -> None:
    result = run("show", directory)
    assert ids(result) == [f"2.{seqno}" for seqno in range(1, 13)]
    assert "type 4" in result.stdout
    assert "flags 0x01, ledger_1-5.committed" in result.stdout
    assert "    0x00: public\n" in result.stdout
    assert "private bytes not opened" in result.stdout


@pytest.mark.parametrize(
    ("options", "seqnos"),
    [
        (["--from", 10], [10, 11, 12]),
        (["--to", 2], [1, 2]),
        (["--from", 5, "--to", 6], [5, 6]),
        (["--from", 13], []),
        (["--tables", r"service\.info$"], [1, 3]),
        (["--tables", "^records$"], []),
        (["-t", "records", "--from", 8], [8, 10, 11]),
    ],
)
def test_filters(options: list[object], seqnos: list[int], directory: Path) -> None:
    assert ids(run("show", directory, *options)) == [f"2.{seqno}" for seqno in seqnos]


def test_tables_that_match_are_all_that_is_shown(directory: Path) -> None:
    result = run("show", directory, "--tables", "signatures")
    assert "public:ccf.internal.signatures" in result.stdout
    assert "public:ccf.internal.tree" not in result.stdout


def test_digests(directory: Path) -> None:
    lines = run("show", directory, "--digests", "--to", 3).stdout.splitlines()
    assert [len(word) for word in lines[0].split()] == [3, 64, 64]
    assert len(lines) == 3


def test_values_are_shortened_unless_full(directory: Path) -> None:
    assert "characters)" in run("show", directory, "--to", 1).stdout
    full = run("show", directory, "--to", 1, "--full").stdout
    assert "characters)" not in full
    assert lw.SERVICE.certificate.pem.replace("\n", "\\n") in full


def test_json_lines_with_private_tables(directory: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps({"1": lw.SECRET.hex()}), encoding="utf-8")
    result = run("show", directory, "--json", "--from", 6, "--to", 6, "--secret", secret)
    (line,) = result.stdout.splitlines()
    value = json.loads(line)
    assert value["transaction"] == "2.6"
    assert value["tables"] == {
        "public:records": [{"key": "0x00", "value": "public"}],
        "records": [{"key": "0x00", "value": "private"}],
    }
    assert value["problem"] is None


def test_wrong_secret_says_so(directory: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps({"1": "00" * 32}), encoding="utf-8")
    result = run("show", directory, "--from", 6, "--to", 6, "--secret", secret)
    assert "does not authenticate" in result.stdout


def test_cut_chunk_is_shown_up_to_the_cut(directory: Path) -> None:
    path = directory / "ledger_10"
    path.write_bytes(path.read_bytes()[:-3])
    result = run("show", directory, "--from", 10)
    assert ids(result) == ["2.10", "2.11"]
    assert "ledger_10: got" in result.stderr


@pytest.mark.parametrize(
    "arguments", [["show", "absent"], ["show", ".", "--tables", "("], ["cut", "absent", 3]]
)
def test_refusals(arguments: list[object]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("quorate ledger: ")


def test_cut_a_committed_chunk(directory: Path, tmp_path: Path) -> None:
    whole = directory / "ledger_1-5.committed"
    parts = tmp_path / "parts"
    result = run("cut", whole, 2, "--output-dir", parts)
    assert result.exit_code == 0
    names = ["ledger_1-2.committed", "ledger_3-5.committed"]
    assert result.stdout.split() == [str(parts / name) for name in names]
    for name in names:
        assert chunk.scan((parts / name).read_bytes()).is_complete
        (parts / name).rename(directory / name)
    assert whole.exists()
    whole.unlink()
    report = audit([directory])
    assert report.is_sound
    assert (report.entries, str(report.verified)) == (12, "2.12")
    assert set(report.findings.by_code) == {"chunk-end-unflagged"}


def test_cut_an_open_chunk(directory: Path, tmp_path: Path) -> None:
    whole = directory / "ledger_10"
    parts = tmp_path / "parts"
    assert run("cut", whole, 10, "-o", parts, "--allow-non-signature").exit_code == 0
    assert chunk.scan((parts / "ledger_10").read_bytes()).is_complete
    rest = (parts / "ledger_11").read_bytes()
    assert chunk.scan(rest, 11) == chunk.ScanResult(
        [8, chunk.scan(rest).offsets[1]], len(rest), 11, 0, None
    )
    assert sorted(path.name for path in parts.iterdir()) == ["ledger_10", "ledger_11"]


@pytest.mark.parametrize(
    ("name", "seqno", "message"),
    [
        ("ledger_1-5.committed", 3, "want a signature transaction: the next is at seqno 4"),
        ("ledger_1-5.committed", 5, "want one in 1 to 4"),
        ("ledger_1-5.committed", 0, "want one in 1 to 4"),
        ("ledger_6-9.committed", 5, "want one in 6 to 8"),
        ("ledger_10", 11, "the next is at seqno 12"),
    ],
)
def test_cuts_that_are_refused(
    name: str, seqno: int, message: str, directory: Path, tmp_path: Path
) -> None:
    result = run("cut", directory / name, seqno, "-o", tmp_path / "parts")
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "parts").exists()


def test_nothing_is_overwritten(directory: Path, tmp_path: Path) -> None:
    whole = directory / "ledger_1-5.committed"
    assert run("cut", whole, 2, "-o", tmp_path).exit_code == 0
    again = run("cut", whole, 2, "-o", tmp_path)
    assert again.exit_code == 2
    assert "exists" in again.stderr


def test_a_pipe_is_not_cut_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "ledger_1-9.committed"
    os.mkfifo(pipe)
    result = run("cut", pipe, 2, "-o", tmp_path / "parts")
    assert result.exit_code == 2
    assert "got a pipe, want a regular file" in result.stderr


def test_damaged_chunk_is_not_cut(directory: Path, tmp_path: Path) -> None:
    whole = directory / "ledger_1-5.committed"
    whole.write_bytes(whole.read_bytes()[:-2])
    result = run("cut", whole, 2, "-o", tmp_path)
    assert result.exit_code == 2
    assert "got a damaged chunk" in result.stderr
