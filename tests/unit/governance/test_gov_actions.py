"""Actions of the default constitution: what validates, what happens, what is refused."""

import datetime
import hashlib
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from governance.tables import SCRIPT_LIMITS
from ledger.codec.tables import SetTable, Singleton, Table
from ledger.crypto.certificate import Certificate
from ledger.kv.tx import Tx
from ledger.tables.internal import ENCRYPTED_LEDGER_SECRETS, RECOVERY_SHARES
from ledger.tables.members import (
    MEMBER_ACKS,
    MEMBER_CERTS,
    MEMBER_ENCRYPTION_KEYS,
    MEMBER_INFO,
    USER_CERTS,
    USER_INFO,
    RecoveryRole,
)
from ledger.tables.nodes import (
    NODES_ENDORSED_CERTIFICATES,
    NODES_INFO,
    SNP_HOST_DATA,
    SNP_MEASUREMENTS,
    SNP_TCB_VERSIONS,
    SNP_UVM_ENDORSEMENTS,
    VIRTUAL_HOST_DATA,
    VIRTUAL_MEASUREMENTS,
    NodeStatus,
)
from ledger.tables.service import (
    CA_CERT_BUNDLES,
    JWT_ISSUERS,
    JWT_SIGNING_KEYS,
    SERVICE_CONFIG,
    SERVICE_INFO,
)
from ledger.testing.app_client import Answer
from tests.unit.governance.gov_kit import (
    NOW,
    Consortium,
    action,
    encryption_key,
    first_member,
    other_encryption_key,
    person,
    virtual_node,
)
from tests.unit.governance.test_gov_keys import rsa_jwk

KEY = encryption_key().public.pem
MEASUREMENT = "ab" * 48
DATA = "cd" * 32
POLICY = "package policy"
POLICY_DIGEST = hashlib.sha256(POLICY.encode()).hexdigest()
TCB = {"boot_loader": 1, "tee": 2, "snp": 3, "microcode": 4}
ID = "00" * 32
ISSUER = "https://login.example.com/v2.0"
UTC = "20260101000000Z"
CERT = person("user0").pem


