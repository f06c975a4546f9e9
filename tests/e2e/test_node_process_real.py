"""``quorate node`` as launchers of CCF nodes start it: real host, real enclave, no environment."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from governance.defaults import file_paths
from ledger.audit.walk import audit
from ledger.cli.main import run
from ledger.crypto.certificate import Certificate

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0
ERROR_MARKS = ("[fail ]", "[fatal]")


def wait_until(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


class Node:
    """A node started through a link, in a working directory of its own, as ``./logging``."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        assert run(["keygen", "--name", "member0", "--encryption", "--out", str(directory)]) == 0
        program = directory / "program"
        program.write_text(
            f"#!{sys.executable} -I\n"
            f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
            "from ledger.cli.main import run\nsys.exit(run(sys.argv[1:]))\n"
        )
        program.chmod(0o755)
        (directory / "logging").symlink_to(program)
        self.process: subprocess.Popen[bytes] | None = None

    def configuration(self, **more: object) -> dict[str, Any]:
        return {
            "network": {
                "node_to_node_interface": {"bind_address": "127.0.0.1:0"},
                "rpc_interfaces": {
                    "primary_rpc_interface": {
                        "bind_address": "127.23.45.67:0",
                        "endorsement": {"authority": "Service"},
                        "max_open_sessions_soft": 1000,
                        "max_open_sessions_hard": 1010,
                    },
                    "file_serving_interface": {
                        "bind_address": "127.0.0.1:0",
                        "endorsement": {"authority": "Node"},
                    },
                },
            },
            "command": {
                "type": "Start",
                "start": {
                    "constitution_files": list(file_paths()),
                    "members": [
                        {
                            "certificate_file": "member0_cert.pem",
                            "encryption_public_key_file": "member0_enc_pubk.pem",
                        }
                    ],
                },
            },
            "ledger": {"directory": "0.ledger"},
            "output_files": {
                "node_certificate_file": "0.pem",
                "node_to_node_address_file": "0.node_address",
                "rpc_addresses_file": "0.rpc_addresses",
            },
            "slow_io_logging_threshold": "10s",
            **more,
        }

    def start(self, configuration: dict[str, Any] | None = None) -> None:
        settings = self.configuration() if configuration is None else configuration
        (self.directory / "0.config.json").write_text(json.dumps(settings))
        with (self.directory / "out").open("wb") as out, (self.directory / "err").open("wb") as err:
            self.process = subprocess.Popen(
                ["./logging", "--config", "0.config.json", "--log-level", "info"],
                cwd=self.directory,
                env={},
                stdout=out,
                stderr=err,
            )

    def wait_until_started(self) -> None:
        names = ("0.pem", "0.node_address", "0.rpc_addresses", "service_cert.pem")

        def is_there() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.out + self.err
            return all((self.directory / name).exists() for name in names)

        wait_until("the output files", is_there)

    @property
    def out(self) -> str:
        return (self.directory / "out").read_text()

    @property
    def err(self) -> str:
        return (self.directory / "err").read_text()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def enclave_pid(self) -> int:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        assert len(children) == 1, "the host has one child: the enclave"
        return int(children[0])

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def exit_code(self) -> int:
        assert self.process is not None
        return self.process.wait(DEADLINE_S)

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


def descendants(pid: int) -> list[int]:
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *descendants(int(child))]
    return found


def test_start_and_orderly_end_as_launchers_expect(node: Node) -> None:
    node.start()
    node.wait_until_started()
    certificate = Certificate.parse((node.directory / "0.pem").read_bytes())
    addresses = json.loads((node.directory / "0.rpc_addresses").read_text())
    assert set(addresses) == {"primary_rpc_interface", "file_serving_interface"}
    address, port = addresses["primary_rpc_interface"].split(":")
    assert address == "127.23.45.67"
    assert (node.directory / "node.pid").read_text() == str(node.pid)
    assert f"Node {certificate.public_key.id} serves" in node.out
    context = ssl.create_default_context(cafile=node.directory / "service_cert.pem")

    def answers() -> bool:
        try:
            with (
                socket.create_connection((address, int(port)), timeout=5) as plain,
                context.wrap_socket(plain, server_hostname=address) as secured,
            ):
                secured.sendall(b"GET /node/state HTTP/1.1\r\nhost: x\r\n\r\n")
                return certificate.public_key.id.encode() in secured.recv(65536)
        except (ConnectionError, ssl.SSLError):
            return False

    wait_until("the service's certificate is shown", answers)
    started = time.monotonic()
    node.signal(signal.SIGTERM)
    assert node.exit_code() == 0
    assert time.monotonic() - started < 10
    assert node.err == ""
    assert not any(mark in node.out for mark in ERROR_MARKS), node.out
    report = audit([node.directory / "0.ledger"])
    assert report.is_sound
    assert report.unsigned == 0


