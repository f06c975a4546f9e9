"""A consortium's life in which every table of governance is written, as one ledger."""

from functools import cache

from governance.defaults import constitution
from ledger.kv.tx import Tx
from ledger.tables.nodes import NODES_INFO
from ledger.tables.service import JWT_SIGNING_KEYS
from ledger.testing.app_client import Answer
from tests.unit.governance.gov_kit import NO, action, encryption_key, person
from tests.unit.governance.replay_kit import LedgerConsortium
from tests.unit.governance.test_gov_keys import rsa_jwk

ISSUER = "https://login.example.com/v2.0"
UTC = "20250615150640Z"
KEY = encryption_key().public.pem

EXTRA = """
# Actions that CCF's test constitutions have too, and some that only go wrong.
def apply_notice(args, proposal_id):
    kv.put("public:notice", "pem", args["text"])

def apply_failing(args, proposal_id):
    kv.put("public:ccf.gov.users.info", "00", {"user_data": 1})
    fail("this never works")

ACTIONS["notice"] = action(takes({"text": is_text}), apply_notice)
ACTIONS["failing"] = action(takes({}), apply_failing)
"""


def accepted(answer: Answer) -> str:
    """Return the ID of a proposal that was just accepted."""
    assert answer.status == 200, answer
    assert answer.json()["proposalState"] == "Accepted", answer.json()
    return str(answer.json()["proposalId"])


@cache
def story() -> LedgerConsortium:
    """Live through it once; nobody changes what comes out."""
    it = LedgerConsortium(extra=EXTRA, window=4)
    it.join("node1", 2000, at_once=True)
    it.acknowledge("alice", "bob", "carol")
    it.settle()
    it.open()
    it.settle()
    _people(it)
    _trust(it)
    _tokens(it)
    _ends(it)
    _secrets(it)
    it.settle()
    assert not it.failures
    return it


def _people(it: LedgerConsortium) -> None:
    dave = person("dave").pem
    it.pass_actions(action("set_member", cert=dave, encryption_pub_key=KEY, member_data={"a": 1}))
    it.settle()
    it.acknowledge("dave")
    it.pass_actions(
        action("set_user", cert=person("user0").pem, user_data={"isAdmin": True}),
        action("set_member_data", member_id=person("dave").id, member_data={"b": 2}),
    )
    it.pass_actions(action("set_recovery_threshold", recovery_threshold=2))
    it.pass_actions(action("remove_member", member_id=person("carol").id))
    it.settle()


def _trust(it: LedgerConsortium) -> None:
    node2 = it.join("node2", 3000)
    it.pass_actions(
        action("transition_node_to_trusted", node_id=node2, valid_from=UTC),
        action("set_node_data", node_id=node2, node_data="rack 3"),
    )
    accepted(
        it.pass_actions(
            action("set_all_nodes_certificate_validity", valid_from=UTC, validity_period_days=30),
            action("set_service_certificate_validity", valid_from=UTC, validity_period_days=20),
            action("set_node_certificate_validity", node_id=node2, valid_from=UTC),
        )
    )
    it.pass_actions(
        action("add_virtual_measurement", measurement="m2"),
        action("add_virtual_host_data", host_data="cd" * 32),
        action("add_snp_measurement", measurement="ab" * 48),
        action("add_snp_host_data", host_data="cd" * 32, security_policy=""),
        action("add_snp_uvm_endorsement", did="did:x509:0", feed="feed", svn="1"),
        action("set_snp_minimum_tcb_version_hex", cpuid="00a00f11", tcb_version="00" * 8),
    )
    it.settle()


def _tokens(it: LedgerConsortium) -> None:
    bundle = person("ca").pem
    accepted(
        it.pass_actions(
            action("set_ca_cert_bundle", name="ca", cert_bundle=bundle),
            action(
                "set_jwt_issuer", issuer=ISSUER, auto_refresh=True, ca_cert_bundle_name="ca",
                jwks={"keys": [rsa_jwk("k1")]},
            ),
            action("set_jwt_issuer", issuer="https://other", jwks={"keys": [rsa_jwk("k2")]}),
        )
    )  # fmt: skip

    def refresh(tx: Tx) -> None:
        table = tx.table(JWT_SIGNING_KEYS)
        rows = table.get("k1")
        table.put("k9", rows)
        table.remove("k1")

    it.write(refresh)


def _ends(it: LedgerConsortium) -> None:
    """Every way in which a proposal ends."""
    first = it.propose("alice", action("notice", text="withdrawn")).json()["proposalId"]
    assert it.vote("bob", first, NO).status == 200
    assert it.withdraw("alice", first).status == 200
    dropped = it.propose("bob", action("notice", text="dropped")).json()["proposalId"]
    it.vote("alice", dropped, "def vote(proposal, proposer_id): fail('not today')")
    accepted(it.pass_actions(action("add_virtual_measurement", measurement="m3")))
    assert it.pass_actions(action("failing")).status == 500
    accepted(it.pass_actions(action("notice", text="accepted")))
    it.pass_actions(action("remove_virtual_measurement", measurement="m3"))
    accepted(it.pass_actions(action("set_script_limits", steps_max=60_000_000)))
    node1 = it.join("node3", 4000)
    it.pass_actions(action("remove_node", node_id=node1))
    it.settle()


def _secrets(it: LedgerConsortium) -> None:
    accepted(it.pass_actions(action("remove_node", node_id=node_of_story(it, "rack 3"))))
    accepted(it.pass_actions(action("trigger_ledger_rekey")))
    it.settle()
    accepted(it.pass_actions(action("trigger_recovery_shares_refresh")))
    changed = constitution() + EXTRA + "\n# another one\n"
    accepted(it.pass_actions(action("set_constitution", constitution=changed)))
    it.settle()


def node_of_story(it: LedgerConsortium, data: str) -> str:
    """Return the node with this data."""
    return next(
        node_id
        for node_id, info in it.replica.begin_read_only().table(NODES_INFO).items()
        if info.node_data == data
    )
