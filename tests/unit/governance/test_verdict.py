"""What is told of a decision: state and names, never contents, and never much."""

import pytest

from governance.defaults import Variant
from governance.verdict import NAME_SIZE_MAX, NAMES_MAX, actions_of
from ledger.tables.members import ProposalState
from tests.unit.governance.gov_kit import NO, Consortium, action, person

SET_USER = action("set_user", cert=person("user0").pem, user_data={"pin": "1234"})
FAILING = """
def apply(proposal, proposal_id):
    fail("pin 1234")
"""


def test_a_decision_is_told_and_an_open_proposal_is_not() -> None:
    service = Consortium(variant=Variant.VETO)
    accepted = service.propose("alice", SET_USER, SET_USER).json()["proposalId"]
    service.vote("alice", accepted)
    assert service.verdicts == []
    service.vote("bob", accepted)
    rejected = service.propose("alice", SET_USER).json()["proposalId"]
    service.vote("bob", rejected, NO)
    assert [each.line() for each in service.verdicts] == [
        f"Proposal {accepted} is Accepted: 2 actions (set_user)",
        f"Proposal {rejected} is Rejected: 1 action (set_user)",
    ]


def test_a_failed_proposal_is_told_without_what_the_script_said() -> None:
    service = Consortium(extra=FAILING)
    service.pass_actions(SET_USER)
    (verdict,) = service.verdicts
    assert verdict.state is ProposalState.FAILED
    assert "1234" not in verdict.line()


@pytest.mark.parametrize(
    ("proposal", "told"),
    [
        ({"actions": []}, "0 actions ()"),
        ({"actions": "many"}, "0 actions ()"),
        ([], "0 actions ()"),
        ({"actions": [3, {}, {"name": 3}, {"name": ["a"]}]}, "4 actions ()"),
        ({"actions": [{"name": "a\nb\x1b[2J\u202e"}]}, "1 action (a\\nb\\x1b[2J\\u202e)"),
        ({"actions": [{"name": "n" * 10_000}]}, f"1 action ({'n' * NAME_SIZE_MAX}…)"),
        (
            {"actions": [{"name": str(number)} for number in range(1000)]},
            f"1000 actions ({', '.join(map(str, range(NAMES_MAX)))}, …)",
        ),
    ],
)
def test_names_of_actions_are_few_and_short(proposal: object, told: str) -> None:
    assert actions_of(proposal) == told
