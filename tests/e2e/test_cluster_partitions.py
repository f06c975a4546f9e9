"""The network between the nodes is cut and comes back; clients reach every node all the time."""

import time
from pathlib import Path
from typing import Any

import pytest

from ledger.sandbox.configuration import INTERFACE
from ledger.sandbox.process import NodeProcess
from tests.e2e.cluster_kit import ELECTION_TIMEOUT_S, Cluster, cluster, wait_until
from tests.e2e.cluster_kit_checker import FULL
from tests.e2e.cluster_kit_namespaces import Namespaces, namespaces

pytestmark = pytest.mark.e2e

CUT_S = (6 if FULL else 2) * ELECTION_TIMEOUT_S
RECONNECT_MAX_S = 6 * ELECTION_TIMEOUT_S
"""Without a limit of our own, TCP would be silent for as long again as the cut took."""


def addresses(network: Namespaces, number: int) -> dict[str, Any]:
    """Return the part of the configuration that puts a node where it is."""
    at = {"bind_address": f"{network.address(number)}:0"}
    return {"network": {"node_to_node_interface": at, "rpc_interfaces": {INTERFACE: at}}}


def test_cuts_between_nodes(tmp_path: Path) -> None:
    with namespaces(3) as network:

        async def scenario() -> None:
            overlay = addresses(network, 0)
            async with cluster(tmp_path, 1, overlay=overlay, prefix=network.prefix) as service:
                for number in (1, 2):
                    await service.sandbox.add_node(addresses(network, number))
                async with service.load.running():
                    await isolate_the_primary(service, network)
                    await cut_a_backup_from_the_primary(service, network)
                    await service.load.wait_for_writes()
                await service.check()

        network.run(scenario())


async def isolate_the_primary(service: Cluster, network: Namespaces) -> None:
    """It answers some writes that nobody else hears of; they are invalid in the end."""
    nodes = service.sandbox.nodes
    primary = await service.sandbox.primary()
    number = nodes.index(primary)
    others = [other for other in range(3) if other != number]
    await service.load.wait_for_writes()
    for other in others:
        network.cut(number, other)
    await service.new_primary(primary)
    await service.load.wait_for_writes(100)
    until = time.monotonic() + CUT_S
    await wait_until("the cut took a while", lambda: has_passed(until))
    network.heal()
    await follows_soon(service, primary)


async def cut_a_backup_from_the_primary(service: Cluster, network: Namespaces) -> None:
    """The third node reaches both: there is one primary, or another, but writes go on."""
    nodes = service.sandbox.nodes
    primary = await service.sandbox.primary()
    backup = (await service.backups())[0]
    network.cut(nodes.index(primary), nodes.index(backup))
    cut_at = time.monotonic()
    until = cut_at + CUT_S
    await wait_until("the cut took a while", lambda: has_passed(until))
    await service.load.wait_for_writes(100)
    assert service.load.history.longest_silence_s(cut_at) < RECONNECT_MAX_S
    network.heal()
    for node in nodes:
        if node is not await service.sandbox.primary():
            await follows_soon(service, node)


async def follows_soon(service: Cluster, node: NodeProcess) -> None:
    """A node that was cut off follows soon after the network is back, and has caught up."""
    healed_at = time.monotonic()
    commit = (await service.ask(await service.sandbox.primary(), "/node/commit"))["transaction_id"]

    async def has_caught_up() -> bool:
        said = await service.ask(node, f"/node/tx?transaction_id={commit}")
        return bool(said["status"] == "Committed")

    await wait_until("the node has caught up", has_caught_up)
    assert time.monotonic() - healed_at < RECONNECT_MAX_S


async def has_passed(moment: float) -> bool:
    return time.monotonic() >= moment
