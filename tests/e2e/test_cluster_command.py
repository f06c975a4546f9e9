"""A service of three nodes in one terminal, looked at from another."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.cli import main

pytestmark = pytest.mark.e2e

DEADLINE_S = 60.0
REPOSITORY = Path(main.__file__).parents[2]


def wait_until(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def quorate(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "ledger.cli.main", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )


class Terminal:
    """``quorate sandbox --nodes 3`` and what it prints."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._out = directory.with_suffix(".out")
        command = [sys.executable, "-m", "ledger.cli.main", "sandbox", "--nodes", "3"]
        command += ["--port", "0", "--dir", str(directory)]
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(
                command, cwd=REPOSITORY, stdout=out, stderr=subprocess.STDOUT
            )

    @property
    def out(self) -> str:
        return self._out.read_text()

    def described(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((self.directory / "sandbox.json").read_text())
        return read

    def is_open(self) -> bool:
        assert self.process.poll() is None, self.out
        return "Ctrl-C stops the service." in self.out

    def status(self) -> tuple[int, list[dict[str, Any]]]:
        done = quorate("node", "status", "--sandbox", str(self.directory), "--json")
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path / "sandbox")
    yield made
    if made.process.poll() is None:
        made.process.kill()
    made.process.wait()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_service_is_looked_at_survives_a_node_and_is_stopped(terminal: Terminal) -> None:
    wait_until("the service is open", terminal.is_open)
    described = terminal.described()
    nodes = described["nodes"]
    assert len({node["directory"] for node in nodes}) == 3
    code, views = terminal.status()
    assert code == 0, views
    assert sorted(view["role"] for view in views) == ["Follower", "Follower", "Leader"]
    assert views[described["primary"]]["role"] == "Leader"
    assert [view["id"] for view in views] == [node["id"] for node in nodes]
    listed = quorate("node", "list", "--sandbox", str(terminal.directory))
    assert listed.returncode == 0
    assert all(node["id"] in listed.stdout for node in nodes)

    primary = nodes[described["primary"]]
    os.kill(primary["pid"], signal.SIGKILL)
    wait_until("the service goes on", lambda: len(terminal.described()["nodes"]) == 2)
    assert "2 of 3 nodes run: the service goes on" in terminal.out
    code, views = terminal.status()
    assert code == 1, "one node of the table does not answer"
    assert sum(view["role"] == "Leader" for view in views) == 1
    assert any(view["role"] == "away" for view in views)

    terminal.process.send_signal(signal.SIGINT)
    assert terminal.process.wait(20) == 0
    assert not any(is_alive(node["pid"]) for node in nodes)


def test_the_demo_shows_what_several_nodes_are_for(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    done = quorate("sandbox", "--demo", "--nodes", "3", "--port", "0", "--dir", str(directory))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    steps = [
        "a backup: it had the primary order",
        "and read it back at node",
        "has the same bytes on all nodes",
        "the ledger of node 0 is sound",
        "the ledger of node 2 is sound",
    ]
    positions = [done.stdout.index(step) for step in steps]
    assert positions == sorted(positions)


@pytest.mark.parametrize("number", ["0", "10"])
def test_the_number_of_nodes_is_bounded(number: str) -> None:
    done = quorate("sandbox", "--nodes", number)
    assert done.returncode == 2
    assert "--nodes" in done.stderr
