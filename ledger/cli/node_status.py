"""``quorate node list`` and ``quorate node status``: who is in a service, and how everybody is.

A service is named by the options of ``quorate gov``.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand
from typing_extensions import override

from ledger.base.errors import FormatError, LedgerError, MisuseError, UnavailableError
from ledger.cli.gov_target import NodeOption, SandboxOption, ServiceOption
from ledger.cli.gov_text import printable
from ledger.client.identity import read_pem
from ledger.client.nodes import ListedNode, NodeView, list_nodes, look_at_all
from ledger.client.session import RefusedError, Session
from ledger.codec import canonical

EXIT_UNWELL = 1
_ID_SHOWN = 12

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)

JsonOption = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]
_FIRST_NAMES = {"--address": "--node", "--cacert": "--service-cert", "--dir": "--sandbox"}


class RenamedCommand(TyperCommand):
    """A command that still takes the names that its options had first."""

    @override
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        split = (each.partition("=") for each in args)
        renamed = [_FIRST_NAMES.get(name, name) + mark + value for name, mark, value in split]
        return super().parse_args(ctx, renamed)


@app.command("list", cls=RenamedCommand)
def list_command(
    node: NodeOption = None,
    service_cert: ServiceOption = None,
    sandbox: SandboxOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the nodes of a service as its nodes table has them."""
    addresses, certificate = _service(node, service_cert, sandbox)
    nodes = asyncio.run(_listed(addresses, certificate))
    if as_json:
        print(json.dumps([asdict(node) for node in nodes], indent=2))
    else:
        _print_table(("node", "status", "", "addresses"), [_listed_row(node) for node in nodes])


@app.command(cls=RenamedCommand)
def status(
    node: NodeOption = None,
    service_cert: ServiceOption = None,
    sandbox: SandboxOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask every node of a service for its role, view, commit, lag and retirement.

    Exit code 0: all answered and one is primary. 1: not so.
    """
    addresses, certificate = _service(node, service_cert, sandbox)
    views = asyncio.run(_looked_at(addresses, certificate))
    newest = max(view.commit.seqno for view in views)
    if as_json:
        rows = [{**asdict(view), "commit": str(view.commit)} for view in views]
        print(json.dumps(rows, indent=2))
    else:
        titles = ("node", "address", "role", "view", "commit", "lag", "retirement", "")
        _print_table(titles, [_viewed_row(view, newest) for view in views])
    if any(view.problem for view in views) or not any(view.role == "Leader" for view in views):
        raise typer.Exit(EXIT_UNWELL)


def _service(
    node: str | None, service_cert: Path | None, sandbox: Path | None
) -> tuple[list[str], str]:
    """Return addresses of nodes and the service's certificate."""
    addresses = [] if node is None else [node]
    if sandbox is not None and not (node and service_cert):  # it may be of the environment
        described = _described(sandbox)
        addresses = addresses or [str(each["address"]) for each in described["nodes"]]
        service_cert = service_cert or Path(described["service_certificate"])
    if not addresses or service_cert is None:
        raise MisuseError("got no service, want --node and --service-cert, or --sandbox DIR")
    return addresses, read_pem(service_cert).decode("ascii", "replace")


def _described(directory: Path) -> dict[str, Any]:
    file = directory / "sandbox.json"
    try:
        described = canonical.loads(file.read_bytes())
    except OSError as error:
        raise FormatError(f"cannot read {file}: {error.strerror}") from error
    try:
        described["nodes"][0]["address"], described["service_certificate"]
    except (KeyError, IndexError, TypeError) as error:
        raise FormatError(f"got {file}, which does not describe a sandbox") from error
    found: dict[str, Any] = described
    return found


async def _listed(addresses: Sequence[str], certificate: str) -> list[ListedNode]:
    """Ask one node after the other until one answers; a node that joins still refuses."""
    problem: LedgerError = UnavailableError("there is no node to ask")
    for address in addresses:
        try:
            async with Session(address, certificate, timeout_s=3.0) as session:
                return await list_nodes(session)
        except (UnavailableError, RefusedError) as error:
            problem = error
    raise problem


async def _looked_at(addresses: Sequence[str], certificate: str) -> list[NodeView]:
    """Ask the nodes that the table lists and those that were named.

    Whoever does not answer is called what the table calls it.
    """
    try:
        nodes = await _listed(addresses, certificate)
    except (UnavailableError, RefusedError):
        nodes = []
    known = list(dict.fromkeys(addresses))
    for node in nodes:
        if not set(known).intersection(node.addresses.values()):
            known += list(node.addresses.values())[:1]
    views = await look_at_all(known, certificate)
    ids = {address: node.id for node in nodes for address in node.addresses.values()}
    return [view if view.id else replace(view, id=ids.get(view.address, "")) for view in views]


def _listed_row(node: ListedNode) -> tuple[str, ...]:
    remark = "primary" if node.is_primary else "removable" if node.is_removable else ""
    addresses = ", ".join(f"{name} {address}" for name, address in node.addresses.items())
    return node.id, node.status, remark, addresses


def _viewed_row(view: NodeView, newest: int) -> tuple[str, ...]:
    if view.problem:
        return view.id[:_ID_SHOWN] or "?", view.address, view.role, "", "", "", "", view.problem
    lag = str(newest - view.commit.seqno)
    commit = str(view.commit)
    number = str(view.view)
    return (
        view.id[:_ID_SHOWN], view.address, view.role, number, commit, lag, view.retirement, ""
    )  # fmt: skip


def _print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = [titles, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print(printable("  ".join(cells).rstrip()))
