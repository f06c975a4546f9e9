"""The host as a process: what it writes, what it logs, how it ends, with a fake enclave."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
DEADLINE_S = 30.0
TEXT_LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z +\d+ +\[(trace|debug|info |fail |fatal)\](\[\w+\])? "
    r"[^ ]*:\d+ +\| .*"
)
CERTIFICATE = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"


def configuration(**more: object) -> dict[str, Any]:
    return {
        "network": {
            "node_to_node_interface": {"bind_address": "127.0.0.1:0"},
            "rpc_interfaces": {"main": {"bind_address": "127.0.0.1:0"}},
        },
        "command": {
            "type": "Start",
            "start": {
                "constitution_files": ["constitution.star"],
                "members": [{"certificate_file": "m.pem", "encryption_public_key_file": "m.pem"}],
            },
        },
        "output_files": {
            "node_to_node_address_file": "node_address.json",
            "rpc_addresses_file": "rpc_addresses.json",
        },
        "slow_io_logging_threshold": "1h",
        **more,
    }


def wait_until(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


class Node:
    """A node process under test, in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(exist_ok=True)
        (directory / "constitution.star").write_text("def validate(): pass\n")
        (directory / "m.pem").write_text(CERTIFICATE)
        if not (directory / "fake_enclave.py").exists():
            shutil.copy(HERE / "fake_enclave.py", directory)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, mode: str, settings: dict[str, Any] | None, *options: str) -> None:
        if settings is not None:
            (self.directory / "config.json").write_text(json.dumps(settings))
        root = str(HERE.parents[2])
        code = f"import sys, runpy; sys.path[:0] = [{root!r}, {str(HERE)!r}]; "
        code += "runpy.run_module('fake_node', run_name='__main__', alter_sys=True)"
        with (self.directory / "out").open("wb") as out, (self.directory / "err").open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-c", code, "--config", "config.json", *options]
                + (["--app", f"fake_enclave:{mode}"] if mode else []),
                cwd=self.directory,
                env={},
                stdout=out,
                stderr=err,
            )

    @property
    def out(self) -> str:
        return (self.directory / "out").read_text()

    @property
    def err(self) -> str:
        return (self.directory / "err").read_text()

    def wait_for(self, text: str) -> None:
        def found() -> bool:
            assert self.process is not None
            return text in self.out or self.process.poll() is not None

        wait_until(f"{text!r} in the log", found)
        assert text in self.out, self.out + self.err

    def exit_code(self) -> int:
        assert self.process is not None
        return self.process.wait(DEADLINE_S)

    def enclave_pid(self) -> int:
        self.wait_for("| pid ")
        match = re.search(r"\| pid (\d+)", self.out)
        assert match is not None
        return int(match[1])

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def last_line(self) -> str:
        return self.out.splitlines()[-1]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "node")
    yield node
    if node.process is not None and node.process.poll() is None:
        node.process.kill()
        node.process.wait()


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_orderly_life(node: Node) -> None:
    node.start("orderly", configuration())
    node.wait_for("ready")
    assert node.process is not None
    directory = node.directory
    assert (directory / "nodecert.pem").read_text() == "node certificate"
    assert (directory / "service_cert.pem").read_text() == "service certificate"
    assert (directory / "node.pid").read_text() == str(node.process.pid)
    addresses = json.loads((directory / "rpc_addresses.json").read_text())
    host, _, port = addresses["main"].rpartition(":")
    assert host == "127.0.0.1"
    socket.create_connection((host, int(port)), timeout=5).close()
    node_address = json.loads((directory / "node_address.json").read_text())
    assert list(node_address) == ["node_to_node_interface"]
    assert int(node_address["node_to_node_interface"].rpartition(":")[2]) > 0
    assert "environment ['LC_CTYPE'] interfaces ['main'] isolated 1" in node.out
    wait_until("the chunk is renamed", (directory / "ledger/ledger_1-2.committed").exists)
    node.signal(signal.SIGTERM)
    assert node.exit_code() == 0
    assert "Terminated: Shutting down enclave gracefully..." in node.out
    assert node.last_line().endswith("| Node stopped: asked: Terminated")
    assert (directory / "ledger/ledger_3").stat().st_size > 8, "the last batch was written"
    assert node.err == ""
    for line in node.out.splitlines():
        assert TEXT_LINE.fullmatch(line), line


def test_json_log(node: Node) -> None:
    node.start("orderly", configuration(logging={"format": "Json"}))
    node.wait_for("ready")
    node.signal(signal.SIGHUP)
    assert node.exit_code() == 0
    lines = [json.loads(line) for line in node.out.splitlines()]
    keys = ["h_ts", "thread_id", "level", "tag", "file", "number", "msg"]
    assert all(list(line) == keys for line in lines)
    assert all(isinstance(value, str) for line in lines for value in line.values())
    assert {
        "level": "info",
        "tag": "app",
        "file": "fake.py",
        "number": "7",
        "msg": "ready",
    }.items() <= next(line for line in lines if line["msg"] == "ready").items()
    assert any(line["msg"].startswith("Hangup: ") for line in lines)