@pytest.mark.parametrize(
    ("proposed", "words"),
    [
        ({"name": "set_user"}, "cert is missing"),
        (action("set_user", cert=CERT + CERT), "2 certificates"),
        (
            action("set_user", cert=CERT, role="x"),
            "role is no argument of this action, want only cert, user_data",
        ),
        ({"name": "set_user", "args": ["x"]}, 'args is no object: got ["x"], want names'),
        ({"name": 3}, 'got {"name":3}, want an object with name and args'),
        (action("remove_user", user_id="ab"), 'got "ab", want 64 lower-case hex'),
        (action("remove_user", user_id="x" * 999), f'got "{"x" * 59}..., want 64'),
        (action("remove_user", user_id=ID.replace("0", "A")), "64 lower-case hex"),
        (action("set_user_data", user_id=3), "64 lower-case hex"),
        (action("set_user", cert=CERT, user_data="x"), 'user_data: got "x", want an object'),
        (action("set_user_data", user_id=ID, user_data=3), "user_data: got 3, want an object"),
        (action("set_member", cert="-----BEGIN"), "cert"),
        (action("set_member", cert=CERT, encryption_pub_key="x"), "encryption_pub_key"),
        (action("set_member", cert=CERT, encryption_pub_key=CERT), "encryption_pub_key"),
        (action("set_member", cert=CERT, member_data=3), "got 3, want an object"),
        (action("set_user", cert="x"), "cert: got text that is no PEM certificate"),
        (action("set_member", cert=CERT, recovery_role="Boss"), 'got "Boss", want one of NonParti'),
        (action("set_member", cert=CERT, recovery_role="Owner"), "needs encryption_pub_key"),
        (
            action("set_member", cert=CERT, encryption_pub_key=KEY, recovery_role="NonParticipant"),
            "no use for it",
        ),
        (action("remove_member", member_id=None), "member_id is missing"),
        (action("set_member_data", member_id=ID), "member_data is missing"),
        (
            action("set_recovery_threshold", recovery_threshold=0),
            "got 0, want a whole number in [1, 254]",
        ),
        (action("set_recovery_threshold", recovery_threshold=255), "[1, 254]"),
        (action("set_recovery_threshold", recovery_threshold=True), "[1, 254]"),
        (action("set_recovery_threshold", recovery_threshold=1.5), "[1, 254]"),
        (action("set_recovery_threshold", recovery_threshold="1"), "[1, 254]"),
        (action("set_service_configuration", consensus="CFT"), "no argument"),
        (
            action("set_service_configuration", recent_cose_proposals_window_size=10001),
            "[1, 10000]",
        ),
        (action("transition_service_to_open"), "next_service_identity is missing"),
        (action("assert_service_identity", service_identity=CERT), "another service"),
        (action("trigger_ledger_chunk", now=True), "now is no argument of this action, want none"),
        (action("set_constitution", constitution=3), "want text"),
        (action("transition_node_to_trusted", node_id=ID), "valid_from is missing"),
        (action("transition_node_to_trusted", node_id=ID, valid_from="soon"), "got time"),
        (
            action(
                "transition_node_to_trusted", node_id=ID, valid_from=UTC, validity_period_days=0
            ),
            "want a whole number",
        ),
        (action("add_snp_measurement", measurement="ab"), "96 lower-case hex"),
        (action("add_snp_host_data", host_data=DATA, security_policy=POLICY), "its digest"),
        (action("add_snp_uvm_endorsement", did="d", feed="f"), "svn is missing"),
        (action("set_snp_minimum_tcb_version", cpuid="00A00F11", tcb_version=TCB), "8 lower-case"),
        (action("set_snp_minimum_tcb_version", cpuid="00a00f11", tcb_version={}), "is missing"),
        (
            action("set_snp_minimum_tcb_version", cpuid="00a00f11", tcb_version=TCB | {"snp": 256}),
            "[0, 255]",
        ),
        (action("set_snp_minimum_tcb_version_hex", cpuid="00a00f11", tcb_version="d3"), "16 lower"),
        (action("add_virtual_host_data", host_data="xyz"), "64 lower-case hex"),
        (action("set_jwt_issuer", issuer=ISSUER, auto_refresh="yes"), "true or false"),
        (action("set_jwt_issuer", issuer=ISSUER, auto_refresh=True), "ca_cert_bundle_name"),
        (
            action("set_jwt_issuer", issuer="http://a", auto_refresh=True, ca_cert_bundle_name="b"),
            "want an https address",
        ),
        (action("set_jwt_issuer", issuer=ISSUER, jwks={}), "list named keys"),
        (action("set_jwt_public_signing_keys", issuer=ISSUER, jwks={"keys": [{}]}), "kid"),
        (action("set_ca_cert_bundle", name="b", cert_bundle="none"), "cert_bundle"),
        (action("set_script_limits", steps_max=1), "steps_max"),
        (action("set_script_limits", steps_max=True), "steps_max"),
        (action("set_script_limits", fuel=1), "want one of"),
    ],
)
def test_arguments_are_checked_when_it_is_proposed(proposed: dict[str, Any], words: str) -> None:
    service = Consortium()
    answer = service.propose("alice", proposed)
    assert (answer.status, answer.error_code) == (400, "ProposalFailedToValidate"), answer
    message = answer.json()["error"]["message"]
    assert words in message
    assert "at position 0" in message
    assert "https://" not in message or "want an https" in message


def rsa_certificate_pem() -> str:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "user")])
    begin = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(begin)
        .not_valid_after(begin.replace(year=2035))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode()


def test_users_may_have_keys_of_any_kind() -> None:
    """As in CCF: only members sign messages, and those with ECDSA."""
    service = Consortium()
    pem = rsa_certificate_pem()
    answer = service.pass_actions(action("set_user", cert=pem))
    assert answer.json()["proposalState"] == "Accepted"
    assert service.read(USER_CERTS, Certificate.parse(pem).id) == pem
    refused = service.propose("alice", action("set_member", cert=pem))
    assert "want an ECDSA key" in refused.json()["error"]["message"]


