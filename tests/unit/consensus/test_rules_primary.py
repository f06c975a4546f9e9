"""The primary: appending, sending, acknowledgements, commit, and stepping down."""

import pytest

from ledger.base.ids import NodeId
from ledger.consensus.messages import AppendEntries
from ledger.consensus.ready import BecameBackup, Commit
from ledger.testing import scenario_payload as payload
from tests.unit.consensus.consensus_kit import (
    A,
    B,
    C,
    D,
    E,
    accept,
    feed,
    messages,
    new_node,
    primary,
    refuse,
    sign,
    write,
)


def test_refused_where_it_is_not_primary_of_that_view_or_seqnos_do_not_follow() -> None:
    node = primary()
    for entries, view in (
        ([payload.raw(3, "x")], 2),
        ([payload.raw(4, "x")], 3),
        ([payload.raw(3, "x"), payload.raw(5, "x")], 3),
    ):
        assert not node.replicate(entries, view)
        assert (node.last, node.ready().effects) == (2, [])
    assert not feed(new_node(), "2c 2s").replicate([payload.raw(3, "x")], 2)


def test_nothing_is_sent_before_the_tick() -> None:
    node = primary()
    write(node)
    sign(node)
    assert node.ready().messages == []
    node.tick(10)
    sent = messages(node.ready(), AppendEntries, B)
    assert [(m.prev_seqno, m.last_seqno, len(m.entries)) for m in sent] == [(2, 4, 2)]
    node.tick(10)
    (heartbeat,) = messages(node.ready(), AppendEntries, B)
    assert (heartbeat.prev_seqno, heartbeat.last_seqno) == (4, 4), "sent is optimistic"


def test_messages_are_in_order_of_ids_and_for_each_in_order_of_the_log() -> None:
    node = primary(batch_entries_max=2)
    write(node, 5)
    node.tick(10)
    order = [(to, m.last_seqno) for to, m in node.ready().messages if isinstance(m, AppendEntries)]
    assert order == [(B, 4), (B, 6), (B, 7), (C, 4), (C, 6), (C, 7)]


def test_one_message_carries_one_view() -> None:
    node = primary("2c 2s 3 3s")
    assert node.view == 4
    sign(node)
    node.ready()
    refuse(node, B, 0)
    node.tick(10)
    sent = [
        (m.prev_view, m.prev_seqno, m.entries_view, m.last_seqno)
        for m in messages(node.ready(), AppendEntries, B)
    ]
    assert sent == [(0, 0, 2, 2), (2, 2, 3, 4), (3, 4, 4, 5)]


def test_much_appended_is_sent_without_waiting() -> None:
    node = primary(flush_bytes=100)
    write(node, 4, "x" * 24)
    sent = messages(node.ready(), AppendEntries, C)
    assert [(m.prev_seqno, m.last_seqno) for m in sent] == [(2, 6)]


@pytest.mark.parametrize(
    ("sizes", "ends"),
    [((10, 10, 10), [5]), ((60, 60, 60), [3, 4, 5]), ((500, 10, 10), [3, 5])],
    ids=["all fit", "one each", "one too large alone"],
)
def test_message_size_is_bounded(sizes: tuple[int, ...], ends: list[int]) -> None:
    node = primary(batch_bytes_max=100)
    for size in sizes:
        write(node, 1, "x" * (size - 1))
    node.tick(10)
    assert [m.last_seqno for m in messages(node.ready(), AppendEntries, B)] == ends


def test_majority_commits_up_to_the_newest_signature() -> None:
    node = primary()
    write(node, 2)
    sign(node)
    write(node, 2)
    accept(node, B, 4)
    assert node.commit == 2, "no signature of this view is held by a majority"
    accept(node, B, 7)
    assert node.commit == 5
    assert [e for e in node.ready().effects if isinstance(e, Commit)] == [Commit(5)]


def test_signature_of_an_older_view_commits_only_under_one_of_ours() -> None:
    node = primary("2c 2s 2 2s")
    accept(node, B, 4)
    accept(node, C, 4)
    assert node.commit == 2
    sign(node)
    accept(node, B, 5)
    assert node.commit == 5


def test_commit_counts_each_configuration() -> None:
    node = primary()
    node.replicate([payload.configuration(3, frozenset({A, D, E}))], 3)
    sign(node)
    accept(node, B, 4)
    accept(node, C, 4)
    assert node.commit == 2
    accept(node, D, 4)
    assert node.commit == 4
    assert node.status().configs == [(3, {A, D, E})]


def test_even_configuration_needs_more_than_half() -> None:
    four = frozenset({A, B, C, D})
    node = primary()
    node.replicate([payload.configuration(3, four)], 3)
    sign(node)
    accept(node, B, 4)
    assert node.commit == 2
    accept(node, D, 4)
    assert node.commit == 4


