"""A node from its command line: everything that has a name is opened, then the enclave starts.

Exit codes: 0 ended in order; 1 failed; 103 the process file exists; 105 the initial recovery
threshold or the ledger directory forbids a start.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ledger.base.errors import LedgerError
from ledger.boundary.sentences import CONFIGURATION_VERIFIED
from ledger.boundary.to_enclave import Configure
from ledger.boundary.to_host import Started
from ledger.codec import canonical
from ledger.host.chunk_file import DiskError
from ledger.host.config import read_configuration
from ledger.host.config_file import wait_for_json_file
from ledger.host.config_sections import Configuration
from ledger.host.disk import LedgerFiles, start_ledger
from ledger.host.inputs import ThresholdError, build_settings, recovery_threshold
from ledger.host.link import stream_pair
from ledger.host.log import Logger
from ledger.host.loop import Loop
from ledger.host.node import EXIT_FAILED, HostNode, HostOptions
from ledger.host.output import (
    PidFileExistsError,
    check_pid_file,
    remove_pid_file,
    write_file,
    write_pid_file,
)
from ledger.host.places import make_ledger_directory, unusable_places
from ledger.host.process import EnclaveProcess
from ledger.host.restore import open_ledger
from ledger.host.sockets import Listener, listen
from ledger.launch.arguments import NodeArguments, version_text
from ledger.launch.last_word import Farewell
from ledger.launch.node_process_command import enclave_command
from ledger.launch.start_checks import fill_standard_descriptors, refuse_optimised_interpreter

EXIT_OK = 0
EXIT_PID_FILE_EXISTS = 103
EXIT_VALIDATION = 105


@dataclass(slots=True)
class _Opened:
    """What a start has opened so far, to be closed in any case."""

    files: LedgerFiles | None = None
    listeners: list[Listener] = field(default_factory=list)

    def close(self) -> None:
        for listener in self.listeners:
            listener.close()
        if self.files is not None:
            self.files.close()


def run_node(arguments: NodeArguments) -> int:
    """Run one node until it ends.

    Returns:
        The exit code; the reason is the last line of the log.
    """
    refuse_optimised_interpreter()
    fill_standard_descriptors()
    log = Logger(arguments.log_level)
    opened = _Opened()
    try:
        configuration = _configuration(arguments, log)
        if configuration is None:
            return EXIT_FAILED
        log = Logger(arguments.log_level, json_lines=configuration.logging_format == "Json")
        if configuration.command.start is not None:
            recovery_threshold(configuration.command.start)
        if arguments.check:
            log.info(CONFIGURATION_VERIFIED)
            return EXIT_OK
        return _run(arguments, configuration, log, opened)
    except PidFileExistsError as error:
        log.fatal(str(error))
        return EXIT_PID_FILE_EXISTS
    except (ThresholdError, DiskError) as error:
        log.fatal(str(error))
        return EXIT_VALIDATION
    except (LedgerError, OSError) as error:
        log.fatal(f"Cannot start: {error}")
        return EXIT_FAILED
    finally:
        opened.close()


def _configuration(arguments: NodeArguments, log: Logger) -> Configuration | None:
    value = wait_for_json_file(arguments.config, arguments.config_timeout_ms / 1000)
    read = read_configuration(value)
    if isinstance(read, Configuration):
        # A configuration that is only checked may be meant for another machine.
        problems = [] if arguments.check else unusable_places(read)
        if not problems:
            return read
    else:
        problems = read
    for problem in problems:
        log.fail(problem.line())
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    log.fatal(f"Configuration file {arguments.config} has {count}")
    return None


def _run(
    arguments: NodeArguments, configuration: Configuration, log: Logger, opened: _Opened
) -> int:
    log.info(version_text().replace("\n", ", "))
    pid_file = Path(configuration.output_files.pid_file)
    check_pid_file(pid_file)
    files = opened.files = _open_ledger(configuration, log)
    network = configuration.network
    for name, interface in network.interfaces.items():
        opened.listeners.append(listen(name, interface.bind_address, interface.published_address))
    interfaces = tuple(opened.listeners)
    node_to_node = listen(
        "node_to_node_interface",
        network.node_to_node.bind_address,
        network.node_to_node.published_address,
    )
    opened.listeners.append(node_to_node)
    settings = build_settings(
        configuration, interfaces, node_to_node, arguments.log_level, arguments.app
    )
    command = enclave_command(settings.platform, settings.app)
    node = _Node(configuration, interfaces, node_to_node, log)
    write_pid_file(pid_file, os.getpid())
    try:
        return node.run(command, Configure(settings, files.last), files)
    finally:
        if not node.has_begun:
            remove_pid_file(pid_file, os.getpid())


def _open_ledger(configuration: Configuration, log: Logger) -> LedgerFiles:
    ledger = configuration.ledger
    directory = Path(ledger.directory)
    read_only = [Path(path) for path in ledger.read_only_directories]
    make_ledger_directory(directory)
    sync = ledger.sync == "commit"
    if configuration.command.type == "Start":
        return start_ledger(directory, read_only, sync=sync)
    files, notes = open_ledger(directory, read_only, sync=sync)
    for note in notes:
        log.info(note)
    return files


class _Node:
    """One run of host and enclave, with everything opened.

    Attributes:
        has_begun: Whether the enclave got as far as to say who the node is.
    """

    def __init__(
        self,
        configuration: Configuration,
        interfaces: Sequence[Listener],
        node_to_node: Listener,
        log: Logger,
    ) -> None:
        self._configuration = configuration
        self._interfaces = interfaces
        self._node_to_node = node_to_node
        self._log = log
        self.has_begun = False

    def run(self, command: Sequence[str], configure: Configure, files: LedgerFiles) -> int:
        """Start the enclave and serve it until one of the two ends."""
        configuration = self._configuration
        options = HostOptions(
            slow_operation_ms=configuration.slow_io_logging_threshold_ms,
            ignore_first_sigterm=configuration.ignore_first_sigterm,
            client_interface=configuration.node_client_interface,
        )
        loop = Loop()
        host = HostNode(loop, self._log, files, self._write_output_files, options)
        farewell = Farewell(json_lines=configuration.logging_format == "Json")
        ours, theirs = stream_pair()
        descriptors = [
            theirs.fileno(),
            self._node_to_node.socket.fileno(),
            *(listener.socket.fileno() for listener in self._interfaces),
        ]

        def start() -> EnclaveProcess:
            last_word = farewell.last_word
            arguments = [*command, last_word.argument(), *map(str, descriptors)]
            inherited = [*last_word.descriptors, *descriptors]
            return EnclaveProcess(loop, arguments, inherited, self._log, host.on_exit)

        try:
            link = host.attach(ours, start)
            theirs.close()
            link.send(configure)
            loop.run()
        except Exception as error:  # noqa: BLE001  (the shell's edge: the enclave must not survive us)
            self._log.fatal(f"Host failed: {type(error).__name__}: {error}")
            host.abandon()
            return EXIT_FAILED
        finally:
            farewell.said()
            loop.close()
        return host.exit_code

    def _write_output_files(self, started: Started) -> None:
        """Write what launchers wait for, in the order in which they do."""
        self.has_begun = True
        output = self._configuration.output_files
        write_file(Path(output.node_certificate_file), started.node_certificate.encode())
        if output.node_to_node_address_file is not None:
            address = {"node_to_node_interface": self._node_to_node.bound}
            write_file(Path(output.node_to_node_address_file), canonical.dumps(address))
        if output.rpc_addresses_file is not None:
            addresses = {listener.name: listener.bound for listener in self._interfaces}
            write_file(Path(output.rpc_addresses_file), canonical.dumps(addresses))
        if started.service_certificate is not None:
            path = Path(self._configuration.command.service_certificate_file)
            write_file(path, started.service_certificate.encode())
        self._log.info(f"Node {started.node_id} serves on {self._shown_addresses()}")

    def _shown_addresses(self) -> str:
        return ", ".join(f"{listener.name} {listener.bound}" for listener in self._interfaces)