def table_rows(service: Consortium, table: object) -> Any:  # noqa: ANN401 - as the table
    tx = service.log.begin_read_only()
    if isinstance(table, SetTable):
        return list(tx.set(table).keys())
    if isinstance(table, Singleton):
        return tx.singleton(table).get()
    assert isinstance(table, Table)
    return dict(tx.table(table).items())


@pytest.mark.parametrize(
    ("proposed", "table", "rows"),
    [
        (
            action("add_virtual_measurement", measurement="m"),
            VIRTUAL_MEASUREMENTS,
            {"m": "AllowedToJoin", "virtual": "AllowedToJoin"},
        ),
        (action("remove_virtual_measurement", measurement="virtual"), VIRTUAL_MEASUREMENTS, {}),
        (action("add_virtual_host_data", host_data=DATA), VIRTUAL_HOST_DATA, ["ab" * 32, DATA]),
        (action("remove_virtual_host_data", host_data="ab" * 32), VIRTUAL_HOST_DATA, []),
        (
            action("add_snp_measurement", measurement=MEASUREMENT),
            SNP_MEASUREMENTS,
            {MEASUREMENT: "AllowedToJoin"},
        ),
        (
            action("add_snp_host_data", host_data=POLICY_DIGEST, security_policy=POLICY),
            SNP_HOST_DATA,
            {POLICY_DIGEST: POLICY},
        ),
        (
            action("add_snp_host_data", host_data=DATA, security_policy=""),
            SNP_HOST_DATA,
            {DATA: ""},
        ),
        (
            action("add_snp_uvm_endorsement", did="did:x", feed="f", svn="1"),
            SNP_UVM_ENDORSEMENTS,
            {"did:x": {"f": {"svn": "1"}}},
        ),
        (
            action("set_snp_minimum_tcb_version", cpuid="00a00f11", tcb_version=TCB),
            SNP_TCB_VERSIONS,
            {"00a00f11": TCB},
        ),
        (
            action(
                "set_snp_minimum_tcb_version_hex", cpuid="00a00f11", tcb_version="d315000000000004"
            ),
            SNP_TCB_VERSIONS,
            {"00a00f11": {"hexstring": "d315000000000004"}},
        ),
        (action("set_ca_cert_bundle", name="b", cert_bundle=CERT), CA_CERT_BUNDLES, {"b": CERT}),
    ],
)
def test_what_the_service_trusts(proposed: dict[str, Any], table: object, rows: object) -> None:
    service = Consortium(("alice",))
    assert service.pass_actions(proposed).json()["proposalState"] == "Accepted"
    assert table_rows(service, table) == rows


def test_what_is_added_can_be_removed() -> None:
    service = Consortium(("alice",))
    for added, removed, table in [
        (
            action("add_snp_measurement", measurement=MEASUREMENT),
            action("remove_snp_measurement", measurement=MEASUREMENT),
            SNP_MEASUREMENTS,
        ),
        (
            action("add_snp_host_data", host_data=DATA, security_policy=""),
            action("remove_snp_host_data", host_data=DATA),
            SNP_HOST_DATA,
        ),
        (
            action("add_snp_uvm_endorsement", did="d", feed="f", svn="1"),
            action("remove_snp_uvm_endorsement", did="d", feed="f"),
            SNP_UVM_ENDORSEMENTS,
        ),
        (
            action("set_snp_minimum_tcb_version", cpuid="00a00f11", tcb_version=TCB),
            action("remove_snp_minimum_tcb_version", cpuid="00a00f11"),
            SNP_TCB_VERSIONS,
        ),
    ]:
        assert service.pass_actions(added).status == 200
        assert table_rows(service, table)
        assert service.pass_actions(removed).status == 200
        assert table_rows(service, table) == {}
    absent = service.pass_actions(action("remove_snp_minimum_tcb_version", cpuid="00a00f11"))
    assert absent.status == 500


