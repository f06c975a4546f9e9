"""A service of several nodes under load, its misfortunes, and the end of it all.

async with cluster(tmp_path) as service:
    async with service.load.running():
        service.kill(await service.sandbox.primary())
    await service.check()
"""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ledger.base.ids import TxId
from ledger.sandbox.configuration import INTERFACE, merge
from ledger.sandbox.process import NodeProcess
from ledger.sandbox.reconfiguration import status_of
from ledger.sandbox.service import Sandbox, SandboxOptions
from tests.bench.service import Node
from tests.e2e.cluster_kit_checker import check_history, check_ledgers, read_ledger
from tests.e2e.cluster_kit_connection import Connection, LostError, client_context
from tests.e2e.cluster_kit_load import Load

ELECTION_TIMEOUT_S = 1.0
OVERLAY: dict[str, Any] = {
    "consensus": {"election_timeout": "1s", "message_timeout": "100ms"},
    "ledger": {"chunk_size": "60KB"},
}
"""Elections are quick, yet slower than a busy machine; chunks are many."""
DEADLINE_S = 60.0
WORKERS = 6


class Cluster:
    """A running service.

    Attributes:
        sandbox: Its nodes, members and users.
        load: Clients that write to the nodes that run.
    """

    def __init__(self, sandbox: Sandbox, workers: int) -> None:
        self.sandbox = sandbox
        self.suspended: set[NodeProcess] = set()
        user = sandbox.files.users[0]
        self.context = client_context(
            sandbox.service_certificate, str(user.certificate_file), str(user.key_file)
        )
        self.load = Load(self.context, self.addresses, workers)

    def addresses(self) -> list[str]:
        """Return where the nodes that run and take part are reached."""
        return [
            node.address(INTERFACE)
            for node in self.sandbox.running
            if node not in self.suspended and node.output_file("rpc_addresses_file").exists()
        ]

    # -- misfortunes -------------------------------------------------------------------

    def kill(self, node: NodeProcess) -> None:
        """End both processes of a node at once, as a power cut does."""
        for pid in processes(node):
            with contextlib.suppress(ProcessLookupError):  # ended with its parent
                os.kill(pid, signal.SIGKILL)
        node.kill()

    def suspend(self, node: NodeProcess) -> None:
        """Stop a node in its tracks; clients stop sending to it."""
        self.suspended.add(node)
        for pid in processes(node):
            os.kill(pid, signal.SIGSTOP)

    def resume(self, node: NodeProcess) -> None:
        """Let a suspended node go on."""
        for pid in processes(node):
            os.kill(pid, signal.SIGCONT)
        self.suspended.discard(node)

    # -- questions ---------------------------------------------------------------------

    async def connect(self, node: NodeProcess) -> Connection:
        """Open a connection to a node as the first user."""
        return await Connection.open(node.address(INTERFACE), self.context)

    async def ask(self, node: NodeProcess, path: str) -> Any:  # noqa: ANN401 - JSON
        """Return a node's answer to one question."""
        connection = await self.connect(node)
        try:
            reply = await connection.call("GET", path)
        finally:
            connection.close()
        assert reply.status == 200, f"{path} answers {reply.status} {reply.body[:200]!r}"
        return reply.json()

    async def status_of(self, node: NodeProcess) -> str | None:
        """Return what the service thinks of a node: Pending, Trusted, Retired or None."""
        async with self.sandbox.session() as session:
            return await status_of(session, node.node_id)

    def node_to_node_address(self, node: NodeProcess) -> str:
        """Return where a node is reached by other nodes."""
        written = json.loads(node.output_file("node_to_node_address_file").read_text())
        return str(written["node_to_node_interface"])

    async def view(self, node: NodeProcess) -> int:
        """Return the view of a node."""
        network = await self.ask(node, "/node/network")
        return int(network["current_view"])

    async def follows(self, node: NodeProcess) -> bool:
        """Say whether a node knows another one as primary."""
        try:
            network = await self.ask(node, "/node/network")
        except LostError:
            return False
        return network["primary_id"] not in {None, node.node_id}

    async def backups(self) -> list[NodeProcess]:
        """Return the nodes that run and are not primary, oldest first."""
        primary = await self.sandbox.primary()
        return [node for node in self.sandbox.running if node is not primary]

    async def new_primary(self, *former: NodeProcess) -> NodeProcess:
        """Wait until another node than ``former`` is primary."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                for node in self.sandbox.running:
                    if node in former or node in self.suspended:
                        continue
                    try:
                        connection = await self.connect(node)
                        reply = await connection.call("GET", "/node/primary")
                        connection.close()
                    except LostError:
                        continue
                    if reply.status == 200:
                        return node
                await asyncio.sleep(0.02)

    async def replace_dead(self, node: NodeProcess) -> NodeProcess:
        """Add a node in place of one that ended, which is removed and forgotten."""
        added = await self.sandbox.add_node()
        await self.sandbox.remove_node(node)
        return added

    # -- the end -----------------------------------------------------------------------

    async def check(self) -> None:
        """Wait until all is decided, stop, and compare answers with ledgers."""
        nodes = self.sandbox.running
        last = await self._write_last(nodes)
        said = await asyncio.gather(*(self._statuses(node) for node in nodes))
        addresses = [node.address(INTERFACE) for node in nodes]
        statuses = dict(zip(addresses, said, strict=True))
        await self.sandbox.stop()
        exits = {node.address(INTERFACE): node.exit_code for node in nodes}
        assert set(exits.values()) == {0}, f"nodes ended with {exits}"
        for node in self.sandbox.nodes:
            assert node.error_file.read_bytes() == b"", node.error_file.read_text()
        ledgers = [node.ledger for node in nodes]
        check_history(self.load.history, statuses, read_ledger(ledgers[0]))
        chunks = check_ledgers(ledgers, last.seqno)
        assert chunks, "no chunk was committed, want some to compare"

    async def _write_last(self, nodes: Sequence[NodeProcess]) -> TxId:
        """Write until a write is committed at every node; return that transaction."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                try:
                    connection = await self.connect(await self.sandbox.primary())
                    value = {"id": 1, "msg": "private, and the last"}
                    reply = await connection.call("POST", "/app/log/private", value)
                    connection.close()
                except LostError:
                    continue
                if reply.tx_id is not None and await self._is_committed(nodes, reply.tx_id):
                    return reply.tx_id

    async def _is_committed(self, nodes: Sequence[NodeProcess], tx_id: TxId) -> bool:
        for node in nodes:
            while True:
                said = await self.ask(node, f"/node/tx?transaction_id={tx_id}")
                if said["status"] == "Invalid":
                    return False
                if said["status"] == "Committed":
                    break
                await asyncio.sleep(0.02)
        return True

    async def _statuses(self, node: NodeProcess) -> dict[TxId, str]:
        connection = await self.connect(node)
        said = {}
        for write in self.load.history.answered:
            assert write.tx_id is not None
            reply = await connection.call("GET", f"/node/tx?transaction_id={write.tx_id}")
            said[write.tx_id] = str(reply.json()["status"])
        connection.close()
        return said


@asynccontextmanager
async def cluster(
    directory: Path,
    nodes: int = 3,
    workers: int = WORKERS,
    overlay: dict[str, Any] | None = None,
    prefix: Callable[[int], tuple[str, ...]] | None = None,
) -> AsyncIterator[Cluster]:
    """Run an open service; whatever happens inside, no process stays behind."""
    options = SandboxOptions(
        directory=directory / "sandbox",
        nodes=nodes,
        members=1,
        users=1,
        overlay=merge(OVERLAY, overlay or {}),
        prefix=prefix or (lambda number: ()),  # noqa: ARG005
    )
    async with Sandbox(options) as sandbox:
        made = Cluster(sandbox, workers)
        try:
            yield made
        finally:
            for node in list(made.suspended):
                if node.exit_code is None:
                    made.resume(node)


def processes(node: NodeProcess) -> list[int]:
    """Return the host process of a node and its children."""
    return Node("", node.pid, node.ledger).processes()


async def wait_until(what: str, holds: Any, timeout_s: float = DEADLINE_S) -> None:  # noqa: ANN401
    """Wait until an asynchronous question is answered with something true."""
    deadline = time.monotonic() + timeout_s
    while not await holds():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        await asyncio.sleep(0.02)
