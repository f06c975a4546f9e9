"""Elections: the timer, asking, voting, counting, winning."""

import pytest

from ledger.consensus.messages import (
    AppendEntries,
    Election,
    ProposeRequestVote,
    RequestVote,
    RequestVoteResponse,
)
from ledger.consensus.raft import Raft
from ledger.consensus.ready import BecamePrimary, InitialiseView, RequestRetirementCleanup
from tests.unit.consensus.consensus_kit import (
    A,
    B,
    C,
    D,
    E,
    append_entries,
    feed,
    grant,
    messages,
    new_node,
    only,
    primary,
    sign,
    write,
)


def vote(node: Raft, voter: str, *, granted: bool = True, view: int | None = None) -> None:
    election: Election = "pre_vote" if _role(node) == "PreVoteCandidate" else "regular"
    own = node.view if view is None else view
    node.step(voter, RequestVoteResponse(own, granted, election))  # type: ignore[arg-type]


def _role(node: Raft) -> str:
    return node.status().leadership_state


@pytest.mark.parametrize(
    ("jitter", "patience"), [(0, 100), (20, 80), (50, 50)], ids=["least", "some", "greatest"]
)
def test_timeout_is_between_half_and_all_of_the_setting(jitter: int, patience: int) -> None:
    node = new_node()
    node.state.jitter = lambda limit: min(jitter, limit)
    feed(node, "2c 2s")
    node.tick(patience - 1)
    assert _role(node) == "Follower"
    node.tick(1)
    assert _role(node) == "Candidate"


def test_node_that_does_not_tick_never_stands() -> None:
    node = feed(new_node(), "2c 2s")
    node.state.ticking = False
    node.tick(1000)
    assert _role(node) == "Follower"


def test_node_without_a_configuration_never_stands() -> None:
    node = new_node()
    node.tick(1000)
    assert (_role(node), node.ready().messages) == ("None", [])


def test_pre_vote_candidate_asks_with_its_view_and_keeps_its_vote() -> None:
    node = feed(new_node(pre_vote=True), "2c 2s 2 2s 2")
    node.tick(100)
    assert (_role(node), node.view, node.state.voted_for, node.primary_id) == (
        "PreVoteCandidate",
        2,
        None,
        None,
    )
    request = RequestVote(2, 2, 4, "pre_vote")
    assert node.ready().messages == [(A, request), (C, request)]


def test_candidate_asks_with_the_next_view_and_votes_for_itself() -> None:
    node = feed(new_node(), "2c 2s 2 2s 2")
    node.tick(100)
    assert (_role(node), node.view, node.state.voted_for) == ("Candidate", 3, B)
    request = RequestVote(3, 2, 4, "regular")
    assert node.ready().messages == [(A, request), (C, request)], "the unsigned entry is no boast"


def test_won_pre_votes_start_an_election() -> None:
    node = feed(new_node(pre_vote=True), "2c 2s")
    node.tick(100)
    vote(node, C)
    assert (_role(node), node.view) == ("Candidate", 3)


def test_won_election_makes_a_primary_that_owes_a_signature() -> None:
    node = feed(new_node(), "2c 2s 2 2s 2", commit=2)
    node.tick(100)
    node.ready()
    vote(node, C)
    ready = node.ready()
    assert (_role(node), node.primary_id, node.should_sign) == ("Leader", B, True)
    assert node.last == 4, "the unsigned entry of the primary before is dropped"
    kinds = [type(effect) for effect in ready.effects]
    assert kinds[-3:] == [InitialiseView, BecamePrimary, RequestRetirementCleanup]
    contact = AppendEntries(3, 2, 4, 4, 2, 2, ())
    assert ready.messages == [(A, contact), (C, contact)]
    sign(node)
    assert not node.should_sign


def test_signatures_of_older_views_stay_known_to_a_new_primary() -> None:
    node = primary("2c 2s 2 2s", commit=2)
    assert node.state.committable.seqnos == [4]
    assert node.last_committable == 4


