"""Sections of the node's configuration: their types, their keys and defaults.

``config_network`` and ``config_command`` describe the two large sections, this module the rest
and the whole. Keys that have no meaning in this implementation (``memory``,
``worker_threads``, HTTP/2) are checked like all others and then ignored.
"""

from dataclasses import dataclass

from ledger.boundary.settings import (
    ConsensusSettings,
    LedgerSignatureSettings,
    NodeCertificateSettings,
)
from ledger.host.config_command import COMMAND, Command
from ledger.host.config_network import NETWORK, Network
from ledger.host.schema import (
    Items,
    Key,
    Optional,
    Section,
    plain,
)
from ledger.host.values import (
    APPLICATION,
    BOOLEAN,
    HOST,
    PATH,
    SUBJECT_ALT_NAME,
    SUBJECT_NAME,
    URL,
    choice,
    integer,
    size,
    time_ms,
)

DEFAULT_APP = "app_samples.logging.app:app"
CHUNK_SIZE_MAX = (4 << 30) - 1
TICK_INTERVAL_MAX = "1s"
"""Above, a node that is told to stop is not done in the time that the host gives it: signing,
committing and handing over take some ticks."""
MIN_INTERVAL_MS = 10.0
"""Default of ``ledger_signatures.min_interval``, unless ``delay`` is shorter; see decision 0004."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """Section ``ledger``.

    Attributes:
        directory: Main directory, read and written.
        read_only_directories: Further committed chunks.
        chunk_size: Threshold in bytes at which the primary ends a chunk.
        sync: ``commit`` syncs before entries count as durable, ``none`` leaves it to the system.
    """

    directory: str
    read_only_directories: tuple[str, ...]
    chunk_size: int
    sync: str


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Section ``snapshots``."""

    directory: str
    tx_count: int
    read_only_directory: str | None


