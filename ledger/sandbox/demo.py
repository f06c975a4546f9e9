"""What a service is for, in a minute: write, commit, prove, audit."""

from ledger.audit.walk import audit
from ledger.base.errors import VerificationError
from ledger.client.service import Service
from ledger.sandbox.opening import Tell
from ledger.sandbox.service import Sandbox


async def run_demo(sandbox: Sandbox, tell: Tell) -> None:
    """Show each step on an open sandbox of the logging sample; stops its nodes.

    Raises:
        LedgerError: something is not as it has to be.
    """
    async with sandbox.session(user=0) as session:
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
    await sandbox.stop()
    for number, node in enumerate(sandbox.nodes):
        report = audit([node.ledger])
        if not report.is_sound:
            found = "\n".join(str(finding) for finding in report.findings.kept)
            raise VerificationError(f"the ledger in {node.ledger} fails its audit:\n{found}")
        tell(
            f"the ledger of node {number} is sound: {report.entries} transactions up to "
            f"{report.last}, {report.signatures} signatures, service {report.service_status}"
        )
