"""The service under measurement: a running sandbox, or one started for it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench.load import Load
from tests.bench.timing import cpu_seconds, resident_bytes

START_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 30.0
_REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Node:
    """One node.

    Attributes:
        address: ``host:port`` of its client interface.
        pid: Its host process.
        ledger: Its ledger directory.
    """

    address: str
    pid: int
    ledger: Path

    def processes(self) -> list[int]:
        """Return the host process and its children, the enclave process among them."""
        found = [self.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        return found

    def resident_bytes(self) -> int:
        """Return the resident memory of all the node's processes."""
        return sum(resident_bytes(pid) for pid in self.processes())

    def cpu_seconds(self) -> dict[int, float]:
        """Return the processor time of each of the node's processes so far."""
        return {pid: cpu_seconds(pid) for pid in self.processes()}

    def ledger_bytes(self) -> int:
        """Return the size of all ledger files."""
        return sum(path.stat().st_size for path in self.ledger.iterdir() if path.is_file())


@dataclass(frozen=True, slots=True)
class Service:
    """An open service running the logging sample, as its ``sandbox.json`` describes it.

    Attributes:
        nodes: All nodes.
        primary: Index of the primary when the file was written.
        service_certificate: PEM file.
        certificate: PEM file of a user.
        key: PEM file of that user's key.
    """

    nodes: tuple[Node, ...]
    primary: int
    service_certificate: str
    certificate: str
    key: str

    @classmethod
    def read(cls, directory: Path) -> "Service":
        """Read the description a sandbox has written into its directory.

        Raises:
            OSError: there is none.
        """
        described: dict[str, Any] = json.loads((directory / "sandbox.json").read_text())
        nodes = tuple(
            Node(node["address"].removeprefix("https://"), node["pid"], Path(node["ledger"]))
            for node in described["nodes"]
        )
        user = described["users"][0]
        return cls(
            nodes,
            described["primary"],
            described["service_certificate"],
            user["certificate"],
            user["key"],
        )

    def load(self, node: int | None = None, **what: Any) -> Load:  # noqa: ANN401
        """Return a load on a node as a user of the service.

        Args:
            node: Index of the node; None for the primary.
            what: Other fields of ``Load``.
        """
        target = self.nodes[self.primary if node is None else node]
        return Load(target.address, self.service_certificate, self.certificate, self.key, **what)


@contextmanager
def sandbox(nodes: int, overlay: Path | None = None) -> Iterator[Service]:
    """Start a sandbox of its own in a fresh directory; stop it and remove the directory.

    Args:
        nodes: How many nodes.
        overlay: JSON file merged into the nodes' configuration.

    Raises:
        OSError: the sandbox did not open a service.
    """
    place = Path(tempfile.mkdtemp(prefix="quorate-bench-"))
    directory = place / "sandbox"
    command = [sys.executable, "-m", "ledger.cli.main", "sandbox", "--dir", str(directory)]
    command += ["--port", "0"]
    command += ["--nodes", str(nodes)] if nodes > 1 else []
    command += ["--overlay", str(overlay.absolute())] if overlay is not None else []
    with (place / "sandbox.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=_REPOSITORY,
        )
        try:
            yield _wait_open(process, directory, place / "sandbox.log")
        finally:
            _stop(process)
            shutil.rmtree(place, ignore_errors=True)


def _wait_open(process: "subprocess.Popen[bytes]", directory: Path, log: Path) -> Service:
    deadline = time.monotonic() + START_SECONDS_MAX
    while not (directory / "sandbox.json").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace")[-2000:]
            raise OSError(f"got no open service from the sandbox, exit {process.poll()}: {said}")
        time.sleep(0.1)
    return Service.read(directory)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def generate(load: Load) -> dict[str, Any]:
    """Run the load generator in a process of its own and return its ``Result`` as a dict.

    Raises:
        OSError: it failed; its message says why.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load"],
        input=json.dumps(asdict(load)).encode(),
        capture_output=True,
        cwd=_REPOSITORY,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )
    if done.returncode != 0:
        raise OSError(f"got no result from the load generator: {done.stderr.decode()[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result