@dataclass(frozen=True, slots=True)
class OutputFiles:
    """Section ``output_files``; None is not written."""

    node_certificate_file: str
    pid_file: str
    node_to_node_address_file: str | None
    rpc_addresses_file: str | None


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything in the file, typed; times in milliseconds, sizes in bytes, files by path."""

    network: Network
    command: Command
    node_certificate: NodeCertificateSettings
    node_data_json_file: str | None
    service_data_json_file: str | None
    ledger: Ledger
    snapshots: Snapshots
    ledger_signatures: LedgerSignatureSettings
    consensus: ConsensusSettings
    output_files: OutputFiles
    logging_format: str
    jwt_key_refresh_interval_ms: float
    idle_connection_timeout_ms: float | None
    client_connection_timeout_ms: float
    node_client_interface: str | None
    tick_interval_ms: float
    worker_threads: int
    slow_io_logging_threshold_ms: float
    ignore_first_sigterm: bool
    node_to_node_message_limit: int | None
    historical_cache_soft_limit: int
    app: str
    platform: str


def _output_files(sealed_ledger_secret_location: str | None, **files: str) -> OutputFiles:
    del sealed_ledger_secret_location  # only for platforms that seal
    return OutputFiles(**files)


def _ledger_signatures(
    tx_count: int, delay: float, min_interval: float | None
) -> LedgerSignatureSettings:
    if min_interval is None:  # not set: no reason to refuse a delay that is
        min_interval = min(MIN_INTERVAL_MS, delay)
    return LedgerSignatureSettings(tx_count=tx_count, delay_ms=delay, min_interval_ms=min_interval)


def _consensus(
    message_timeout: float,
    election_timeout: float,
    max_uncommitted_tx_count: int,
    *,
    pre_vote: bool,
) -> ConsensusSettings:
    return ConsensusSettings(
        message_timeout_ms=message_timeout,
        election_timeout_ms=election_timeout,
        max_uncommitted_tx_count=max_uncommitted_tx_count,
        pre_vote=pre_vote,
    )


def _configuration(**values: object) -> Configuration:
    values.pop("attestation")
    values.pop("memory")
    values["logging_format"] = values.pop("logging")
    values["jwt_key_refresh_interval_ms"] = values.pop("jwt")
    for name in (
        "client_connection_timeout",
        "idle_connection_timeout",
        "slow_io_logging_threshold",
        "tick_interval",
    ):
        values[f"{name}_ms"] = values.pop(name)
    return Configuration(**values)  # type: ignore[arg-type]  # each reader gives the field's type


_NODE_CERTIFICATE = Section(
    NodeCertificateSettings,
    {
        "subject_name": Key(SUBJECT_NAME, "CN=CCF Node"),
        "subject_alt_names": Key(Items(SUBJECT_ALT_NAME), []),
        "curve_id": Key(choice("Secp384R1", "Secp256R1"), "Secp384R1"),
        "initial_validity_days": Key(integer(1, 36_500), 1),
    },
)
_ATTESTATION = Section(
    plain,
    {
        "snp_security_policy_file": Key(Optional(PATH)),
        "snp_uvm_endorsements_file": Key(Optional(PATH)),
        "snp_endorsements_file": Key(Optional(PATH)),
        "snp_endorsements_servers": Key(
            Items(
                Section(
                    plain,
                    {
                        "type": Key(choice("Azure", "AMD", "THIM"), "Azure"),
                        "url": Key(URL, required=True),
                        "max_retries_count": Key(integer(0, 1000), 3),
                    },
                )
            ),
            [],
        ),
    },
)
_LEDGER = Section(
    Ledger,
    {
        "directory": Key(PATH, "ledger"),
        "read_only_directories": Key(Items(PATH), []),
        "chunk_size": Key(size(1, CHUNK_SIZE_MAX), "5MB"),
        "sync": Key(choice("commit", "none"), "commit"),
    },
)
_SNAPSHOTS = Section(
    Snapshots,
    {
        "directory": Key(PATH, "snapshots"),
        "tx_count": Key(integer(1), 10_000),
        "read_only_directory": Key(Optional(PATH)),
    },
)
_LEDGER_SIGNATURES = Section(
    _ledger_signatures,
    {
        "tx_count": Key(integer(1), 5000),
        "delay": Key(time_ms("0s", "24h"), "1000ms"),
        "min_interval": Key(time_ms("0s", "24h")),
    },
)
_CONSENSUS = Section(
    _consensus,
    {
        "message_timeout": Key(time_ms("1ms", "1h"), "100ms"),
        "election_timeout": Key(time_ms("1ms", "24h"), "5000ms"),
        "max_uncommitted_tx_count": Key(integer(), 10_000),
        "pre_vote": Key(BOOLEAN, True),
    },
)
_OUTPUT_FILES = Section(
    _output_files,
    {
        "node_certificate_file": Key(PATH, "nodecert.pem"),
        "pid_file": Key(PATH, "node.pid"),
        "node_to_node_address_file": Key(Optional(PATH)),
        "rpc_addresses_file": Key(Optional(PATH)),
        "sealed_ledger_secret_location": Key(Optional(PATH)),
    },
)
_LOGGING = Section(
    lambda format, host_level: format,  # noqa: A006, ARG005  (keys of the file)
    {
        "format": Key(choice("Text", "Json"), "Text"),
        "host_level": Key(choice("Trace", "Debug", "Info", "Fail", "Fatal"), "Info"),
    },
)
_MEMORY = Section(
    plain,
    {
        "circuit_size": Key(size(), "16MB"),
        "max_msg_size": Key(size(), "64MB"),
        "max_fragment_size": Key(size(), "256KB"),
    },
)
_JWT = Section(
    lambda key_refresh_interval: key_refresh_interval,
    {"key_refresh_interval": Key(time_ms("1s"), "30min")},
)
_PLATFORM = choice(
    "virtual",
    "auto",
    refused={name: f"{name} is not built yet" for name in ("snp", "tdx", "sgx")},
)
CONFIGURATION = Section(
    _configuration,
    {
        "network": Key(NETWORK, required=True),
        "command": Key(COMMAND, required=True),
        "node_certificate": Key(_NODE_CERTIFICATE, {}),
        "node_data_json_file": Key(Optional(PATH)),
        "service_data_json_file": Key(Optional(PATH)),
        "attestation": Key(_ATTESTATION, {}),
        "ledger": Key(_LEDGER, {}),
        "snapshots": Key(_SNAPSHOTS, {}),
        "ledger_signatures": Key(_LEDGER_SIGNATURES, {}),
        "consensus": Key(_CONSENSUS, {}),
        "jwt": Key(_JWT, {}),
        "logging": Key(_LOGGING, {}),
        "output_files": Key(_OUTPUT_FILES, {}),
        "memory": Key(_MEMORY, {}),
        "idle_connection_timeout": Key(Optional(time_ms("1ms")), "60s"),
        "client_connection_timeout": Key(time_ms("1ms", "10min"), "2000ms"),
        "node_client_interface": Key(Optional(HOST)),
        "worker_threads": Key(integer(0, 1024), 0),
        "tick_interval": Key(time_ms("1ms", TICK_INTERVAL_MAX), "10ms"),
        "slow_io_logging_threshold": Key(time_ms(), "10000us"),
        "ignore_first_sigterm": Key(BOOLEAN, False),
        "node_to_node_message_limit": Key(Optional(integer(1))),
        "historical_cache_soft_limit": Key(size(), "512MB"),
        "app": Key(APPLICATION, DEFAULT_APP),
        "platform": Key(_PLATFORM, "auto"),
    },
)
