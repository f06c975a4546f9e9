"""A service that took ten thousand mixed writes, before CCF's public readers and verifiers.

Private and public records of several tables, removals, claims digests, large values, governance
in between with ballots that conflict, a new ledger secret, many chunks; and then the ledger, JSON
receipts and COSE receipts as files, which is all that an auditor gets.
"""

import asyncio
import base64
import itertools
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ledger.audit.walk import audit
from ledger.base.ids import MemberId, TxId
from ledger.client.governance import Member
from ledger.client.identity import Identity, create_identity
from ledger.client.session import Session
from ledger.codec import writeset
from ledger.codec.entry import Entry, parse_entry
from ledger.codec.tables import U64LE
from ledger.crypto.certificate import Certificate
from ledger.crypto.rsa import RsaPrivateKey
from ledger.crypto.sealing import EntrySealer, leaf_of
from ledger.files import chunk
from ledger.files.names import parse_chunk_name
from ledger.receipts.cose import parse_cose_receipt
from ledger.receipts.verify import verify
from ledger.secrets.historical import walk_back
from ledger.secrets.shares import decrypt_share, unwrap_with_shares
from tests.conformance.ccf_package import CcfPackage
from tests.conformance.receipt_scripts import COSE_RECEIPTS, JSON_RECEIPTS
from tests.e2e.node_kit import DEADLINE_S, Running, Wire, json_request, request, service, wait_until

pytestmark = pytest.mark.e2e

WRITES = 10_100
TRANSACTIONS_MIN = 10_000
CONNECTIONS = 4
DEPTH = 25
"""Writes outstanding on each connection."""
GOVERNED_AT = 4
"""Rounds of governance while the writes go on."""
SECRET = "only users may read this"
OVERLAY = {"ledger": {"chunk_size": "200KB"}}

# Given a ledger's directory: how many transactions it holds, and what was verified last.
READ_SCRIPT = """
import json, sys
import ccf.ledger
level = getattr(ccf.ledger, "VerificationLevel", None)
options = {} if level is None else {"verification_level": level.FULL}
validator = ccf.ledger.LedgerValidator(accept_deprecated_entry_types=False, **options)
count = 0
for chunk in ccf.ledger.Ledger([json.load(sys.stdin)], committed_only=False, **options):
    for transaction in chunk:
        validator.add_transaction(transaction)
        count += 1
last = [validator.last_verified_view, validator.last_verified_seqno]
json.dump([count, validator.signature_count, *last], sys.stdout)
"""


@dataclass(frozen=True, slots=True)
class Write:
    """A request, and what its transaction has to change.

    Attributes:
        data: The request.
        table: Name of the map.
        key: Number of the record.
        message: Its text, None for a removal.
        claims: Claims digest of the transaction.
    """

    data: bytes
    table: str
    key: int
    message: str | None
    claims: bytes = bytes(32)


def write(number: int) -> Write:
    """Return one of ten kinds of writes; every tenth number is of the same kind."""
    kind = number % 10
    place = "private" if kind % 2 else "public"
    if kind in (8, 9):
        key = number - 202  # written twenty rounds ago, by kind 6 or 7
        return Write(request("DELETE", f"/app/log/{place}?id={key}"), table_of(place), key, None)
    scope = "ä b" if kind in (2, 3) else None
    query = "?scope=%C3%A4%20b" if scope else ""
    message = f"{SECRET if place == 'private' else 'anybody may'} {number} ☃"
    if number % 1000 == 500:
        message += "x" * 100_000
    claimed = kind in (4, 5)
    claims = sha256(message.encode()).digest() if claimed else bytes(32)
    body = {"id": number, "msg": message, "record_claim": claimed}
    data = json_request("POST", f"/app/log/{place}{query}", body)
    return Write(data, table_of(place, scope), number, message, claims)


def table_of(place: str, scope: str | None = None) -> str:
    return ("" if place == "private" else "public:") + "records" + (f"-{scope}" if scope else "")