def test_restart_is_refused_by_the_process_file(node: Node) -> None:
    node.start()
    node.wait_until_started()
    node.signal(signal.SIGHUP)
    assert node.exit_code() == 0
    assert "Hangup: " in node.out
    node.start()
    assert node.exit_code() == 103
    assert node.last_line().endswith("PID file node.pid already exists. Exiting.")
    (node.directory / "node.pid").unlink()
    node.start()
    assert node.exit_code() == 105
    sentence = "On start, ledger directory should not exist or be empty (0.ledger)"
    assert node.last_line().endswith(sentence)


def broken_application(node: Node) -> dict[str, Any]:
    (node.directory / "broken_app.py").write_text("undefined\n")
    return node.configuration(app="broken_app:app")


def other_application(node: Node) -> dict[str, Any]:
    return node.configuration(app="app_samples.logging.app:nothing")


def broken_constitution(node: Node) -> dict[str, Any]:
    (node.directory / "broken.star").write_text("def validate(:\n")
    settings = node.configuration()
    settings["command"]["start"]["constitution_files"] = ["broken.star"]
    return settings


def wrong_encryption_key(node: Node) -> dict[str, Any]:
    settings = node.configuration()
    member = settings["command"]["start"]["members"][0]
    member["encryption_public_key_file"] = member["certificate_file"]
    return settings


@pytest.mark.parametrize(
    "mistake", [broken_application, other_application, broken_constitution, wrong_encryption_key]
)
def test_start_that_failed_is_not_in_the_way_of_the_next(
    node: Node, mistake: Callable[[Node], dict[str, Any]]
) -> None:
    node.start(mistake(node))
    assert node.exit_code() == 1
    assert "[fatal]" in node.last_line()
    if mistake is broken_application:
        assert "'broken_app:app', which raised NameError at broken_app.py:1" in node.last_line()
        assert "Traceback (most recent call last)" in node.out
    assert node.err == ""
    assert not (node.directory / "node.pid").exists()
    node.start()
    node.wait_until_started()
    assert (node.directory / "node.pid").read_text() == str(node.pid)
    node.signal(signal.SIGTERM)
    assert node.exit_code() == 0


def test_killed_enclave_ends_the_host_within_a_second(node: Node) -> None:
    node.start()
    node.wait_until_started()
    everything = descendants(node.pid)
    os.kill(node.enclave_pid(), signal.SIGKILL)
    started = time.monotonic()
    assert node.exit_code() == 1
    assert time.monotonic() - started < 1
    assert "The enclave process ended unexpectedly: killed by SIGKILL" in node.last_line()
    assert node.err == ""
    wait_until("all of it ended", lambda: not any(map(is_alive, everything)))


@pytest.mark.parametrize("log_format", ["Text", "Json"])
def test_killed_host_ends_the_enclave_within_a_second(node: Node, log_format: str) -> None:
    node.start(node.configuration(logging={"format": log_format}))
    node.wait_until_started()
    enclave = node.enclave_pid()
    everything = descendants(node.pid)
    node.signal(signal.SIGKILL)
    started = time.monotonic()
    wait_until("the enclave ended", lambda: not is_alive(enclave))
    assert time.monotonic() - started < 1
    wait_until("all of it ended", lambda: not any(map(is_alive, everything)))
    node.exit_code()
    last = json.loads(node.last_line()) if log_format == "Json" else {"msg": node.last_line()}
    assert last["msg"].endswith("The host was killed, or crashed, and the enclave ended with it")


def test_orderly_end_with_the_longest_tick(node: Node) -> None:
    node.start(node.configuration(tick_interval="1s"))
    node.wait_until_started()
    node.signal(signal.SIGTERM)
    started = time.monotonic()
    assert node.exit_code() == 0
    assert time.monotonic() - started < 8
    assert not any(mark in node.out for mark in ERROR_MARKS), node.out
    assert audit([node.directory / "0.ledger"]).unsigned == 0


PRINTING_APP = "from app_samples.logging.app import app\nprint('printed when imported')\n"


