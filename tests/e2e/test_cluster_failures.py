"""Nodes that fail under load: nothing that was committed is lost, and writes go on."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from tests.e2e.cluster_kit import ELECTION_TIMEOUT_S, FULL, cluster

pytestmark = pytest.mark.e2e

ROUNDS = int(os.environ.get("QUORATE_E2E_ROUNDS", "20" if FULL else "2"))
OUTAGE_MAX_S = 4 * ELECTION_TIMEOUT_S
"""An election takes one timeout on a machine with nothing else to do; this one has."""


def test_killing_the_primary_again_and_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as service:
            async with service.load.running() as history:
                for _ in range(ROUNDS):
                    await service.load.wait_for_writes()
                    primary = await service.sandbox.primary()
                    killed_at = time.monotonic()
                    service.kill(primary)
                    await service.new_primary(primary)
                    await service.load.wait_for_writes()
                    assert history.longest_silence_s(killed_at - 0.5) < OUTAGE_MAX_S
                    await service.replace_dead(primary)
                await service.load.wait_for_writes()
            await service.check()

    asyncio.run(scenario())
