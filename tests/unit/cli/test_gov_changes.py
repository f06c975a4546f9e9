"""What an open proposal would change, in lines for those who vote on it."""

import pytest

from governance.defaults import constitution
from governance.interpreter import run
from governance.scripting import ScriptCall
from ledger.cli.gov_changes import CurrentState, change_lines
from tests.unit.governance.gov_kit import person

ALICE, BOB = person("alice"), person("bob")
NODE = "ab" * 32
STATE = CurrentState(
    service={
        "status": "Opening",
        "configuration": {"recoveryThreshold": 1, "recentCoseProposalsWindowSize": 100},
    },
    constitution="def validate(p): pass\nx = 1\ny = 2\n",
    members={
        ALICE.id: {
            "memberId": ALICE.id,
            "status": "Active",
            "recoveryRole": "Participant",
            "memberData": {"a": 1},
        }
    },
    users={ALICE.id: {"userId": ALICE.id, "userData": None}},
    nodes={NODE: {"nodeId": NODE, "status": "Pending", "nodeData": None}},
    join_policy={"virtual": {"measurements": ["m"], "hostData": []}, "snp": {}},
    tokens={
        "issuers": {"https://a": {}},
        "keys": {"k1": [{"issuer": "https://a"}], "k2": [{"issuer": "https://b"}]},
        "caCertBundles": {"one": "-"},
    },
)


@pytest.mark.parametrize(
    ("name", "args", "lines"),
    [
        (
            "set_member",
            {"cert": ALICE.pem, "member_data": {"a": 2}},
            [
                f"member {ALICE.id}: Active Participant → Accepted NonParticipant",
                "  its data: {'a': 1} → {'a': 2}",
            ],
        ),
        (
            "set_member",
            {"cert": BOB.pem, "encryption_pub_key": "k", "recovery_role": "Owner"},
            [f"member {BOB.id}: nothing → Accepted Owner"],
        ),
        ("set_member", {"cert": 3}, ["member (no certificate): nothing → Accepted NonParticipant"]),
        (
            "remove_member",
            {"member_id": ALICE.id},
            [f"member {ALICE.id}: Active Participant → nothing", "  with a new ledger secret"],
        ),
        ("remove_member", {"member_id": BOB.id}, [f"member {BOB.id}: nothing → nothing"]),
        (
            "set_member_data",
            {"member_id": ALICE.id, "member_data": {}},
            [f"data of member {ALICE.id}: {{'a': 1}} → {{}}"],
        ),
        (
            "set_user",
            {"cert": BOB.pem, "user_data": "x"},
            [f"user {BOB.id}: nothing → known", "  its data: nothing → x"],
        ),
        ("remove_user", {"user_id": ALICE.id}, [f"user {ALICE.id}: known → nothing"]),
        (
            "set_user_data",
            {"user_id": ALICE.id, "user_data": 7},
            [f"data of user {ALICE.id}: nothing → 7"],
        ),
        ("transition_service_to_open", {}, ["service: Opening → Open"]),
        ("set_recovery_threshold", {"recovery_threshold": 2}, ["recovery threshold: 1 → 2"]),
        (
            "set_service_configuration",
            {"recent_cose_proposals_window_size": 5},
            ["recent cose proposals window size: 100 → 5"],
        ),
        ("transition_node_to_trusted", {"node_id": NODE}, [f"node {NODE}: Pending → Trusted"]),
        ("remove_node", {"node_id": NODE}, [f"node {NODE}: Pending → Retired"]),
        ("set_node_data", {"node_id": NODE, "node_data": 1}, [f"data of node {NODE}: nothing → 1"]),
        (
            "set_node_certificate_validity",
            {"node_id": NODE, "valid_from": "20260101000000Z", "validity_period_days": 3},
            [f"certificate of node {NODE} valid from 20260101000000Z for 3 days"],
        ),
        (
            "set_service_certificate_validity",
            {"valid_from": "20260101000000Z"},
            ["certificate of the service valid from 20260101000000Z for the longest time allowed"],
        ),
        (
            "add_virtual_host_data",
            {"host_data": "00"},
            ["virtual host data 00: may not join → may join"],
        ),
        (
            "remove_virtual_measurement",
            {"measurement": "m"},
            ["virtual measurement m: may join → may not join"],
        ),
        (
            "set_jwt_issuer",
            {"issuer": "https://a", "jwks": {"keys": [{"kid": "k3"}, 3]}},
            ["issuer https://a: known → known", "keys of issuer https://a: ['k1'] → ['k3']"],
        ),
        ("remove_jwt_issuer", {"issuer": "https://c"}, ["issuer https://c: nothing → nothing"]),
        ("set_ca_cert_bundle", {"name": "two"}, ["CA bundle two: nothing → set"]),
        ("remove_ca_cert_bundle", {"name": "one"}, ["CA bundle one: known → nothing"]),
    ],
)
def test_changes_by_action(name: str, args: dict[str, object], lines: list[str]) -> None:
    proposed = {"actions": [{"name": name, "args": args}]}
    assert list(change_lines(proposed, STATE)) == [
        "  changes",
        *(f"    {line}" for line in lines),
    ]


def test_a_new_constitution_is_shown_as_a_diff() -> None:
    source = STATE.constitution.replace("x = 1", "x = 3")
    proposed = {"actions": [{"name": "set_constitution", "args": {"constitution": source}}]}
    lines = list(change_lines(proposed, STATE))
    assert lines[:2] == ["  changes", "    constitution"]
    assert "      -x = 1" in lines
    assert "      +x = 3" in lines


@pytest.mark.parametrize(
    "proposed",
    [
        None,
        3,
        {},
        {"actions": 3},
        {"actions": [3, {}, {"name": 3}, {"name": "an_action_of_our_own"}]},
        {"actions": [{"name": "trigger_ledger_rekey"}]},
    ],
)
def test_nothing_is_said_of_what_is_not_known(proposed: object) -> None:
    assert list(change_lines(proposed, STATE)) == []


def test_any_arguments_can_be_described() -> None:
    """What is open was found valid by some constitution, not necessarily by ours."""
    source = constitution() + "\ndef names(): return list(ACTIONS)\n"
    names = run(ScriptCall("c", source, "names", ()), lambda *_: None).value
    for args in (None, 3, {}, {"cert": [], "issuer": {}, "jwks": 3, "host_data": [], "name": {}}):
        list(change_lines({"actions": [{"name": name, "args": args} for name in names]}, STATE))
