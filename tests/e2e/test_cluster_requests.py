"""Requests at nodes that are not primary: forwarded, redirected, refused, and in which session."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from ledger.sandbox.configuration import INTERFACE
from ledger.sandbox.process import NodeProcess
from tests.e2e.cluster_kit import Cluster, cluster, wait_until
from tests.e2e.cluster_kit_connection import Connection, LostError, Reply

pytestmark = pytest.mark.e2e

BY_ROLE = {
    role: {"kind": "NodeByRole", "target": {"role": target}}
    for role, target in (("to_primary", "primary"), ("to_backup", "backup"))
}
REDIRECTING = "redirecting"
INTERFACES = {
    "network": {
        "rpc_interfaces": {
            INTERFACE: {"forwarding_timeout_ms": 1500},
            REDIRECTING: {"bind_address": "127.0.0.1:0", "redirections": BY_ROLE},
        }
    },
}
Case = Callable[[Cluster, NodeProcess, NodeProcess], Coroutine[Any, Any, None]]


def test_requests_at_primary_and_backups(tmp_path: Path) -> None:
    """One service for many questions; the last ones cost it a node."""

    async def scenario() -> None:
        async with cluster(tmp_path, overlay=INTERFACES) as service:
            for case in CASES:
                primary = await service.sandbox.primary()
                backup = (await service.backups())[0]
                await case(service, primary, backup)
            await service.check()

    asyncio.run(scenario())


async def a_session_reads_what_it_wrote_elsewhere(
    service: Cluster, primary: NodeProcess, backup: NodeProcess
) -> None:
    """Reads of a session that forwarded a write go to the primary too, without a wait."""
    del primary
    connection = await service.connect(backup)
    for number in range(20):
        reply = await write(connection, 1_000 + number)
        assert reply.status == 200
        read = await connection.call("GET", f"/app/log/private?id={1_000 + number}")
        assert read.json() == {"msg": f"message {1_000 + number}"}
    connection.close()


async def other_sessions_read_at_the_backup(
    service: Cluster, primary: NodeProcess, backup: NodeProcess
) -> None:
    at_primary = await service.connect(primary)
    tx_id = (await write(at_primary, 2_000)).tx_id
    connection = await service.connect(backup)

    async def is_there() -> bool:
        reply = await connection.call("GET", f"/node/tx?transaction_id={tx_id}")
        return bool(reply.json()["status"] == "Committed")

    await wait_until("the backup has it", is_there)
    read = await connection.call("GET", "/app/log/private?id=2000")
    assert (read.status, read.json()) == (200, {"msg": "message 2000"})
    connection.close()
    at_primary.close()


async def callers_are_known_at_the_primary(
    service: Cluster, primary: NodeProcess, backup: NodeProcess
) -> None:
    """The client's certificate goes with the request, and refusals come back as they are."""
    del primary
    async with service.sandbox.session_with(backup) as nobody:
        refused = await nobody.post("/app/log/public", json={"id": 1, "msg": "x"})
        assert refused.status == 401
    connection = await service.connect(backup)
    empty = await connection.call("POST", "/app/log/public", {"id": 1, "msg": ""})
    assert (empty.status, empty.code) == (400, "InvalidInput")
    head = await connection.call("HEAD", "/node/primary")
    assert head.status == 308
    assert head.headers["location"].endswith("/node/primary")
    connection.close()


async def redirecting_interfaces_redirect(
    service: Cluster, primary: NodeProcess, backup: NodeProcess
) -> None:
    """307 to the other role's interface of the same name, with path and query as they were."""
    address = primary.address(REDIRECTING)
    at_backup = await Connection.open(backup.address(REDIRECTING), service.context)
    moved = await at_backup.call("POST", "/app/log/public?scope=a%20b", {"id": 1, "msg": "x"})
    assert moved.status == 307
    assert moved.headers["location"] == f"https://{address}/app/log/public?scope=a%20b"
    stays = await at_backup.call("GET", "/app/log/private?id=2000")
    assert stays.status == 200, "a read runs where it was sent"
    at_backup.close()
    at_primary = await Connection.open(address, service.context)
    assert (await write(at_primary, 3_000)).status == 200
    moved = await at_primary.call("GET", "/app/log/private/backup?id=1")
    assert moved.status == 307
    backups = {node.address(REDIRECTING) for node in await service.backups()}
    assert moved.headers["location"].split("/")[2] in backups
    at_primary.close()


