"""Joiners that are far behind, joiners that die on the way, disks that are slow or full."""

import asyncio
import os
import resource
import signal
import time
from pathlib import Path

import pytest

from ledger.sandbox.configuration import INTERFACE
from ledger.sandbox.ledgers import compare_ledgers
from ledger.sandbox.process import NodeProcess
from ledger.sandbox.reconfiguration import retire_node, trust_node, wait_until_pending
from tests.bench.load import Load
from tests.bench.service import generate
from tests.e2e.cluster_kit import ELECTION_TIMEOUT_S, Cluster, cluster, wait_until
from tests.e2e.cluster_kit_checker import FULL

pytestmark = pytest.mark.e2e

SMALL = 100_000 if FULL else 22_000
"""More than a primary keeps in memory: the rest is read back from its disk."""
LARGE = 24
LARGE_SIZE = 700_000
"""Together more than one answer of the host holds."""


def test_a_joiner_far_behind_catches_up_under_load(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as service:
            await write_large(service)
            await write_small(service)
            async with service.load.running():
                began = time.monotonic()
                doomed = await start_trusted(service)
                await wait_until("it is on its way", lambda: has_entries(doomed))
                service.kill(doomed)
                await service.load.wait_for_writes()
                await retire(service, doomed)
                node = await service.sandbox.add_node()
                print(f"caught up after {time.monotonic() - began:.1f} s")  # noqa: T201
                await service.load.wait_for_writes()
            connection = await service.connect(node)
            for number in range(LARGE):
                read = await connection.call("GET", f"/app/log/private?id={large_id(number)}")
                assert read.json() == {"msg": large(number)}
            connection.close()
            await service.check()

    asyncio.run(scenario())


def test_disks_that_hang_and_disks_that_are_full(tmp_path: Path) -> None:
    """A quorum of good disks is enough, whether or not the primary's is among them."""

    async def scenario() -> None:
        async with cluster(tmp_path) as service:
            async with service.load.running() as history:
                await service.load.wait_for_writes()
                primary = await service.sandbox.primary()
                for node in (primary, (await service.backups())[0]):
                    hung_at = time.monotonic()
                    os.kill(node.pid, signal.SIGSTOP)
                    await service.load.wait_for_writes(200)
                    await commits(service)
                    assert await service.view(primary) == 2, "a hung disk is no lost node"
                    os.kill(node.pid, signal.SIGCONT)
                    await has_caught_up(service, node)
                    assert history.longest_silence_s(hung_at) < ELECTION_TIMEOUT_S
                full = [(await service.backups())[0], primary]
                for node in full if FULL else full[:1]:
                    resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (20_000, 20_000))
                    assert await node.wait_until_ended() != 0
                    assert "Cannot write the ledger" in node.log_tail()
                    await service.load.wait_for_writes()
                    await service.replace_dead(node)
                await service.load.wait_for_writes()
            await service.check()
            compare_ledgers([node.ledger for node in service.sandbox.nodes])

    asyncio.run(scenario())


async def commits(service: Cluster) -> None:
    """Wait until what is written now is committed at the primary."""
    await has_caught_up(service, await service.sandbox.primary())


async def has_caught_up(service: Cluster, node: NodeProcess) -> None:
    connection = await service.connect(await service.sandbox.primary())
    value = {"id": 1, "msg": "a private one, to be watched"}
    tx_id = (await connection.call("POST", "/app/log/private", value)).tx_id
    connection.close()

    async def is_committed() -> bool:
        said = await service.ask(node, f"/node/tx?transaction_id={tx_id}")
        return bool(said["status"] == "Committed")

    await wait_until(f"{tx_id} is committed at {node.directory.name}", is_committed)


async def write_large(service: Cluster) -> None:
    connection = await service.connect(await service.sandbox.primary())
    for number in range(LARGE):
        value = {"id": large_id(number), "msg": large(number)}
        reply = await connection.call("POST", "/app/log/private", value)
        assert reply.status == 200, reply.body
    connection.close()


def large_id(number: int) -> int:
    return 1_000_000 + number


def large(number: int) -> str:
    return f"{number:03}" * (LARGE_SIZE // 3)


async def write_small(service: Cluster) -> None:
    sandbox = service.sandbox
    user = sandbox.files.users[0]
    load = Load(
        (await sandbox.primary()).address(INTERFACE),
        str(sandbox.files.service_certificate_file),
        str(user.certificate_file),
        str(user.key_file),
        workload="private write",
        connections=4,
        depth=16,
        count=SMALL,
    )
    result = await asyncio.to_thread(generate, load)
    assert result["failed"] == {}


async def start_trusted(service: Cluster) -> NodeProcess:
    """Start a node and trust it, without waiting until it serves."""
    sandbox = service.sandbox
    node = await sandbox.start_joiner()
    async with sandbox.session() as session:
        members = [member.identity for member in sandbox.files.members]
        await wait_until_pending(session, node.node_id)
        await trust_node(session, members, node.node_id, print)
    return node


async def retire(service: Cluster, node: NodeProcess) -> None:
    sandbox = service.sandbox
    async with sandbox.session() as session:
        members = [member.identity for member in sandbox.files.members]
        await retire_node(session, members, node.node_id, print)


async def has_entries(node: NodeProcess) -> bool:
    return any(path.stat().st_size > 100_000 for path in node.ledger.glob("ledger_*"))
