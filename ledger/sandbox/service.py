"""A whole local service: keys, nodes, opening, and the end of it all."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from governance.defaults import file_paths
from ledger.base.errors import UnavailableError
from ledger.client.service import Service
from ledger.client.session import Session
from ledger.sandbox.configuration import (
    INTERFACE,
    join_configuration,
    merge,
    start_configuration,
)
from ledger.sandbox.directory import SandboxDirectory
from ledger.sandbox.opening import Tell, open_service
from ledger.sandbox.process import NodeProcess


def _silent(line: str) -> None:
    del line


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """What a sandbox is made of.

    Attributes:
        directory: Where everything goes; must be new or empty.
        app: ``module:attribute``; None keeps the default application.
        port: Port for clients; 0 for any.
        overlay: Merged into every node's configuration.
        members: Number of members.
        users: Number of users.
        constitution: Files of the constitution; None for the one we ship.
        node_options: Further options of ``quorate node``.
        nodes: Number of nodes; the first creates the service, the others join it.
    """

    directory: Path
    app: str | None = None
    port: int = 0
    overlay: dict[str, Any] = field(default_factory=dict)
    members: int = 3
    users: int = 2
    constitution: Sequence[str] | None = None
    node_options: tuple[str, ...] = ()
    nodes: int = 1


class Sandbox:
    """A running service. Use it with ``async with``: it is open inside, stopped behind.

    Args:
        options: See ``SandboxOptions``.
        tell: Told about each step.

    Attributes:
        files: Its directory.
        nodes: Its node processes.
    """

    def __init__(self, options: SandboxOptions, tell: Tell = _silent) -> None:
        self._options = options
        self._tell = tell
        self.files = SandboxDirectory.create(
            options.directory,
            members=options.members,
            users=options.users,
            now=int(time.time()),
        )
        self.nodes: list[NodeProcess] = []

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the nodes, open the service, and write ``sandbox.json``.

        Raises:
            UnavailableError: a node ended or did not get ready; with the end of its log.
            RefusedError: the service refused a step of the opening.
        """
        self._tell(f"keys for {len(self.files.members)} members, {len(self.files.users)} users")
        options = self._options
        constitution = options.constitution or file_paths()
        first = self._start_node(start_configuration(self.files, options.port, constitution))
        await first.wait_until_started()
        self._tell(f"node 0 serves on https://{self.address} (pid {first.pid})")
        for _ in range(1, options.nodes):
            await self.add_node()
        await self._while_running(self._open_service())
        self.describe()
        self._tell("the service is open")

    async def add_node(self) -> NodeProcess:
        """Start a node that joins, and wait until it takes part.

        Before the service is open it is trusted at once; later members have to accept it, which
        is for the caller to arrange.
        """
        number = len(self.nodes)
        port = self._options.port + number if self._options.port else 0
        node = self._start_node(join_configuration(self.files, number, port, self.address))
        await node.wait_until_started()
        await self._while_running(self._wait_until_part(node))
        self._tell(f"node {number} joined, https://{node.address(INTERFACE)} (pid {node.pid})")
        return node

    def describe(self) -> None:
        """Write ``sandbox.json`` for the nodes as they are."""
        self.files.describe([node.record(INTERFACE) for node in self.nodes])

    async def _open_service(self) -> None:
        members = [member.identity for member in self.files.members]
        async with self.session() as session:
            await open_service(session, members, self.files.users, self._tell)

    async def _wait_until_part(self, node: NodeProcess) -> None:
        async with Session(node.address(INTERFACE), self.service_certificate) as session:
            await Service(session).wait_until_part_of_network()

    async def _while_running(self, work: Coroutine[None, None, None]) -> None:
        """Do something that needs the nodes; end early, with its log, when one of them ends."""
        working = asyncio.ensure_future(work)
        ends = [asyncio.ensure_future(node.wait_until_ended()) for node in self.nodes]
        try:
            await asyncio.wait({working, *ends}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                node = next(node for node in self.nodes if node.exit_code is not None)
                raise UnavailableError(f"node ended with {node.exit_code}:\n{node.log_tail()}")
            working.result()
        finally:
            for task in (working, *ends):
                task.cancel()
            await asyncio.gather(working, *ends, return_exceptions=True)

    def _start_node(self, configuration: dict[str, Any]) -> NodeProcess:
        options = self._options
        if options.app is not None:
            configuration["app"] = options.app
        configuration = merge(configuration, options.overlay)
        directory = self.files.node_directory(len(self.nodes))
        node = NodeProcess(directory, configuration, options.node_options)
        self.nodes.append(node)
        return node

    async def wait_until_one_ends(self) -> NodeProcess:
        """Wait until the first node ends, and return it."""
        ends = {asyncio.ensure_future(node.wait_until_ended()): node for node in self.nodes}
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            return ends[done.pop()]
        finally:
            for task in ends:
                task.cancel()
            await asyncio.gather(*ends, return_exceptions=True)

    @property
    def address(self) -> str:
        """``host:port`` of node 0."""
        return self.nodes[0].address(INTERFACE)

    @property
    def service_certificate(self) -> str:
        """PEM of the service's certificate."""
        return self.files.service_certificate_file.read_text()

    def session(self, user: int | None = None) -> Session:
        """Return a session with node 0, as a user or as nobody."""
        identity = None if user is None else self.files.users[user]
        return Session(self.address, self.service_certificate, identity)

    async def stop(self) -> None:
        """Stop every node in order, by force where that takes too long."""
        running = [node for node in self.nodes if node.exit_code is None]
        await asyncio.gather(*(node.stop() for node in running))
        for node in running:
            self._tell(f"node with pid {node.pid} stopped with {node.exit_code}")
