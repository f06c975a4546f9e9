"""The part of the node's configuration that the enclave gets, read and normalised by the host.

Sizes are bytes, times milliseconds, files are replaced by their content, defaults are filled
in, addresses are resolved ``host:port``. The enclave checks again what its safety rests on: the
host could send anything.

Names follow the configuration file; values that only the host uses are not here.
"""

from typing import Annotated, Literal

import msgspec

NonNegative = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=(1 << 63) - 1)]
Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=1e15)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Root of all parts of the settings."""


class Resolver(Section, frozen=True):
    """Where to redirect: the published address of a node by role, or a fixed address.

    Attributes:
        kind: ``NodeByRole`` uses ``role`` and ``interface``, ``StaticAddress`` uses ``address``.
        interface: Interface of the target node; None for the one of the same name.
    """

    kind: Literal["NodeByRole", "StaticAddress"]
    role: Literal["primary", "backup"] = "primary"
    interface: str | None = None
    address: str | None = None


class Redirections(Section, frozen=True):
    """Redirect instead of forward. A direction without resolver cannot be redirected."""

    to_primary: Resolver | None = None
    to_backup: Resolver | None = None


class InterfaceSettings(Section, frozen=True):
    """One RPC interface.

    Attributes:
        name: Its key in the configuration.
        bind_address: Address the inherited socket listens on, port resolved.
        published_address: Address that clients and redirections use, port resolved.
        app_protocol: Only ``HTTP1``.
        authority: Who signed the server certificate; ``Unsecured`` is plain TCP.
        accepted_endpoints: Regular expressions for the full path; None accepts everything
            (nothing on an ``Unsecured`` interface).
        max_open_sessions_soft: Sessions above it are answered 503.
        max_open_sessions_hard: Connections above it are closed.
        redirections: None forwards to the primary instead.
    """

    name: str
    bind_address: str
    published_address: str
    app_protocol: Literal["HTTP1"] = "HTTP1"
    authority: Literal["Node", "Service", "Unsecured"] = "Service"
    accepted_endpoints: tuple[str, ...] | None = None
    max_open_sessions_soft: NonNegative = 1000
    max_open_sessions_hard: NonNegative = 1010
    max_body_size: Positive = 1 << 20
    max_header_size: Positive = 16 << 10
    max_headers_count: Positive = 256
    forwarding_timeout_ms: Positive = 3000
    redirections: Redirections | None = None


class NodeToNodeSettings(Section, frozen=True):
    """The interface for other nodes; its inherited socket already listens."""

    bind_address: str
    published_address: str


class NodeCertificateSettings(Section, frozen=True):
    """Profile of the node's certificate.

    Attributes:
        subject_name: Such as ``CN=CCF Node``.
        subject_alt_names: ``iPAddress:…`` and ``dNSName:…``; empty takes the published hosts.
    """

    subject_name: str
    subject_alt_names: tuple[str, ...]
    curve_id: Literal["Secp384R1", "Secp256R1"]
    initial_validity_days: Positive


class MemberSettings(Section, frozen=True):
    """An initial member of the consortium; files replaced by their content.

    Attributes:
        certificate: PEM.
        encryption_public_key: PEM of an RSA key; needed for a recovery role.
        data_json: JSON text, or None.
        recovery_role: ``Participant`` by default when there is an encryption key.
    """

    certificate: str
    encryption_public_key: str | None
    data_json: str | None
    recovery_role: Literal["NonParticipant", "Participant", "Owner"]


class ServiceConfiguration(Section, frozen=True):
    """Initial ``service.config``.

    Attributes:
        recovery_threshold: Resolved: the configured one, or as many as there are participants
            (1 when there are only owners, 0 when nobody can recover).
    """

    recovery_threshold: NonNegative
    maximum_node_certificate_validity_days: Positive
    maximum_service_certificate_validity_days: Positive
    recent_cose_proposals_window_size: Positive


class StartSettings(Section, frozen=True, tag="Start"):
    """Create a service.

    Attributes:
        constitution: Sources in the order of the configuration, joined with a newline.
        cose_issuer: ``iss`` of ledger signatures, may be empty.
        cose_subject: ``sub`` of ledger signatures, may be empty.
        service_data_json: JSON text, or None.
    """

    constitution: str
    members: tuple[MemberSettings, ...]
    service_configuration: ServiceConfiguration
    initial_service_certificate_validity_days: Positive
    service_subject_name: str
    cose_issuer: str
    cose_subject: str
    service_data_json: str | None


class JoinSettings(Section, frozen=True, tag="Join"):
    """Join a service that exists.

    Attributes:
        service_certificate: PEM the target's certificate must chain to.
    """

    target_rpc_address: str
    service_certificate: str
    retry_timeout_ms: Milliseconds
    follow_redirect: bool
    fetch_recent_snapshot: bool
    fetch_snapshot_max_attempts: NonNegative
    fetch_snapshot_retry_interval_ms: Milliseconds
    fetch_snapshot_max_size: Positive


class LedgerSignatureSettings(Section, frozen=True):
    """When the primary signs."""

    tx_count: Positive
    delay_ms: Milliseconds
    min_interval_ms: Milliseconds


class ConsensusSettings(Section, frozen=True):
    """Timeouts of the consensus; ``max_uncommitted_tx_count`` 0 is no limit."""

    message_timeout_ms: Milliseconds
    election_timeout_ms: Milliseconds
    max_uncommitted_tx_count: NonNegative
    pre_vote: bool


class Settings(Section, frozen=True):
    """All of it.

    Attributes:
        platform: Platform chosen, never ``auto``.
        app: ``module:attribute`` of the application.
        log_level: Least severity that is logged.
        interfaces: In the order in which the listening sockets are inherited.
        node_data_json: JSON text, or None.
        ledger_sync: Whether ``Persisted`` means on disk or only written.
        idle_connection_timeout_ms: None keeps idle sessions.
    """

    platform: Literal["virtual"]
    app: str
    log_level: Literal["trace", "debug", "info", "fail", "fatal"]
    interfaces: tuple[InterfaceSettings, ...]
    node_to_node: NodeToNodeSettings
    node_certificate: NodeCertificateSettings
    command: StartSettings | JoinSettings
    node_data_json: str | None
    ledger_chunk_size: Positive
    ledger_sync: Literal["commit", "none"]
    snapshot_tx_count: Positive
    ledger_signatures: LedgerSignatureSettings
    consensus: ConsensusSettings
    jwt_key_refresh_interval_ms: Milliseconds
    idle_connection_timeout_ms: Milliseconds | None
    client_connection_timeout_ms: Milliseconds
    tick_interval_ms: Milliseconds
    worker_threads: NonNegative
    node_to_node_message_limit: Positive | None
    historical_cache_soft_limit: Positive
