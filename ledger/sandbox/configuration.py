"""Configurations of sandbox nodes, and overlays on top of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ledger.base.errors import FormatError
from ledger.sandbox.directory import SandboxDirectory

INTERFACE = "primary_rpc_interface"
"""Name of the interface for clients, as CCF's own test networks call it."""
HOST = "127.0.0.1"
_OVERLAY_SIZE_MAX = 1 << 20


def start_configuration(
    directory: SandboxDirectory, port: int, constitution: Sequence[str]
) -> dict[str, Any]:
    """Return the configuration of node 0, which creates the service.

    Args:
        directory: The sandbox.
        port: Port for clients, 0 for any.
        constitution: Paths of the constitution's files.
    """
    members = [
        (member.identity.certificate_file, member.encryption_public_key_file)
        for member in directory.members
    ]
    return _start_configuration(directory, port, constitution, members)


def planned_start_configuration(
    directory: SandboxDirectory, port: int, members: int
) -> dict[str, Any]:
    """Return what the configuration of node 0 will look like, before there are any files."""
    files = [
        (Path(f"member{number}_cert.pem"), Path(f"member{number}_enc_pubk.pem"))
        for number in range(members)
    ]
    return _start_configuration(directory, port, ["constitution"], files)


def _start_configuration(
    directory: SandboxDirectory,
    port: int,
    constitution: Sequence[str],
    members: Sequence[tuple[Path, Path]],
) -> dict[str, Any]:
    command = {
        "type": "Start",
        "start": {
            "constitution_files": list(constitution),
            "members": [
                {"certificate_file": str(certificate), "encryption_public_key_file": str(key)}
                for certificate, key in members
            ],
            "service_configuration": {"recovery_threshold": 1},
            "initial_service_certificate_validity_days": 365,
        },
    }
    return _configuration(directory, 0, port, command)


def join_configuration(
    directory: SandboxDirectory, number: int, port: int, target: str
) -> dict[str, Any]:
    """Return the configuration of a node that joins the service.

    Args:
        directory: The sandbox.
        number: Number of the node, from 1.
        port: Port for clients, 0 for any.
        target: ``host:port`` of a node of the service.
    """
    join = {"target_rpc_address": target, "retry_timeout": "200ms"}
    return _configuration(directory, number, port, {"type": "Join", "join": join})


def _configuration(
    directory: SandboxDirectory, number: int, port: int, command: dict[str, Any]
) -> dict[str, Any]:
    node = directory.node_directory(number)
    return {
        "network": {
            "node_to_node_interface": {"bind_address": f"{HOST}:0"},
            "rpc_interfaces": {INTERFACE: {"bind_address": f"{HOST}:{port}"}},
        },
        "command": {
            "service_certificate_file": str(directory.service_certificate_file),
            **command,
        },
        "node_certificate": {"initial_validity_days": 365},
        "ledger": {"directory": str(node / "ledger")},
        "snapshots": {"directory": str(node / "snapshots")},
        "output_files": {
            "node_certificate_file": str(node / "nodecert.pem"),
            "pid_file": str(node / "node.pid"),
            "node_to_node_address_file": str(node / "node_address.json"),
            "rpc_addresses_file": str(node / "rpc_addresses.json"),
        },
    }


def read_overlay(path: Path) -> dict[str, Any]:
    """Read a file of JSON that is merged into the nodes' configurations.

    Raises:
        FormatError: missing, too large, or no JSON object.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_OVERLAY_SIZE_MAX + 1)
        value = json.loads(data[:_OVERLAY_SIZE_MAX])
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"cannot read overlay {path}: {error}") from error
    if len(data) > _OVERLAY_SIZE_MAX or not isinstance(value, dict):
        raise FormatError(f"got overlay {path}, want one JSON object of at most 1 MiB")
    return value


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return ``below`` with ``above`` on top: objects are merged key by key, all else replaces."""
    merged = dict(below)
    for key, value in above.items():
        known = merged.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            value = merge(known, value)  # noqa: PLW2901  (the merged one takes its place)
        merged[key] = value
    return merged
