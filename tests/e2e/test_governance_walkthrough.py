"""The commands of the README, run as printed on a service of this machine."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "governance" / "README.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TIMEOUT_S = 150
TOOLS = ("openssl", "base64")


@contextlib.contextmanager
def group(script: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a shell in a process group of its own; nothing of it survives the block."""
    binaries = folder / "bin"
    binaries.mkdir()
    command = binaries / "quorate"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m ledger.cli.main "$@"\n')
    command.chmod(0o755)
    environment = {
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),
    }
    process = subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:  # the sandbox ends its node when it is told to end
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(TIMEOUT_S)


@pytest.mark.e2e
@pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in TOOLS),
    reason=f"needs the command line tools {', '.join(TOOLS)}",
)
def test_every_command_of_the_walk_through(tmp_path: Path) -> None:
    blocks = BLOCK.findall(README.read_text())
    assert len(blocks) > 10
    script = "set -euo pipefail; trap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n" + "\n".join(
        f"echo '=== {number}'\n{block}" for number, block in enumerate(blocks)
    )
    with group(script, tmp_path) as process:
        output, _ = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 0, output
    parts = re.split(r"^=== \d+\n", output, flags=re.MULTILINE)[1:]
    assert "Members   4" in parts[2]
    assert parts[3].count("state     Open") == 2
    assert parts[3].count("state     Accepted") == 2
    assert "state     Withdrawn" in parts[4]
    assert "The ballot: against" in parts[5]
    for decided in parts[6:10]:
        assert "state     Accepted" in decided, decided
    assert "+    if votes_of(members, votes, False):" in parts[8]
    assert "Members   3" in parts[9]
    assert "trigger_ledger_chunk" in parts[10]
    finished = json.loads(parts[11].strip().splitlines()[-1])
    assert (finished["proposalState"], finished["ballotCount"]) == ("Open", 1)
    assert "sound: 0 errors" in parts[12]
