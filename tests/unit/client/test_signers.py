"""Signatures of keys that are elsewhere: their forms, and commands that make them."""

import asyncio
import base64
import shlex
import sys
from pathlib import Path

import pytest

from ledger.base.errors import FormatError, UnavailableError
from ledger.client.identity import create_identity
from ledger.client.signers import VaultSigner, command_signer, parse_signature
from ledger.crypto.curves import Curve

NOW = 1_750_000_000
DER = bytes.fromhex("3006020101020102")
RAW = {curve: bytes(curve.size - 1) + b"\1" + bytes(curve.size - 1) + b"\2" for curve in Curve}


@pytest.mark.parametrize("curve", list(Curve))
def test_every_form_is_read(curve: Curve) -> None:
    for form in (RAW[curve], DER):
        assert parse_signature(form, curve) == RAW[curve]
        for encoded in (base64.b64encode(form), base64.urlsafe_b64encode(form)):
            for text in (encoded, encoded.rstrip(b"="), encoded + b"\n", encoded.decode()):
                assert parse_signature(text, curve) == RAW[curve]
    odd = b"\xfb\xff\xbf" * 32
    assert parse_signature(base64.urlsafe_b64encode(odd), Curve.P384) == odd


@pytest.mark.parametrize(
    "data", [b"", b"?", "ü", "AAAA", DER[:-1], b"\0" * 5000, b"\x30\x06\x02\x01\xff\x02\x01\x02"]
)
def test_anything_else_is_none(data: bytes | str) -> None:
    with pytest.raises(FormatError):
        parse_signature(data, Curve.P256)


def python(program: str) -> str:
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}"


def test_a_command_gets_the_digest_and_returns_the_signature(tmp_path: Path) -> None:
    identity = create_identity(tmp_path, "alice", NOW, curve=Curve.P256)
    echo = python("import sys; d = sys.stdin.buffer.read(); sys.stdout.buffer.write(d + d)")
    signer = VaultSigner(identity.certificate, command_signer(echo))
    assert signer.id == identity.id
    digest = bytes(range(32))
    assert asyncio.run(signer.sign(digest)) == digest * 2


@pytest.mark.parametrize(
    ("program", "error", "words"),
    [
        ("print('no')", FormatError, "no signature"),
        ("raise SystemExit(3)", UnavailableError, "ended with 3"),
    ],
)
def test_a_command_that_makes_none(
    tmp_path: Path, program: str, error: type[Exception], words: str
) -> None:
    identity = create_identity(tmp_path, "alice", NOW, curve=Curve.P256)
    signer = VaultSigner(identity.certificate, command_signer(python(program)))
    with pytest.raises(error, match=words):
        asyncio.run(signer.sign(bytes(32)))
