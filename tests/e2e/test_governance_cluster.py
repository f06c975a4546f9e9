"""The whole life of a consortium on three nodes: every kind of decision, and what comes of it.

Effects are looked up over ``/gov`` at any node and by calling the application; when the nodes have
stopped, the ledger is read by those who wrote neither it nor these tests.
"""

import asyncio
import itertools
import json
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from governance.defaults import Variant, constitution
from ledger.audit.walk import audit
from ledger.base.errors import LedgerError
from ledger.base.ids import MemberId
from ledger.cli.audit import app as audit_app
from ledger.client.governance import Member
from ledger.client.identity import Identity, create_encryption_key, create_identity
from ledger.client.service import Polling, Service
from ledger.client.session import RefusedError, Session
from ledger.codec import writeset
from ledger.codec.entry import parse_entry
from ledger.crypto.certificate import Certificate
from ledger.crypto.rsa import RsaPrivateKey
from ledger.files import chunk
from ledger.files.names import parse_chunk_name
from ledger.sandbox.configuration import INTERFACE
from ledger.sandbox.ledgers import compare_ledgers
from ledger.sandbox.opening import agree
from ledger.sandbox.process import NodeProcess
from ledger.sandbox.reconfiguration import wait_until_removable
from ledger.sandbox.service import Sandbox, SandboxOptions
from ledger.secrets.shares import decrypt_share, unwrap_with_shares
from tests.conformance.ccf_package import VERSIONS, CcfPackage

pytestmark = pytest.mark.e2e

DAY_S = 86_400
SHARES = "public:ccf.internal.recovery_shares"
CONFIG = "public:ccf.gov.service.config"
HISTORICAL = "public:ccf.internal.historical_encrypted_ledger_secret"
BROADCAST = "public:ccf.internal.encrypted_ledger_secrets"
MEMBERS = "public:ccf.gov.members.info"
EC_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    "kid": "key-1",
}


def action(name: str, /, **args: object) -> dict[str, Any]:
    return {"name": name, "args": args}


def quiet(line: str) -> None:
    del line


def now_text() -> str:
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime())


@dataclass(slots=True)
class Newcomer:
    """A member that is admitted later."""

    identity: Identity
    encryption_key: RsaPrivateKey
    encryption_key_pem: str


@dataclass(slots=True)
class Life:
    """A running service with its members, and what is to be remembered of it.

    Attributes:
        sandbox: Nodes, members and users.
        voters: Who votes, in this order.
        serving: The nodes of the service; the last one is spoken to, a backup as a rule.
        keys: Private encryption key of everybody who ever had a share, by member ID.
        ledgers: Ledger directories, once all has ended.
    """

    sandbox: Sandbox
    voters: list[Identity] = field(default_factory=list)
    serving: list[NodeProcess] = field(default_factory=list)
    keys: dict[str, RsaPrivateKey] = field(default_factory=dict)
    ledgers: list[Path] = field(default_factory=list)

    @asynccontextmanager
    async def member(self, number: int = 0, node: int = -1) -> AsyncIterator[Member]:
        """A voter, connected to a node; the last one is a backup as a rule and forwards."""
        async with self.sandbox.session_with(self.serving[node]) as session:
            yield Member(session, self.voters[number])

    async def decide(self, *actions: dict[str, Any]) -> None:
        """Propose and vote at a backup, as a rule; return once every node has the decision."""
        async with self.sandbox.session_with(self.serving[-1]) as session:
            members = [Member(session, identity) for identity in self.voters]
            await agree(members, list(actions), quiet)
            await self.settle(session)

    async def settle(self, session: Session) -> None:
        """Wait until every node has what this session has seen."""
        seen = (await session.get("/gov/service/info?api-version=2024-07-01")).tx_id
        for node in self.serving:
            async with self.sandbox.session_with(node) as other:
                await Service(other).wait_for_commit(seen)

    async def fail(self, *actions: dict[str, Any]) -> str:
        """Return why everybody's decision fails when it is applied, or is refused at once."""
        try:
            await self.decide(*actions)
        except RefusedError as refusal:
            return refusal.message
        raise AssertionError(f"{actions} was accepted")

    def newcomer(self, name: str) -> Newcomer:
        path = self.sandbox.files.path
        identity = create_identity(path, name, int(time.time()) - 60)
        public_file, private_file = create_encryption_key(path, name)
        key = RsaPrivateKey.from_pem(private_file.read_bytes())
        self.keys[identity.id] = key
        return Newcomer(identity, key, public_file.read_text())

    async def acknowledge(self, identity: Identity) -> None:
        async with self.sandbox.session_with(self.serving[0]) as session:
            await Member(session, identity).acknowledge()
            await self.settle(session)

    async def write(self, node: NodeProcess, user: Identity | None = None) -> int:
        identity = user or self.sandbox.files.users[0]
        address, certificate = node.address(INTERFACE), self.sandbox.service_certificate
        async with Session(address, certificate, identity) as session:
            answer = await session.post("/app/log/private", json={"id": 1, "msg": "hi"})
            return answer.status

    async def find(self, kind: str, key: str, value: str, node: int = -1) -> dict[str, Any] | None:
        """Return the one of a listing of ``/gov`` whose key has this value."""
        async with self.member(node=node) as member:
            listing: list[dict[str, Any]] = await getattr(member, kind)()
        return next((each for each in listing if each[key] == value), None)


