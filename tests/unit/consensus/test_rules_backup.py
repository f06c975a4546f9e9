"""What a node does with AppendEntries: one test for each sentence of the rule."""

import pytest

from ledger.consensus.messages import AppendEntries, AppendEntriesResponse, RequestVote
from ledger.consensus.ready import Append, Commit, Rollback, Truncate
from tests.unit.consensus.consensus_kit import (
    A,
    C,
    D,
    append_entries,
    feed,
    log_of,
    messages,
    new_node,
    only,
    views,
)

FIVE = "2c 2s 2 2s 2"


def answer(node: object, *, success: bool, view: int, last: int) -> AppendEntriesResponse:
    del node
    return AppendEntriesResponse(view, last, success)


def test_message_of_an_older_view_is_refused_with_our_view_and_end() -> None:
    node = feed(new_node(), FIVE, view=4)
    node.step(D, append_entries(FIVE + " 2s", 6, 6, view=3))
    assert only(node.ready(), AppendEntriesResponse) == answer(node, success=False, view=4, last=5)
    assert node.last == 5
    assert node.primary_id == A


def test_message_of_a_newer_view_is_followed() -> None:
    node = feed(new_node(), "2c 2s 2")
    node.step(C, append_entries("2c 2s", 3, 2, view=5))
    assert (node.view, node.primary_id) == (5, C)
    assert node.last == 2, "the unsigned entry went with the old view"


def test_first_message_gives_a_role() -> None:
    node = new_node()
    assert node.status().leadership_state == "None"
    node.step(A, append_entries("2c 2s", 3, 2))
    assert node.status().leadership_state == "Follower"
    assert only(node.ready(), AppendEntriesResponse) == answer(node, success=False, view=2, last=0)


def test_candidate_follows_the_primary_of_its_view() -> None:
    node = feed(new_node(), "2c 2s")
    node.tick(100)
    assert (node.status().leadership_state, node.view) == ("Candidate", 3)
    node.step(A, append_entries("2c 2s", 3, 2, view=3))
    assert (node.status().leadership_state, node.primary_id) == ("Follower", A)


def test_unknown_previous_entry_is_refused_plainly_and_the_timer_goes_on() -> None:
    node = feed(new_node(), "2c 2s")
    node.tick(60)
    node.step(A, append_entries(FIVE, 6, 5))
    assert only(node.ready(), AppendEntriesResponse) == answer(node, success=False, view=2, last=2)
    node.tick(40)
    assert node.status().leadership_state == "Candidate"


def test_different_previous_entry_is_refused_with_the_best_estimate() -> None:
    node = feed(new_node(), "2c 2s 2 2s 4 4s 4", view=7)
    node.step(A, append_entries("2c 2s 2 2s 5 5s 5", 7, 6, view=7))
    assert only(node.ready(), AppendEntriesResponse) == answer(node, success=False, view=4, last=6)
    node.step(A, append_entries("2c 2s 3 3s 3 3s 7", 7, 6, view=7))
    assert only(node.ready(), AppendEntriesResponse) == answer(node, success=False, view=2, last=4)


def test_accepted_message_restarts_the_timer() -> None:
    node = feed(new_node(), "2c 2s")
    node.tick(60)
    node.step(A, append_entries("2c 2s", 3, 2))
    node.tick(60)
    assert node.status().leadership_state == "Follower"


def test_message_from_below_commit_is_passed_over_in_silence() -> None:
    node = feed(new_node(), "2c 2s 2 2s", commit=4)
    node.step(A, append_entries("2c 2s 2 2s", 3, 4, commit=4))
    ready = node.ready()
    assert (ready.messages, ready.effects) == ([], [])


def test_entries_held_are_skipped_and_new_ones_appended() -> None:
    node = feed(new_node(), "2c 2s 2 2s")
    node.step(A, append_entries("2c 2s 2 2s 2 2s", 3, 6))
    ready = node.ready()
    assert [effect.entry.seqno for effect in ready.effects if isinstance(effect, Append)] == [5, 6]
    assert only(ready, AppendEntriesResponse) == answer(node, success=True, view=2, last=6)


def test_shorter_message_truncates_nothing() -> None:
    node = feed(new_node(), "2c 2s 2 2s 2 2s", view=3)
    node.step(A, append_entries("2c 2s 2 2s", 3, 4, view=3))
    assert node.last == 6
    assert only(node.ready(), AppendEntriesResponse).last_seqno == 4, "the message's end, not ours"


def test_conflict_is_rolled_back_once_in_a_view() -> None:
    node = feed(new_node(), "2c 2s 2 2s 2 2s")
    node.step(C, append_entries("2c 2s 3 3s", 3, 4, view=3))
    ready = node.ready()
    assert views(node) == [2, 2, 3, 3]
    assert [type(effect) for effect in ready.effects][-4:] == [Rollback, Truncate, Append, Append]
    node.step(C, append_entries("2c 2s 4 4s", 3, 4, view=4))
    assert views(node) == [2, 2, 4, 4]
    # A second conflict in the same view cannot happen; if it does, the message is ignored.
    node.step(C, append_entries("2c 2s 3 3s", 3, 4, view=4))
    assert views(node) == [2, 2, 4, 4]


