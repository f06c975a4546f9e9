"""``quorate keygen``: keys and a certificate for a member or user, named as by CCF."""

import enum
import time
from pathlib import Path
from typing import Annotated

import typer

from ledger.client.identity import DEFAULT_DAYS, create_encryption_key, create_identity
from ledger.crypto.keys import Curve

app = typer.Typer(add_completion=False)


class CurveName(enum.Enum):
    """Curves by the names of OpenSSL."""

    SECP256R1 = "secp256r1"
    SECP384R1 = "secp384r1"
    SECP521R1 = "secp521r1"


_CURVES = {
    CurveName.SECP256R1: Curve.P256,
    CurveName.SECP384R1: Curve.P384,
    CurveName.SECP521R1: Curve.P521,
}


@app.command()
def keygen(
    name: Annotated[str, typer.Option("--name", help="Name of the member or user.")],
    curve: Annotated[
        CurveName, typer.Option("--curve", help="Curve of the key.")
    ] = CurveName.SECP384R1,
    encryption: Annotated[
        bool,
        typer.Option(
            "--encryption", "--gen-enc-key", "-g", help="Make an RSA key for recovery shares too."
        ),
    ] = False,
    out: Annotated[Path, typer.Option("--out", help="Directory to write to.")] = Path(),
    days: Annotated[
        int, typer.Option("--days", min=1, max=36_500, help="Validity.")
    ] = DEFAULT_DAYS,
) -> None:
    """Make keys and a self-signed certificate for a member or user.

    Writes NAME_cert.pem and NAME_privk.pem, with --encryption also NAME_enc_pubk.pem and
    NAME_enc_privk.pem, and prints the ID: the SHA-256 of the certificate.
    """
    identity = create_identity(out, name, int(time.time()), curve=_CURVES[curve], days=days)
    print(f"Certificate: {identity.certificate_file}")
    print(f"Private key: {identity.key_file}")
    if encryption:
        public_file, private_file = create_encryption_key(out, name)
        print(f"Encryption public key: {public_file}")
        print(f"Encryption private key: {private_file}")
    print(f"ID: {identity.id}")
