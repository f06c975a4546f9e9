"""A real service is governed, and its decisions are made again from the ledger of every node."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ledger.cli.audit import app
from ledger.client.governance import Member
from ledger.client.service import Service
from ledger.client.session import Session
from ledger.sandbox.opening import agree
from ledger.sandbox.service import Sandbox, SandboxOptions

pytestmark = pytest.mark.e2e
HUNGRY = "def vote(proposal, proposer_id): return len([0] * 1000000000) > 0"
REFUSING = "def vote(proposal, proposer_id): fail('not before summer')"
UTC = "20260101000000Z"


def audit_governance(directory: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["--governance", *options, str(directory)])


def quiet(line: str) -> None:
    del line


def action(name: str, **args: object) -> dict[str, Any]:
    return {"name": name, "args": args}


async def govern(session: Session, members: list[Member]) -> None:
    """Decide things in every way, with writes of users in between."""
    await agree(members, [action("trigger_ledger_rekey")], quiet)
    await agree(members, [action("trigger_recovery_shares_refresh")], quiet)
    await agree(members, [action("set_recovery_threshold", recovery_threshold=2)], quiet)
    await agree(members, [action("set_all_nodes_certificate_validity", valid_from=UTC)], quiet)
    first = await members[0].propose([action("trigger_ledger_chunk")])
    await members[1].vote(first["proposalId"], REFUSING)
    await members[0].withdraw(first["proposalId"])
    second = await members[1].propose([action("set_service_configuration")])
    await members[2].vote(second["proposalId"], HUNGRY)
    await asyncio.gather(
        members[0].vote(second["proposalId"]),
        *(session.post("/app/log/public", json={"id": n, "msg": "m"}) for n in range(40)),
    )
    await members[1].vote(second["proposalId"])


async def live(directory: Path) -> list[Path]:
    """Return the ledgers of all nodes of a service that lived a while."""
    options = SandboxOptions(directory=directory, nodes=3)
    async with Sandbox(options) as sandbox:
        async with sandbox.session(user=0) as session:
            members = [Member(session, member.identity) for member in sandbox.files.members]
            await govern(session, members)
            written = await session.post("/app/log/public", json={"id": 1, "msg": "last"})
            await Service(session).wait_for_commit(written.expect(200).tx_id)
        added = await sandbox.add_node()
        await sandbox.remove_node(added)
        nodes = list(sandbox.nodes)
    return [node.ledger for node in nodes]


def test_every_nodes_ledger_replays_and_a_bent_one_does_not(tmp_path: Path) -> None:
    ledgers = asyncio.run(live(tmp_path / "sandbox"))
    assert len(ledgers) == 4
    for ledger in ledgers:
        result = audit_governance(ledger)
        assert result.exit_code == 0, result.output
        assert "REPLAYED: every decision follows from the signed messages" in result.output
        assert "failed on the primary: resources ran out: the script used more" in result.output
    bend_a_ballot(ledgers[0], tmp_path / "bent")


def bend_a_ballot(ledger: Path, copy: Path) -> None:
    """Change one ballot in a copy, in place, and see it named."""
    shutil.copytree(ledger, copy)
    for chunk in sorted(copy.iterdir()):
        data = chunk.read_bytes()
        if b"not before summer" in data:
            chunk.write_bytes(data.replace(b"not before summer", b"not before winter", 1))
            break
    result = audit_governance(copy, "--json", "-")
    assert result.exit_code == 1
    found = json.loads(result.stdout)["governance"]["difference"]
    assert found["what"] == "ballot"
    assert found["table"] == "public:ccf.gov.proposals_info"
    assert found["proposal"] == found["key"]
    assert "winter" in found["message"]
    assert "summer" in found["message"]
