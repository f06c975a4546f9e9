"""The sandbox as newcomers and scripts use it, with real processes."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.audit.walk import audit
from ledger.base.errors import LedgerError
from ledger.cli import main
from ledger.client.service import Service
from ledger.client.session import Session
from ledger.sandbox.configuration import merge, read_overlay
from ledger.sandbox.service import Sandbox, SandboxOptions

pytestmark = pytest.mark.e2e
DEADLINE_S = 120.0


def wait_until(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "ledger.cli.main", "sandbox", *options]


class Running:
    """``quorate sandbox`` in the background."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.out_file = directory.with_suffix(".out")
        with self.out_file.open("wb") as out:
            self.process = subprocess.Popen(
                command("--dir", str(directory), "--port", "0", *options),
                cwd=Path(main.__file__).parents[2],
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    @property
    def out(self) -> str:
        return self.out_file.read_text()

    def wait_until_open(self) -> dict[str, Any]:
        description = self.directory / "sandbox.json"

        def is_open() -> bool:
            assert self.process.poll() is None, self.out
            return description.exists() and "Ctrl-C" in self.out

        wait_until("the sandbox is open", is_open)
        read: dict[str, Any] = json.loads(description.read_text())
        return read

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    sandbox = Running(tmp_path / "sandbox")
    yield sandbox
    sandbox.end()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_demo_runs_through(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    done = subprocess.run(
        command("--demo", "--dir", str(directory), "--port", "0"),
        cwd=Path(main.__file__).parents[2],
        capture_output=True,
        check=False,
        text=True,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    steps = [
        "the service is open",
        "wrote a private record in transaction 2.",
        "both are committed: Committed",
        "verifies: signed by node",
        "the ledger of node 0 is sound",
    ]
    positions = [done.stdout.index(step) for step in steps]
    assert positions == sorted(positions)
    assert (directory / "node0" / "err").read_text() == ""


def test_description_and_printed_commands_work(running: Running) -> None:
    described = running.wait_until_open()
    assert described["primary"] == 0
    (node,) = described["nodes"]
    assert set(node) == {"id", "address", "pid", "directory", "ledger"}
    assert is_alive(node["pid"])
    assert min(path.name for path in Path(node["ledger"]).iterdir()).startswith("ledger_1")
    paths = [described["service_certificate"], node["directory"], node["ledger"]]
    for user in described["users"]:
        paths += [user["certificate"], user["key"]]
    for member in described["members"]:
        paths += [member["certificate"], member["key"], member["encryption_key"]]
    assert all(Path(path).is_absolute() and Path(path).exists() for path in paths)
    assert len(described["users"]) == 2
    assert len(described["members"]) == 3
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed: the printed commands were not tried")
    commands = [line for line in running.out.splitlines() if line.startswith("curl ")]
    answers = [
        subprocess.run(
            ["bash", "-c", f"{line} -sS"], capture_output=True, check=True, text=True
        ).stdout
        for line in commands
    ]
    assert len(answers) == 3
    assert answers[0] == "true"
    assert json.loads(answers[1]) == {"msg": "hi"}
    assert json.loads(answers[2])["service_status"] == "Open"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_everything_in_order(running: Running, number: signal.Signals) -> None:
    described = running.wait_until_open()
    running.process.send_signal(number)
    assert running.process.wait(30) == 0
    assert not is_alive(described["nodes"][0]["pid"])
    assert "stopped with 0" in running.out


def test_nodes_do_not_outlive_a_killed_sandbox(running: Running) -> None:
    described = running.wait_until_open()
    running.process.kill()
    running.process.wait()
    wait_until("the node ended", lambda: not is_alive(described["nodes"][0]["pid"]))


def test_a_node_that_ends_ends_the_sandbox(running: Running) -> None:
    described = running.wait_until_open()
    os.kill(described["nodes"][0]["pid"], signal.SIGKILL)
    assert running.process.wait(30) == 1
    assert "ended by itself with -9" in running.out


def test_overlay_is_merged_and_mistakes_are_shown(tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.json"
    overlay.write_text(json.dumps({"ledger": {"chunk_size": "tiny"}}))
    done = subprocess.run(
        command("--dir", str(tmp_path / "s"), "--port", "0", "--overlay", str(overlay)),
        cwd=Path(main.__file__).parents[2],
        capture_output=True,
        check=False,
        text=True,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 1
    assert 'ledger.chunk_size: got "tiny", want a size' in done.stdout


def test_directory_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(LedgerError, match="not empty"):
        Sandbox(SandboxOptions(directory=tmp_path))


def test_as_a_library_with_overlay(tmp_path: Path) -> None:
    async def scenario() -> None:
        options = SandboxOptions(
            directory=tmp_path / "s",
            overlay={"logging": {"format": "Json"}},
            members=1,
            users=1,
            node_options=("--log-level", "DEBUG"),
        )
        async with Sandbox(options) as sandbox:
            async with sandbox.session(user=0) as session:
                written = await session.post("/log/private", json={"id": 1, "msg": "a"})
                assert written.expect(200).json() is True
                read = await session.get("/log/private?id=1")
                assert read.expect(200).json() == {"msg": "a"}
            async with sandbox.session() as nobody:
                refused = await nobody.get("/log/private?id=1")
                assert refused.status == 401
            log = sandbox.nodes[0].log_file
            lines = [json.loads(line) for line in log.read_text().splitlines()]
            assert lines[0]["level"] == "info"
            (decided,) = (line["msg"] for line in lines if " is Accepted: " in line["msg"])
            assert decided.endswith("2 actions (set_user, transition_service_to_open)")
        assert sandbox.nodes[0].exit_code == 0

    asyncio.run(scenario())


SHOP = """
from ledger.app import App, no_auth
app = App("Shop", auth=[no_auth])

@app.get("/open")
def is_open() -> bool:
    return True
"""


def test_files_beside_an_application_replace_no_module_of_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    for name in ("json.py", "socket.py", "msgspec.py"):
        (tmp_path / name).write_text("raise SystemExit('not this one')\n")
    monkeypatch.chdir(tmp_path)

    async def scenario() -> None:
        options = SandboxOptions(directory=tmp_path / "s", app="shop:app", members=1, users=1)
        async with Sandbox(options) as sandbox, sandbox.session() as session:
            answer = await session.get("/open")
            assert answer.expect(200).json() is True

    asyncio.run(scenario())


def test_several_nodes_share_one_service(tmp_path: Path) -> None:
    async def scenario() -> None:
        options = SandboxOptions(directory=tmp_path / "s", members=1, users=1, nodes=3)
        async with Sandbox(options) as sandbox:
            described = json.loads((tmp_path / "s" / "sandbox.json").read_text())
            addresses = [node["address"] for node in described["nodes"]]
            assert len(set(addresses)) == 3
            async with sandbox.session(user=0) as session:
                network = (await session.get("/node/network/nodes")).expect(200).json()
                trusted = {n["node_id"] for n in network["nodes"] if n["status"] == "Trusted"}
                assert trusted == {node["id"] for node in described["nodes"]}
                for number, address in enumerate(addresses):
                    record = {"id": number, "msg": f"by node {number}"}
                    written = await session.request(
                        "POST", "/log/private", json=record, address=address
                    )
                    await Service(session).wait_for_commit(written.expect(200).tx_id)
                    read = await session.get(f"/log/private?id={number}")
                    assert read.expect(200).json() == {"msg": record["msg"]}
        for node in sandbox.nodes:
            assert node.exit_code == 0
            assert node.error_file.read_text() == ""
            assert audit([node.ledger]).is_sound

    asyncio.run(scenario())


def test_foreign_service_certificate_is_noticed(tmp_path: Path) -> None:
    async def scenario() -> None:
        first = SandboxOptions(directory=tmp_path / "a", members=1, users=1)
        async with Sandbox(first) as sandbox:
            user = sandbox.files.users[0]
            other = user.certificate.pem
            async with Session(sandbox.address, other, user) as session:
                with pytest.raises(LedgerError, match="does not belong to the service"):
                    await session.get("/node/network")

    asyncio.run(scenario())


def test_merge_is_deep_for_objects_only() -> None:
    below = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    above = {"a": {"c": [3], "e": {"f": 1}}, "d": {"g": 2}}
    assert merge(below, above) == {"a": {"b": 1, "c": [3], "e": {"f": 1}}, "d": {"g": 2}}
    assert below == {"a": {"b": 1, "c": [1, 2]}, "d": 1}


@pytest.mark.parametrize("text", ["[]", "{", "1"])
def test_overlay_is_one_object(tmp_path: Path, text: str) -> None:
    path = tmp_path / "overlay.json"
    path.write_text(text)
    with pytest.raises(LedgerError, match="overlay"):
        read_overlay(path)