def test_interrupt_reaches_only_the_host_and_stops_in_order(node: Node) -> None:
    node.start("orderly", configuration())
    node.wait_for("ready")
    node.signal(signal.SIGINT)
    assert node.exit_code() == 0
    assert "Node stopped: asked: Interrupt" in node.last_line()


def test_first_sigterm_may_be_a_notice(node: Node) -> None:
    node.start("orderly", configuration(ignore_first_sigterm=True))
    node.wait_for("ready")
    node.signal(signal.SIGTERM)
    node.wait_for("noticed SIGTERM")
    assert "Terminated: Notifying enclave, but not shutting down." in node.out
    node.signal(signal.SIGTERM)
    assert node.exit_code() == 0


def test_killed_enclave_ends_the_host_within_a_second(node: Node) -> None:
    node.start("stuck", configuration())
    pid = node.enclave_pid()
    os.kill(pid, signal.SIGKILL)
    started = time.monotonic()
    assert node.exit_code() == 1
    assert time.monotonic() - started < 1
    assert "The enclave process ended unexpectedly: killed by SIGKILL" in node.last_line()
    assert "[fatal]" in node.last_line()
    assert node.err == ""


def test_killed_host_ends_the_enclave_within_a_second(node: Node) -> None:
    node.start("stuck", configuration())
    pid = node.enclave_pid()
    node.signal(signal.SIGKILL)
    started = time.monotonic()
    node.exit_code()
    wait_until("the enclave ended", lambda: not is_alive(pid))
    assert time.monotonic() - started < 1


ENDS: list[tuple[str, int, str]] = [
    ("exits", 1, "The enclave process ended unexpectedly: exit code 3"),
    ("fails", 4, "Node stopped: cannot join: no such service"),
    ("raises", 1, "The enclave process ended unexpectedly: exit code 1"),
    ("garbage", 1, "Malformed message from the enclave: got a frame of 4294967295 bytes"),
    ("wrong", 1, "Malformed message from the enclave: got entries from seqno 9 on, want 3"),
    ("closes", 1, "The enclave closed its stream and did not end"),
]


@pytest.mark.parametrize(("mode", "code", "reason"), ENDS)
def test_enclaves_that_end_by_themselves(node: Node, mode: str, code: int, reason: str) -> None:
    node.start(mode, configuration())
    assert node.exit_code() == code
    assert reason in node.last_line()
    assert "[fatal]" in node.last_line()
    assert node.err == ""
    assert not is_alive(node.enclave_pid())


def test_a_crash_of_the_enclave_shows_in_the_log(node: Node) -> None:
    node.start("raises", configuration())
    assert node.exit_code() == 1
    assert "[fail ][enclave] enclave:0" in node.out
    assert "ValueError: something broke" in node.out


def test_what_the_application_prints_goes_to_the_log(node: Node) -> None:
    node.start("prints", configuration())
    node.wait_for("| printed by the application")
    node.signal(signal.SIGTERM)
    assert node.exit_code() == 0


def test_second_signal_ends_at_once(node: Node) -> None:
    node.start("stuck", configuration())
    node.enclave_pid()
    node.signal(signal.SIGTERM)
    node.wait_for("Shutting down")
    node.signal(signal.SIGTERM)
    assert node.exit_code() == 1
    assert "another signal while shutting down" in node.last_line()


def test_pid_file_is_fatal_and_checked_first(node: Node) -> None:
    (node.directory / "node.pid").write_text("1")
    (node.directory / "ledger").mkdir()
    (node.directory / "ledger" / "ledger_1").write_bytes(b"")
    node.start("orderly", configuration())
    assert node.exit_code() == 103
    assert node.last_line().endswith("PID file node.pid already exists. Exiting.")


def test_ledger_directory_must_be_empty(node: Node) -> None:
    (node.directory / "my.ledger").mkdir()
    (node.directory / "my.ledger" / "ledger_1000_1500.committed").write_bytes(b"bar")
    node.start("orderly", configuration(ledger={"directory": "my.ledger"}))
    assert node.exit_code() == 105
    sentence = "On start, ledger directory should not exist or be empty (my.ledger)"
    assert node.last_line().endswith(sentence)
    assert not (node.directory / "node.pid").exists()


def test_chunk_of_a_joiner_must_be_a_file(node: Node) -> None:
    (node.directory / "ledger" / "ledger_1").mkdir(parents=True)
    settings = configuration()
    settings["command"] = {"type": "Join", "join": {"target_rpc_address": "127.0.0.1:1"}}
    node.start("orderly", settings)
    assert node.exit_code() == 105
    sentence = "Ledger file ledger/ledger_1 is a pipe, a directory or the like, want a file"
    assert node.last_line().endswith(sentence)


THRESHOLDS: list[tuple[int, list[str], int | None]] = [
    (0, ["Participant", "Participant"], 0),
    (2, ["Participant", "Participant"], 0),
    (3, ["Participant", "Participant"], 105),
    (2, ["Participant", "Owner"], 105),
    (1, ["Owner", "Owner"], 0),
    (2, ["Owner", "Owner"], 105),
    (1, ["NonParticipant"], 105),
    (0, ["NonParticipant"], 0),
]