@pytest.mark.parametrize(
    ("view", "seqno", "granted"),
    [
        (2, 4, True),
        (2, 5, True),
        (3, 1, True),
        (2, 3, False),
        (1, 9, False),
    ],
    ids=["equal", "longer", "newer view, shorter", "shorter", "older view, longer"],
)
@pytest.mark.parametrize("election", ["pre_vote", "regular"])
def test_vote_compares_signatures_view_first(
    view: int, seqno: int, election: Election, *, granted: bool
) -> None:
    node = feed(new_node(), "2c 2s 2 2s 2", commit=2)
    node.step(C, RequestVote(5, view, seqno, election))
    assert only(node.ready(), RequestVoteResponse) == RequestVoteResponse(5, granted, election)


def test_unsigned_entries_deny_no_pre_vote() -> None:
    node = feed(new_node(), "2c 2s 2 2s 2 2 2")
    node.step(C, RequestVote(2, 2, 4, "pre_vote"))
    assert only(node.ready(), RequestVoteResponse).granted


def test_vote_is_denied_in_an_older_view() -> None:
    node = feed(new_node(), "2c 2s", view=4)
    node.step(C, RequestVote(3, 9, 9))
    assert only(node.ready(), RequestVoteResponse) == RequestVoteResponse(4, granted=False)
    assert node.view == 4


@pytest.mark.parametrize("election", ["pre_vote", "regular"])
def test_higher_view_of_a_request_is_taken_over(election: Election) -> None:
    node = feed(new_node(), "2c 2s")
    node.step(C, RequestVote(7, 2, 2, election))
    assert node.view == 7


def test_one_vote_in_a_view() -> None:
    node = feed(new_node(), "2c 2s")
    node.step(C, RequestVote(3, 2, 2))
    assert only(node.ready(), RequestVoteResponse).granted
    node.step(D, RequestVote(3, 2, 2))
    assert not only(node.ready(), RequestVoteResponse).granted
    node.step(C, RequestVote(3, 2, 2))
    assert only(node.ready(), RequestVoteResponse).granted, "asked again by the same candidate"
    node.step(D, RequestVote(4, 2, 2))
    assert only(node.ready(), RequestVoteResponse).granted, "a new view, a new vote"


def test_no_vote_while_the_primary_of_the_view_is_known() -> None:
    node = feed(new_node(), "2c 2s")
    node.step(C, RequestVote(2, 2, 2))
    assert not only(node.ready(), RequestVoteResponse).granted
    node.step(C, RequestVote(2, 2, 2, "pre_vote"))
    assert only(node.ready(), RequestVoteResponse).granted, "a pre-vote asks nothing of us"


def test_pre_vote_changes_nothing() -> None:
    node = feed(new_node(), "2c 2s")
    node.tick(60)
    node.step(C, RequestVote(2, 2, 2, "pre_vote"))
    assert (node.state.voted_for, node.primary_id) == (None, A)
    node.tick(40)
    assert _role(node) == "Candidate", "nor the timer"


def test_vote_restarts_the_timer() -> None:
    node = feed(new_node(), "2c 2s", view=2)
    node.step(D, RequestVote(3, 1, 1))
    node.tick(60)
    node.step(C, RequestVote(3, 2, 2))
    node.tick(60)
    assert _role(node) == "Follower"


def test_candidate_that_finds_a_primary_keeps_its_vote() -> None:
    node = feed(new_node(pre_vote=True), "2c 2s", view=3)
    node.state.voted_for = C
    node.tick(100)
    assert _role(node) == "PreVoteCandidate"
    node.step(C, append_entries("2c 2s 2 2s 3", 6, 5, view=3))
    assert (_role(node), node.primary_id) == ("Follower", None), "it had to refuse the message"
    node.ready()
    node.step(D, RequestVote(3, 2, 9))
    assert not only(node.ready(), RequestVoteResponse).granted


@pytest.mark.parametrize(
    ("voter", "view", "granted"),
    [(D, 3, True), (C, 3, False), (C, 2, True)],
    ids=["from a stranger", "denied", "of an older view"],
)
def test_vote_that_does_not_count(voter: str, view: int, *, granted: bool) -> None:
    node = feed(new_node(), "2c 2s")
    node.tick(100)
    vote(node, voter, granted=granted, view=view)
    assert (_role(node), node.view) == ("Candidate", 3)


