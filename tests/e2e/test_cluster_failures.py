"""Nodes that fail under load: nothing that was committed is lost, and writes go on."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.cluster_kit import ELECTION_TIMEOUT_S, WORKERS, cluster, wait_until
from tests.e2e.cluster_kit_checker import FULL
from tests.e2e.cluster_kit_load import Outcome

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


def test_a_backup_that_dies_and_a_primary_that_sleeps_through_an_election(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as service:
            async with service.load.running() as history:
                await service.load.wait_for_writes()
                backup, _ = await service.backups()
                view = await service.view(backup)
                killed_at = time.monotonic()
                service.kill(backup)
                await service.load.wait_for_writes()
                assert history.longest_silence_s(killed_at - 0.5) < ELECTION_TIMEOUT_S / 2
                assert await service.view(await service.sandbox.primary()) == view
                await service.replace_dead(backup)

                sleeper = await service.sandbox.primary()
                service.suspend(sleeper)
                await service.new_primary(sleeper)
                await service.load.wait_for_writes()
                service.resume(sleeper)
                await wait_until("the sleeper follows", lambda: service.follows(sleeper))
                await service.load.wait_for_writes()
            await service.check()

    asyncio.run(scenario())


def test_a_primary_that_is_told_to_stop_hands_over(tmp_path: Path) -> None:
    """The others do not have to notice that it is gone: much less than an election timeout."""

    async def scenario() -> None:
        overlay = {"consensus": {"election_timeout": "20s"}}
        async with cluster(tmp_path, overlay=overlay) as service:
            async with service.load.running() as history:
                await service.load.wait_for_writes()
                primary = await service.sandbox.primary()
                told_at = time.monotonic()
                primary.signal(signal.SIGTERM)
                code = await primary.wait_until_ended()
                ended_after_s = time.monotonic() - told_at
                await service.load.wait_for_writes()
                silence_s = history.longest_silence_s(told_at - 0.2)
            assert code == 0, primary.log_tail()
            assert ended_after_s < 3.0
            assert silence_s < 2.0
            unknown = [write for write in history.writes if write.outcome is Outcome.UNKNOWN]
            assert len(unknown) <= WORKERS, "at most the request that crosses the end of a session"
            await service.check()

    asyncio.run(scenario())