@pytest.mark.parametrize(("threshold", "roles", "code"), THRESHOLDS)
def test_threshold_must_be_reachable(
    node: Node, threshold: int, roles: list[str], code: int
) -> None:
    settings = configuration()
    start = settings["command"]["start"]
    start["service_configuration"] = {"recovery_threshold": threshold}
    start["members"] = [
        {
            "certificate_file": "m.pem",
            "encryption_public_key_file": "m.pem",
            "recovery_role": role,
        }
        for role in roles
    ]
    node.start("orderly", settings, "--check")
    assert node.exit_code() == code
    if code:
        assert f"Recovery threshold ({threshold}) cannot be greater than" in node.last_line()
    else:
        assert node.last_line().endswith("Configuration file successfully verified")


def test_places_that_cannot_be_used_are_told_by_their_keys(node: Node) -> None:
    (node.directory / "file").touch()
    node.start("orderly", configuration(output_files={"pid_file": "absent/node.pid"}))
    assert node.exit_code() == 1
    assert 'output_files.pid_file: got "absent/node.pid", whose directory' in node.out
    assert node.last_line().endswith("Configuration file config.json has 1 problem")
    assert not (node.directory / "ledger").exists(), "the next start finds nothing in its way"
    node.start("orderly", configuration(ledger={"directory": "file"}))
    assert node.exit_code() == 1
    assert 'Cannot start: ledger.directory: got "file", which is' in node.last_line()
    node.start("", configuration(output_files={"pid_file": "absent/node.pid"}), "--check")
    assert node.exit_code() == 0, "what is only checked may be meant for another machine"


def test_every_problem_of_the_configuration_is_logged(node: Node) -> None:
    node.start("", configuration(surprise=1, tick_interval="soon"), "--check")
    assert node.exit_code() == 1
    assert "[fail ]" in node.out
    assert "surprise: got 1, want no such key" in node.out
    assert 'tick_interval: got "soon", want a time' in node.out
    assert node.last_line().endswith("Configuration file config.json has 2 problems")
    assert node.err == ""


def test_configuration_may_come_late_and_in_parts(node: Node) -> None:
    path = node.directory / "config.json"
    text = json.dumps(configuration())
    node.start("", None, "--check", "--config-timeout", "20s")
    path.write_text(text[: len(text) // 2])
    assert node.process is not None
    with pytest.raises(subprocess.TimeoutExpired):
        node.process.wait(0.3)
    path.write_text(text)
    assert node.exit_code() == 0


def test_missing_configuration_fails_at_once(node: Node) -> None:
    node.start("", None)
    assert node.exit_code() == 1
    assert "Cannot start: cannot read config.json" in node.last_line()


def test_taken_port_is_named(node: Node) -> None:
    settings = configuration()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings["network"]["rpc_interfaces"]["main"]["bind_address"] = address
        node.start("orderly", settings)
        assert node.exit_code() == 1
    wanted = f"Interface main: cannot listen on {address}: the address is in use"
    assert wanted in node.last_line()
    assert not (node.directory / "node.pid").exists()


def test_missing_member_file_is_named_with_its_key(node: Node) -> None:
    settings = configuration()
    settings["command"]["start"]["members"][0]["certificate_file"] = "missing.pem"
    node.start("orderly", settings)
    assert node.exit_code() == 1
    wanted = "command.start.members[0].certificate_file: cannot read missing.pem"
    assert wanted in node.last_line()


def test_application_must_exist(node: Node) -> None:
    node.start("", configuration(app="no_such_package_here.app:app"))
    assert node.exit_code() == 1
    assert "Cannot start: app: got 'no_such_package_here.app:app', want" in node.last_line()


def test_a_full_disk_under_the_log_does_not_stop_the_node(node: Node) -> None:
    (node.directory / "out").symlink_to("/dev/full")
    node.start("orderly", configuration())
    wait_until("the node started", (node.directory / "service_cert.pem").exists)
    node.signal(signal.SIGTERM)
    assert node.exit_code() == 0
    assert node.err == ""


def test_log_level_hides_lines(node: Node) -> None:
    node.start("orderly", configuration(), "--log-level", "FAIL")
    wait_until("the node started", (node.directory / "service_cert.pem").exists)
    node.signal(signal.SIGTERM)
    assert node.exit_code() == 0
    assert node.out == ""


def test_joiner_keeps_its_ledger_and_reads_the_service_certificate(node: Node) -> None:
    settings = configuration()
    settings["command"] = {"type": "Join", "join": {"target_rpc_address": "127.0.0.1:1"}}
    node.start("orderly", settings)
    assert node.exit_code() == 1
    assert "command.service_certificate_file: cannot read service_cert.pem" in node.last_line()
    (node.directory / "service_cert.pem").write_text(CERTIFICATE)
    node.start("orderly", settings)
    node.wait_for("ready")
    node.signal(signal.SIGTERM)
    assert node.exit_code() == 0