def test_acknowledgement_of_an_older_view_is_ignored() -> None:
    node = primary()
    sign(node)
    accept(node, B, 3, view=2)
    assert (node.commit, node.status().acks[B]["seqno"]) == (2, 0)


def test_late_acknowledgement_lowers_nothing() -> None:
    node = primary()
    write(node, 3)
    accept(node, B, 5)
    accept(node, B, 3)
    assert node.status().acks[B]["seqno"] == 5


@pytest.mark.parametrize("view", [3, 2, 0], ids=["this view", "older view", "no view"])
def test_refusal_moves_what_is_sent_and_nothing_else(view: int) -> None:
    node = primary("2c 2s 2 2s")
    sign(node)
    accept(node, B, 2)
    node.ready()
    refuse(node, B, 5, view)
    refuse(node, C, 5, view)
    assert (node.commit, node.status().acks[B]["seqno"], node.status().acks[C]["seqno"]) == (
        2,
        2,
        0,
    )
    assert node.ready().messages == [], "the next tick sends"


def test_refusal_never_goes_below_what_was_acknowledged() -> None:
    node = primary("2c 2s 2 2s")
    accept(node, B, 4)
    refuse(node, B, 1)
    node.tick(10)
    assert [m.prev_seqno for m in messages(node.ready(), AppendEntries, B)] == [4]


def test_refusal_of_an_older_view_names_a_point_of_agreement() -> None:
    node = primary("2c 2s 2 2s 3 3s")
    node.ready()
    refuse(node, B, 6, view=2)
    node.tick(10)
    assert messages(node.ready(), AppendEntries, B)[0].prev_seqno == 4


def test_higher_view_of_an_answer_is_followed() -> None:
    node = primary()
    refuse(node, B, 0, view=9)
    assert (node.view, node.status().leadership_state) == (9, "Follower")


def test_answers_of_strangers_are_ignored() -> None:
    node = primary()
    sign(node)
    accept(node, D, 3)
    refuse(node, D, 0, view=9)
    assert (node.view, node.commit) == (3, 2)


def test_acknowledgement_of_what_does_not_exist_is_fatal() -> None:
    node = primary()
    with pytest.raises(AssertionError, match="accepted up to 9"):
        accept(node, B, 9)
    assert node.is_broken


def test_primary_without_answers_of_a_majority_steps_down_in_its_view() -> None:
    node = primary()
    node.tick(60)
    accept(node, B, 2)
    node.tick(60)
    assert node.is_primary, "B answered 60 ms ago"
    node.ready()
    node.tick(40)
    assert (node.is_primary, node.view, node.state.voted_for) == (False, 3, A)
    assert BecameBackup(3) in node.ready().effects
    assert not node.state.is_new_follower or node.last == 2


def test_any_answer_shows_life() -> None:
    node = primary()
    node.tick(60)
    refuse(node, C, 0, view=1)
    node.tick(60)
    assert node.is_primary


def test_majority_is_needed_in_each_configuration() -> None:
    node = primary()
    node.replicate([payload.configuration(3, frozenset({A, D, E}))], 3)
    for _ in range(2):
        node.tick(50)
        accept(node, D, 2)
        accept(node, E, 2)
    assert not node.is_primary, "the old set does not answer"


def test_single_node_commits_at_the_signature() -> None:
    node = new_node(A)
    node.bootstrap_primary()
    node.replicate([payload.configuration(1, frozenset({A}))], 2)
    write(node)
    assert node.commit == 0
    sign(node)
    assert node.commit == 3


def test_first_contact_is_empty_and_just_before_the_configuration() -> None:
    node = primary()
    node.replicate([payload.configuration(3, frozenset({A, B, C, D}))], 3)
    assert node.ready().messages == [(D, AppendEntries(3, 2, 2, 2, 2, 2, ()))]


def test_an_entry_has_one_role() -> None:
    node = primary()
    both = payload.signature(3)
    both = type(both)(3, both.data, committable=True, configuration=frozenset({A}))
    with pytest.raises(AssertionError, match="several roles"):
        node.replicate([both], 3)


def test_hand_over_asks_the_peer_that_is_furthest() -> None:
    node = primary()
    write(node, 2)
    accept(node, C, 4)
    assert node.hand_over() == C
    accept(node, B, 4)
    assert node.hand_over() == B, "of equals the smallest id"
    assert feed(new_node(), "2c 2s").hand_over() is None


def test_ids_are_ordered_as_text() -> None:
    names = frozenset(NodeId(name) for name in ("10", "9", "a"))
    node = new_node(NodeId("a"))
    node.bootstrap_primary()
    node.replicate([payload.configuration(1, frozenset({NodeId("a")})), payload.signature(2)], 2)
    node.replicate([payload.configuration(3, names)], 2)
    assert [to for to, _ in node.ready().messages] == ["10", "9"]
