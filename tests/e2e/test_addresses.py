"""Addresses that are not the usual ``127.0.0.1:port``: certificates, peers and tools take them."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.client.session import Session
from ledger.crypto.certificate import Certificate
from ledger.sandbox.configuration import INTERFACE
from ledger.sandbox.service import Sandbox, SandboxOptions

pytestmark = pytest.mark.e2e
LOCAL_IPV6 = "[::1]:0"


def has_ipv6() -> bool:
    """Whether there is an IPv6 loopback to listen on."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def run(*command: str) -> str:
    """Return what a command prints; it has to end well."""
    done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def quorate(*arguments: str) -> str:
    return run(sys.executable, "-m", "ledger.cli.main", *arguments)


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
def test_a_service_on_ipv6(tmp_path: Path) -> None:
    """Between nodes, for clients, and for whoever knows only the service's certificate."""
    overlay = {
        "network": {
            "node_to_node_interface": {"bind_address": LOCAL_IPV6},
            "rpc_interfaces": {INTERFACE: {"bind_address": LOCAL_IPV6}},
        },
        "node_client_interface": "::1",
    }
    directory = tmp_path / "s"

    async def scenario() -> None:
        options = SandboxOptions(directory=directory, overlay=overlay, nodes=2)
        async with Sandbox(options) as sandbox:
            assert all(node.address(INTERFACE).startswith("[::1]:") for node in sandbox.nodes)
            await asyncio.to_thread(look)

    def look() -> None:
        views = json.loads(quorate("node", "status", "--sandbox", str(directory), "--json"))
        assert sorted(view["role"] for view in views) == ["Follower", "Leader"]
        listed = json.loads(quorate("node", "list", "--sandbox", str(directory), "--json"))
        described = json.loads((directory / "sandbox.json").read_text())
        addresses = {node["address"] for node in described["nodes"]}
        assert {node["addresses"][INTERFACE] for node in listed} == addresses
        if shutil.which("curl") is None:
            pytest.skip("curl is not installed")
        for address in addresses:
            url = f"https://{address}/node/commit"
            answer = run("curl", "-sS", "--cacert", described["service_certificate"], url)
            assert "transaction_id" in json.loads(answer)

    asyncio.run(scenario())


def test_what_clients_use_comes_from_the_overlay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published address, and the file of the service's certificate, also with an old one."""
    monkeypatch.chdir(tmp_path)
    Path("svc.pem").write_text("of an earlier service")
    at = {"bind_address": "127.0.0.1:0", "published_address": "localhost:0"}
    overlay = {
        "command": {
            "service_certificate_file": "svc.pem",
            "start": {"service_subject_name": "CN=Told by the overlay"},
        },
        "network": {"rpc_interfaces": {INTERFACE: at}},
    }

    async def scenario() -> None:
        options = SandboxOptions(directory=Path("s"), overlay=overlay, nodes=2, users=1)
        async with Sandbox(options) as sandbox:
            described = json.loads((tmp_path / "s/sandbox.json").read_text())
            assert described["service_certificate"] == str(tmp_path / "svc.pem")
            certificate = (tmp_path / "svc.pem").read_text()
            addresses = [node["address"] for node in described["nodes"]]
            assert sandbox.address == addresses[0]
            assert "Told by the overlay" in Certificate.parse(certificate.encode()).subject
            for address in addresses:
                host, _, port = address.rpartition(":")
                assert (host, int(port) > 0) == ("localhost", True)
                async with Session(address, certificate) as session:
                    (await session.get("/node/commit")).expect(200)

    asyncio.run(scenario())
