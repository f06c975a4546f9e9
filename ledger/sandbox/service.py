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
from ledger.client.session import Session
from ledger.crypto.certificate import Certificate
from ledger.sandbox.configuration import INTERFACE, merge, start_configuration
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
    """

    directory: Path
    app: str | None = None
    port: int = 0
    overlay: dict[str, Any] = field(default_factory=dict)
    members: int = 3
    users: int = 2
    constitution: Sequence[str] | None = None
    node_options: tuple[str, ...] = ()


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
        """Start the node, open the service, and write ``sandbox.json``.

        Raises:
            UnavailableError: the node ended or did not get ready; with the end of its log.
            RefusedError: the service refused a step of the opening.
        """
        self._tell(f"keys for {len(self.files.members)} members, {len(self.files.users)} users")
        node = self._start_node()
        await node.wait_until_started()
        self._tell(f"node 0 serves on https://{self.address} (pid {node.pid})")
        await self._while_running(node, self._open_service())
        certificate = Certificate.parse(node.output_file("node_certificate_file").read_bytes())
        self.files.describe([node.record(certificate.public_key.id, INTERFACE)])
        self._tell("the service is open")

    async def _open_service(self) -> None:
        members = [member.identity for member in self.files.members]
        async with self.session() as session:
            await open_service(session, members, self.files.users, self._tell)

    @staticmethod
    async def _while_running(node: NodeProcess, work: Coroutine[None, None, None]) -> None:
        """Do something that needs a node; end early, with its log, when the node ends."""
        working = asyncio.ensure_future(work)
        ended = asyncio.ensure_future(node.wait_until_ended())
        try:
            await asyncio.wait({working, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise UnavailableError(f"node ended with {node.exit_code}:\n{node.log_tail()}")
            working.result()
        finally:
            for task in (working, ended):
                task.cancel()
            await asyncio.gather(working, ended, return_exceptions=True)

    def _start_node(self) -> NodeProcess:
        options = self._options
        constitution = options.constitution or file_paths()
        configuration = start_configuration(self.files, 0, options.port, constitution)
        if options.app is not None:
            configuration["app"] = options.app
        configuration = merge(configuration, options.overlay)
        node = NodeProcess(self.files.node_directory(0), configuration, options.node_options)
        self.nodes.append(node)
        return node

    @property
    def address(self) -> str:
        """``host:port`` of the primary."""
        return self.nodes[0].address(INTERFACE)

    @property
    def service_certificate(self) -> str:
        """PEM of the service's certificate."""
        return self.files.service_certificate_file.read_text()

    def session(self, user: int | None = None) -> Session:
        """Return a session with the primary, as a user or as nobody."""
        identity = None if user is None else self.files.users[user]
        return Session(self.address, self.service_certificate, identity)

    async def stop(self) -> None:
        """Stop every node in order, by force where that takes too long."""
        for node in self.nodes:
            if node.exit_code is None:
                code = await node.stop()
                self._tell(f"node with pid {node.pid} stopped with {code}")
