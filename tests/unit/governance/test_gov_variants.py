"""Who decides, in each constitution that we ship."""

import pytest

from governance.defaults import Variant, constitution, file_names, file_paths
from governance.interpreter import run
from governance.replay.offline import check_constitution
from governance.scripting import DEFAULT_LIMITS, LIMIT_RANGES
from ledger.testing.app_client import Answer
from tests.unit.governance.gov_kit import (
    NO,
    YES,
    Consortium,
    action,
    encryption_key,
    first_member,
    person,
)

SET_USER = action("set_user", cert=person("user0").pem)
CHUNK = action("trigger_ledger_chunk")
OPERATOR = {"is_operator": True}
PROVISIONER = {"is_operator_provisioner": True}


@pytest.mark.parametrize("variant", list(Variant))
def test_every_variant_is_a_constitution(variant: Variant) -> None:
    source = constitution(variant)
    assert check_constitution(source, DEFAULT_LIMITS, run) is None
    assert len(file_paths(variant)) == len(file_names(variant))
    assert len(source) * 4 < DEFAULT_LIMITS.source_bytes_max


@pytest.mark.parametrize(
    ("variant", "members", "votes", "state"),
    [
        (Variant.MAJORITY, 1, [YES], "Accepted"),
        (Variant.MAJORITY, 2, [YES], "Open"),
        (Variant.MAJORITY, 2, [YES, YES], "Accepted"),
        (Variant.MAJORITY, 3, [NO, NO, NO], "Open"),
        (Variant.MAJORITY, 4, [YES, YES], "Open"),
        (Variant.MAJORITY, 4, [YES, NO, YES, YES], "Accepted"),
        (Variant.STRICT_MAJORITY, 3, [YES, YES], "Accepted"),
        (Variant.STRICT_MAJORITY, 3, [NO], "Open"),
        (Variant.STRICT_MAJORITY, 3, [NO, NO], "Rejected"),
        (Variant.STRICT_MAJORITY, 4, [YES, NO, NO], "Rejected"),
        (Variant.STRICT_MAJORITY, 1, [NO], "Rejected"),
        (Variant.VETO, 3, [YES], "Open"),
        (Variant.VETO, 3, [YES, YES], "Accepted"),
        (Variant.VETO, 3, [YES, NO], "Rejected"),
        (Variant.VETO, 5, [NO], "Rejected"),
    ],
)
def test_votes(variant: Variant, members: int, votes: list[str], state: str) -> None:
    names = ("alice", "bob", "carol", "dave", "erin")[:members]
    service = Consortium(names, variant=variant)
    proposal_id = service.propose("alice", SET_USER).json()["proposalId"]
    answer = None
    for name, ballot in zip(names, votes, strict=False):
        answer = service.vote(name, proposal_id, ballot)
    assert answer is not None
    assert answer.json()["proposalState"] == state


def operated(variant: Variant) -> Consortium:
    return Consortium(
        [
            first_member("alice"),
            first_member("bob"),
            first_member("carol"),
            first_member("oscar", recovers=False, data=OPERATOR),
            first_member("peggy", recovers=False, data=PROVISIONER),
        ],
        variant=variant,
    )


NEW = person("erin").pem


@pytest.mark.parametrize("variant", [Variant.OPERATOR, Variant.OPERATOR_PROVISIONER])
@pytest.mark.parametrize(
    ("proposed", "by_operator", "by_provisioner"),
    [
        ([CHUNK], {Variant.OPERATOR, Variant.OPERATOR_PROVISIONER}, set()),
        ([CHUNK, SET_USER], set(), set()),
        ([SET_USER], set(), set()),
        ([action("trigger_ledger_rekey")], set(), set()),
        (
            [action("set_member", cert=NEW, member_data=OPERATOR)],
            {Variant.OPERATOR},
            {Variant.OPERATOR_PROVISIONER},
        ),
        ([action("set_member", cert=NEW)], set(), set()),
        ([action("set_member", cert=NEW, member_data=PROVISIONER)], set(), set()),
        ([action("set_member", cert=NEW, member_data=OPERATOR | PROVISIONER)], set(), set()),
        (
            [
                action(
                    "set_member",
                    cert=NEW,
                    member_data=OPERATOR,
                    encryption_pub_key=encryption_key().public.pem,
                )
            ],
            set(),
            set(),
        ),
        (
            [action("set_member", cert=person("alice").pem, member_data=OPERATOR)],
            set(),
            set(),
        ),
        (
            [action("remove_member", member_id=person("oscar").id)],
            {Variant.OPERATOR},
            {Variant.OPERATOR_PROVISIONER},
        ),
        ([action("remove_member", member_id=person("alice").id)], set(), set()),
        ([action("set_member_data", member_id=person("alice").id, member_data={})], set(), set()),
    ],
)
def test_what_operators_and_provisioners_pass_alone(
    variant: Variant,
    proposed: list[object],
    by_operator: set[Variant],
    by_provisioner: set[Variant],
) -> None:
    for name, allowed in (("oscar", by_operator), ("peggy", by_provisioner)):
        answer = operated(variant).propose(name, *proposed)
        state = "Accepted" if variant in allowed else "Open"
        assert answer.json()["proposalState"] == state, (name, answer)
    assert operated(variant).propose("alice", *proposed).json()["proposalState"] == "Open"