def test_conflicting_unsigned_and_signed_entries_go_together() -> None:
    node = feed(new_node(), "2c 2s 2 2s 2 2s 3 3s", view=3)
    node.step(C, append_entries("2c 2s 2 2s 4", 5, 5, view=4))
    assert views(node) == [2, 2, 2, 2, 4]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda m: m.with_entries(m.entries[:-1]), id="entry missing"),
        pytest.param(lambda m: m.with_entries(()), id="not bound"),
        pytest.param(lambda m: m.with_entries(m.entries[::-1]), id="wrong order"),
        pytest.param(
            lambda m: m.with_entries(tuple(log_of("2c 2s 2 2s 3 3s")[4:])), id="wrong view"
        ),
        pytest.param(
            lambda m: AppendEntries(3, 2, 4, 6, 4, 0, m.entries), id="view above the sender's"
        ),
    ],
)
def test_malformed_entries_are_refused_before_anything_changes(spoil: object) -> None:
    assert callable(spoil)
    node = feed(new_node(), "2c 2s 2 2s 3 3s", view=4)
    message = spoil(append_entries("2c 2s 2 2s 4 4s", 5, 6, view=4))
    if message.view < 4:
        node = feed(new_node(), "2c 2s 2 2s", view=3)
    before = views(node)
    node.step(A, message)
    assert views(node) == before
    assert not only(node.ready(), AppendEntriesResponse).success


def test_view_may_change_only_after_a_signature() -> None:
    node = feed(new_node(), "2c 2s 2", commit=2)
    node.step(A, AppendEntries(3, 2, 2, 3, 2, 2, append_entries("2c 2s 2", 3, 3).entries))
    node.ready()
    assert node.last == 3
    node.step(A, append_entries("2c 2s 2 3", 4, 4, view=3))
    assert not only(node.ready(), AppendEntriesResponse).success
    assert node.last == 3


def test_entry_that_cannot_be_applied_is_refused_and_those_before_it_stay() -> None:
    node = feed(new_node(), "2c 2s")
    message = append_entries("2c 2s 2 2 2s", 3, 5)
    bad = type(message.entries[1])(2, 4, b"?unreadable")
    node.step(A, message.with_entries((message.entries[0], bad, message.entries[2])))
    assert only(node.ready(), AppendEntriesResponse) == answer(node, success=False, view=2, last=3)
    node.step(A, append_entries("2c 2s 2 2 2s", 4, 5))
    assert node.last == 5


@pytest.mark.parametrize(
    ("primary_commit", "last", "want"),
    [(0, 6, 0), (1, 6, 0), (2, 6, 2), (3, 6, 2), (5, 6, 4), (9, 6, 6), (9, 5, 4), (4, 3, 2)],
)
def test_commit_is_bounded_by_the_primary_and_by_the_message(
    primary_commit: int, last: int, want: int
) -> None:
    node = feed(new_node(), "2c 2s 2 2s 2 2s", view=3)
    node.step(C, append_entries("2c 2s 2 2s 2 2s", 1, last, view=3, commit=primary_commit))
    assert node.commit == want


def test_commit_follows_each_signature_of_a_message() -> None:
    node = new_node()
    node.step(A, append_entries("2c 2s 2 2s 2", 1, 5, commit=4))
    kinds = [
        effect.seqno if isinstance(effect, Commit) else effect.entry.seqno
        for effect in node.ready().effects
        if isinstance(effect, Commit | Append)
    ]
    assert kinds == [1, 2, 2, 3, 4, 4, 5]


def test_own_entries_above_the_message_never_commit() -> None:
    node = feed(new_node(), "2c 2s 2 2s 3 3s", view=3)
    node.step(C, append_entries("2c 2s 2 2s 4 4s", 3, 4, view=4, commit=6))
    assert node.commit == 4


def test_acknowledgement_names_the_end_of_the_message() -> None:
    node = feed(new_node(), "2c 2s 2 2s 2 2s")
    node.step(A, append_entries("2c 2s 2 2s 2 2s", 3, 4))
    assert only(node.ready(), AppendEntriesResponse) == answer(node, success=True, view=2, last=4)


def test_node_not_ticking_starts_at_the_first_signature_of_a_set_that_has_it() -> None:
    node = new_node()
    fresh = type(node)(node.node_id, node.state.settings, node.state.apply_entry, lambda n: n)
    fresh.step(A, append_entries("2c 2s", 1, 1))
    assert not fresh.status().ticking
    fresh.step(A, append_entries("2c 2s", 2, 2))
    assert fresh.status().ticking


def test_same_message_twice_changes_nothing_more() -> None:
    node = new_node()
    message = append_entries("2c 2s 2 2s", 1, 4, commit=2)
    node.step(A, message)
    first = node.ready()
    node.step(A, message)
    second = node.ready()
    assert len(first.effects) > 1
    assert second.effects == []
    assert node.status().commit_seqno == 2


def test_node_that_waits_for_a_primary_keeps_its_vote() -> None:
    node = feed(new_node(), "2c 2s")
    node.step(C, RequestVote(3, 2, 2))
    assert messages(node.ready(), type(RequestVote(1, 1, 1))) == []
    node.step(A, append_entries("2c 2s 2 2s 2 2s 3", 7, 6, view=3))
    node.ready()
    node.step(D, RequestVote(3, 2, 2))
    assert node.state.voted_for == C