def test_users() -> None:
    service = Consortium(("alice",))
    user = person("user0")
    service.pass_actions(action("set_user", cert=user.pem, user_data={"role": 1}))
    assert service.get(f"/service/users/{user.id}").json() == {
        "userId": user.id,
        "certificate": user.pem,
        "userData": {"role": 1},
    }
    service.pass_actions(action("set_user_data", user_id=user.id, user_data=[1]))
    assert service.read(USER_INFO, user.id).user_data == [1]
    service.pass_actions(action("set_user_data", user_id=user.id))
    assert service.read(USER_INFO, user.id) is None
    assert service.get("/service/users").json()["value"][0]["userData"] is None
    service.pass_actions(action("remove_user", user_id=user.id))
    assert service.read(USER_CERTS, user.id) is None
    assert service.pass_actions(action("remove_user", user_id=user.id)).status == 200


def test_a_new_member_is_accepted_with_the_last_root_to_sign() -> None:
    service = Consortium(("alice",))
    root = service.sign()
    dave = person("dave")
    service.pass_actions(
        action(
            "set_member",
            cert=dave.pem,
            encryption_pub_key=KEY,
            member_data={"is_operator": True},
            recovery_role="Owner",
        )
    )
    assert service.get(f"/service/members/{dave.id}").json() == {
        "memberId": dave.id,
        "status": "Accepted",
        "memberData": {"is_operator": True},
        "certificate": dave.pem,
        "publicEncryptionKey": KEY,
        "recoveryRole": "Owner",
    }
    assert service.read(MEMBER_ACKS, dave.id).state_digest == root
    service.pass_actions(action("set_member_data", member_id=dave.id, member_data={"a": 1}))
    info = service.read(MEMBER_INFO, dave.id)
    assert (info.member_data, info.recovery_role) == ({"a": 1}, RecoveryRole.OWNER)
    unknown = service.pass_actions(action("set_member_data", member_id=ID, member_data={}))
    assert "there is no member" in unknown.json()["error"]["message"]


class TestRemoval:
    def remove(self, service: Consortium, name: str) -> Answer:
        return service.pass_actions(action("remove_member", member_id=person(name).id))

    def test_never_below_the_threshold(self) -> None:
        service = Consortium(("alice", "bob"), threshold=2)
        answer = self.remove(service, "bob")
        assert answer.status == 500
        assert "fewer than the recovery threshold 2" in answer.json()["error"]["message"]
        assert service.read(MEMBER_INFO, person("bob").id) is not None

    def test_the_ledger_gets_a_new_secret(self) -> None:
        service = Consortium(threshold=2)
        service.open()
        assert self.remove(service, "carol").json()["proposalState"] == "Accepted"
        assert service.operations.triggered == ["rekey"]
        shares = service.read_one(RECOVERY_SHARES)["encrypted_shares"]
        assert sorted(shares) == sorted(person(name).id for name in ("alice", "bob"))
        assert service.read_one(ENCRYPTED_LEDGER_SECRETS) is not None
        for table in (MEMBER_INFO, MEMBER_CERTS, MEMBER_ENCRYPTION_KEYS, MEMBER_ACKS):
            assert service.read(table, person("carol").id) is None

    def test_before_it_opens_there_is_nothing_to_rekey(self) -> None:
        service = Consortium()
        assert self.remove(service, "carol").json()["proposalState"] == "Accepted"
        assert service.operations.triggered == []

    def test_of_nobody_is_no_error(self) -> None:
        service = Consortium(("alice",))
        assert self.remove(service, "dave").json()["proposalState"] == "Accepted"

    def test_the_last_owner_stays_when_there_are_no_participants(self) -> None:
        owner = first_member("alice", role=RecoveryRole.OWNER)
        service = Consortium([owner, first_member("bob", recovers=False)])
        assert self.remove(service, "alice").status == 500
        assert self.remove(service, "bob").json()["proposalState"] == "Accepted"

    def test_replacing_an_active_member_counts_as_its_removal(self) -> None:
        service = Consortium(("alice", "bob"), threshold=2)
        bob = person("bob")
        answer = service.pass_actions(action("set_member", cert=bob.pem))
        assert answer.status == 500
        assert service.is_active("bob")