@pytest.mark.parametrize("variant", [Variant.OPERATOR, Variant.OPERATOR_PROVISIONER])
def test_operators_do_not_vote(variant: Variant) -> None:
    service = operated(variant)
    proposal_id = service.propose("alice", SET_USER).json()["proposalId"]
    for name in ("oscar", "peggy", "alice"):
        assert service.vote(name, proposal_id).json()["proposalState"] == "Open"
    assert service.vote("bob", proposal_id).json()["proposalState"] == "Accepted"


@pytest.mark.parametrize(
    ("variant", "name"),
    [(Variant.OPERATOR, "oscar"), (Variant.OPERATOR_PROVISIONER, "peggy")],
)
def test_nobody_admits_more_or_larger_operators_alone_than_every_decision_can_read(
    variant: Variant, name: str
) -> None:
    service = operated(variant)

    def state(first: int, last: int, data: object = OPERATOR) -> str:
        pems = [person(f"operator{number}").pem for number in range(first, last)]
        admit = [action("set_member", cert=pem, member_data=data) for pem in pems]
        proposed = service.propose(name, *admit).json()
        return str(proposed["proposalState"])

    assert state(0, 1, OPERATOR | {"note": "x" * 1024}) == "Open"
    assert state(0, 1, OPERATOR | {"note": "x" * 512}) == "Accepted"
    assert state(1, 100) == "Open"
    assert state(1, 99) == "Accepted"
    assert state(99, 100) == "Open"
    gone = action("remove_member", member_id=person("operator0").id)
    assert service.propose(name, gone).json()["proposalState"] == "Accepted"
    assert state(99, 100) == "Accepted"


@pytest.mark.parametrize("variant", [Variant.OPERATOR, Variant.OPERATOR_PROVISIONER])
def test_an_operator_gives_nodes_no_more_data_alone_than_scripts_can_list(variant: Variant) -> None:
    service = operated(variant)
    for size, state in ((8190, "Accepted"), (8191, "Open")):  # with two quotes
        data = action("set_node_data", node_id=service.node_id, node_data="x" * size)
        assert service.propose("oscar", data).json()["proposalState"] == state


@pytest.mark.parametrize("variant", list(Variant))
def test_members_data_never_grows_too_long_to_decide_anything(variant: Variant) -> None:
    service = operated(variant)
    smallest = action(
        "set_script_limits", **{name: least for name, (least, _) in LIMIT_RANGES.items()}
    )
    assert service.pass_actions(smallest).json()["proposalState"] == "Accepted"

    def set_data(name: str, size: int) -> Answer:
        data = {"note": ["x" * 7] * size}
        return service.pass_actions(
            action("set_member_data", member_id=person(name).id, member_data=data)
        )

    assert set_data("alice", 90_000).json()["proposalState"] == "Accepted"
    refused = set_data("bob", 20_000)
    assert refused.status == 500
    assert "want at most 1048576" in refused.json()["error"]["message"]
    assert service.pass_actions(SET_USER).json()["proposalState"] == "Accepted"
    admit = action("set_member", cert=NEW, member_data={"note": "x" * 190_000})
    assert service.pass_actions(admit).status == 500
    assert set_data("alice", 1000).json()["proposalState"] == "Accepted"
    assert set_data("bob", 20_000).json()["proposalState"] == "Accepted"
