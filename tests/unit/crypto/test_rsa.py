"""RSA-OAEP: round trips, refusals, agreement with OpenSSL's command."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ledger.base.errors import FormatError, MisuseError, VerificationError
from ledger.crypto.keys import Curve, SigningKey
from ledger.crypto.rsa import RsaPrivateKey, RsaPublicKey


@pytest.fixture(scope="module")
def key() -> RsaPrivateKey:
    return RsaPrivateKey.generate()


def test_round_trip(key: RsaPrivateKey) -> None:
    public = RsaPublicKey.from_pem(key.public.pem)
    assert public == key.public
    private = RsaPrivateKey.from_pem(key.to_pem())
    for plaintext in (b"", bytes(44), bytes(190)):
        ciphertext = public.wrap(plaintext)
        assert len(ciphertext) == 256
        assert private.unwrap(ciphertext) == plaintext
    assert public.wrap(b"x") != public.wrap(b"x")
    with pytest.raises(MisuseError, match="at most 190"):
        public.wrap(bytes(191))


def test_other_key_or_changed_ciphertext(key: RsaPrivateKey) -> None:
    ciphertext = key.public.wrap(b"share")
    damaged = ciphertext[:-1] + bytes([ciphertext[-1] ^ 1])
    for bad in (damaged, ciphertext[:-1], ciphertext + b"\0", b"", b"\xff" * 256):
        with pytest.raises(VerificationError):
            key.unwrap(bad)
    with pytest.raises(VerificationError):
        RsaPrivateKey.generate().unwrap(ciphertext)


def test_openssl_opens_with_the_options_that_members_use(
    key: RsaPrivateKey, tmp_path: Path
) -> None:
    (tmp_path / "key.pem").write_text(key.to_pem())
    (tmp_path / "share").write_bytes(key.public.wrap(bytes(range(44))))
    options = ["rsa_padding_mode:oaep", "rsa_oaep_md:sha256", "rsa_mgf1_md:sha256"]
    command = ["openssl", "pkeyutl", "-decrypt", "-inkey", "key.pem", "-in", "share"]
    for option in options:
        command += ["-pkeyopt", option]
    result = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert result.stdout == bytes(range(44))


def _public_pem(bits: int) -> str:
    public = rsa.generate_private_key(65537, bits).public_key()
    return public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def test_keys_that_are_refused(key: RsaPrivateKey) -> None:
    elliptic = SigningKey.generate(Curve.P256)
    for pem in (_public_pem(1024), elliptic.public.pem, key.to_pem(), "", "x" * 20_000, "\u2603"):
        with pytest.raises(FormatError):
            RsaPublicKey.from_pem(pem)
    for pem in (elliptic.to_pem(), key.public.pem, "", "x" * 20_000, "\u2603"):
        with pytest.raises(FormatError):
            RsaPrivateKey.from_pem(pem)


def test_nothing_private_is_printed(key: RsaPrivateKey) -> None:
    assert key.to_pem().splitlines()[1] not in repr(key)
    assert "BEGIN PRIVATE" not in repr(key)
