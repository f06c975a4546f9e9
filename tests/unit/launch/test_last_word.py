"""The keeper's last word: said when the host is gone without its own, in nobody's way."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.launch.last_word import KILLED, LastWord
from ledger.launch.script_runner import Keeper, start_keeper
from ledger.launch.script_worker_wire import CONTROL_SIZE_MAX, START, STARTED

PATIENCE_S = 30.0


class Host:
    """The host's part, by hand."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._pipe, self.own = os.pipe()
        self._descriptor = os.open(log, os.O_WRONLY | os.O_CREAT)
        self.keeper: Keeper = start_keeper(LastWord(self._pipe, self._descriptor, False))

    def end(self, word: bytes = b"") -> str:
        """End, with or without the word; what the keeper wrote."""
        if word:
            os.write(self.own, word)
        os.close(self.own)
        self.keeper.process.wait(PATIENCE_S)
        return self._log.read_text()

    def close(self) -> None:
        os.close(self._pipe)
        os.close(self._descriptor)
        self.keeper.control.close()
        self.keeper.process.kill()
        self.keeper.process.wait()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path / "log")
    yield made
    made.close()


def test_killed_host(host: Host) -> None:
    host.keeper.control.close()
    assert host.end().endswith(f"| {KILLED}\n")


def test_host_that_has_said_why(host: Host) -> None:
    host.keeper.control.close()
    assert host.end(b".") == ""


@pytest.mark.parametrize("fetch", [False, True])
def test_what_the_enclave_did_not_read_silences_nobody(host: Host, fetch: bool) -> None:
    control = host.keeper.control
    control.settimeout(PATIENCE_S)
    control.send(START)
    if fetch:
        data, (script,), _, _ = socket.recv_fds(control, CONTROL_SIZE_MAX, 1)
        assert data == STARTED
        os.close(script)  # the script process ends, and that is news which nobody reads
    assert control.recv(1, socket.MSG_PEEK)
    control.close()
    assert host.end().endswith(f"| {KILLED}\n")


def test_enclave_does_not_wait_for_a_keeper_with_a_last_word() -> None:
    program = """
import asyncio, os
from ledger.launch.last_word import LastWord
from ledger.launch.script_runner import ProcessScriptRunner, start_keeper
pipe, own = os.pipe()
async def main():
    keeper = start_keeper(LastWord(pipe, os.open(os.devnull, os.O_WRONLY), False))
    runner = ProcessScriptRunner(keeper, asyncio.get_running_loop(), print)
    runner.close()
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE_S)
