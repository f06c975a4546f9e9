"""Nodes of a sandbox as processes: ``quorate node``, its log in files, stopped by pid."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ledger.base.errors import UnavailableError
from ledger.crypto.certificate import Certificate
from ledger.host.sockets import published
from ledger.host.values import split_host_port
from ledger.sandbox.directory import NodeRecord

_POLL_S = 0.02
_TAIL_LINES = 12
_BOUND_TO_US = """\
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, int(signal.SIGTERM))
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""
"""Runs a program that the kernel stops when the process that asked for it ends, however it
ends: no node stays behind when a test is killed. The request outlives the ``exec``."""


class NodeProcess:
    """One node.

    Args:
        directory: Its files; created.
        configuration: Written to ``config.json`` there.
        options: Further options of ``quorate node``.
        prefix: Command that runs it, for example in a network namespace; starts with a path.
    """

    def __init__(
        self,
        directory: Path,
        configuration: dict[str, Any],
        options: tuple[str, ...] = (),
        prefix: tuple[str, ...] = (),
    ) -> None:
        self.directory = directory
        self.configuration = configuration
        directory.mkdir(parents=True, exist_ok=True)
        self._before = {path: _version(path) for path in self._awaited()}
        config_file = directory / "config.json"
        config_file.write_text(json.dumps(configuration, indent=2) + "\n")
        # -P: a json.py in the user's directory is not the standard library's.
        command = [sys.executable, "-P", "-c", _BOUND_TO_US, str(os.getpid()), *prefix]
        command += [sys.executable, "-P", "-m", "ledger.cli.main"]
        command += ["node", "--config", str(config_file)]
        # A session of its own: Ctrl-C in the terminal reaches the sandbox, which stops its nodes.
        with self.log_file.open("wb") as out, self.error_file.open("wb") as err:
            self._process = subprocess.Popen(  # noqa: S603  (our own interpreter and module)
                [*command, *options],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                env=_environment(),
            )

    @property
    def pid(self) -> int:
        """Process ID of the host."""
        return self._process.pid

    @property
    def log_file(self) -> Path:
        """What the node logs."""
        return self.directory / "out"

    @property
    def error_file(self) -> Path:
        """What the node's interpreter complains about; empty in normal operation."""
        return self.directory / "err"

    @property
    def exit_code(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def output_file(self, key: str) -> Path:
        """Path of one of the configured output files."""
        return Path(self.configuration["output_files"][key])

    async def wait_for(self, what: str, found: Callable[[], bool], timeout_s: float) -> None:
        """Wait until something is there.

        Raises:
            UnavailableError: the node ended before, or the time is over; with its last lines.
        """
        deadline = time.monotonic() + timeout_s
        while not found():
            code = self.exit_code
            if code is not None:
                raise UnavailableError(f"node ended with {code}, want {what}:\n{self.log_tail()}")
            if time.monotonic() >= deadline:
                raise UnavailableError(f"no {what} in {timeout_s:g} s:\n{self.log_tail()}")
            await asyncio.sleep(_POLL_S)

    async def wait_until_started(self, timeout_s: float = 60.0) -> None:
        """Wait for the output files of a node that serves."""
        for path in self._awaited():
            await self.wait_for(path.name, partial(self._is_written, path), timeout_s)

    def _awaited(self) -> list[Path]:
        """Files that the node writes, in this order; a joiner reads the service's certificate."""
        awaited = [self.output_file("rpc_addresses_file")]
        if self.configuration["command"]["type"] != "Join":
            awaited.append(self.service_certificate_file)
        return awaited

    def _is_written(self, path: Path) -> bool:
        """Whether a file is there and not the one of an earlier node: an overlay may share it."""
        return _version(path) not in {None, self._before[path]}

    async def wait_until_ended(self) -> int:
        """Wait for the end of the host process and return its exit code."""
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        watched = os.pidfd_open(self.pid)
        loop.add_reader(watched, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(watched)
            os.close(watched)
        return self._process.wait()

    def address(self, interface: str) -> str:
        """Return ``host:port`` for clients of an interface, once the node has started."""
        addresses = json.loads(self.output_file("rpc_addresses_file").read_text())
        _, port = split_host_port(addresses[interface])  # where it listens
        settings = self.configuration["network"]["rpc_interfaces"][interface]
        return published(settings["bind_address"], settings.get("published_address"), port)

    @property
    def service_certificate_file(self) -> Path:
        """What a node that starts a service writes, and one that joins reads."""
        return Path(self.configuration["command"]["service_certificate_file"]).absolute()

    @property
    def node_id(self) -> str:
        """Node ID, once the node has started: the digest of its certificate's key."""
        data = self.output_file("node_certificate_file").read_bytes()
        return Certificate.parse(data).public_key.id

    @property
    def ledger(self) -> Path:
        """Main ledger directory."""
        return Path(self.configuration["ledger"]["directory"]).absolute()

    def record(self, interface: str) -> NodeRecord:
        """Describe the node, once it has started."""
        address = self.address(interface)
        return NodeRecord(self.node_id, address, self.pid, self.directory, self.ledger)

    def log_tail(self) -> str:
        """Return the last lines of log and complaints."""
        lines = []
        for path in (self.log_file, self.error_file):
            if path.exists():
                lines += path.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        return "\n".join(lines)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the host process."""
        if self.exit_code is None:
            os.kill(self.pid, number)

    async def stop(self, timeout_s: float = 15.0) -> int:
        """End the node in order, by force after the timeout; return its exit code."""
        self.signal(signal.SIGTERM)
        deadline = time.monotonic() + timeout_s
        try:
            while (code := self.exit_code) is None:
                if time.monotonic() >= deadline:
                    return self.kill()
                await asyncio.sleep(_POLL_S)
        except asyncio.CancelledError:
            self.kill()  # whoever asks twice means at once
            raise
        return code

    def kill(self) -> int:
        """End the node at once; its enclave ends with it. Return the exit code."""
        self.signal(signal.SIGKILL)
        return self._process.wait()


def _version(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _environment() -> dict[str, str]:
    """What the interpreter needs to find the same packages as this one; nothing secret."""
    kept = ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "LANG", "LC_ALL", "HOME")
    return {name: os.environ[name] for name in kept if name in os.environ}
