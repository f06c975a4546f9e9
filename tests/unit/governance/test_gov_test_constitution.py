"""The constitution of tests does what the names of its actions say."""

import pytest

from governance.interpreter import run
from governance.replay.offline import check_constitution
from governance.scripting import DEFAULT_LIMITS
from ledger.tables.service import SERVICE_CONFIG
from tests.reference.governance_test_constitution import constitution_source
from tests.unit.governance.gov_kit import NO, Consortium, action, first_member


def consortium() -> Consortium:
    members = [
        first_member("alice"),
        first_member("bob"),
        first_member("carol"),
        first_member("oscar", recovers=False, data={"is_operator": True}),
    ]
    return Consortium(members, source=constitution_source())


def test_it_is_a_constitution() -> None:
    assert check_constitution(constitution_source(), DEFAULT_LIMITS, run) is None


@pytest.mark.parametrize(
    ("name", "by", "status", "state"),
    [
        ("always_accept_noop", "alice", 200, "Accepted"),
        ("always_reject_noop", "alice", 200, "Rejected"),
        ("always_accept_with_one_vote", "alice", 200, "Open"),
        ("always_accept_with_two_votes", "alice", 200, "Open"),
        ("always_accept_if_voted_by_operator", "oscar", 200, "Open"),
        ("always_accept_if_proposed_by_operator", "oscar", 200, "Accepted"),
        ("always_accept_if_proposed_by_operator", "alice", 200, "Open"),
        ("always_throw_in_validate", "alice", 400, None),
        ("always_throw_in_resolve", "alice", 500, "Failed"),
        ("always_throw_in_apply", "alice", 500, "Failed"),
        ("check_proposal_id_is_set_correctly", "alice", 200, "Accepted"),
    ],
)
def test_without_votes(name: str, by: str, status: int, state: str | None) -> None:
    service = consortium()
    assert service.propose(by, action(name)).status == status
    states = [each["proposalState"] for each in service.get("/members/proposals").json()["value"]]
    assert states == ([] if state is None else [state])


@pytest.mark.parametrize(
    ("name", "voters", "state"),
    [
        ("always_accept_with_one_vote", ["bob"], "Accepted"),
        ("always_accept_with_two_votes", ["bob"], "Open"),
        ("always_accept_with_two_votes", ["bob", "carol"], "Accepted"),
        ("always_accept_if_voted_by_operator", ["bob"], "Open"),
        ("always_accept_if_voted_by_operator", ["bob", "oscar"], "Accepted"),
    ],
)
def test_with_votes(name: str, voters: list[str], state: str) -> None:
    service = consortium()
    proposal_id = service.propose("alice", action(name)).json()["proposalId"]
    answers = [service.vote(voter, proposal_id) for voter in voters]
    assert answers[-1].json()["proposalState"] == state


def test_a_vote_against_is_no_vote_for() -> None:
    service = consortium()
    created = service.propose("alice", action("always_accept_with_one_vote"))
    proposal_id = created.json()["proposalId"]
    assert service.vote("bob", proposal_id, NO).json()["proposalState"] == "Open"


def test_the_window_has_a_size() -> None:
    service = consortium()
    proposed = action("set_service_recent_cose_proposals_window_size", proposal_count=7)
    assert service.pass_actions(proposed).json()["proposalState"] == "Accepted"
    assert service.read_one(SERVICE_CONFIG).recent_cose_proposals_window_size == 7
