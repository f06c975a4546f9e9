"""One member against a consortium on three nodes, while users write and nodes are killed."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ledger.base.errors import LedgerError
from ledger.cli.audit import app as audit_app
from ledger.client.governance import Member
from ledger.client.service import Polling
from ledger.client.session import Session
from ledger.sandbox.process import NodeProcess
from ledger.sandbox.service import Sandbox, SandboxOptions
from tests.e2e.cluster_kit import processes

pytestmark = pytest.mark.e2e

USER_MAX_S = 5.0
"""Far above the tenth of a second that a write may take beside a script: tests run in parallel."""
CHUNK = {"name": "trigger_ledger_chunk"}
READS_ROOT = """def vote(proposal, proposer_id):
    root = kv.get("public:ccf.internal.signatures")["root"]
    for x in range(10000000):
        pass
    return root != ""
"""
SLOW = """def vote(proposal, proposer_id):
    x = 3
    for count in range(60):
        x = x * x
    return x > 0
"""


def quick(number: int) -> str:
    return f"def vote(proposal, proposer_id): return True # {number}"


@asynccontextmanager
async def service(directory: Path) -> AsyncIterator[Sandbox]:
    options = SandboxOptions(
        directory=directory / "sandbox",
        nodes=3,
        overlay={"consensus": {"election_timeout": "1s", "message_timeout": "100ms"}},
    )
    async with Sandbox(options) as sandbox:
        yield sandbox


class Users:
    """Users who write without a pause, each over a connection of its own."""

    def __init__(self, sandbox: Sandbox, node: NodeProcess, count: int = 2) -> None:
        self._sandbox = sandbox
        self._node = node
        self._stopping = False
        self.longest_s = 0.0
        self.written = 0
        self._tasks = [asyncio.create_task(self._write()) for _ in range(count)]

    async def _write(self) -> None:
        async with self._sandbox.session_with(self._node, user=0) as session:
            while not self._stopping:
                begin = time.monotonic()
                body = {"id": self.written, "msg": "x"}
                assert (await session.post("/app/log/private", json=body)).status == 200
                self.longest_s = max(self.longest_s, time.monotonic() - begin)
                self.written += 1

    async def stop(self) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)


def members_of(sandbox: Sandbox, session: Session) -> list[Member]:
    return [Member(session, each.identity) for each in sandbox.files.members]


def test_one_member_holds_up_neither_users_nor_the_others(tmp_path: Path) -> None:
    """A ballot that users overtake, and messages without end, while the others decide."""

    async def story() -> None:
        async with service(tmp_path) as sandbox:
            primary = await sandbox.primary()
            users = Users(sandbox, primary)
            async with sandbox.session_with(primary) as session:
                first, second, mallory = members_of(sandbox, session)
                proposal = (await first.propose([CHUNK]))["proposalId"]
                voted = await mallory.vote(proposal, READS_ROOT)
                reason = voted["voteFailures"][mallory.identity.id]["reason"]
                assert reason.startswith("resources ran out: table public:ccf.internal.signatures")
                flood = asyncio.create_task(propose_and_withdraw(sandbox, primary))
                for number in range(5):
                    decided = (await first.propose([CHUNK]))["proposalId"]
                    await first.vote(decided, quick(number))
                    assert (await second.vote(decided))["proposalState"] == "Accepted"
                assert not flood.done()
                flood.cancel()
                await first.vote(proposal)
                assert (await second.vote(proposal))["proposalState"] == "Accepted"
            await users.stop()
            assert users.written > 100
            assert users.longest_s < USER_MAX_S

    asyncio.run(story())


async def propose_and_withdraw(sandbox: Sandbox, node: NodeProcess) -> None:
    """Be a member that writes as fast as it can."""
    async with sandbox.session_with(node) as session:
        mallory = members_of(sandbox, session)[2]
        while True:
            proposal = await mallory.propose([CHUNK])
            await mallory.withdraw(proposal["proposalId"])


def test_nothing_is_half_decided_when_the_primary_dies(tmp_path: Path) -> None:
    """It dies while a ballot runs, with more waiting; what was answered before stays."""

    async def story() -> list[Path]:
        async with service(tmp_path) as sandbox:
            primary = await sandbox.primary()
            async with sandbox.session_with(primary) as session:
                first = members_of(sandbox, session)[0]
                proposal = (await first.propose([CHUNK]))["proposalId"]
            await until_everywhere(sandbox, proposal, 0)
            at_primary = asyncio.create_task(attempt(sandbox, primary, 0, proposal, SLOW))
            backup = next(node for node in sandbox.nodes if node is not primary)
            await asyncio.sleep(0.3)  # it is on its way, and takes ten times as long
            forwarded = asyncio.create_task(attempt(sandbox, backup, 1, proposal, quick(1)))
            await asyncio.sleep(0.3)
            assert not at_primary.done()
            assert not forwarded.done(), "it waits for its turn"
            for pid in processes(primary):
                os.kill(pid, signal.SIGKILL)
            primary.kill()
            assert isinstance(await at_primary, LedgerError)
            assert isinstance(await forwarded, LedgerError)
            await sandbox.primary()
            await until_everywhere(sandbox, proposal, 0)
            await vote_until_answered(sandbox, 1, proposal)
            answered = await vote_until_answered(sandbox, 2, proposal)
            assert answered["proposalState"] == "Accepted"
            assert answered["ballotCount"] == 2
            await until_everywhere(sandbox, proposal, 2)
            running = sandbox.running
        assert {node.exit_code for node in running} == {0}
        return [node.ledger for node in running]

    for ledger in asyncio.run(story()):
        replayed = CliRunner().invoke(audit_app, ["--governance", str(ledger)])
        assert replayed.exit_code == 0, replayed.output


async def attempt(
    sandbox: Sandbox, node: NodeProcess, member: int, proposal: str, ballot: str
) -> dict[str, Any] | LedgerError:
    """Return the answer to a vote, or why there was none."""
    try:
        async with sandbox.session_with(node) as session:
            return await members_of(sandbox, session)[member].vote(proposal, ballot)
    except LedgerError as error:
        return error


async def vote_until_answered(sandbox: Sandbox, member: int, proposal: str) -> dict[str, Any]:
    """Vote again until it is answered: the same ballot twice counts once."""
    polling = Polling(60)
    while True:
        node = await sandbox.primary()
        answered = await attempt(sandbox, node, member, proposal, quick(member))
        if not isinstance(answered, LedgerError):
            return answered
        await polling.pause(f"member {member} cannot vote: {answered}")


async def until_everywhere(sandbox: Sandbox, proposal: str, ballots: int) -> None:
    """Wait until every node that runs tells the same of a proposal."""
    polling = Polling(60)
    for node in sandbox.running:
        while True:
            try:
                async with sandbox.session_with(node) as session:
                    known = await members_of(sandbox, session)[0].proposal(proposal)
                if known["ballotCount"] == ballots:
                    break
                found = str(known)
            except LedgerError as error:
                found = str(error)
            await polling.pause(f"{node.node_id} knows {found}")