@asynccontextmanager
async def living(directory: Path) -> AsyncIterator[Life]:
    options = SandboxOptions(
        directory=directory / "sandbox",
        nodes=3,
        overlay={"consensus": {"election_timeout": "1s", "message_timeout": "100ms"}},
    )
    async with Sandbox(options) as sandbox:
        voters = [member.identity for member in sandbox.files.members]
        life = Life(sandbox, voters, list(sandbox.nodes))
        for each in sandbox.files.members:
            life.keys[each.identity.id] = RsaPrivateKey.from_pem(
                each.encryption_key_file.read_bytes()
            )
        yield life
        primary = await sandbox.primary()
        async with sandbox.session_with(primary, user=0) as session:
            last = (await session.post("/app/log/private", json={"id": 2, "msg": "end"})).tx_id
            await Service(session).wait_for_commit(last)
        running = sandbox.running
    assert {node.exit_code for node in running} == {0}
    assert [node.error_file.read_text() for node in sandbox.nodes] == [""] * len(sandbox.nodes)
    life.ledgers = [node.ledger for node in running]


def test_every_kind_of_decision_on_three_nodes(tmp_path: Path) -> None:
    async def story() -> Life:
        async with living(tmp_path) as life:
            for chapter in (
                people_come_and_change,
                users_come_and_go,
                tokens_and_bundles,
                thresholds_and_shares,
                secrets_and_chunks,
                certificates_are_renewed,
                what_may_join,
                nodes_and_the_primary_go,
                configuration_and_limits,
                rules_change,
                somebody_leaves,
            ):
                await chapter(life)
        return life

    life = asyncio.run(story())
    check_shares(life)
    check_oracles(life)
    check_audits(life)


async def people_come_and_change(life: Life) -> None:
    dora, olga = life.newcomer("dora"), life.newcomer("olga")
    frank = create_identity(life.sandbox.files.path, "frank", int(time.time()) - 60)
    await life.decide(
        action(
            "set_member",
            cert=dora.identity.certificate.pem,
            encryption_pub_key=dora.encryption_key_pem,
            member_data={"organisation": "Dora"},
        ),
        action(
            "set_member",
            cert=olga.identity.certificate.pem,
            encryption_pub_key=olga.encryption_key_pem,
            recovery_role="Owner",
        ),
        action("set_member", cert=frank.certificate.pem),
    )
    admitted = await life.find("members", "memberId", dora.identity.id)
    assert admitted is not None
    assert (admitted["status"], admitted["recoveryRole"]) == ("Accepted", "Participant")
    assert admitted["memberData"] == {"organisation": "Dora"}
    async with life.sandbox.session() as session:
        early = Member(session, dora.identity)
        with pytest.raises(RefusedError, match="not an active member"):
            await early.propose([action("trigger_ledger_chunk")])
        with pytest.raises(RefusedError, match="Recovery share of member"):
            await early.encrypted_share(dora.identity.id)
    for identity in (dora.identity, olga.identity, frank):
        await life.acknowledge(identity)
    roles = {
        dora.identity.id: "Participant",
        olga.identity.id: "Owner",
        frank.id: "NonParticipant",
    }
    for member_id, role in roles.items():
        found = await life.find("members", "memberId", member_id)
        assert found is not None
        assert (found["status"], found["recoveryRole"]) == ("Active", role)
    life.voters.append(dora.identity)
    await life.decide(action("remove_member", member_id=frank.id))
    assert await life.find("members", "memberId", frank.id) is None
    await life.decide(action("set_member_data", member_id=dora.identity.id, member_data={"n": 1}))
    changed = await life.find("members", "memberId", dora.identity.id)
    assert changed is not None
    assert changed["memberData"] == {"n": 1}
    assert changed["status"] == "Active"
    nobody = action("set_member_data", member_id="0" * 64, member_data={})
    assert "there is no member 000" in await life.fail(nobody)


