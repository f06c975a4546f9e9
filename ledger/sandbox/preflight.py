"""What can be seen before anything is written: a mistake does not fill the sandbox's directory."""

import subprocess
from pathlib import Path
from typing import Any

from ledger.base.errors import FormatError, MisuseError, UnavailableError
from ledger.host.config import read_configuration
from ledger.host.config_sections import Configuration
from ledger.host.inputs import recovery_threshold
from ledger.host.places import unusable_places
from ledger.host.schema import listed
from ledger.launch.node_process_command import enclave_command

_IMPORT_TIMEOUT_S = 60.0
"""Longer than any import takes; one that hangs would hang the node as well."""


def check_configuration(configuration: dict[str, Any], directory: Path) -> None:
    """Refuse a configuration, overlay included, that a node would refuse.

    Args:
        configuration: As it will be in the node's file.
        directory: The node's directory, which is still to be made.

    Raises:
        FormatError: with every problem.
        ThresholdError: the recovery threshold cannot be reached.
    """
    read = read_configuration(configuration)
    problems = unusable_places(read, directory) if isinstance(read, Configuration) else read
    if not isinstance(read, Configuration) or problems:
        raise FormatError(f"a node would refuse its configuration:\n{listed(problems)}")
    if read.command.start is not None:
        recovery_threshold(read.command.start)
    if read.output_files.rpc_addresses_file is None:
        key = "output_files.rpc_addresses_file"
        raise FormatError(f"{key}: got null, want a path: the sandbox looks there for the node")


def check_application(name: str) -> None:
    """Import an application as the enclave does, in a process of its own, and forget it again.

    Args:
        name: ``module:attribute``.

    Raises:
        MisuseError: it cannot be imported, or is no application; with the reason.
        UnavailableError: the import does not come to an end.
    """
    command = [*enclave_command("virtual", name, "ledger.launch.check_app"), name]
    try:
        done = subprocess.run(  # noqa: S603  (our own interpreter and module)
            command,
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
            timeout=_IMPORT_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(
            f"app: got {name!r}, which takes more than {_IMPORT_TIMEOUT_S:g} s to be imported"
        ) from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise MisuseError(lines[-1] if lines else f"app: got {name!r}, which cannot be imported")