@dataclass(slots=True)
class Served:
    """What is left of the service.

    Attributes:
        ledger: Its directory.
        service_certificate: PEM.
        written: Each write by the seqno of its transaction.
        receipts: JSON receipts by transaction.
        cose: COSE receipts by transaction, as base64.
        member: ID of a member and its private RSA key as PEM.
        complaints: Standard error of the node.
        log: Its log.
    """

    ledger: Path
    service_certificate: str = ""
    written: dict[int, Write] = field(default_factory=dict)
    receipts: dict[TxId, dict[str, Any]] = field(default_factory=dict)
    cose: dict[TxId, str] = field(default_factory=dict)
    member: tuple[str, str] = ("", "")
    complaints: str = ""
    log: str = ""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    directory = tmp_path_factory.mktemp("served") / "sandbox"
    with service(directory, OVERLAY) as running:
        made = Served(running.ledger, running.service_certificate.read_text())
        numbers = iter(range(300, 300 + WRITES))
        lock = threading.Lock()
        failures: list[BaseException] = []
        turns = [threading.Event() for _ in range(GOVERNED_AT)]

        def take() -> list[Write]:
            with lock:
                taken = [write(number) for number in itertools.islice(numbers, DEPTH)]
                for turn, event in enumerate(turns):
                    if len(made.written) >= turn * WRITES // (GOVERNED_AT + 1):
                        event.set()
                return taken

        def client(user: int) -> None:
            try:
                with running.wire(user) as wire:
                    while writes := take():
                        done = pipelined(wire, writes)
                        with lock:
                            assert made.written.keys().isdisjoint(done)
                            made.written.update(done)
            except BaseException as error:  # noqa: BLE001 - told by the main thread
                failures.append(error)
                for event in turns:
                    event.set()

        threads = [threading.Thread(target=client, args=(n % 2,)) for n in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for turn, event in enumerate(turns):
            assert event.wait(DEADLINE_S), f"clients got stuck: {failures}"
            asyncio.run(govern(running, turn))
        for thread in threads:
            thread.join()
        assert not failures, failures
        with running.wire(user=0) as wire:
            collect_receipts(wire, made)
        running.stop()
        first = running.members[0]
        identity = Identity.load(Path(first.certificate), Path(first.key))
        key_file = running.directory / "member0_enc_privk.pem"
        made.member = (identity.id, key_file.read_text())
        made.complaints, made.log = running.complaints, running.log
    return made


def pipelined(wire: Wire, writes: list[Write]) -> dict[int, Write]:
    """Send writes at once; return each by its seqno, but removals of what was not there."""
    wire.send(b"".join(each.data for each in writes))
    done = {}
    for each in writes:
        reply = wire.reply()
        assert reply.status == 200, reply
        if each.message is not None or reply.body == b"true":
            assert reply.tx_id.seqno not in done
            done[reply.tx_id.seqno] = each
    return done


async def govern(running: Running, turn: int) -> None:
    """Change something, with two members whose ballots arrive together."""
    address, certificate = running.address, running.service_certificate.read_text()
    async with Session(address, certificate) as session, Session(address, certificate) as other:
        loaded = [Identity.load(Path(each.certificate), Path(each.key)) for each in running.members]
        first, second, third = (
            Member(each, identity)
            for each, identity in zip((session, session, other), loaded, strict=True)
        )
        proposal = await first.propose(actions_of(running, turn))
        votes = await asyncio.gather(
            *(each.vote(proposal["proposalId"]) for each in (first, second, third)),
            return_exceptions=True,
        )
        states = [vote["proposalState"] for vote in votes if isinstance(vote, dict)]
        assert "Accepted" in states, votes


def actions_of(running: Running, turn: int) -> list[dict[str, Any]]:
    if turn == 0:
        now = int(Path(running.users[0].certificate).stat().st_mtime)
        added = create_identity(running.directory, "later", now)
        return [{"name": "set_user", "args": {"cert": added.certificate.pem}}]
    if turn == 1:
        return [{"name": "trigger_ledger_rekey"}]
    if turn == 2:
        later = Certificate.parse((running.directory / "later_cert.pem").read_text())
        return [
            {"name": "remove_user", "args": {"user_id": later.id}},
            {"name": "trigger_recovery_shares_refresh"},
        ]
    return [{"name": "trigger_ledger_chunk"}]


def collect_receipts(wire: Wire, made: Served) -> None:
    """Fetch receipts of writes of every kind, of governance, of genesis."""
    last = wire.ask_json(
        "POST", "/app/log/private", {"id": 1, "msg": "last"}, prefer="wait-for-commit"
    )
    assert last.headers["preference-applied"] == "wait-for-commit", last
    by_kind = sorted(made.written)[:: max(1, len(made.written) // 150)]
    wanted = [TxId(2, seqno) for seqno in (*range(1, 30), *by_kind)]
    for tx_id in [*wanted, last.tx_id]:
        made.receipts[tx_id] = json.loads(fetch(wire, f"/app/receipt?transaction_id={tx_id}"))
        if "leaf" not in made.receipts[tx_id]:
            data = fetch(wire, f"/app/receipt/cose?transaction_id={tx_id}")
            made.cose[tx_id] = base64.b64encode(data).decode()


def fetch(wire: Wire, path: str) -> bytes:
    found: list[bytes] = []

    def is_there() -> bool:
        reply = wire.ask("GET", path)
        assert reply.status in (200, 202), reply
        found.extend([reply.body] * (reply.status == 200))
        return bool(found)

    wait_until(path, is_there)
    return found[0]


def entries(served: Served) -> Iterator[Entry]:
    paths = sorted((parse_chunk_name(path.name).first, path) for path in served.ledger.iterdir())
    for first, path in paths:
        data = path.read_bytes()
        for offset in chunk.scan(data, first).offsets:
            yield parse_entry(data, offset)


def test_readers_accept_the_whole_ledger(served: Served, ccf: CcfPackage) -> None:
    count, signatures, view, seqno = ccf.run(READ_SCRIPT, str(served.ledger))
    assert count == len(list(entries(served)))
    assert (view, seqno) == (2, count), "all is signed once a node has ended in order"
    assert signatures > 0
    assert count > TRANSACTIONS_MIN


def test_read_ledger_tool_accepts_it(served: Served, ccf: CcfPackage) -> None:
    said = ccf.say("-m", "ccf.read_ledger", "-q", "--uncommitted", str(served.ledger))
    assert "Ledger verification complete" in said, said[-1000:]


def test_json_receipts_verify(served: Served, ccf: CcfPackage) -> None:
    given = [(receipt, served.service_certificate) for receipt in served.receipts.values()]
    results = ccf.run(JSON_RECEIPTS, given)
    refused = {
        str(tx_id): result for tx_id, result in zip(served.receipts, results, strict=True) if result
    }
    assert refused == {}
    assert len(results) > 100


def test_cose_receipts_verify(served: Served, ccf: CcfPackage) -> None:
    receipts = [
        (
            text,
            served.service_certificate,
            served.receipts[tx_id]["leaf_components"]["claims_digest"],
        )
        for tx_id, text in served.cose.items()
    ]
    results = ccf.run(COSE_RECEIPTS, receipts)
    assert set(results) == {""}
    assert len(results) > 100
    assert all(ccf.run(COSE_RECEIPTS, [(*receipts[0][:2], "11" * 32)]))


def test_receipts_are_of_what_was_asked_for(served: Served) -> None:
    """Each proves the very entry in the ledger, with the claims that the handler set."""
    leaves = {entry.seqno: leaf_of(bytes(entry.data)) for entry in entries(served)}
    certificate = Certificate.parse(served.service_certificate)
    claimed = 0
    for tx_id, receipt in served.receipts.items():
        if "leaf" in receipt:
            continue
        written = served.written.get(tx_id.seqno)
        claims = bytes(32) if written is None else written.claims
        claimed += claims != bytes(32)
        data = json.dumps(receipt).encode()
        verify(data, certificate, tx_id=tx_id, claims_digest=claims)
        parts = receipt["leaf_components"]
        leaf = sha256(
            bytes.fromhex(parts["write_set_digest"])
            + sha256(parts["commit_evidence"].encode()).digest()
            + claims
        ).digest()
        assert leaf == leaves[tx_id.seqno]
        assert len(parse_cose_receipt(base64.b64decode(served.cose[tx_id])).proofs) == 1
    assert claimed > 10


def test_every_answered_write_is_in_the_ledger(served: Served) -> None:
    """Public ones as written; of private ones nothing but the claims digest can be read."""
    by_seqno = {entry.seqno: entry for entry in entries(served)}
    assert len(served.written) > TRANSACTIONS_MIN
    for seqno, written in served.written.items():
        entry = by_seqno[seqno]
        assert entry.claims_digest == written.claims
        public = writeset.decode(entry.public_maps)
        if not written.table.startswith("public:"):
            assert public == {}
            assert entry.private
            continue
        assert not entry.private
        value = None if written.message is None else written.message.encode()
        assert public == {written.table: {U64LE.encode(written.key): value}}


def ledger_secrets(served: Served) -> dict[int, bytes]:
    """Return all ledger secrets by first seqno, as a member of a threshold of one gets at them."""
    shares: dict[str, Any] = {}
    links = []
    for entry in entries(served):
        changes = writeset.decode(entry.public_maps)
        for value in changes.get("public:ccf.internal.recovery_shares", {}).values():
            shares = json.loads(value or b"{}")
        recorded = changes.get("public:ccf.internal.historical_encrypted_ledger_secret", {})
        links += [(entry.seqno, json.loads(value or b"{}")) for value in recorded.values()]
    member, pem = served.member
    share = decrypt_share(shares, MemberId(member), RsaPrivateKey.from_pem(pem))
    secrets = walk_back(links, unwrap_with_shares(shares, [share]))
    return {secret.first: secret.key for secret in secrets}


def test_private_records_open_with_the_secrets_of_the_members(served: Served) -> None:
    secrets = ledger_secrets(served)
    assert len(secrets) == 2, "there was one rekey"
    sealers = sorted((first, EntrySealer(key)) for first, key in secrets.items())
    seen = 0
    for entry in entries(served):
        written = served.written.get(entry.seqno)
        if written is None or written.table.startswith("public:"):
            continue
        sealer = next(each for first, each in reversed(sealers) if first <= entry.seqno)
        value = None if written.message is None else written.message.encode()
        assert sealer.open(entry) == {written.table: {U64LE.encode(written.key): value}}
        seen += 1
    assert seen > TRANSACTIONS_MIN // 3


@pytest.mark.parametrize("with_secrets", [False, True])
def test_our_audit_finds_nothing_but_the_new_secret(served: Served, with_secrets: bool) -> None:
    report = audit([served.ledger], secrets=ledger_secrets(served) if with_secrets else None)
    assert report.is_sound
    assert report.unsigned == 0
    assert set(report.findings.by_code) <= {"rekey"}
    assert report.service_status == "Open"
    assert (report.opened == report.entries) is with_secrets


def test_chunks_are_many_and_secrets_stay_secret(served: Served) -> None:
    """Neither ledger nor log nor any other file of the node holds what has to stay inside."""
    assert len(list(served.ledger.glob("ledger_*-*.committed"))) > 5
    hidden = [SECRET.encode(), b"PRIVATE KEY"]
    for key in ledger_secrets(served).values():
        hidden += [key, key.hex().encode(), key.hex().upper().encode(), repr(key).encode()[2:-1]]
        hidden += [base64.b64encode(key)[:-2], base64.urlsafe_b64encode(key)[:-2]]
    found = []
    for path in served.ledger.parent.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        found += [(path.name, text) for text in hidden if text in data]
    assert found == []
    assert served.complaints == ""
    assert "[fail ]" not in served.log