async def users_come_and_go(life: Life) -> None:
    user = create_identity(life.sandbox.files.path, "late", int(time.time()) - 60)
    nodes = life.sandbox.nodes
    assert await life.write(nodes[1], user) == 401
    await life.decide(action("set_user", cert=user.certificate.pem, user_data={"role": "teller"}))
    assert [await life.write(node, user) for node in nodes] == [200] * 3
    found = await life.find("users", "userId", user.id)
    assert found is not None
    assert found["userData"] == {"role": "teller"}
    await life.decide(action("set_user_data", user_id=user.id, user_data=[1]))
    found = await life.find("users", "userId", user.id)
    assert found is not None
    assert found["userData"] == [1]
    await life.decide(action("set_user_data", user_id=user.id))
    found = await life.find("users", "userId", user.id)
    assert found is not None
    assert found["userData"] is None
    await life.decide(action("remove_user", user_id=user.id))
    assert await life.write(nodes[1], user) == 401
    assert "there is no user" in await life.fail(action("set_user_data", user_id=user.id))


async def tokens_and_bundles(life: Life) -> None:
    bundle = life.sandbox.service_certificate
    issuer = "https://issuer.example"
    await life.decide(
        action("set_ca_cert_bundle", name="roots", cert_bundle=bundle),
        action("set_jwt_issuer", issuer=issuer, ca_cert_bundle_name="roots"),
        action("set_jwt_public_signing_keys", issuer=issuer, jwks={"keys": [EC_KEY]}),
    )
    async with life.member() as member:
        tokens = await member.token_issuers()
    assert tokens["issuers"][issuer]["caCertBundleName"] == "roots"
    assert [row["issuer"] for row in tokens["keys"]["key-1"]] == [issuer]
    assert tokens["caCertBundles"] == {"roots": bundle}
    used = await life.fail(action("remove_ca_cert_bundle", name="roots"))
    assert f"issuer {issuer} is reached with bundle roots" in used
    await life.decide(
        action("remove_jwt_issuer", issuer=issuer), action("remove_ca_cert_bundle", name="roots")
    )
    async with life.member() as member:
        tokens = await member.token_issuers()
    assert (tokens["issuers"], tokens["keys"], tokens["caCertBundles"]) == ({}, {}, {})


async def thresholds_and_shares(life: Life) -> None:
    async with life.member() as member:
        assert (await member.service())["configuration"]["recoveryThreshold"] == 1
        before = await member.encrypted_share(life.voters[0].id)
    await life.decide(action("set_recovery_threshold", recovery_threshold=3))
    async with life.member() as member:
        assert (await member.service())["configuration"]["recoveryThreshold"] == 3
        after = await member.encrypted_share(life.voters[0].id)
    assert after != before
    too_many = await life.fail(action("set_recovery_threshold", recovery_threshold=5))
    assert "recovery threshold 5 is above the number of active recovery members, 4" in too_many
    await life.decide(action("trigger_recovery_shares_refresh"))
    async with life.member() as member:
        assert await member.encrypted_share(life.voters[0].id) != after
        with pytest.raises(RefusedError, match="not waiting for recovery shares"):
            await member.submit_share(life.keys[life.voters[0].id])


async def secrets_and_chunks(life: Life) -> None:
    nodes = life.sandbox.nodes
    await life.decide(action("trigger_ledger_rekey"))
    assert [await life.write(node) for node in nodes] == [200] * 3
    await life.decide(action("trigger_ledger_rekey"), action("trigger_ledger_rekey"))
    assert [await life.write(node) for node in nodes] == [200] * 3
    before = [len(list(node.ledger.glob("*.committed"))) for node in nodes]
    nobody = action("set_member_data", member_id="0" * 64, member_data={})
    await life.fail(action("trigger_ledger_chunk"), nobody)
    await life.decide(action("trigger_recovery_shares_refresh"))
    assert [len(list(node.ledger.glob("*.committed"))) for node in nodes] == before
    await life.decide(action("trigger_ledger_chunk"), action("trigger_snapshot"))
    polling = Polling(30)
    for node, count in zip(nodes, before, strict=True):
        while len(list(node.ledger.glob("*.committed"))) <= count:
            await polling.pause("the chunk has not ended")


