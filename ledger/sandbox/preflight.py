"""What can be seen before anything is written: a mistake does not fill the sandbox's directory."""

import contextlib
import subprocess
from pathlib import Path
from typing import Any

from ledger.base.errors import FormatError, MisuseError, UnavailableError
from ledger.boundary.sentences import LEDGER_DIRECTORY_NOT_EMPTY
from ledger.host.chunk_file import DiskError
from ledger.host.config import read_configuration
from ledger.host.config_sections import Configuration
from ledger.host.disk import refuse_filled
from ledger.host.inputs import recovery_threshold
from ledger.host.output import check_pid_file
from ledger.host.places import check_ledger_directory, unusable_places
from ledger.host.schema import listed
from ledger.host.sockets import listen
from ledger.launch.node_process_command import enclave_command

_IMPORT_TIMEOUT_S = 60.0
"""Longer than any import takes; one that hangs would hang the node as well."""


def check_configuration(configuration: dict[str, Any], directory: Path) -> Configuration:
    """Read a configuration, overlay included; refuse what a node would refuse.

    Args:
        configuration: As it will be in the node's file.
        directory: The node's directory, which is still to be made.

    Raises:
        FormatError: with every problem.
        ThresholdError: the recovery threshold cannot be reached.
        PidFileExistsError: the process file is there.
        DiskError: the ledger directory is not empty.
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
    check_pid_file(Path(read.output_files.pid_file))
    _check_ledger(read, directory)
    return read


def _check_ledger(configuration: Configuration, node: Path) -> None:
    ledger = Path(configuration.ledger.directory).absolute()
    sandbox = node.parent
    if sandbox in ledger.parents and ledger != node:
        return  # the sandbox makes all that is below it
    check_ledger_directory(ledger)
    if configuration.command.type != "Start":
        return
    if ledger in {node, *node.parents}:
        raise DiskError(LEDGER_DIRECTORY_NOT_EMPTY.format(path=ledger))
    if ledger.exists():
        refuse_filled(ledger)


def check_addresses(configuration: Configuration) -> None:
    """Bind every address for a moment, all at the same time.

    Raises:
        BindError: one does not resolve, or cannot be had.
    """
    network = configuration.network
    addresses = {name: each.bind_address for name, each in network.interfaces.items()}
    with contextlib.ExitStack() as bound:
        for name, address in addresses.items():
            bound.callback(listen(name, address, None).close)
        node_to_node = network.node_to_node.bind_address
        bound.callback(listen("node_to_node_interface", node_to_node, None).close)


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
