"""Section ``command``: start, join or recover, with the files that each one reads."""

from dataclasses import dataclass

from ledger.boundary.settings import ServiceConfiguration
from ledger.host.schema import Items, Key, Optional, Section, plain
from ledger.host.values import (
    ADDRESS,
    BOOLEAN,
    PATH,
    SUBJECT_NAME,
    TEXT,
    choice,
    integer,
    size,
    time_ms,
)

_DAYS_MAX = 36_500


@dataclass(frozen=True, slots=True)
class MemberFiles:
    """One of ``command.start.members``; ``recovery_role`` None depends on the encryption key."""

    certificate_file: str
    encryption_public_key_file: str | None
    data_json_file: str | None
    recovery_role: str | None

    @property
    def role(self) -> str:
        """Recovery role, resolved: who has an encryption key participates by default."""
        if self.recovery_role is not None:
            return self.recovery_role
        return "NonParticipant" if self.encryption_public_key_file is None else "Participant"

    @property
    def takes_part_in_recovery(self) -> bool:
        """Whether the member gets a recovery share."""
        return self.role != "NonParticipant"


@dataclass(frozen=True, slots=True)
class StartFiles:
    """``command.start``. ``service_configuration.recovery_threshold`` 0 is unset."""

    constitution_files: tuple[str, ...]
    members: tuple[MemberFiles, ...]
    service_configuration: ServiceConfiguration
    initial_service_certificate_validity_days: int
    service_subject_name: str
    cose_issuer: str
    cose_subject: str


@dataclass(frozen=True, slots=True)
class JoinFiles:
    """``command.join``; times in milliseconds, sizes in bytes."""

    target_rpc_address: str
    retry_timeout: float
    follow_redirect: bool
    fetch_recent_snapshot: bool
    fetch_snapshot_max_attempts: int
    fetch_snapshot_retry_interval: float
    fetch_snapshot_max_size: int


@dataclass(frozen=True, slots=True)
class RecoverFiles:
    """``command.recover``."""

    previous_service_identity_file: str
    initial_service_certificate_validity_days: int
    previous_sealed_ledger_secret_location: str | None


@dataclass(frozen=True, slots=True)
class Command:
    """Section ``command``.

    Attributes:
        type: Start, Join or Recover.
        service_certificate_file: Written on Start and Recover, read on Join.
    """

    type: str
    service_certificate_file: str
    start: StartFiles | None
    join: JoinFiles | None
    recover: RecoverFiles | None


def _start(cose_signatures: dict[str, str], **values: object) -> StartFiles:
    return StartFiles(
        cose_issuer=cose_signatures["issuer"],
        cose_subject=cose_signatures["subject"],
        **values,  # type: ignore[arg-type]  # each reader gives the field's type
    )


_MEMBER = Section(
    MemberFiles,
    {
        "certificate_file": Key(PATH, required=True),
        "encryption_public_key_file": Key(Optional(PATH)),
        "data_json_file": Key(Optional(PATH)),
        "recovery_role": Key(Optional(choice("NonParticipant", "Participant", "Owner"))),
    },
)
_SERVICE_CONFIGURATION = Section(
    ServiceConfiguration,
    {
        "recovery_threshold": Key(integer(0, 255), 0),
        "maximum_node_certificate_validity_days": Key(integer(1, _DAYS_MAX), 365),
        "maximum_service_certificate_validity_days": Key(integer(1, _DAYS_MAX), 365),
        "recent_cose_proposals_window_size": Key(integer(1, 1_000_000), 100),
    },
)
_START = Section(
    _start,
    {
        "constitution_files": Key(Items(PATH, least=1), required=True),
        "members": Key(Items(_MEMBER, least=1), required=True),
        "service_configuration": Key(_SERVICE_CONFIGURATION, {}),
        "initial_service_certificate_validity_days": Key(integer(1, _DAYS_MAX), 1),
        "service_subject_name": Key(SUBJECT_NAME, "CN=CCF Service"),
        "cose_signatures": Key(
            Section(plain, {"issuer": Key(TEXT, ""), "subject": Key(TEXT, "")}), {}
        ),
    },
)
_JOIN = Section(
    JoinFiles,
    {
        "target_rpc_address": Key(ADDRESS, required=True),
        "retry_timeout": Key(time_ms("1ms", "24h"), "1000ms"),
        "follow_redirect": Key(BOOLEAN, True),
        "fetch_recent_snapshot": Key(BOOLEAN, True),
        "fetch_snapshot_max_attempts": Key(integer(0, 1_000_000), 3),
        "fetch_snapshot_retry_interval": Key(time_ms("1ms", "24h"), "1000ms"),
        "fetch_snapshot_max_size": Key(size(), "10GB"),
    },
)
_RECOVER = Section(
    RecoverFiles,
    {
        "previous_service_identity_file": Key(PATH, required=True),
        "initial_service_certificate_validity_days": Key(integer(1, _DAYS_MAX), 1),
        "previous_sealed_ledger_secret_location": Key(Optional(PATH)),
    },
)
COMMAND = Section(
    Command,
    {
        "type": Key(choice("Start", "Join", "Recover"), required=True),
        "service_certificate_file": Key(PATH, "service_cert.pem"),
        "start": Key(Optional(_START)),
        "join": Key(Optional(_JOIN)),
        "recover": Key(Optional(_RECOVER)),
    },
)
