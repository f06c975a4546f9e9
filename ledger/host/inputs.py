"""From the configuration to what the enclave is told: files read, addresses and rules resolved."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

import msgspec

from ledger.base.errors import FormatError
from ledger.boundary.settings import (
    InterfaceSettings,
    JoinSettings,
    MemberSettings,
    NodeToNodeSettings,
    Settings,
    StartSettings,
)
from ledger.host.config_command import Command, MemberFiles, StartFiles
from ledger.host.config_file import parse_json
from ledger.host.config_sections import Configuration
from ledger.host.log import Level
from ledger.host.sockets import Listener

PEM_SIZE_MAX = 64 << 10
CONSTITUTION_SIZE_MAX = 4 << 20
DATA_SIZE_MAX = 1 << 20


class ThresholdError(FormatError):
    """The recovery threshold cannot be met by the initial members."""


def recovery_threshold(start: StartFiles) -> int:
    """Return the threshold that the service starts with.

    Returns:
        The configured one; when it is unset, the number of participants, or 1 when only owners
        can recover, or 0 when nobody can (the service then cannot open before that changes).

    Raises:
        ThresholdError: more than the number of participants, or more than 1 with only owners.
    """
    roles = [member.role for member in start.members]
    participants, owners = roles.count("Participant"), roles.count("Owner")
    threshold = start.service_configuration.recovery_threshold
    if threshold == 0:
        return participants or min(owners, 1)
    most = participants or min(owners, 1)
    if threshold > most:
        raise ThresholdError(
            f"Recovery threshold ({threshold}) cannot be greater than {most}: the initial "
            f"consortium has {participants} recovery participants and {owners} recovery owners"
        )
    return threshold


def build_settings(
    configuration: Configuration,
    interfaces: Sequence[Listener],
    node_to_node: Listener,
    log_level: Level,
    app: str | None = None,
) -> Settings:
    """Return what the enclave is told.

    Args:
        configuration: The configuration.
        interfaces: Bound sockets, in the order of the configuration.
        node_to_node: Bound socket for other nodes.
        log_level: Least severity that is logged.
        app: Application of the command line, which wins over the configuration's.

    Raises:
        FormatError: a file is missing, too large, or not what it has to be.
        ThresholdError: see ``recovery_threshold``.
    """
    signatures = configuration.ledger_signatures
    level = cast("Literal['trace', 'debug', 'info', 'fail', 'fatal']", log_level.name.lower())
    return Settings(
        platform="virtual",
        app=app or configuration.app,
        log_level=level,
        interfaces=tuple(
            _interface(configuration.network.interfaces[listener.name], listener)
            for listener in interfaces
        ),
        node_to_node=NodeToNodeSettings(
            bind_address=node_to_node.bound, published_address=node_to_node.published
        ),
        node_certificate=configuration.node_certificate,
        command=_command(configuration),
        node_data_json=_json_text(configuration.node_data_json_file, "node_data_json_file"),
        ledger_chunk_size=configuration.ledger.chunk_size,
        ledger_sync="commit" if configuration.ledger.sync == "commit" else "none",
        snapshot_tx_count=configuration.snapshots.tx_count,
        ledger_signatures=signatures,
        consensus=configuration.consensus,
        jwt_key_refresh_interval_ms=configuration.jwt_key_refresh_interval_ms,
        idle_connection_timeout_ms=configuration.idle_connection_timeout_ms,
        client_connection_timeout_ms=configuration.client_connection_timeout_ms,
        tick_interval_ms=configuration.tick_interval_ms,
        worker_threads=configuration.worker_threads,
        node_to_node_message_limit=configuration.node_to_node_message_limit,
        historical_cache_soft_limit=configuration.historical_cache_soft_limit,
    )


def _interface(configured: InterfaceSettings, listener: Listener) -> InterfaceSettings:
    return msgspec.structs.replace(
        configured,
        name=listener.name,
        bind_address=listener.bound,
        published_address=listener.published,
    )


def _command(configuration: Configuration) -> StartSettings | JoinSettings:
    command = configuration.command
    if command.type == "Start":
        return _start(configuration)
    return _join(command)


def _start(configuration: Configuration) -> StartSettings:
    start = configuration.command.start
    assert start is not None, "the rules between keys demand the section of the command"
    constitution = "\n".join(
        _text(path, f"command.start.constitution_files[{i}]", CONSTITUTION_SIZE_MAX)
        for i, path in enumerate(start.constitution_files)
    )
    if len(constitution) > CONSTITUTION_SIZE_MAX:
        raise FormatError(
            f"command.start.constitution_files: got {len(constitution)} characters together, "
            f"want at most {CONSTITUTION_SIZE_MAX}"
        )
    threshold = recovery_threshold(start)
    return StartSettings(
        constitution=constitution,
        members=tuple(
            _member(member, f"command.start.members[{i}]") for i, member in enumerate(start.members)
        ),
        service_configuration=msgspec.structs.replace(
            start.service_configuration, recovery_threshold=threshold
        ),
        initial_service_certificate_validity_days=start.initial_service_certificate_validity_days,
        service_subject_name=start.service_subject_name,
        cose_issuer=start.cose_issuer,
        cose_subject=start.cose_subject,
        service_data_json=_json_text(
            configuration.service_data_json_file, "service_data_json_file"
        ),
    )


def _member(member: MemberFiles, path: str) -> MemberSettings:
    key_file = member.encryption_public_key_file
    key_path = f"{path}.encryption_public_key_file"
    return MemberSettings(
        certificate=_pem(member.certificate_file, f"{path}.certificate_file"),
        encryption_public_key=None if key_file is None else _pem(key_file, key_path),
        data_json=_json_text(member.data_json_file, f"{path}.data_json_file"),
        recovery_role=cast("Literal['NonParticipant', 'Participant', 'Owner']", member.role),
    )


def _join(command: Command) -> JoinSettings:
    join = command.join
    assert join is not None, "the rules between keys demand the section of the command"
    return JoinSettings(
        target_rpc_address=join.target_rpc_address,
        service_certificate=_pem(
            command.service_certificate_file, "command.service_certificate_file"
        ),
        retry_timeout_ms=join.retry_timeout,
        follow_redirect=join.follow_redirect,
        fetch_recent_snapshot=join.fetch_recent_snapshot,
        fetch_snapshot_max_attempts=join.fetch_snapshot_max_attempts,
        fetch_snapshot_retry_interval_ms=join.fetch_snapshot_retry_interval,
        fetch_snapshot_max_size=join.fetch_snapshot_max_size,
    )


def _pem(file: str, key: str) -> str:
    text = _text(file, key, PEM_SIZE_MAX)
    if "-----BEGIN " not in text:
        raise FormatError(f"{key}: got {file}, which holds no PEM, want a PEM file")
    return text


def _json_text(file: str | None, key: str) -> str | None:
    if file is None:
        return None
    text = _text(file, key, DATA_SIZE_MAX)
    parse_json(text.encode(), f"{key} ({file})")
    return text


def _text(file: str, key: str, size_max: int) -> str:
    try:
        with Path(file).open("rb") as stream:
            data = stream.read(size_max + 1)
    except OSError as error:
        raise FormatError(f"{key}: cannot read {file}: {error.strerror}") from error
    if len(data) > size_max:
        raise FormatError(f"{key}: got more than {size_max} bytes in {file}, want at most that")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"{key}: got {file}, which is not UTF-8, want text") from error