def test_vote_of_another_kind_does_not_count() -> None:
    node = feed(new_node(), "2c 2s")
    node.tick(100)
    node.step(C, RequestVoteResponse(3, granted=True, election="pre_vote"))
    assert _role(node) == "Candidate"
    pre = feed(new_node(pre_vote=True), "2c 2s")
    pre.tick(100)
    pre.step(C, RequestVoteResponse(2, granted=True, election="regular"))
    assert _role(pre) == "PreVoteCandidate"


def test_higher_view_of_a_vote_is_followed_by_a_candidate_only() -> None:
    node = feed(new_node(), "2c 2s")
    node.step(C, RequestVoteResponse(9, granted=False))
    assert node.view == 2
    node.tick(100)
    node.step(C, RequestVoteResponse(9, granted=False))
    assert (_role(node), node.view) == ("Follower", 9)


def test_same_vote_twice_counts_once() -> None:
    five = frozenset({A, B, C, D, E})
    node = feed(new_node(), "2c 2s", members=five)
    node.tick(100)
    vote(node, C)
    vote(node, C)
    assert _role(node) == "Candidate"
    vote(node, D)
    assert _role(node) == "Leader"


def test_votes_of_an_earlier_round_are_forgotten() -> None:
    five = frozenset({A, B, C, D, E})
    node = feed(new_node(), "2c 2s", members=five)
    node.tick(100)
    vote(node, C)
    node.tick(100)
    vote(node, D)
    assert (_role(node), node.view) == ("Candidate", 4)


@pytest.mark.parametrize(("enough_for_one", "missing"), [((D, E), C), ((A, C), D)])
def test_election_needs_each_configuration(enough_for_one: tuple[str, str], missing: str) -> None:
    """Three of the union's five are no majority while they leave one of the two sets at one."""
    node = feed(new_node(), "2c 2s", commit=2)
    later = frozenset({B, D, E})
    node.step(A, append_entries("2c 2s 2c 2s", 3, 4, members=later))
    node.tick(100)
    for voter in enough_for_one:
        vote(node, voter)
    assert _role(node) == "Candidate"
    vote(node, missing)
    assert _role(node) == "Leader"


def test_only_voter_elects_itself() -> None:
    alone = frozenset({B})
    node = feed(new_node(pre_vote=True), "2c 2s 2", members=alone, commit=2)
    node.tick(100)
    assert (_role(node), node.view) == ("Leader", 3)
    assert messages(node.ready(), RequestVote) == []


@pytest.mark.parametrize(("view", "role"), [(2, "Candidate"), (1, "Follower"), (3, "Follower")])
def test_proposal_to_stand_holds_in_its_view(view: int, role: str) -> None:
    node = feed(new_node(pre_vote=True), "2c 2s")
    node.step(A, ProposeRequestVote(view))
    assert _role(node) == role, "at once, without pre-votes"


def test_proposal_to_stand_needs_a_ticking_node() -> None:
    node = feed(new_node(), "2c 2s")
    node.state.ticking = False
    node.step(A, ProposeRequestVote(2))
    assert _role(node) == "Follower"


def test_bootstrap_needs_no_election() -> None:
    node = new_node(A)
    node.bootstrap_primary()
    assert (_role(node), node.view, node.should_sign) == ("Leader", 2, True)
    write(node)
    assert node.commit == 0, "nothing commits without a configuration"


def test_view_of_a_recovered_service_jumps_by_two() -> None:
    node = new_node(A)
    node.initialise(6, 4, [0, 1, 3, 5], 6, [(1, frozenset({A}))])
    assert (_role(node), node.view, node.last, node.commit) == ("Follower", 4, 6, 6)
    node.bootstrap_primary()
    assert (_role(node), node.view) == ("Leader", 6)
    sign(node)
    assert (node.commit, node.view_at(7), node.view_at(6), node.view_at(2)) == (7, 6, 4, 2)


def test_grants_are_enough_for_a_primary_of_three() -> None:
    node = feed(new_node(), "2c 2s")
    node.tick(100)
    grant(node, "regular")
    assert _role(node) == "Leader"
