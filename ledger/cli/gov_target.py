"""Which service ``quorate gov`` and ``quorate node list|status`` talk to, and as whom.

Either ``--node`` and ``--service-cert``, or ``--sandbox DIR`` for a service that
``quorate sandbox`` started. Each option can come from the environment.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger.base.errors import FormatError, MisuseError
from ledger.client.identity import Identity, read_pem
from ledger.client.session import Session
from ledger.client.signers import Signer, VaultSigner, command_signer
from ledger.codec import canonical
from ledger.crypto.certificate import Certificate

SANDBOX_FILE = "sandbox.json"

NodeOption = Annotated[
    str | None,
    typer.Option("--node", envvar="QUORATE_NODE", help="Address of a node, host:port."),
]
ServiceOption = Annotated[
    Path | None,
    typer.Option(
        "--service-cert", envvar="QUORATE_SERVICE_CERT", help="Certificate of the service, PEM."
    ),
]
SandboxOption = Annotated[
    Path | None,
    typer.Option("--sandbox", envvar="QUORATE_SANDBOX", help="Directory of a running sandbox."),
]
CertificateOption = Annotated[
    Path | None,
    typer.Option(
        "--member-cert", envvar="QUORATE_MEMBER_CERT", help="Certificate of the member, PEM."
    ),
]
KeyOption = Annotated[
    Path | None,
    typer.Option("--member-key", envvar="QUORATE_MEMBER_KEY", help="Key of the member, PEM."),
]
SignOption = Annotated[
    str | None,
    typer.Option(
        "--member-sign",
        envvar="QUORATE_MEMBER_SIGN",
        metavar="COMMAND",
        help="Instead of a key: a command that reads a digest and prints the signature, "
        "for example pkcs11-tool.",
    ),
]
MemberOption = Annotated[
    int, typer.Option("--member", min=0, help="Which member of the sandbox signs.")
]


@dataclass(frozen=True, slots=True)
class Target:
    """A service, and the member that acts when one does.

    Attributes:
        address: ``host:port`` of a node.
        service_certificate: PEM.
        member: Who signs; None where nobody was named.
    """

    address: str
    service_certificate: str
    member: Signer | None

    def session(self) -> Session:
        """Return a session with the service, to be used with ``async with``."""
        return Session(self.address, self.service_certificate)

    def signer(self) -> Signer:
        """Return the member that signs.

        Raises:
            MisuseError: nobody was named.
        """
        if self.member is None:
            raise MisuseError(
                "got no member, want --member-cert with --member-key or --member-sign, or --sandbox"
            )
        return self.member


def target(
    node: str | None,
    service: Path | None,
    sandbox: Path | None,
    certificate: Path | None = None,
    key: Path | None = None,
    sign: str | None = None,
    member: int | None = None,
) -> Target:
    """Return what the options name. Single options win over the sandbox's.

    The sandbox, which may be of the environment, is looked at when something else is missing.

    Args:
        node: ``host:port`` of a node.
        service: File of the service's certificate.
        sandbox: Directory of a sandbox.
        certificate: File of the member's certificate.
        key: File of the member's key.
        sign: Command that signs instead.
        member: Which member of the sandbox acts when no other is named; None: nobody acts.

    Raises:
        MisuseError: the service or half of a member is missing.
        FormatError: a file is missing or not what it has to be.
    """
    identity = _named_member(certificate, key, sign)
    is_complete = node and service and (identity or member is None)
    described = {} if sandbox is None or is_complete else _sandbox(sandbox)
    address = node or described.get("node")
    service_file = service or described.get("service_certificate")
    if address is None or service_file is None:
        raise MisuseError("got no service, want --node and --service-cert, or --sandbox DIR")
    if identity is None and member is not None:
        identity = _sandbox_member(described, member)
    return Target(address, read_pem(Path(service_file)).decode("ascii", "replace"), identity)


def _named_member(certificate: Path | None, key: Path | None, sign: str | None) -> Signer | None:
    if certificate is None and key is None and sign is None:
        return None
    if certificate is None or (key is None) == (sign is None):
        raise MisuseError(
            "got half of a member, want --member-cert and one of --member-key and --member-sign"
        )
    if key is not None:
        return Identity.load(certificate, key)
    assert sign is not None, "one of the two was just seen to be there"
    return VaultSigner(Certificate.parse(read_pem(certificate)), command_signer(sign))


def _sandbox(directory: Path) -> dict[str, Any]:
    file = directory / SANDBOX_FILE
    try:
        value = canonical.loads(file.read_bytes())
    except OSError as error:
        raise FormatError(f"cannot read {file}: {error.strerror}") from error
    try:
        return {**value, "node": value["nodes"][value.get("primary", 0)]["address"]}
    except (KeyError, IndexError, TypeError) as error:
        raise FormatError(f"got {file}, which does not describe a sandbox") from error


def _sandbox_member(described: dict[str, Any], member: int) -> Identity | None:
    members = described.get("members")
    if not members:
        return None
    if member >= len(members):
        raise MisuseError(f"got member {member}, want one of the sandbox's {len(members)}, from 0")
    return Identity.load(Path(members[member]["certificate"]), Path(members[member]["key"]))
