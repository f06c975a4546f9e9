"""A whole local service: keys, nodes, opening, and the end of it all."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from governance.defaults import file_paths
from ledger.base.errors import MisuseError, UnavailableError
from ledger.client.identity import Identity
from ledger.client.service import Polling, Service
from ledger.client.session import Session
from ledger.sandbox.configuration import (
    INTERFACE,
    join_configuration,
    merge,
    planned_start_configuration,
    start_configuration,
)
from ledger.sandbox.directory import SandboxDirectory
from ledger.sandbox.opening import Tell, open_service
from ledger.sandbox.preflight import check_addresses, check_application, check_configuration
from ledger.sandbox.process import NodeProcess
from ledger.sandbox.reconfiguration import (
    TIMEOUT_S,
    forget_node,
    retire_node,
    trust_node,
    wait_until_pending,
    wait_until_serving,
)

_ANYBODY = "127.0.0.1:1"
"""Stands for the node that a joiner asks, as long as there is none."""
_ASK_TIMEOUT_S = 2.0
"""A node that runs answers at once; one that is suspended does not."""


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
        prefix: By the number of a node, the command that runs it; see ``NodeProcess``.
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
    prefix: Callable[[int], tuple[str, ...]] = lambda number: ()  # noqa: ARG005


class Sandbox:
    """A running service. Use it with ``async with``: it is open inside, stopped behind.

    Args:
        options: See ``SandboxOptions``.
        tell: Told about each step.

    Attributes:
        files: Its directory.
        nodes: Its node processes.

    Raises:
        LedgerError: it cannot be, or would not start; nothing was written then.
    """

    def __init__(self, options: SandboxOptions, tell: Tell = _silent) -> None:
        self._options = options
        self._tell = tell
        self.files = SandboxDirectory.create(
            options.directory,
            members=options.members,
            users=options.users,
            now=int(time.time()),
            service_certificate_file=self._check(),
        )
        self.nodes: list[NodeProcess] = []

    def _check(self) -> Path:
        """Refuse what would not start, and return where the service's certificate will be."""
        options = self._options
        planned = SandboxDirectory.planned(options.directory)
        first = self._configuration(
            planned_start_configuration(planned, options.port, options.members)
        )
        read = [check_configuration(first, planned.node_directory(0))]
        for number in range(1, options.nodes):
            joiner = join_configuration(planned, number, self._port(number), _ANYBODY)
            directory = planned.node_directory(number)
            read.append(check_configuration(self._configuration(joiner), directory))
        for number, configuration in enumerate(read):
            if not options.prefix(number):  # a command may run it in another network
                check_addresses(configuration)
        if "app" in first:  # the default one is ours
            check_application(first["app"])
        return Path(first["command"]["service_certificate_file"])

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
            await self._join_opening()
        await self._while_running(self._open_service())
        for node in self.nodes:
            await self._while_running(wait_until_serving(node, self.service_certificate))
        await self.describe()
        self._tell("the service is open")

    async def _join_opening(self) -> None:
        """Start a node that is trusted at once, because the service is not open yet."""
        node = await self.start_joiner()
        await self._while_running(self._wait_until_part(node))
        self._tell_joined(node)

    def _port(self, number: int) -> int:
        """Port for clients of a node, 0 for any."""
        return self._options.port + number if self._options.port else 0

    async def start_joiner(self, overlay: dict[str, Any] | None = None) -> NodeProcess:
        """Start a node that asks to join, and wait until it serves its own interface.

        Args:
            overlay: Merged into its configuration, on top of the sandbox's.
        """
        number = len(self.nodes)
        configuration = join_configuration(self.files, number, self._port(number), self.address)
        node = self._start_node(configuration, overlay or {})
        await node.wait_until_started()
        return node

    async def add_node(self, overlay: dict[str, Any] | None = None) -> NodeProcess:
        """Start a node that joins the open service, trust it as all members, wait until it serves.

        Args:
            overlay: Merged into its configuration, on top of the sandbox's.
        """
        node = await self.start_joiner(overlay)
        await self._while_running(self._admit(node), [node])
        self._tell_joined(node)
        await self.describe()
        return node

    async def _admit(self, node: NodeProcess) -> None:
        async with self.session() as session:
            await wait_until_pending(session, node.node_id)
            await trust_node(session, self._members(), node.node_id, self._tell)
        await wait_until_serving(node, self.service_certificate)

    async def remove_node(self, node: NodeProcess) -> int:
        """Remove a node as all members, stop it when that is safe, have the service forget it.

        Returns:
            Exit code of the node.
        """
        others = [each for each in self.running if each is not node]
        if not others:
            raise MisuseError("got the last node to remove, want one of several")
        async with self.session_with(others[0]) as session:
            await retire_node(session, self._members(), node.node_id, self._tell)
            code = await node.stop()
            await forget_node(session, node.node_id)
        self._tell(f"node {self.nodes.index(node)} was removed and stopped with {code}")
        await self.describe()
        return code

    async def describe(self) -> None:
        """Write ``sandbox.json`` for the nodes that run.

        Raises:
            UnavailableError: the service has no primary for a long time.
        """
        primary = await self.primary()
        running = self.running
        records = [node.record(INTERFACE) for node in running]
        self.files.describe(records, running.index(primary))

    async def primary(self) -> NodeProcess:
        """Return the node that takes writes, as it says itself; waits for an election.

        Raises:
            UnavailableError: there is none for a long time.
        """
        polling = Polling(TIMEOUT_S)
        while True:
            for node in self.running:
                if await self._is_primary(node):
                    return node
            await polling.pause("no node says that it is the primary")

    async def _is_primary(self, node: NodeProcess) -> bool:
        address, certificate = node.address(INTERFACE), self.service_certificate
        async with Session(address, certificate, timeout_s=_ASK_TIMEOUT_S) as session:
            try:
                return (await session.get("/node/primary")).status == 200
            except UnavailableError:
                return False

    def _members(self) -> list[Identity]:
        return [member.identity for member in self.files.members]

    def _tell_joined(self, node: NodeProcess) -> None:
        number = self.nodes.index(node)
        self._tell(f"node {number} joined, https://{node.address(INTERFACE)} (pid {node.pid})")

    async def _open_service(self) -> None:
        async with self.session() as session:
            await open_service(session, self._members(), self.files.users, self._tell)

    async def _wait_until_part(self, node: NodeProcess) -> None:
        async with Session(node.address(INTERFACE), self.service_certificate) as session:
            await Service(session).wait_until_part_of_network()

    async def _while_running(
        self, work: Coroutine[None, None, None], nodes: Sequence[NodeProcess] = ()
    ) -> None:
        """Do something that needs nodes, by default all; end early when one of them ends."""
        working = asyncio.ensure_future(work)
        watched = nodes or self.running
        ends = [asyncio.ensure_future(node.wait_until_ended()) for node in watched]
        try:
            await asyncio.wait({working, *ends}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                node = next(node for node in watched if node.exit_code is not None)
                raise UnavailableError(f"node ended with {node.exit_code}:\n{node.log_tail()}")
            working.result()
        finally:
            for task in (working, *ends):
                task.cancel()
            await asyncio.gather(working, *ends, return_exceptions=True)

    def _start_node(
        self, configuration: dict[str, Any], overlay: dict[str, Any] | None = None
    ) -> NodeProcess:
        options = self._options
        configuration = merge(self._configuration(configuration), overlay or {})
        number = len(self.nodes)
        directory = self.files.node_directory(number)
        prefix = options.prefix(number)
        node = NodeProcess(directory, configuration, options.node_options, prefix)
        self.nodes.append(node)
        return node

    def _configuration(self, configuration: dict[str, Any]) -> dict[str, Any]:
        """Return what a node is configured with: application and overlay are everybody's."""
        options = self._options
        application = {} if options.app is None else {"app": options.app}
        merged = merge({**configuration, **application}, options.overlay)
        command = merged["command"]
        if isinstance(command, dict) and command.get("type") == "Join":
            command.pop("start", None)  # what an overlay says about the start is for node 0
        return merged

    async def wait_until_one_ends(self) -> NodeProcess:
        """Wait until the first node ends, and return it."""
        ends = {asyncio.ensure_future(node.wait_until_ended()): node for node in self.running}
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            return ends[done.pop()]
        finally:
            for task in ends:
                task.cancel()
            await asyncio.gather(*ends, return_exceptions=True)

    @property
    def running(self) -> list[NodeProcess]:
        """The nodes that have not ended, oldest first."""
        return [node for node in self.nodes if node.exit_code is None]

    @property
    def address(self) -> str:
        """``host:port`` of the oldest node that runs."""
        running = self.running
        return (running[0] if running else self.nodes[0]).address(INTERFACE)

    @property
    def service_certificate(self) -> str:
        """PEM of the service's certificate."""
        return self.files.service_certificate_file.read_text()

    def session(self, user: int | None = None) -> Session:
        """Return a session with the oldest node that runs, as a user or as nobody."""
        identity = None if user is None else self.files.users[user]
        return Session(self.address, self.service_certificate, identity)

    def session_with(self, node: NodeProcess, user: int | None = None) -> Session:
        """Return a session with one node, as a user or as nobody."""
        identity = None if user is None else self.files.users[user]
        return Session(node.address(INTERFACE), self.service_certificate, identity)

    async def stop(self) -> None:
        """Stop every node in order, by force where that takes too long."""
        running = self.running
        await asyncio.gather(*(node.stop() for node in running))
        for node in running:
            self._tell(f"node with pid {node.pid} stopped with {node.exit_code}")