async def a_stopped_primary_is_not_waited_for_long(
    service: Cluster, primary: NodeProcess, backup: NodeProcess
) -> None:
    """504 after the interface's forwarding timeout; the session goes on, or is told of the view."""
    connection = await service.connect(backup)
    assert (await write(connection, 4_000)).status == 200
    view = await service.view(backup)
    service.suspend(primary)
    try:
        waited = await write(connection, 4_001)
        assert (waited.status, waited.headers["content-type"]) == (504, "text/plain")
        await service.new_primary(primary)
        lost = await answer_of_new_view(connection)
        assert (lost.status, lost.code) == (500, "SessionConsistencyLost")
        assert connection.closed, "the session ends with that"
    finally:
        service.resume(primary)
    await wait_until("the former primary follows", lambda: service.follows(primary))
    assert await service.view(backup) > view


async def answer_of_new_view(connection: Connection) -> Reply:
    """Ask until somebody takes writes again; refusals before that say nothing of the session."""
    async with asyncio.timeout(10):
        while True:
            reply = await write(connection, 4_002)
            if reply.code != "InternalError" and reply.status != 504:
                return reply
            await asyncio.sleep(0.02)


async def sessions_of_an_old_view_end(
    service: Cluster, primary: NodeProcess, backup: NodeProcess
) -> None:
    """Also one that only read, and at a node that was not touched by the election."""
    del backup
    connections = [await service.connect(node) for node in await service.backups()]
    for connection in connections:
        read = await connection.call("GET", "/app/log/private?id=2000")
        assert read.status == 200
    service.kill(primary)
    await service.new_primary(primary)
    for connection in connections:
        await wait_until("the view is known", lambda each=connection: is_lost(each))
        assert connection.closed
    await service.replace_dead(primary)


async def is_lost(connection: Connection) -> bool:
    try:
        reply = await connection.call("GET", "/app/log/private?id=2000")
    except LostError:
        return True
    return reply.code == "SessionConsistencyLost"


async def write(connection: Connection, record: int) -> Reply:
    return await connection.call(
        "POST", "/app/log/private", {"id": record, "msg": f"message {record}"}
    )


CASES: tuple[Case, ...] = (
    a_session_reads_what_it_wrote_elsewhere,
    other_sessions_read_at_the_backup,
    callers_are_known_at_the_primary,
    redirecting_interfaces_redirect,
    a_stopped_primary_is_not_waited_for_long,
    sessions_of_an_old_view_end,
)


def test_too_much_that_is_not_committed_is_refused_until_it_is(tmp_path: Path) -> None:
    """Without a quorum nothing commits: writes are taken up to the limit, then refused."""

    async def scenario() -> None:
        limit = 50
        overlay = {
            "consensus": {"max_uncommitted_tx_count": limit, "election_timeout": "20s"},
            "ledger_signatures": {"min_interval": "50ms"},
        }
        async with cluster(tmp_path, overlay=overlay) as service:
            primary = await service.sandbox.primary()
            backups = await service.backups()
            connection = await service.connect(primary)
            assert (await write(connection, 1)).status == 200
            for backup in backups:
                service.suspend(backup)
            taken = 0
            while (reply := await write(connection, 2 + taken)).status == 200:
                taken += 1
                assert taken < 20 * limit, "there has to be a limit"
                await asyncio.sleep(0.001)
            assert (reply.status, reply.code) == (503, "TooManyPendingTransactions")
            assert taken >= limit // 2
            read = await connection.call("GET", "/app/log/private?id=1")
            assert (read.status, read.code) == (503, "TooManyPendingTransactions")
            assert (await connection.call("GET", "/node/state")).status == 200
            for backup in backups:
                service.resume(backup)

            async def takes_writes() -> bool:
                return (await write(connection, 9_999)).status == 200

            await wait_until("writes are taken again", takes_writes)
            assert await service.view(primary) == 2, "nobody was elected meanwhile"
            connection.close()
            await service.check()

    asyncio.run(scenario())