def test_what_the_application_prints_is_logged_at_once(node: Node) -> None:
    (node.directory / "printing_app.py").write_text(PRINTING_APP)
    node.start(node.configuration(app="printing_app:app"))
    node.wait_until_started()
    wait_until("the line", lambda: "[info ][enclave]" in node.out)
    assert "| printed when imported\n" in node.out
    node.signal(signal.SIGTERM)
    assert node.exit_code() == 0


def test_stopped_and_continued_node_goes_on(node: Node) -> None:
    node.start()
    node.wait_until_started()
    for pid in (node.pid, node.enclave_pid()):
        os.kill(pid, signal.SIGSTOP)
    for pid in (node.enclave_pid(), node.pid):
        os.kill(pid, signal.SIGCONT)
    node.signal(signal.SIGTERM)
    assert node.exit_code() == 0


def test_first_sigterm_may_only_be_a_notice(node: Node) -> None:
    node.start(node.configuration(ignore_first_sigterm=True))
    node.wait_until_started()
    node.signal(signal.SIGTERM)
    wait_until("the notice", lambda: "Terminated: Notifying enclave" in node.out)
    assert is_alive(node.enclave_pid())
    node.signal(signal.SIGTERM)
    assert node.exit_code() == 0


EMPTY_PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def rsa_certificate(directory: Path) -> str:
    """A certificate whose holder cannot sign anything for the service: ECDSA is wanted."""
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=m"]
    files = ["-keyout", str(directory / "rsa.key"), "-out", str(directory / "rsa.pem")]
    subprocess.run([*command, *files], check=True, capture_output=True)
    return (directory / "rsa.pem").read_text()


@pytest.mark.parametrize(
    ("key", "content", "said"),
    [
        ("certificate_file", lambda _: EMPTY_PEM, "no PEM certificate"),
        ("certificate_file", rsa_certificate, "want an ECDSA key"),
        (
            "certificate_file",
            lambda directory: (directory / "member0_privk.pem").read_text(),
            "no PEM certificate",
        ),
        (
            "encryption_public_key_file",
            lambda directory: (directory / "member0_enc_privk.pem").read_text(),
            "no PEM public key",
        ),
        (
            "encryption_public_key_file",
            lambda directory: (directory / "member0_cert.pem").read_text(),
            "no PEM public key",
        ),
    ],
)
def test_files_of_members_have_to_be_what_they_should(
    node: Node, key: str, content: Callable[[Path], str], said: str
) -> None:
    """Above all, a private key that somebody mixed up never gets into the ledger."""
    text = content(node.directory)
    (node.directory / "mixed_up.pem").write_text(text)
    settings = node.configuration()
    settings["command"]["start"]["members"][0][key] = "mixed_up.pem"
    node.start(settings)
    assert node.exit_code() == 1
    assert "[fatal]" in node.last_line()
    assert f"command.start.members[0].{key}: " in node.last_line()
    assert said in node.last_line()
    assert node.err == ""
    assert text.splitlines()[1] not in node.out
    written = b"".join(path.read_bytes() for path in (node.directory / "0.ledger").iterdir())
    assert len(written) <= 8, "no entry was written"


def test_a_member_comes_once(node: Node) -> None:
    settings = node.configuration()
    settings["command"]["start"]["members"] *= 2
    node.start(settings)
    assert node.exit_code() == 1
    assert "command.start.members[1].certificate_file: got the certificate" in node.last_line()


def test_output_file_that_cannot_be_written_is_named(node: Node) -> None:
    for name in ("pid_file", "node_certificate_file", "rpc_addresses_file"):
        settings = node.configuration()
        settings["output_files"][name] = str(node.directory / "missing" / "file")
        node.start(settings)
        assert node.exit_code() == 1
        assert "[fatal]" in node.last_line()
        assert f"output_files.{name}: got " in node.out
        assert not (node.directory / "0.ledger").exists(), "no ledger was begun"
        assert node.err == ""
        (node.directory / "node.pid").unlink(missing_ok=True)


def test_json_log_holds_no_private_key(node: Node) -> None:
    node.start(node.configuration(logging={"format": "Json"}))
    node.wait_until_started()
    node.signal(signal.SIGTERM)
    assert node.exit_code() == 0
    for line in node.out.splitlines():
        assert set(json.loads(line)) == {
            "h_ts", "thread_id", "level", "tag", "file", "number", "msg",
        }  # fmt: skip
    assert "PRIVATE KEY" not in node.out
