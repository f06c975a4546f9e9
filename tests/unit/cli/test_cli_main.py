"""The command line: dispatch, help, keygen's files."""

import subprocess
import sys
from pathlib import Path

import pytest

from ledger.cli import main
from ledger.client.identity import Identity
from ledger.crypto.keys import Curve
from ledger.crypto.rsa import RsaPrivateKey, RsaPublicKey


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name}" in out for name in main.COMMANDS)
    assert set(main.COMMANDS) == set(main.SUMMARIES)


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        (["sandbox"], "--demo"),
        (["keygen"], "--encryption"),
        (["audit"], "--governance"),
        (["gov"], "--help"),
        (["gov", "vote"], "--help"),
        (["node", "status"], "--json"),
    ],
)
def test_flags_take_no_value(
    command: list[str], flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([*command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert flag in shown
    assert "bool" not in shown.lower()


def test_nothing_is_help_and_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([]) == 2
    assert "Usage: quorate" in capsys.readouterr().out


def test_unknown_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["bake"]) == 2
    assert "got command 'bake', want one of node" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("Quorate ")
    assert main.run(["node", "-v"]) == 0
    assert "Platform: virtual" in capsys.readouterr().out


NODE_MISTAKES: list[tuple[list[str], str]] = [
    ([], "--config"),
    (["-c", "x", "--log-level", "loud"], "want one of trace, debug, info, fail, fatal"),
    (["-c", "x", "--config-timeout", "5"], "want a time"),
    (["-c", "x", "--app", "nothing"], "want module:attribute"),
    (["-c", "x", "--bake"], "--bake"),
    (["-c", "x", "--con"], "--con"),
]


@pytest.mark.parametrize(("options", "message"), NODE_MISTAKES)
def test_node_options_are_checked(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["node", *options]) == 2
    assert message in capsys.readouterr().err


def test_options_without_a_command_are_those_of_a_node(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["--config", "nowhere.json", "--check"]) != 0
    assert "nowhere.json" in capfd.readouterr().out
    assert main.run(["--config", "x", "--bake"]) == 2
    assert "--bake" in capfd.readouterr().err


def test_optimised_interpreter_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-O", "-m", "ledger.cli.main", "node", "-c", "x"],
        cwd=Path(main.__file__).parents[2],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 2
    assert "got an interpreter with -O" in done.stderr


@pytest.mark.parametrize(
    ("curve", "wanted"),
    [("secp256r1", Curve.P256), ("secp384r1", Curve.P384), ("secp521r1", Curve.P521)],
)
def test_keygen_writes_a_usable_identity(
    tmp_path: Path, curve: str, wanted: Curve, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "keys"
    assert main.run(["keygen", "--name", "alice", "--curve", curve, "--out", str(out)]) == 0
    identity = Identity.load(out / "alice_cert.pem", out / "alice_privk.pem")
    assert identity.key.curve is wanted
    assert identity.certificate.subject == "CN=alice"
    assert f"ID: {identity.id}" in capsys.readouterr().out
    assert (out / "alice_privk.pem").stat().st_mode & 0o777 == 0o600


def test_keygen_makes_encryption_keys(tmp_path: Path) -> None:
    options = ["keygen", "--name", "bob", "--gen-enc-key", "--out", str(tmp_path)]
    assert main.run(options) == 0
    private_file = tmp_path / "bob_enc_privk.pem"
    private = RsaPrivateKey.from_pem(private_file.read_bytes())
    public = RsaPublicKey.from_pem((tmp_path / "bob_enc_pubk.pem").read_bytes())
    assert private.unwrap(public.wrap(b"share")) == b"share"
    assert private_file.stat().st_mode & 0o777 == 0o600


def test_keygen_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "carol_cert.pem").write_text("precious")
    assert main.run(["keygen", "--name", "carol", "--out", str(tmp_path)]) == 2
    assert "which exists" in capsys.readouterr().err
    assert (tmp_path / "carol_cert.pem").read_text() == "precious"
    assert not (tmp_path / "carol_privk.pem").exists()


@pytest.mark.parametrize("name", ["", "..", "a/b"])
def test_keygen_wants_a_file_name(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["keygen", "--name", name, "--out", str(tmp_path)]) == 2
    assert "want one that can be part of a file name" in capsys.readouterr().err
