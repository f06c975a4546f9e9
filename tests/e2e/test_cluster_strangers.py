"""Strangers at the node-to-node port, and in the place of a node: cut, logged, nobody notices."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ledger.enclave.peer_wires import WIRES_MAX
from ledger.sandbox.process import NodeProcess
from tests.e2e.cluster_kit import Cluster, cluster, wait_until
from tests.e2e.test_cluster_catch_up import has_caught_up

pytestmark = pytest.mark.e2e

ENDS_S = 15.0
"""Longer than a stranger may be silent."""
RESETS = 8


def test_strangers_are_cut_and_logged_and_nobody_notices(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as service:
            primary = await service.sandbox.primary()
            victim, other = await service.backups()
            async with service.load.running():
                await service.load.wait_for_writes()
                await send_nonsense(service, primary)
                await show_the_wrong_certificate(service, primary)
                async with crowd(service, primary):
                    await is_logged(primary, "others needed its place")
                    service.kill(victim)
                    added = await service.replace_dead(victim)
                    await has_caught_up(service, added)
                service.kill(other)
                await reset_whoever_dials(service, other)
                await has_caught_up(service, added)
                await service.replace_dead(other)
            assert await service.view(primary) == 2, "there was no reason for an election"
            await service.check()

    asyncio.run(scenario())


def place_of(service: Cluster, node: NodeProcess) -> tuple[str, int]:
    host, _, port = service.node_to_node_address(node).rpartition(":")
    return host, int(port)


@asynccontextmanager
async def crowd(service: Cluster, node: NodeProcess) -> AsyncIterator[None]:
    """Have more silent connections than a node takes, for as long as the block runs."""
    with contextlib.ExitStack() as stack:
        for _ in range(WIRES_MAX + 10):
            connection = socket.create_connection(place_of(service, node))
            stack.enter_context(contextlib.closing(connection))
        yield


async def send_nonsense(service: Cluster, node: NodeProcess) -> None:
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(50_000)):
        reader, writer = await asyncio.open_connection(*place_of(service, node))
        writer.write(data)
        assert await ended(reader) == b""
        writer.transport.abort()
    await is_logged(node, "connection of peer unknown cut: TLS")


async def show_the_wrong_certificate(service: Cluster, node: NodeProcess) -> None:
    """A user's certificate is not a node's: the service has not endorsed it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    user = service.sandbox.files.users[0]
    context.load_cert_chain(user.certificate_file, user.key_file)
    reader, writer = await asyncio.open_connection(*place_of(service, node), ssl=context)
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        assert await ended(reader) == b""
    writer.transport.abort()


async def ended(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(ENDS_S):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def is_logged(node: NodeProcess, text: str) -> None:
    async def said() -> bool:
        return text in node.log_file.read_text()

    await wait_until(f"{node.directory.name} logs {text!r}", said)


async def reset_whoever_dials(service: Cluster, gone: NodeProcess) -> None:
    """Listen where a node was, and reset every connection before it can be used."""
    count = 0

    def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    servers: list[asyncio.Server] = []

    async def listening() -> bool:
        with contextlib.suppress(OSError):  # the process that is killed still has the port
            servers.append(await asyncio.start_server(reset, *place_of(service, gone)))
        return bool(servers)

    async def often() -> bool:
        return count >= RESETS

    await wait_until("the port is free", listening)
    async with servers[0]:
        await wait_until("the others dialled again and again", often)
