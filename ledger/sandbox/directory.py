"""Files of a sandbox: everything is in one directory, with the names that CCF's tools know.

``sandbox.json`` is written when the service is open, so that any script can use it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ledger.base.errors import FormatError, UnavailableError
from ledger.client.identity import Identity, create_encryption_key, create_identity

DESCRIPTION_FILE = "sandbox.json"
SERVICE_CERTIFICATE_FILE = "service_cert.pem"


@dataclass(frozen=True, slots=True)
class MemberKeys:
    """A member of the consortium: identity and encryption key files."""

    identity: Identity
    encryption_public_key_file: Path
    encryption_key_file: Path


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A running node, as ``sandbox.json`` describes it.

    Attributes:
        id: Node ID.
        address: ``host:port`` for clients.
        pid: Process of the host.
        directory: Its configuration, log and output files.
        ledger: Its main ledger directory.
    """

    id: str
    address: str
    pid: int
    directory: Path
    ledger: Path


@dataclass(frozen=True, slots=True)
class SandboxDirectory:
    """The directory of one sandbox.

    Attributes:
        path: Absolute path.
        service_certificate_file: Where the first node writes the service's certificate.
        members: Initial members.
        users: Users that the opening proposal adds.
    """

    path: Path
    service_certificate_file: Path
    members: list[MemberKeys] = field(default_factory=list)
    users: list[Identity] = field(default_factory=list)

    @classmethod
    def planned(cls, path: Path) -> "SandboxDirectory":
        """Return the directory before anything is made.

        Raises:
            FormatError: something is there already.
            UnavailableError: it cannot be looked at.
        """
        path = path.absolute()
        try:
            _refuse_used(path)
        except OSError as error:
            raise _cannot_make(path, error) from error
        return cls(path, path / SERVICE_CERTIFICATE_FILE)

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        members: int,
        users: int,
        now: int,
        service_certificate_file: Path | None = None,
    ) -> "SandboxDirectory":
        """Make the directory and the keys of everybody.

        Args:
            path: Where; must not exist, or be empty.
            members: Number of members, at least 1.
            users: Number of users.
            now: Start of the certificates' validity, seconds since 1970.
            service_certificate_file: Where the first node writes the service's certificate; None
                for the usual place.

        Raises:
            FormatError: something is there already.
            UnavailableError: the directory or a file in it cannot be made.
        """
        made = cls.planned(path)
        path = made.path
        if service_certificate_file is not None:
            made = cls(path, service_certificate_file.absolute())
        try:
            path.mkdir(parents=True, exist_ok=True)
            made._make_keys(members, users, now)
        except OSError as error:
            raise _cannot_make(path, error) from error
        return made

    def _make_keys(self, members: int, users: int, now: int) -> None:
        path = self.path
        for number in range(members):
            identity = create_identity(path, f"member{number}", now)
            public_file, private_file = create_encryption_key(path, f"member{number}")
            self.members.append(MemberKeys(identity, public_file, private_file))
        self.users.extend(create_identity(path, f"user{number}", now) for number in range(users))

    def node_directory(self, number: int) -> Path:
        """Directory of one node."""
        return self.path / f"node{number}"

    def describe(self, nodes: Sequence[NodeRecord], primary: int = 0) -> None:
        """Write ``sandbox.json``: all paths absolute, atomically."""
        description = {
            "nodes": [
                {
                    "id": node.id,
                    "address": node.address,
                    "pid": node.pid,
                    "directory": str(node.directory),
                    "ledger": str(node.ledger),
                }
                for node in nodes
            ],
            "primary": primary,
            "service_certificate": str(self.service_certificate_file),
            "users": [_identity(user) for user in self.users],
            "members": [
                {
                    **_identity(member.identity),
                    "encryption_key": str(member.encryption_key_file),
                }
                for member in self.members
            ],
        }
        temporary = self.path / f".{DESCRIPTION_FILE}.tmp"
        temporary.write_text(json.dumps(description, indent=2) + "\n")
        temporary.replace(self.path / DESCRIPTION_FILE)


def _cannot_make(path: Path, error: OSError) -> UnavailableError:
    return UnavailableError(f"cannot make sandbox in {path}: {error.strerror}")


def _refuse_used(path: Path) -> None:
    want = "want a new or empty directory"
    if path.is_file():
        raise FormatError(f"got {path}, which is a file, {want}")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FormatError(f"got {path}, which is not empty, {want}")


def _identity(identity: Identity) -> dict[str, str]:
    return {"certificate": str(identity.certificate_file), "key": str(identity.key_file)}