async def certificate_of(node: NodeProcess) -> Certificate:
    """Return what a new connection is shown."""
    host, _, port = node.address(INTERFACE).rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return Certificate.parse(der)


async def shown_days(nodes: list[NodeProcess], days: list[int]) -> None:
    polling = Polling(30)
    while True:
        shown = [(await certificate_of(node)).not_after - time.time() for node in nodes]
        rounded = [round(each / DAY_S) for each in shown]
        if rounded == days:
            return
        await polling.pause(f"certificates are valid for {rounded} days, want {days}")


async def certificates_are_renewed(life: Life) -> None:
    sandbox = life.sandbox
    nodes = sandbox.nodes
    sessions = [sandbox.session_with(node, user=0) for node in nodes]
    for session in sessions:
        await session.__aenter__()

    async def write_on_old_connections() -> None:
        for session in sessions:
            body = {"id": 3, "msg": "old connection"}
            assert (await session.post("/app/log/private", json=body)).status == 200

    every = action(
        "set_all_nodes_certificate_validity", valid_from=now_text(), validity_period_days=77
    )
    await write_on_old_connections()
    await life.decide(every)
    await shown_days(nodes, [77, 77, 77])
    await write_on_old_connections()
    one = action(
        "set_node_certificate_validity",
        node_id=nodes[1].node_id,
        valid_from=now_text(),
        validity_period_days=33,
    )
    await life.decide(one)
    await shown_days(nodes, [77, 33, 77])
    old = sandbox.service_certificate
    service = action(
        "set_service_certificate_validity", valid_from=now_text(), validity_period_days=55
    )
    await life.decide(service)
    async with life.member() as member:
        renewed = (await member.service())["certificate"]
    assert renewed != old
    assert Certificate.parse(renewed).public_key == Certificate.parse(old).public_key
    for node, trusted in itertools.product(nodes, (old, renewed)):
        async with Session(node.address(INTERFACE), trusted) as session:
            network = (await session.get("/node/network")).json()
            assert network["service_certificate"] == renewed
    await write_on_old_connections()
    for session in sessions:
        await session.close()
    too_long = action(
        "set_service_certificate_validity", valid_from=now_text(), validity_period_days=366
    )
    assert "got a validity of 366 days, want 1 to 365 for a service" in await life.fail(too_long)
    sandbox.files.service_certificate_file.write_text(renewed)


async def what_may_join(life: Life) -> None:
    async with life.member() as member:
        before = await member.join_policy()
    await life.decide(
        action("add_virtual_host_data", host_data="ab" * 32),
        action("add_virtual_measurement", measurement="another"),
        action("add_snp_measurement", measurement="cd" * 48),
        action("add_snp_host_data", host_data="ef" * 32, security_policy=""),
        action("add_snp_uvm_endorsement", did="did:x509:1", feed="feed", svn="7"),
        action("set_snp_minimum_tcb_version_hex", cpuid="00a00f11", tcb_version="00" * 8),
    )
    async with life.member() as member:
        policy = await member.join_policy()
    assert "ab" * 32 in policy["virtual"]["hostData"]
    assert "another" in policy["virtual"]["measurements"]
    assert policy["snp"]["measurements"] == ["cd" * 48]
    assert policy["snp"]["hostData"] == {"ef" * 32: ""}
    assert policy["snp"]["uvmEndorsements"] == {"did:x509:1": {"feed": {"svn": "7"}}}
    assert policy["snp"]["tcbVersions"]["00a00f11"]["hexstring"] == "00" * 8
    await life.decide(
        action("remove_virtual_host_data", host_data="ab" * 32),
        action("remove_virtual_measurement", measurement="another"),
        action("remove_snp_measurement", measurement="cd" * 48),
        action("remove_snp_host_data", host_data="ef" * 32),
        action("remove_snp_uvm_endorsement", did="did:x509:1", feed="feed"),
        action("remove_snp_minimum_tcb_version", cpuid="00a00f11"),
    )
    async with life.member() as member:
        assert await member.join_policy() == before


