"""Tables of the service itself: identity, configuration, constitution, JWT issuers, CA bundles."""

import enum
from typing import Any

import msgspec

from ledger.codec.tables import JSON, JSON_TEXT, STR, Singleton, Table


class ServiceStatus(enum.Enum):
    """Status of the service; the values are what the ledger holds."""

    OPENING = "Opening"
    OPEN = "Open"
    WAITING_FOR_RECOVERY_SHARES = "WaitingForRecoveryShares"
    RECOVERING = "Recovering"


class ServiceInfo(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True):
    """The service's identity and status.

    Attributes:
        cert: Service certificate, PEM.
        status: Status of the service.
        previous_service_identity_version: Seqno at which the previous identity was recorded.
        recovery_count: Disaster recoveries so far.
        service_data: Free JSON of the operator.
        current_service_create_txid: Transaction ID that made this identity.
    """

    cert: str
    status: ServiceStatus
    previous_service_identity_version: int | None = None
    recovery_count: int | None = None
    service_data: Any = None
    current_service_create_txid: str | None = None


class ServiceConfiguration(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True):
    """What members may configure.

    Attributes:
        recovery_threshold: Shares needed to rebuild the ledger secret, 1 to 254 (0 before set).
        consensus: Always ``CFT``.
        maximum_node_certificate_validity_days: Longest node certificate, in days.
        maximum_service_certificate_validity_days: Longest service certificate, in days.
        recent_cose_proposals_window_size: Proposals kept to refuse replays, 1 to 10,000.
    """

    recovery_threshold: int = 0
    consensus: str | None = "CFT"
    maximum_node_certificate_validity_days: int | None = None
    maximum_service_certificate_validity_days: int | None = None
    recent_cose_proposals_window_size: int | None = None


class JwtIssuer(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True):
    """A registered token issuer."""

    ca_cert_bundle_name: str | None = None
    auto_refresh: bool = False


class JwtKey(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True):
    """One signing key of an issuer: ``public_key`` is base64 of the SPKI DER."""

    public_key: str
    issuer: str
    constraint: str | None = None


SERVICE_INFO = Singleton("public:ccf.gov.service.info", ServiceInfo)
SERVICE_CONFIG = Singleton("public:ccf.gov.service.config", ServiceConfiguration)
PREVIOUS_SERVICE_IDENTITY = Singleton("public:ccf.gov.service.previous_service_identity", JSON_TEXT)
CONSTITUTION = Singleton("public:ccf.gov.constitution", JSON_TEXT)
CA_CERT_BUNDLES = Table("public:ccf.gov.tls.ca_cert_bundles", STR, JSON_TEXT)
JWT_ISSUERS = Table("public:ccf.gov.jwt.issuers", STR, JwtIssuer)
JWT_SIGNING_KEYS = Table("public:ccf.gov.jwt.public_signing_keys_metadata_v2", STR, JSON)
"""kid → list of ``JwtKey`` objects."""