class TestThreshold:
    def set(self, service: Consortium, value: int) -> Answer:
        return service.pass_actions(action("set_recovery_threshold", recovery_threshold=value))

    def test_it_may_be_anything_before_the_service_opens(self) -> None:
        service = Consortium()
        assert self.set(service, 5).json()["proposalState"] == "Accepted"
        assert service.read_one(SERVICE_CONFIG).recovery_threshold == 5

    def test_new_shares_are_made_when_it_changes(self) -> None:
        service = Consortium(threshold=1)
        service.open()
        assert self.set(service, 1).status == 200
        assert service.operations.triggered == []
        assert self.set(service, 3).status == 200
        assert service.operations.triggered == ["shares"]
        answer = self.set(service, 4)
        assert "above the number of active recovery members, 3" in answer.json()["error"]["message"]

    def test_it_is_frozen_while_shares_are_collected(self) -> None:
        service = Consortium(("alice",))

        def wait(tx: Tx) -> None:
            raw = tx.map("public:ccf.gov.service.info").get(bytes(8))
            assert raw is not None
            changed = raw.replace(b'"Opening"', b'"WaitingForRecoveryShares"')
            tx.map("public:ccf.gov.service.info").put(bytes(8), changed)

        service.write(wait)
        answer = self.set(service, 2)
        assert "cannot change while the service is WaitingFor" in answer.json()["error"]["message"]


def test_triggers() -> None:
    service = Consortium()
    for name in ("trigger_recovery_shares_refresh", "trigger_ledger_rekey"):
        assert "Opening" in service.pass_actions(action(name)).json()["error"]["message"]
    service.open()
    for proposed in (
        {"name": "trigger_recovery_shares_refresh"},
        {"name": "trigger_ledger_rekey", "args": None},
        action("trigger_ledger_chunk"),
        action("trigger_snapshot"),
        action("assert_service_identity", service_identity=service.service_pem),
    ):
        assert service.pass_actions(proposed).json()["proposalState"] == "Accepted"
    assert service.operations.triggered == ["shares", "rekey", "chunk", "snapshot"]