async def nodes_and_the_primary_go(life: Life) -> None:
    """A joiner pins the renewed certificate and gets all secrets; then the primary is removed."""
    sandbox = life.sandbox
    node = await sandbox.start_joiner()
    polling = Polling(60)
    while await life.find("nodes", "nodeId", node.node_id) is None:
        await polling.pause("the joiner is not Pending")
    pending = await life.find("nodes", "nodeId", node.node_id)
    assert pending is not None
    assert pending["status"] == "Pending"
    trust = action("transition_node_to_trusted", node_id=node.node_id, valid_from=now_text())
    await life.decide(trust, action("set_node_data", node_id=node.node_id, node_data={"rack": 7}))
    while await status_for_users(life, node) != 200:
        await polling.pause("the joiner does not serve")
    life.serving.append(node)
    trusted = await life.find("nodes", "nodeId", node.node_id)
    assert trusted is not None
    assert (trusted["status"], trusted["nodeData"]) == ("Trusted", {"rack": 7})
    unknown = action("set_node_data", node_id="0" * 64, node_data=1)
    assert "there is no node 000" in await life.fail(unknown)
    primary = await sandbox.primary()
    async with sandbox.session_with(node) as session:
        members = [Member(session, identity) for identity in life.voters]
        await agree(members, [action("remove_node", node_id=primary.node_id)], quiet)
        await wait_until_removable(session, primary.node_id)
    assert await primary.stop() == 0
    life.serving.remove(primary)
    assert await sandbox.primary() is not primary
    assert [await life.write(each) for each in life.serving] == [200] * 3


async def status_for_users(life: Life, node: NodeProcess) -> int:
    """Return what a user gets who reads what was written under every ledger secret."""
    try:
        async with life.sandbox.session_with(node, user=0) as session:
            return (await session.get("/app/log/private?id=1")).status
    except LedgerError:
        return 0


async def configuration_and_limits(life: Life) -> None:
    await life.decide(
        action("set_service_configuration", recent_cose_proposals_window_size=50),
        action("set_script_limits", steps_max=6_000_000),
        action("assert_service_identity", service_identity=life.sandbox.service_certificate),
    )
    async with life.member() as member:
        configuration = (await member.service())["configuration"]
        assert configuration["recentCoseProposalsWindowSize"] == 50
        other = action("assert_service_identity", service_identity=life.voters[0].certificate.pem)
        with pytest.raises(RefusedError, match="service_identity: this is another service"):
            await member.propose([other])
        proposal = await member.propose([action("trigger_ledger_chunk")])
        long = "def vote(proposal, proposer_id):\n  for x in range(10000000): pass\n  return True"
        voted = await member.vote(proposal["proposalId"], long)
        [failure] = voted["voteFailures"].values()
        assert failure["reason"] == "the script took more than 6000000 steps"
        await member.withdraw(proposal["proposalId"])
        with pytest.raises(RefusedError, match="there is no proposal 000"):
            await member.withdraw("0" * 64)
        few = action("set_script_limits", steps_max=10)
        with pytest.raises(RefusedError, match="want a whole number in"):
            await member.propose([few])


async def rules_change(life: Life) -> None:
    async with life.member() as member:
        open_one = await member.propose([action("trigger_ledger_chunk")])
    await life.decide(action("set_constitution", constitution=constitution(Variant.VETO)))
    async with life.member() as member, life.member(1) as second:
        dropped = await member.proposal(open_one["proposalId"])
        assert dropped["proposalState"] == "Dropped"
        assert await member.constitution() == constitution(Variant.VETO)
        vetoed = await member.propose([action("trigger_ledger_chunk")])
        against = "def vote(proposal, proposer_id): return False"
        answered = await second.vote(vetoed["proposalId"], against)
        assert answered["proposalState"] == "Rejected"
        assert await member.ballot(vetoed["proposalId"], life.voters[1].id) == against
        closed = await member.proposals(closed=True)
        assert {"Accepted", "Rejected", "Dropped", "Failed", "Withdrawn"} <= {
            each["proposalState"] for each in closed
        }
        assert len(closed) > len(await member.proposals())


async def somebody_leaves(life: Life) -> None:
    dora = life.voters.pop()
    early = await life.fail(
        action("set_recovery_threshold", recovery_threshold=4),
        action("remove_member", member_id=dora.id),
    )
    assert "3 active recovery members would remain, fewer than the recovery threshold 4" in early
    await life.decide(
        action("set_recovery_threshold", recovery_threshold=2),
        action("remove_member", member_id=dora.id),
    )
    async with life.member() as member:
        with pytest.raises(RefusedError, match="Recovery share of member"):
            await member.encrypted_share(dora.id)
    assert [await life.write(each) for each in life.serving] == [200] * 3


