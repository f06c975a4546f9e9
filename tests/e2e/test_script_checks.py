"""Constitutions and ballots that mean harm, where they are checked before any service runs them."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from governance.defaults import file_paths
from tests.e2e.test_node_process_real import ROOT, Node, wait_until

pytestmark = pytest.mark.e2e

REFUSED_MAX_S = 60.0
"""Far above the limits of scripts, of 3 s processor time: other tests run at the same time."""
LOOPS = "[None for x in range(2147483647) for y in range(2147483647) if x < 0]\n"
BURN = "def burn():\n  for i in range(60000000):\n    pass\nburn()\n"
LIST = "x = [0] * 1000000000\n"
SQUARES = "x = [x for x in [3] for k in range(60) for x in [x * x]]\n"
ATTACKS = {
    LOOPS: "the script took more than 50000000 steps",
    BURN: "the script took more than 50000000 steps",
    LIST: "resources ran out: the script used more than 268435456 bytes of memory",
    SQUARES: "resources ran out: the script took more than",
}


def start_with(node: Node, harm: str) -> None:
    """Start a node whose constitution does harm and is a good one behind it."""
    (node.directory / "harm.star").write_text(harm)
    configuration: dict[str, Any] = node.configuration()
    files = ["harm.star", *file_paths()]
    configuration["command"]["start"]["constitution_files"] = files
    node.start(configuration)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "node")
    yield node
    if node.process is not None and node.process.poll() is None:
        node.process.kill()
        node.process.wait()


@pytest.mark.parametrize("harm", ATTACKS)
def test_a_node_does_not_start_with_a_constitution_that_cannot_run(node: Node, harm: str) -> None:
    begin = time.monotonic()
    start_with(node, harm)
    assert node.exit_code() == 1
    assert time.monotonic() - begin < REFUSED_MAX_S
    problem = "command.start.constitution_files: the constitution does not load: "
    assert f"Cannot start: {problem}{ATTACKS[harm]}" in node.last_line()
    assert "Traceback" not in node.out
    assert "panicked" not in node.out + node.err
    assert node.err == ""


def test_a_node_that_checks_its_constitution_can_be_stopped(node: Node) -> None:
    start_with(node, SQUARES)
    wait_until("the enclave runs", lambda: "quorate" in node.out.lower())
    node.signal(signal.SIGTERM)
    begin = time.monotonic()
    node.exit_code()
    assert time.monotonic() - begin < REFUSED_MAX_S


def check(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run ``quorate gov check``; fails when it takes too long."""
    command = [sys.executable, "-m", "ledger.cli.main", "gov", "check", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=REFUSED_MAX_S, check=False
    )


@pytest.mark.parametrize("harm", ATTACKS)
def test_a_member_can_check_what_others_wrote(tmp_path: Path, harm: str) -> None:
    constitution, ballot = tmp_path / "constitution.star", tmp_path / "ballot.star"
    constitution.write_text(harm + "".join(Path(path).read_text() for path in file_paths()))
    checked = check(constitution)
    problem = f"A service would refuse it: the constitution does not load: {ATTACKS[harm]}"
    assert (checked.returncode, checked.stderr) == (1, "")
    assert checked.stdout.startswith(problem)
    assert checked.stdout.count("\n") == 1

    proposal = tmp_path / "proposal.json"
    proposal.write_text('{"actions": [{"name": "trigger_snapshot"}]}')
    ballot.write_text(harm + "def vote(proposal, proposer_id): return True\n")
    checked = check(proposal, "--ballot", ballot)
    assert (checked.returncode, checked.stderr) == (1, "")
    first, second = checked.stdout.splitlines()
    assert first.startswith(f"The ballot fails: {ATTACKS[harm]}")
    assert second == "A service would take it."
