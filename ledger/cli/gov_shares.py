"""``quorate gov init-member`` and ``submit-share``: a member's keys, and its part in a recovery."""

import time
from pathlib import Path
from typing import Annotated

import typer

from ledger.cli.gov_talk import as_member
from ledger.cli.gov_target import (
    CertificateOption,
    KeyOption,
    MemberOption,
    NodeOption,
    SandboxOption,
    ServiceOption,
    SignOption,
    target,
)
from ledger.cli.gov_text import printable
from ledger.client.identity import create_encryption_key, create_identity, read_pem
from ledger.crypto.rsa import RsaPrivateKey


def init_member(
    name: Annotated[str, typer.Argument(help="Name of the member; begins the names of files.")],
    out: Annotated[Path, typer.Option("--out", help="Directory to write to.")] = Path(),
    no_share: Annotated[
        bool, typer.Option("--no-share", help="No encryption key: the member recovers nothing.")
    ] = False,
) -> None:
    """Make a member's keys; print its ID and what the others need to admit it."""
    identity = create_identity(out, name, int(time.time()))
    print(f"ID: {identity.id}")
    print(f"Private key, stays here: {identity.key_file}")
    words = f"--arg cert=@{identity.certificate_file}"
    if not no_share:
        public_file, private_file = create_encryption_key(out, name)
        print(f"Encryption key, stays here: {private_file}")
        words += f" --arg encryption_pub_key=@{public_file}"
    print(f"To be proposed by a member: quorate gov propose --action set_member {words}")


def submit_share(
    encryption_key: Annotated[
        Path, typer.Option("--encryption-key", help="The member's private encryption key, PEM.")
    ],
    node: NodeOption = None,
    service_cert: ServiceOption = None,
    sandbox: SandboxOption = None,
    member_cert: CertificateOption = None,
    member_key: KeyOption = None,
    member_sign: SignOption = None,
    member: MemberOption = 0,
) -> None:
    """Decrypt the member's recovery share and submit it."""
    at = target(node, service_cert, sandbox, member_cert, member_key, member_sign, member)
    key = RsaPrivateKey.from_pem(read_pem(encryption_key))
    print(printable(str(as_member(at, lambda each: each.submit_share(key))["message"])))
