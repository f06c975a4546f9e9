"""Reconfiguration, retirement, joining."""

import pytest

from ledger.base.errors import MisuseError
from ledger.base.ids import NodeId
from ledger.consensus.messages import AppendEntries, AppendEntriesResponse, ProposeRequestVote
from ledger.consensus.ready import RequestRetirementCleanup
from ledger.consensus.roles import rollback
from ledger.testing import scenario_payload as payload
from tests.unit.consensus.consensus_kit import (
    MEMBERS,
    A,
    B,
    C,
    D,
    accept,
    append_entries,
    feed,
    grant,
    messages,
    new_node,
    only,
    primary,
    sign,
)

WITHOUT_B = frozenset({A, C})
WITHOUT_C = frozenset({A, B})


def test_phases_of_a_backup_that_leaves() -> None:
    node = feed(new_node(), "2c 2s", commit=2)
    log = "2c 2s 2c 2s 2s"

    def phase() -> str | None:
        return node.status().retirement_phase

    node.step(A, append_entries(log, 3, 3, members=WITHOUT_B))
    assert (phase(), node.status().membership_state) == ("Ordered", "Retired")
    node.step(A, append_entries(log, 4, 4, commit=2, members=WITHOUT_B))
    assert phase() == "Signed"
    node.step(A, append_entries(log, 5, 5, commit=2, members=WITHOUT_B))
    assert phase() == "Signed"
    node.step(A, append_entries(log, 6, 5, commit=4, members=WITHOUT_B))
    assert phase() == "Completed"
    assert node.status().configs == [(3, {A, C})]


@pytest.mark.parametrize(("last", "phase"), [(4, "Signed"), (3, "Ordered"), (2, None)])
def test_roll_back_takes_a_retirement_back(last: int, phase: str | None) -> None:
    node = feed(new_node(), "2c 2s", commit=2)
    node.step(A, append_entries("2c 2s 2c 2s", 3, 4, members=WITHOUT_B))
    rollback(node.state, last)
    assert node.status().retirement_phase == phase
    assert node.status().configs[-1][0] == (3 if phase else 1)


def test_a_node_whose_trust_is_rolled_back_is_sent_nothing_more() -> None:
    """It held the keys for a while, but nobody decided in the end that it may read the ledger."""
    node = feed(new_node(), "2c 2s", commit=2)
    node.step(A, append_entries("2c 2s 2c", 3, 3, members=MEMBERS | {D}))
    assert D in node.state.peers
    node.tick(100)
    grant(node, "regular")
    assert node.is_primary
    node.ready()
    sign(node)
    node.tick(10)
    assert {to for to, _ in node.ready().messages} == {A, C}
    node.replicate([payload.configuration(4, MEMBERS | {D})], 3)
    node.tick(10)
    assert messages(node.ready(), AppendEntries, D), "it was trusted again"


def test_a_node_that_has_left_stays_a_peer_when_something_else_is_rolled_back() -> None:
    node = feed(new_node(), "2c 2s", commit=2)
    node.step(A, append_entries("2c 2s 2c 2s 2", 3, 5, members=WITHOUT_C, commit=4))
    assert node.status().configs == [(3, {A, B})]
    rollback(node.state, 4)
    assert C in node.state.peers
    started = new_node(B)
    started.initialise(4, 2, [1, 1], 4, [(3, frozenset({A, B}))], retiring=frozenset({C}))
    started.step(A, append_entries("2c 2s 2c 2s 2", 5, 5, members=WITHOUT_C, commit=4))
    rollback(started.state, 4)
    assert C in started.state.peers


def test_roll_back_below_commit_is_ignored() -> None:
    node = feed(new_node(), "2c 2s 2 2s", commit=4)
    rollback(node.state, 3)
    assert node.last == 4


def test_primary_completes_its_retirement_then_hands_over() -> None:
    node = primary(name=A)
    node.replicate([payload.configuration(3, frozenset({B, C}))], 3)
    assert node.status().retirement_phase == "Ordered"
    sign(node)
    assert node.status().retirement_phase == "Signed"
    accept(node, B, 4)
    assert node.commit == 2, "we do not count in the new set"
    accept(node, C, 4)
    assert (node.commit, node.status().retirement_phase) == (4, "Completed")
    assert RequestRetirementCleanup() in node.ready().effects
    node.replicate([payload.retired_committed(5, frozenset({A})), payload.signature(6)], 3)
    accept(node, C, 6)
    node.ready()
    accept(node, B, 6)
    assert only(node.ready(), ProposeRequestVote) == ProposeRequestVote(3)
    status = node.status()
    assert (status.leadership_state, status.retirement_phase, status.primary_id) == (
        "None",
        "RetiredCommitted",
        None,
    )
    assert not node.replicate([payload.raw(7, "x")], 3)
    node.tick(1000)
    assert node.ready().messages == [], "it is silent, unless asked"
    node.step(B, append_entries("2c 2s 3c 3s 3x 3s", 7, 6, view=4, members=frozenset({B, C})))
    assert node.status().leadership_state == "Follower"
    node.tick(1000)
    assert node.status().leadership_state == "Follower", "it never stands"