class TestNodes:
    def with_pending(self) -> tuple[Consortium, str]:
        service = Consortium(("alice",))
        node_id, info = virtual_node("node1", NodeStatus.PENDING)
        service.write(lambda tx: tx.table(NODES_INFO).put(node_id, info))
        return service, node_id

    def trust(self, service: Consortium, node_id: str, **args: object) -> Answer:
        return service.pass_actions(
            action("transition_node_to_trusted", node_id=node_id, valid_from=UTC, **args)
        )

    def test_a_pending_node_is_trusted_and_endorsed(self) -> None:
        service, node_id = self.with_pending()
        answer = self.trust(service, node_id, validity_period_days=10)
        assert answer.json()["proposalState"] == "Accepted"
        info = service.read(NODES_INFO, node_id)
        assert (info.status, info.ledger_secret_seqno) == (NodeStatus.TRUSTED, 1)
        certificate = Certificate.parse(service.read(NODES_ENDORSED_CERTIFICATES, node_id))
        certificate.verify_endorsed_by(service.operations.service)
        assert certificate.not_after - certificate.not_before == 10 * 86400 - 1

    def test_validity_is_bounded_by_the_configuration(self) -> None:
        service, node_id = self.with_pending()
        answer = self.trust(service, node_id, validity_period_days=366)
        assert "want 1 to 365" in answer.json()["error"]["message"]
        assert service.read(NODES_INFO, node_id).status is NodeStatus.PENDING

    def test_only_what_is_there_and_pending(self) -> None:
        service, node_id = self.with_pending()
        assert "there is no node" in self.trust(service, ID).json()["error"]["message"]
        assert self.trust(service, service.node_id).json()["proposalState"] == "Accepted"
        self.trust(service, node_id)
        service.pass_actions(action("remove_node", node_id=service.node_id))
        answer = self.trust(service, service.node_id)
        assert "only a Pending node" in answer.json()["error"]["message"]
        assert node_id in table_rows(service, NODES_INFO)

    def test_removal(self) -> None:
        service, node_id = self.with_pending()
        for each in (node_id, ID):
            answer = service.pass_actions(action("remove_node", node_id=each))
            assert answer.json()["proposalState"] == "Accepted"
        assert table_rows(service, NODES_INFO).keys() == {service.node_id}
        service, node_id = self.with_pending()
        self.trust(service, node_id)
        answer = service.pass_actions(action("remove_node", node_id=service.node_id))
        assert answer.json()["proposalState"] == "Accepted"
        assert service.read(NODES_INFO, service.node_id).status is NodeStatus.RETIRED

    def test_last_trusted_node_stays(self) -> None:
        service, _ = self.with_pending()
        answer = service.pass_actions(action("remove_node", node_id=service.node_id))
        assert answer.status == 500
        assert "got no Trusted node left" in answer.json()["error"]["message"]
        assert service.read(NODES_INFO, service.node_id).status is NodeStatus.TRUSTED

    def test_certificate_of_a_trusted_node_stays(self) -> None:
        service, _ = self.with_pending()
        table = NODES_ENDORSED_CERTIFICATES.name
        source = service.get("/service/constitution").text
        service.pass_actions(
            action(
                "set_constitution",
                constitution=f"{source}\ndef apply(proposal, id): kv.clear({table!r})\n",
            )
        )
        service.write(lambda tx: tx.table(NODES_ENDORSED_CERTIFICATES).put(service.node_id, "pem"))
        answer = service.pass_actions(action("set_node_data", node_id=service.node_id))
        assert answer.status == 500
        assert "got no certificate left of Trusted node" in answer.json()["error"]["message"]
        assert service.read(NODES_ENDORSED_CERTIFICATES, service.node_id) == "pem"

    def test_data(self) -> None:
        service, node_id = self.with_pending()
        service.pass_actions(action("set_node_data", node_id=node_id, node_data={"rack": 4}))
        assert service.get(f"/service/nodes/{node_id}").json()["nodeData"] == {"rack": 4}
        service.pass_actions(action("set_node_data", node_id=node_id))
        assert service.read(NODES_INFO, node_id).node_data is None

    def test_certificates_are_renewed(self) -> None:
        service, node_id = self.with_pending()
        pending = service.pass_actions(
            action("set_node_certificate_validity", node_id=node_id, valid_from=UTC)
        )
        assert "only a Trusted node" in pending.json()["error"]["message"]
        for proposed in (
            action(
                "set_node_certificate_validity",
                node_id=service.node_id,
                valid_from=UTC,
                validity_period_days=3,
            ),
            action("set_all_nodes_certificate_validity", valid_from=UTC, validity_period_days=3),
        ):
            service.write(
                lambda tx: tx.table(NODES_ENDORSED_CERTIFICATES).put(service.node_id, "-")
            )
            assert service.pass_actions(proposed).json()["proposalState"] == "Accepted"
            renewed = Certificate.parse(service.read(NODES_ENDORSED_CERTIFICATES, service.node_id))
            assert renewed.not_after - renewed.not_before == 3 * 86400 - 1
        assert service.read(NODES_ENDORSED_CERTIFICATES, node_id) is None

    def test_the_service_certificate_is_renewed_with_the_same_key(self) -> None:
        service, _ = self.with_pending()
        old = Certificate.parse(service.service_pem)
        answer = service.pass_actions(
            action("set_service_certificate_validity", valid_from=UTC, validity_period_days=7)
        )
        assert answer.json()["proposalState"] == "Accepted"
        new = Certificate.parse(service.read_one(SERVICE_INFO).cert)
        assert new.public_key == old.public_key
        assert new.not_after - new.not_before == 7 * 86400 - 1


