"""Keys of a new member, and the words that admit it."""

import re
from pathlib import Path

import pytest

from ledger.cli.gov_actions import build_action
from ledger.cli.main import run as quorate
from ledger.client.identity import Identity
from ledger.crypto.rsa import RsaPublicKey


def test_a_member_gets_keys_and_the_others_get_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quorate(["gov", "init-member", "dora", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    identity = Identity.load(tmp_path / "dora_cert.pem", tmp_path / "dora_privk.pem")
    assert f"ID: {identity.id}\n" in said
    words = re.findall(r"--arg (\S+)", said)
    proposed = build_action("set_member", words)
    assert proposed["args"]["cert"] == identity.certificate.pem
    RsaPublicKey.from_pem(proposed["args"]["encryption_pub_key"])
    for name in ("dora_privk.pem", "dora_enc_privk.pem"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0
    assert "PRIVATE" not in said


def test_a_member_without_a_share(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert quorate(["gov", "init-member", "dora", "--no-share", "--out", str(tmp_path)]) == 0
    assert "encryption" not in capsys.readouterr().out.lower()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dora_cert.pem", "dora_privk.pem"]
    assert quorate(["gov", "init-member", "dora", "--out", str(tmp_path)]) == 2
    assert "which exists" in capsys.readouterr().err
