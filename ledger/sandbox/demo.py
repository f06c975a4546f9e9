"""What a service is for, in a minute: write, commit, prove, audit; with several nodes, anywhere."""

from ledger.audit.walk import audit
from ledger.base.errors import VerificationError
from ledger.client.governance import Member
from ledger.client.service import Polling, Service
from ledger.client.session import Session
from ledger.sandbox.ledgers import compare_ledgers
from ledger.sandbox.opening import Tell, agree
from ledger.sandbox.service import Sandbox


async def run_demo(sandbox: Sandbox, tell: Tell) -> None:
    """Show each step on an open sandbox of the logging sample; stops its nodes.

    Raises:
        LedgerError: something is not as it has to be.
    """
    async with sandbox.session(user=0) as session:
        await _write_and_prove(session, tell)
    if len(sandbox.nodes) > 1:
        await _use_backups(sandbox, tell)
        await _end_chunk(sandbox)
    await sandbox.stop()
    if len(sandbox.nodes) > 1:
        chunks = compare_ledgers([node.ledger for node in sandbox.nodes])
        tell(f"{' and '.join(chunks)} has the same bytes on all nodes")
    for number, node in enumerate(sandbox.nodes):
        report = audit([node.ledger])
        if not report.is_sound:
            found = "\n".join(str(finding) for finding in report.findings.kept)
            raise VerificationError(f"the ledger in {node.ledger} fails its audit:\n{found}")
        tell(
            f"the ledger of node {number} is sound: {report.entries} transactions up to "
            f"{report.last}, {report.signatures} signatures, service {report.service_status}"
        )


async def _write_and_prove(session: Session, tell: Tell) -> None:
    service = Service(session)
    record = {"id": 42, "msg": "Private: encrypted in the ledger"}
    written = (await session.post("/app/log/private", json=record)).expect(200)
    tell(f"user0 wrote a private record in transaction {written.tx_id}")
    public = {"id": 43, "msg": "Public: readable by whoever has the ledger"}
    answer = (await session.post("/app/log/public", json=public)).expect(200)
    tell(f"user0 wrote a public record in transaction {answer.tx_id}")
    await service.wait_for_commit(answer.tx_id)
    tell(f"both are committed: {await service.status_of(written.tx_id)}")
    read = (await session.get("/app/log/private?id=42")).expect(200).json()
    if read != {"msg": record["msg"]}:
        raise VerificationError(f"got {read}, want what was written")
    tell("user0 read the private record back")
    verified = await service.verified_receipt(written.tx_id)
    tell(f"the receipt of {written.tx_id} verifies: signed by node {verified.node_id}")


async def _use_backups(sandbox: Sandbox, tell: Tell) -> None:
    primary = await sandbox.primary()
    backups = [node for node in sandbox.nodes if node is not primary]
    async with sandbox.session_with(backups[0], user=1) as session:
        record = {"id": 44, "msg": "Written at one node, read at another"}
        written = (await session.post("/app/log/private", json=record)).expect(200)
    number = sandbox.nodes.index(backups[0])
    tell(f"user1 wrote at node {number}, a backup: it had the primary order {written.tx_id}")
    async with sandbox.session_with(backups[-1], user=1) as session:
        await Service(session).wait_for_commit(written.tx_id)
        read = (await session.get("/app/log/private?id=44")).expect(200).json()
    if read != {"msg": record["msg"]}:
        raise VerificationError(f"got {read}, want what was written")
    tell(f"and read it back at node {sandbox.nodes.index(backups[-1])}")


async def _end_chunk(sandbox: Sandbox) -> None:
    """Have the members end the ledger chunk, so that every node has a committed one."""
    async with sandbox.session() as session:
        consortium = [Member(session, member.identity) for member in sandbox.files.members]
        await agree(consortium, [{"name": "trigger_ledger_chunk"}], _unsaid)
    polling = Polling(30.0)
    while not all(list(node.ledger.glob("*.committed")) for node in sandbox.nodes):
        await polling.pause("not every node has a committed chunk")


def _unsaid(line: str) -> None:
    del line
