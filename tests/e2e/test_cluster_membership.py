"""Nodes that come and go under load, and nodes that may not come."""

import asyncio
import time
from pathlib import Path

import pytest

from ledger.sandbox.configuration import INTERFACE
from ledger.sandbox.process import NodeProcess
from ledger.sandbox.reconfiguration import (
    forget_node,
    retire_node,
    status_of,
    trust_node,
    wait_until_pending,
)
from tests.e2e.cluster_kit import ELECTION_TIMEOUT_S, Cluster, cluster, wait_until
from tests.e2e.cluster_kit_connection import LostError

pytestmark = pytest.mark.e2e


def test_every_node_is_replaced_under_load(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as service:
            originals = list(service.sandbox.nodes)
            old_view = await service.view(originals[0])
            began = time.monotonic()
            async with service.load.running() as history:
                for node in originals:
                    await service.load.wait_for_writes()
                    await service.sandbox.add_node()
                    assert await service.sandbox.remove_node(node) == 0, node.log_tail()
                await service.load.wait_for_writes()
                assert history.longest_silence_s(began) < 2 * ELECTION_TIMEOUT_S
            primary = await service.sandbox.primary()
            assert primary not in originals
            assert await service.view(primary) > old_view, "the primary was replaced too"
            await check_that_old_receipts_are_served(service)
            await service.check()

    asyncio.run(scenario())


async def check_that_old_receipts_are_served(service: Cluster) -> None:
    """Receipts of transactions that were signed by nodes which are gone and forgotten."""
    tx_id = service.load.history.answered[0].tx_id
    for node in service.sandbox.running:

        async def is_served(node: NodeProcess = node) -> bool:
            connection = await service.connect(node)
            reply = await connection.call("GET", f"/app/receipt?transaction_id={tx_id}")
            connection.close()
            assert reply.status in {200, 202}, reply.body
            return reply.status == 200

        await wait_until(f"receipt of {tx_id}", is_served)


def test_joining_is_refused_with_what_to_do(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path, nodes=1) as service:
            for case in (wrong_service, other_code, address_in_use):
                await case(service)

    asyncio.run(scenario())


async def wrong_service(service: Cluster) -> None:
    """A certificate of another service: nothing is sent, and the node waits for a better one."""
    user = service.sandbox.files.users[0].certificate_file
    overlay = {"command": {"service_certificate_file": str(user)}}
    node = await service.sandbox.start_joiner(overlay)
    await wait_for_line(node, "invalid cert on handshake")
    assert node.exit_code is None, "an operator may still start the right service there"
    assert await service.status_of(node) is None
    node.kill()


async def other_code(service: Cluster) -> None:
    """Other limits of interfaces make other host data."""
    http = {"http_configuration": {"max_body_size": "2MB"}}
    overlay = {"network": {"rpc_interfaces": {"primary_rpc_interface": http}}}
    node = await service.sandbox.start_joiner(overlay)
    assert await node.wait_until_ended() != 0
    assert "Quote host data is not authorised" in node.log_tail()
    assert "add_virtual_host_data" in node.log_tail()


async def address_in_use(service: Cluster) -> None:
    """Two nodes cannot be reached by others at one address."""
    taken = service.node_to_node_address(service.sandbox.nodes[0])
    overlay = {"network": {"node_to_node_interface": {"published_address": taken}}}
    node = await service.sandbox.start_joiner(overlay)
    assert await node.wait_until_ended() != 0
    assert "NodeAlreadyExists" in node.log_tail()
    assert "use another address" in node.log_tail()


def test_a_node_that_was_removed_stays_out(tmp_path: Path) -> None:
    """It goes on running for a while, harmless, and is not forgotten before it is removable."""

    async def scenario() -> None:
        async with cluster(tmp_path) as service:
            sandbox = service.sandbox
            async with service.load.running():
                await service.load.wait_for_writes()
                primary = await sandbox.primary()
                removed, stays = await service.backups()
                connection = await service.connect(stays)
                path = f"/node/network/nodes/{removed.node_id}"
                early = await connection.call("DELETE", path)
                assert (early.status, early.code) == (400, "NodeNotRetiredCommitted")
                async with sandbox.session_with(stays) as session:
                    members = [member.identity for member in sandbox.files.members]
                    await retire_node(session, members, removed.node_id, print)
                assert (await connection.call("DELETE", path)).status == 200
                assert (await connection.call("DELETE", path)).status == 404
                connection.close()
                view = await service.view(primary)
                # The removed node misses the primary now, and asks for votes in vain.
                await wait_until("it wants to stand", lambda: is_candidate(service, removed))
                await service.load.wait_for_writes(300)
                assert await service.view(primary) == view
                assert await removed.stop() == 0
            await service.check()

    asyncio.run(scenario())


def test_a_primary_is_lost_before_those_that_it_trusted_have_the_keys(tmp_path: Path) -> None:
    """There is no other primary without their votes, so a backup has to give them the keys."""

    async def scenario() -> None:
        async with cluster(tmp_path) as service:
            sandbox = service.sandbox
            primary = await sandbox.primary()
            backup, _ = await service.backups()
            target = {"target_rpc_address": backup.address(INTERFACE)}
            joiners = [await sandbox.start_joiner({"command": {"join": target}}) for _ in range(2)]
            members = [member.identity for member in sandbox.files.members]
            async with sandbox.session_with(backup) as session:
                for joiner in joiners:
                    await wait_until_pending(session, joiner.node_id)
                    service.suspend(joiner)
                for joiner in joiners:
                    await trust_node(session, members, joiner.node_id, print)
                for joiner in joiners:
                    assert await status_of(session, joiner.node_id) == "Trusted"
            service.kill(primary)
            await wait_until("the primary is missed", lambda: knows_no_primary(service, backup))
            for joiner in joiners:
                service.resume(joiner)
            await service.new_primary(primary)
            for joiner in joiners:
                await wait_until("the joiner serves", lambda node=joiner: serves(service, node))
            async with service.load.running():
                await service.load.wait_for_writes()
            await service.check()

    asyncio.run(scenario())


async def knows_no_primary(service: Cluster, node: NodeProcess) -> bool:
    network = await service.ask(node, "/node/network")
    return bool(network["primary_id"] is None)


async def serves(service: Cluster, node: NodeProcess) -> bool:
    try:
        state = await service.ask(node, "/node/state")
    except LostError:
        return False
    return bool(state["state"] == "PartOfNetwork")


def test_a_node_that_slept_finds_a_service_of_strangers(tmp_path: Path) -> None:
    """All that it knew are gone when it wakes; the new ones have to be heard, and answered."""

    async def scenario() -> None:
        async with cluster(tmp_path) as service:
            sandbox = service.sandbox
            first, second, sleeper = sandbox.nodes
            members = [member.identity for member in sandbox.files.members]
            async with service.load.running():
                await service.load.wait_for_writes()
                service.suspend(sleeper)
                stranger = await sandbox.add_node()
                await sandbox.add_node()
                for node in (first, second):
                    async with sandbox.session_with(stranger) as session:
                        await retire_node(session, members, node.node_id, print)
                        await node.stop()
                        await forget_node(session, node.node_id)
                await service.load.wait_for_writes()
                service.resume(sleeper)
                await wait_until("the sleeper follows", lambda: service.follows(sleeper))
                await service.load.wait_for_writes()
            await service.check()

    asyncio.run(scenario())


async def is_candidate(service: Cluster, node: NodeProcess) -> bool:
    details: dict[str, str] = (await service.ask(node, "/node/consensus"))["details"]
    assert details["membership_state"] == "Retired"
    return details["leadership_state"] == "PreVoteCandidate"


async def wait_for_line(node: NodeProcess, text: str) -> None:
    async def is_there() -> bool:
        return text in node.log_file.read_text()

    await wait_until(f"{text!r} in the log", is_there)
