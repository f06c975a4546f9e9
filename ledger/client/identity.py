"""Who a client is: a certificate with its private key, in PEM files as CCF's tools name them.

``<name>_cert.pem``, ``<name>_privk.pem`` and, for members who can recover the service,
``<name>_enc_pubk.pem`` and ``<name>_enc_privk.pem``. Private keys are readable by their owner
only, and no file is ever overwritten.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from ledger.base.errors import FormatError, VerificationError
from ledger.crypto.certificate import Certificate
from ledger.crypto.certs import self_signed_caller
from ledger.crypto.keys import Curve, SigningKey
from ledger.crypto.rsa import RsaPrivateKey

DEFAULT_DAYS = 365
_PEM_SIZE_MAX = 64 << 10


@dataclass(frozen=True, slots=True)
class Identity:
    """A member or user, ready to call a service and to sign.

    Attributes:
        certificate: Certificate; its ``id`` is the member's or user's ID.
        key: Private key of the certificate.
        certificate_file: Where the certificate is.
        key_file: Where the key is.
    """

    certificate: Certificate
    key: SigningKey = field(repr=False)
    certificate_file: Path
    key_file: Path

    @property
    def id(self) -> str:
        """64 hex characters: SHA-256 of the certificate."""
        return self.certificate.id

    @classmethod
    def load(cls, certificate_file: Path, key_file: Path) -> "Identity":
        """Read both files.

        Raises:
            FormatError: one of them is missing or not what it has to be.
            VerificationError: the key is not the certificate's.
        """
        certificate = Certificate.parse(read_pem(certificate_file))
        key = SigningKey.from_pem(read_pem(key_file))
        if certificate.public_key.id != key.public.id:
            raise VerificationError(f"{key_file} is not the key of {certificate_file}")
        return cls(certificate, key, certificate_file, key_file)


def create_identity(
    directory: Path, name: str, now: int, *, curve: Curve = Curve.P384, days: int = DEFAULT_DAYS
) -> Identity:
    """Make a key and a self-signed certificate, and write both.

    Args:
        directory: Where to; created when missing.
        name: First part of the file names, and the certificate's common name.
        now: Start of validity, seconds since 1970.
        curve: Curve of the key.
        days: Length of validity.

    Raises:
        FormatError: the name is no file name, or a file exists.
    """
    certificate_file, key_file = _new_files(directory, name, "cert", "privk")
    key = SigningKey.generate(curve)
    certificate = self_signed_caller(key, f"CN={name}", days, now)
    write_new(key_file, key.to_pem(), private=True)
    write_new(certificate_file, certificate.pem)
    return Identity(certificate, key, certificate_file, key_file)


def create_encryption_key(directory: Path, name: str) -> tuple[Path, Path]:
    """Make an RSA key for recovery shares, and write both halves.

    Returns:
        The files of the public and of the private key.

    Raises:
        FormatError: the name is no file name, or a file exists.
    """
    public_file, private_file = _new_files(directory, name, "enc_pubk", "enc_privk")
    key = RsaPrivateKey.generate()
    write_new(private_file, key.to_pem(), private=True)
    write_new(public_file, key.public.pem)
    return public_file, private_file


def read_pem(path: Path) -> bytes:
    """Return the content of a PEM file.

    Raises:
        FormatError: it is missing, unreadable or far too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_PEM_SIZE_MAX + 1)
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > _PEM_SIZE_MAX:
        raise FormatError(f"got more than {_PEM_SIZE_MAX} bytes in {path}, want a PEM file")
    return data


def write_new(path: Path, text: str, *, private: bool = False) -> None:
    """Write a file that must not exist yet.

    Args:
        path: Where to.
        text: Content.
        private: Readable by the owner only, from the first moment on.

    Raises:
        FormatError: it exists, or cannot be written.
    """
    mode = 0o600 if private else 0o644
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except OSError as error:
        raise FormatError(f"cannot create {path}: {error.strerror}") from error
    with os.fdopen(fd, "w") as file:
        file.write(text)


def _new_files(directory: Path, name: str, *parts: str) -> list[Path]:
    if not name or name in {".", ".."} or "/" in name or "\0" in name:
        raise FormatError(f"got name {name[:80]!r}, want one that can be part of a file name")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FormatError(f"cannot create {directory}: {error.strerror}") from error
    files = [directory / f"{name}_{part}.pem" for part in parts]
    for file in files:
        if file.exists():
            raise FormatError(f"got {file}, which exists, want a new file")
    return files
