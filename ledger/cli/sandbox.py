"""``quorate sandbox``: a whole local service in one command."""

import asyncio
import contextlib
import shlex
import signal
import socket
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from ledger.base.errors import LedgerError, MisuseError, UnavailableError
from ledger.host.config_sections import DEFAULT_APP
from ledger.sandbox.configuration import HOST, read_overlay
from ledger.sandbox.demo import run_demo
from ledger.sandbox.service import Sandbox, SandboxOptions

app = typer.Typer(add_completion=False)
_DEFAULT_PORT = 8000


@app.command()
def sandbox(
    application: Annotated[
        str | None, typer.Option("--app", metavar="MODULE:APP", help="Application to run.")
    ] = None,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="New directory for keys, ledger and logs.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="Port for clients; 0 for any.")
    ] = None,
    overlay: Annotated[
        Path | None, typer.Option("--overlay", help="JSON merged into the configuration.")
    ] = None,
    nodes: Annotated[int, typer.Option("--nodes", min=1, max=9, help="Number of nodes.")] = 1,
    demo: Annotated[
        bool, typer.Option("--demo", help="Write, prove and audit something, then end.")
    ] = False,
) -> None:
    """Run a local service: keys, members, users, nodes, opened and ready.

    Ctrl-C stops everything. What is in the directory stays.
    """
    if demo and application not in {None, DEFAULT_APP}:
        raise MisuseError(f"got --demo with another application, want {DEFAULT_APP}")
    merged = {} if overlay is None else read_overlay(overlay)
    options = SandboxOptions(
        directory=directory or _new_directory(),
        app=application,
        port=_free_port(port),
        overlay=merged,
        nodes=nodes,
    )
    raise typer.Exit(asyncio.run(_run(options, demo=demo)))


def _new_directory() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="quorate-sandbox-"))
    except OSError as error:
        raise UnavailableError(f"cannot make a directory for the sandbox: {error}") from error


def _free_port(asked: int | None) -> int:
    """Return the port asked for, or 8000, or any when that is taken."""
    if asked is not None:
        return asked
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, _DEFAULT_PORT))
        except OSError:
            return 0
    return _DEFAULT_PORT


async def _run(options: SandboxOptions, *, demo: bool) -> int:
    running = asyncio.ensure_future(_serve(options, demo=demo))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, running.cancel)
    try:
        return await running
    except asyncio.CancelledError:
        _tell("stopped")
        return 0
    except (LedgerError, OSError) as error:  # the disk may also fail later
        _tell(f"failed: {error}")
        return 1


async def _serve(options: SandboxOptions, *, demo: bool) -> int:
    _tell(f"directory {options.directory.absolute()}")
    async with Sandbox(options, _tell) as sandbox:
        if demo:
            await run_demo(sandbox, _tell)
            return 0
        _print_help(sandbox, options)
        await _watch(sandbox)
        return 1


async def _watch(sandbox: Sandbox) -> None:
    """Tell of nodes that end, until too few are left to commit anything."""
    quorum = len(sandbox.nodes) // 2 + 1
    watched = list(sandbox.nodes)
    while len(watched) >= quorum:
        ended = [node for node in watched if node.exit_code is not None]
        if not ended:
            await sandbox.wait_until_one_ends()
            continue
        watched = [node for node in watched if node not in ended]
        for node in ended:
            _tell(f"the node in {node.directory} ended by itself with {node.exit_code}:")
            _tell(node.log_tail())
        if len(watched) >= quorum:
            _tell(f"{len(watched)} of {len(sandbox.nodes)} nodes run: the service goes on")
            await sandbox.describe()


def _print_help(sandbox: Sandbox, options: SandboxOptions) -> None:
    print(f"\nService:              https://{sandbox.address}")
    print(f"Service certificate:  {sandbox.files.service_certificate_file}")
    for name, identities in (
        ("User", sandbox.files.users),
        ("Member", [member.identity for member in sandbox.files.members]),
    ):
        for number, identity in enumerate(identities):
            print(f"{name} {number}:".ljust(22) + f"{identity.certificate_file}")
    for number, node in enumerate(sandbox.nodes):
        print(f"Log of node {number}:".ljust(22) + f"{node.log_file}")
    print("\nTry:")
    for command in _curl_commands(sandbox, options):
        print(f"\n{command}")
    print("\nCtrl-C stops the service.", flush=True)


def _curl_commands(sandbox: Sandbox, options: SandboxOptions) -> list[str]:
    user = sandbox.files.users[0]
    trust = f"--cacert {shlex.quote(str(sandbox.files.service_certificate_file))}"
    certificate, key = shlex.quote(str(user.certificate_file)), shlex.quote(str(user.key_file))
    caller = f"{trust} --cert {certificate} --key {key}"

    def url(path: str) -> str:
        return shlex.quote(f"https://{sandbox.address}{path}")  # shells match brackets of IPv6

    if options.app not in {None, DEFAULT_APP} or "app" in options.overlay:
        return [
            f"curl {trust} {url('/node/network')}",
            f"curl {caller} {url('/app/commit')}",
            f"curl {caller} {url('/app/api')}",
        ]
    body = shlex.quote('{"id": 42, "msg": "hi"}')
    json_body = f"-H 'content-type: application/json' -d {body}"
    return [
        f"curl {caller} {json_body} {url('/app/log/private')}",
        f"curl {caller} {url('/app/log/private?id=42')}",
        f"curl {trust} {url('/node/network')}",
    ]


def _tell(line: str) -> None:
    print(f"[sandbox] {line}", flush=True)