def changes_of(directory: Path) -> Iterator[dict[str, dict[bytes, bytes | None]]]:
    chunks = []
    for path in directory.iterdir():
        name = parse_chunk_name(path.name)
        if not name.is_ignored:
            chunks.append((name.first, path))
    for first, path in sorted(chunks):
        data = path.read_bytes()
        for offset in chunk.scan(data, first).offsets:
            yield writeset.decode(parse_entry(data, offset).public_maps)


def value_of(changes: Mapping[str, Mapping[bytes, bytes | None]], table: str) -> Any:  # noqa: ANN401
    """Return the new value of a table with one value, None when the transaction has none."""
    value = next(iter(changes.get(table, {}).values()), None)
    return None if value is None else json.loads(value)


def check_shares(life: Life) -> None:
    """After every change of members or threshold: so many shares recover, and fewer do not."""
    threshold, seen, rekeyed = 1, 0, 0
    roles: dict[str, str] = {}
    for changes in changes_of(life.ledgers[0]):
        for key, value in changes.get(MEMBERS, {}).items():
            info = {} if value is None else json.loads(value)
            roles[key.decode()] = info.get("recovery_role", "Participant")
        threshold = (value_of(changes, CONFIG) or {}).get("recovery_threshold", threshold)
        shares = value_of(changes, SHARES)
        if shares is None:
            continue
        seen += 1
        rekeyed += BROADCAST in changes
        assert (BROADCAST in changes) <= (HISTORICAL in changes)
        held = {
            member: decrypt_share(shares, MemberId(member), life.keys[member])
            for member in shares["encrypted_shares"]
        }
        owners = [share for member, share in held.items() if roles[member] == "Owner"]
        parts = [share for member, share in held.items() if roles[member] != "Owner"]
        secrets = {
            unwrap_with_shares(shares, list(some))
            for some in itertools.combinations(parts, max(1, threshold))
        }
        secrets |= {unwrap_with_shares(shares, [owner]) for owner in owners}
        assert len(secrets) == 1, "any of them recover the same secret"
        for some in itertools.combinations(parts, threshold - 1):
            with pytest.raises(LedgerError):
                unwrap_with_shares(shares, list(some))
    assert (seen > 6, rekeyed) == (True, 3)


LATEST_STATE = """
import json, sys
import ccf.ledger
ledger = ccf.ledger.Ledger([json.load(sys.stdin)], committed_only=False)
tables, last = ledger.get_latest_public_state()
json.dump({name: sorted(key.decode("latin-1") for key in rows) for name, rows in tables.items()
           if name.startswith("public:ccf.gov")}, sys.stdout)
"""
VALIDATE = """
import json, sys
import ccf.ledger
level = getattr(ccf.ledger, "VerificationLevel", None)
options = {} if level is None else {"verification_level": level.FULL}
validator = ccf.ledger.LedgerValidator(accept_deprecated_entry_types=False, **options)
count, states = 0, set()
for chunk in ccf.ledger.Ledger([json.load(sys.stdin)], committed_only=False, **options):
    for transaction in chunk:
        validator.add_transaction(transaction)
        count += 1
        tables = transaction.get_public_domain().get_tables()
        for value in tables.get("public:ccf.gov.proposals_info", {}).values():
            if value is not None:
                states.add(json.loads(value)["state"])
json.dump([count, sorted(states)], sys.stdout)
"""


def check_oracles(life: Life) -> None:
    """Both versions of CCF's package accept the ledger and read its governance."""
    ledger = life.ledgers[0]
    entries = len(list(changes_of(ledger)))
    for version in VERSIONS:
        package = CcfPackage(version)
        if not package.python.exists():
            continue
        count, states = package.run(VALIDATE, str(ledger))
        assert count == entries
        assert states == ["Accepted", "Dropped", "Failed", "Open", "Rejected", "Withdrawn"]
        tables = package.run(LATEST_STATE, str(ledger))
        members = tables["public:ccf.gov.members.info"]
        assert {each.id for each in life.voters} <= set(members)
        assert len(members) == 4, "three of the first, and the owner"
        assert tables["public:ccf.gov.constitution"]


def check_audits(life: Life) -> None:
    """Ours find nothing, and make every decision again."""
    assert compare_ledgers(life.ledgers)
    report = audit([life.ledgers[0]])
    assert report.is_sound
    assert set(report.findings.by_code) <= {"rekey"}
    replayed = CliRunner().invoke(audit_app, ["--governance", str(life.ledgers[0])])
    assert replayed.exit_code == 0, replayed.output
    assert "REPLAYED" in replayed.output