def test_marked_peer_is_sent_nothing_more() -> None:
    node = primary()
    node.replicate([payload.configuration(3, WITHOUT_C), payload.signature(4)], 3)
    accept(node, B, 4)
    accept(node, C, 4)
    assert node.commit == 4
    node.tick(10)
    assert messages(node.ready(), AppendEntries, C), "still a peer"
    node.replicate([payload.retired_committed(5, frozenset({C})), payload.signature(6)], 3)
    accept(node, B, 6)
    node.ready()
    node.tick(10)
    assert [to for to, _ in node.ready().messages] == [B]


def test_a_mark_that_is_rolled_back_marks_nobody() -> None:
    node = primary()
    node.replicate([payload.configuration(3, WITHOUT_C), payload.signature(4)], 3)
    accept(node, B, 4)
    accept(node, C, 4)
    node.replicate([payload.retired_committed(5, frozenset({C}))], 3)
    rollback(node.state, 4)
    node.replicate([payload.raw(5, "plain"), payload.signature(6)], 3)
    accept(node, B, 6)
    assert node.commit == 6
    node.ready()
    node.tick(10)
    assert messages(node.ready(), AppendEntries, C), "still a peer"


def test_marking_a_node_that_has_not_left_is_fatal() -> None:
    node = primary()
    node.replicate([payload.configuration(3, WITHOUT_C), payload.signature(4)], 3)
    with pytest.raises(AssertionError, match="before it has left"):
        node.replicate([payload.retired_committed(5, frozenset({C}))], 3)
    with pytest.raises(MisuseError):
        node.tick(1)


def test_node_that_left_cannot_be_trusted_again() -> None:
    node = primary()
    node.replicate([payload.configuration(3, WITHOUT_C), payload.signature(4)], 3)
    accept(node, B, 4)
    with pytest.raises(AssertionError, match="cannot be trusted again"):
        node.replicate([payload.configuration(5, frozenset({A, B, C}))], 3)


def test_same_members_are_no_change() -> None:
    node = primary()
    node.replicate([payload.configuration(3, frozenset({A, B, C}))], 3)
    assert node.status().configs == [(1, {A, B, C})]


def test_configurations_are_dropped_by_commit_and_never_the_last() -> None:
    node = feed(new_node(), "2c 2s", commit=2)
    log = "2c 2s 2c 2s"
    node.step(A, append_entries(log, 3, 4, members=frozenset({A, B, D}), commit=2))
    assert [seqno for seqno, _ in node.status().configs] == [1, 3]
    node.step(A, append_entries(log, 5, 4, members=frozenset({A, B, D}), commit=4))
    assert node.status().configs == [(3, {A, B, D})]


def test_node_from_a_snapshot_follows_and_answers_with_what_it_has() -> None:
    node = new_node(D)
    node.state.ticking = False
    node.initialise(4, 2, [1, 1], 4, [(3, frozenset({A, B}))])
    status = node.status()
    assert (status.leadership_state, status.ticking, status.configs) == (
        "Follower",
        False,
        [(3, {A, B})],
    )
    assert (node.view, node.last, node.commit, node.view_at(4), node.entry(4)) == (2, 4, 4, 2, None)
    log = "2c 2s 2 2s 2c 2s"
    members = frozenset({A, B, D})
    node.ready()
    node.step(A, append_entries(log, 7, 6, members=members))
    assert only(node.ready(), AppendEntriesResponse) == AppendEntriesResponse(2, 4, success=False)
    node.step(A, append_entries(log, 5, 6, members=members, commit=4))
    assert only(node.ready(), AppendEntriesResponse) == AppendEntriesResponse(2, 6, success=True)
    assert node.status().ticking


def test_node_from_a_snapshot_knows_who_is_leaving() -> None:
    node = new_node(B)
    node.initialise(4, 2, [1, 1], 4, [(3, frozenset({A, B}))], retiring=frozenset({C}))
    assert C in node.state.peers


@pytest.mark.parametrize(
    ("last", "view", "commit"), [(4, 3, 4), (4, 2, 3)], ids=["wrong view", "not committed"]
)
def test_inconsistent_snapshot_is_misuse(last: int, view: int, commit: int) -> None:
    node = new_node(D)
    with pytest.raises(MisuseError):
        node.initialise(last, view, [1, 1], commit, [])
    assert not node.is_broken


def test_node_starts_once() -> None:
    node = feed(new_node(), "2c 2s")
    with pytest.raises(MisuseError):
        node.initialise(2, 2, [1, 1], 2, [])


def test_configuration_without_a_ledger() -> None:
    nodes = frozenset({A, B, C})
    cluster = {name: new_node(name) for name in sorted(nodes)}
    for node in cluster.values():
        node.add_configuration(0, nodes)
    cluster[A].tick(100)
    assert cluster[A].view == 1
    for _ in range(4):
        for name, node in cluster.items():
            for to, message in node.ready().messages:
                cluster[to].step(name, message)
    assert cluster[A].is_primary
    assert cluster[B].primary_id == NodeId("a")
