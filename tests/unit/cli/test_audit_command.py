"""``quorate audit``: what it prints, what it writes, and its exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ledger.cli.audit import app
from tests.unit.audit import ledger_writer as lw
from tests.unit.audit.defects import MISSED


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return lw.sound().save(tmp_path / "ledger")


@pytest.fixture
def without_beginning(directory: Path) -> Path:
    (directory / "ledger_1-5.committed").unlink()
    return directory


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret.json"
    file.write_text(json.dumps({"1": lw.SECRET.hex()}), encoding="utf-8")
    return file


def test_sound(directory: Path, secret: Path) -> None:
    result = run(directory, "--secret", secret)
    assert result.exit_code == 0
    assert "12 entries in 3 chunks, 2.1 to 2.12" in result.stdout
    assert "verified until 2.12" in result.stdout
    assert "12 entries checked with a ledger secret" in result.stdout
    assert result.stdout.endswith("sound: 0 errors, 0 warnings, 0 notes\n")
    assert result.stderr == ""


def test_errors_are_exit_code_1(tmp_path: Path) -> None:
    (defect,) = (defect for defect in MISSED if defect.name == "tree missing")
    result = run(defect.ledger().save(tmp_path))
    assert result.exit_code == 1
    assert "error   tree-missing          ledger_1 2." in result.stdout
    assert "NOT SOUND: 1 errors" in result.stdout


def test_report_as_a_file_and_on_standard_output(directory: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    assert run(directory, "--json", file).exit_code == 0
    result = run(directory, "--json", "-")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads(file.read_text(encoding="utf-8"))


def test_quiet_leaves_notes_out(directory: Path) -> None:
    (directory / "notes.txt").write_bytes(b"")
    assert "file-unknown" in run(directory).stdout
    quiet = run(directory, "--quiet").stdout
    assert "file-unknown" not in quiet
    assert "1 notes" in quiet


@pytest.mark.parametrize(
    "text",
    [
        "not JSON",
        "[]",
        '{"1": 5}',
        '{"one": "00"}',
        '{"1": "00"}',
        '{"1": "secret that is not hex, sixty-four characters in length, really"}',
        '{"ledger_secrets": []}',
    ],
)
def test_bad_secrets_are_refused_and_not_quoted(text: str, directory: Path, tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    file.write_text(text, encoding="utf-8")
    result = run(directory, "--secret", file)
    assert result.exit_code == 2
    assert f"got {file}" in result.stderr
    assert "secret that" not in result.stderr
    assert result.stdout == ""


def test_secrets_in_the_shape_of_test_vectors(directory: Path, tmp_path: Path) -> None:
    file = tmp_path / "vectors.json"
    file.write_text(json.dumps({"ledger_secrets": {"1": "00" * 32}}), encoding="utf-8")
    result = run(directory, "--secret", file)
    assert result.exit_code == 1
    assert "private-domain" in result.stdout


def test_unreadable_is_exit_code_2(tmp_path: Path, directory: Path) -> None:
    for arguments in (
        [tmp_path / "absent"],
        [directory, "--snapshots", tmp_path / "absent"],
        [directory, "--secret", tmp_path / "absent"],
        [directory, "--json", tmp_path / "absent" / "report.json"],
    ):
        result = run(*arguments)
        assert result.exit_code == 2
        assert result.stderr.startswith("quorate audit: ")


def certificate(service: lw.Service, directory: Path) -> Path:
    file = directory / "service_cert.pem"
    file.write_text(service.certificate.pem, encoding="utf-8")
    return file


def test_signed_by_the_wanted_service(directory: Path, tmp_path: Path) -> None:
    result = run(directory, "--service-certificate", certificate(lw.SERVICE, tmp_path))
    assert result.exit_code == 0
    assert f"signed by service {lw.SERVICE.key.public.id}, as wanted\n" in result.stdout
    by_itself = run(directory).stdout
    assert f"signed by service {lw.SERVICE.key.public.id}, by its own word\n" in by_itself


def test_signed_by_another_service(directory: Path, tmp_path: Path) -> None:
    result = run(directory, "--service-certificate", certificate(lw.OTHER_SERVICE, tmp_path))
    assert result.exit_code == 1
    assert "error   service-other" in result.stdout
    assert f"want service {lw.OTHER_SERVICE.key.public.id}" in result.stdout


def test_without_its_beginning_a_ledger_could_be_anybodys(without_beginning: Path) -> None:
    result = run(without_beginning)
    assert result.exit_code == 0, "warnings do not count"
    assert "warning service-untied" in result.stdout
    assert f"claims key {lw.SERVICE.key.public.id}" in result.stdout
    assert "sound: 0 errors, 1 warnings" in result.stdout


def test_without_its_beginning_the_certificate_ties_it(
    without_beginning: Path, tmp_path: Path
) -> None:
    result = run(without_beginning, "--service-certificate", certificate(lw.SERVICE, tmp_path))
    assert result.exit_code == 0
    assert "2 signatures: 2 valid by nodes, 2 by the service; verified until 2.12" in result.stdout
    assert "signed by service" in result.stdout
    assert "0 warnings" in result.stdout
    other = run(without_beginning, "--service-certificate", certificate(lw.OTHER_SERVICE, tmp_path))
    assert other.exit_code == 1
    assert "error   service-other" in other.stdout


def test_service_certificate_that_is_none(directory: Path, tmp_path: Path) -> None:
    file = tmp_path / "service_cert.pem"
    for path in (file, tmp_path / "absent"):
        file.write_text("garbage", encoding="utf-8")
        result = run(directory, "--service-certificate", path)
        assert result.exit_code == 2
        assert str(path) in result.stderr