class TestTokens:
    def test_an_issuer_with_keys(self) -> None:
        service = Consortium(("alice",))
        service.pass_actions(
            action("set_ca_cert_bundle", name="b", cert_bundle=CERT),
            action(
                "set_jwt_issuer",
                issuer=ISSUER,
                auto_refresh=True,
                ca_cert_bundle_name="b",
                jwks={"keys": [rsa_jwk()]},
            ),
        )
        answer = service.get("/service/jwk").json()
        assert answer == {
            "issuers": {ISSUER: {"autoRefresh": True, "caCertBundleName": "b"}},
            "keys": {"rsa": [{"publicKey": KEY, "issuer": ISSUER, "constraint": None}]},
            "caCertBundles": {"b": CERT},
        }
        used = service.pass_actions(action("remove_ca_cert_bundle", name="b"))
        assert "is reached with bundle b" in used.json()["error"]["message"]
        service.pass_actions(
            action("set_jwt_public_signing_keys", issuer=ISSUER, jwks={"keys": [rsa_jwk("k2")]})
        )
        assert list(table_rows(service, JWT_SIGNING_KEYS)) == ["k2"]
        service.pass_actions(
            action("remove_jwt_issuer", issuer=ISSUER), action("remove_ca_cert_bundle", name="b")
        )
        for table in (JWT_ISSUERS, JWT_SIGNING_KEYS, CA_CERT_BUNDLES):
            assert table_rows(service, table) == {}
        assert service.pass_actions(action("remove_jwt_issuer", issuer=ISSUER)).status == 200

    def test_what_is_named_has_to_be_there(self) -> None:
        service = Consortium(("alice",))
        answer = service.pass_actions(
            action("set_jwt_issuer", issuer=ISSUER, ca_cert_bundle_name="none")
        )
        assert "no CA certificate bundle named none" in answer.json()["error"]["message"]
        answer = service.pass_actions(
            action("set_jwt_public_signing_keys", issuer=ISSUER, jwks={"keys": [rsa_jwk()]})
        )
        assert "there is no issuer" in answer.json()["error"]["message"]


def test_script_limits_are_kept_and_used() -> None:
    service = Consortium(("alice",))
    limits = action("set_script_limits", steps_max=6_000_000)
    assert service.pass_actions(limits).json()["proposalState"] == "Accepted"
    assert service.read_one(SCRIPT_LIMITS).steps_max == 6_000_000
    more = action("set_script_limits", call_depth_max=60)
    assert service.pass_actions(more).json()["proposalState"] == "Accepted"
    kept = service.read_one(SCRIPT_LIMITS)
    assert (kept.steps_max, kept.call_depth_max) == (6_000_000, 60)
    proposal_id = service.propose("alice", more).json()["proposalId"]
    ballot = "def vote(p, by):\n  for x in range(10000000): pass"
    failures = service.vote("alice", proposal_id, ballot).json()["voteFailures"]
    assert "6000000 steps" in failures[person("alice").id]["reason"]


def test_the_smallest_limits_are_enough_for_every_default_action() -> None:
    service = Consortium()
    smallest = {"steps_max": 5_000_000, "call_depth_max": 50, "host_calls_max": 2_000}
    service.pass_actions(action("set_script_limits", **smallest))
    source = service.get("/service/constitution").text
    {"keys": [rsa_jwk(str(number)) for number in range(50)]}
    service.open()
    for proposed in (
        action("set_constitution", constitution=source),
        action("set_member", cert=person("dave").pem, encryption_pub_key=KEY),
        action(
            "set_jwt_issuer", issuer=ISSUER, jwks={"keys": [rsa_jwk(str(n)) for n in range(50)]}
        ),
        action("set_all_nodes_certificate_validity", valid_from=UTC),
    ):
        assert service.pass_actions(proposed).json()["proposalState"] == "Accepted"
    assert max(each.steps for each in service.queue.outcomes) < 1_000_000


def test_another_key_for_the_same_member() -> None:
    service = Consortium(("alice", "bob"))
    service.open()
    new_key = other_encryption_key().public.pem
    answer = service.pass_actions(
        action("set_member", cert=person("dave").pem, encryption_pub_key=KEY),
        action("set_member", cert=person("dave").pem, encryption_pub_key=new_key),
    )
    assert answer.json()["proposalState"] == "Accepted"
    assert service.read(MEMBER_ENCRYPTION_KEYS, person("dave").id) == new_key
    assert service.clock > NOW
