"""What production turns on: eager sending, flow control, persistence, capacity, release."""

import pytest

from ledger.consensus.messages import AppendEntries, AppendEntriesResponse, bind
from ledger.consensus.types import Entry, Settings
from ledger.testing import scenario_payload as payload
from tests.unit.consensus.consensus_kit import (
    A,
    B,
    C,
    accept,
    append_entries,
    feed,
    messages,
    new_node,
    only,
    primary,
    refuse,
    sign,
    write,
)


def ranges(found: list[AppendEntries]) -> list[tuple[int, int]]:
    return [(message.prev_seqno, message.last_seqno) for message in found]


def test_production_asks_for_pre_votes_and_waits_for_the_disk() -> None:
    settings = Settings()
    assert settings.pre_vote
    assert settings.track_persistence
    assert settings.eager_send


def test_signature_is_sent_at_once() -> None:
    node = primary(eager_send=True)
    write(node, 2)
    assert node.ready().messages == []
    sign(node)
    assert ranges(messages(node.ready(), AppendEntries, B)) == [(2, 5)]


def test_refusal_is_answered_at_once_and_once() -> None:
    node = primary("2c 2s 2 2s 2 2s", resend_on_nack=True, batch_entries_max=2)
    refuse(node, B, 2)
    assert ranges(messages(node.ready(), AppendEntries, B)) == [(2, 4)], "one batch, as a probe"
    refuse(node, B, 2)
    assert node.ready().messages == [], "several messages on their way drew the same refusal"
    accept(node, B, 4)
    assert ranges(messages(node.ready(), AppendEntries, B)) == [(4, 6)], "the rest follows"
    refuse(node, B, 4)
    assert ranges(messages(node.ready(), AppendEntries, B)) == [(4, 6)]


def test_slow_peer_gets_heartbeats_until_it_answers() -> None:
    node = primary(inflight_bytes_max=50, batch_entries_max=1, flush_bytes=10_000)
    write(node, 6, "x" * 19)
    node.tick(10)
    assert ranges(messages(node.ready(), AppendEntries, B)) == [(2, 3), (3, 4), (4, 5), (5, 5)]
    accept(node, B, 4)
    assert ranges(messages(node.ready(), AppendEntries, B)) == [(5, 6), (6, 7), (7, 7)]
    accept(node, B, 7)
    assert ranges(messages(node.ready(), AppendEntries, B)) == [(7, 8)]
    accept(node, B, 8)
    assert node.ready().messages == []


def test_peer_that_is_silent_gets_a_window_in_each_interval() -> None:
    node = primary(inflight_bytes_max=20, batch_entries_max=1, flush_bytes=10_000)
    write(node, 3, "x" * 19)
    sent = []
    for _ in range(6):
        node.tick(10)
        sent += [last for _, last in ranges(messages(node.ready(), AppendEntries, B))]
    assert max(sent) == 5, "nothing is held back for ever"


def test_own_copy_counts_only_from_the_disk() -> None:
    node = new_node(A, track_persistence=True)
    node.bootstrap_primary()
    node.replicate([payload.configuration(1, frozenset({A})), payload.signature(2)], 2)
    assert node.commit == 0
    node.persisted(1, 2)
    assert node.commit == 0
    node.persisted(2, 2)
    assert node.commit == 2


def test_majority_needs_the_disks_of_others_if_not_ours() -> None:
    node = primary(track_persistence=True)
    sign(node)
    accept(node, B, 3)
    assert node.commit == 2, "only B has it on disk"
    accept(node, C, 3)
    assert node.commit == 3, "B and C are enough"


def test_acknowledgement_of_a_signature_waits_for_the_disk() -> None:
    node = feed(new_node(track_persistence=True), "2c 2s", commit=2)
    node.persisted(2, 2)
    node.step(A, append_entries("2c 2s 2", 3, 3))
    assert only(node.ready(), AppendEntriesResponse).last_seqno == 3, "no signature, no wait"
    node.step(A, append_entries("2c 2s 2 2s 2", 4, 5))
    assert node.ready().messages == []
    node.persisted(3, 2)
    assert node.ready().messages == []
    node.persisted(4, 2)
    assert only(node.ready(), AppendEntriesResponse) == AppendEntriesResponse(2, 5, success=True)


def test_heartbeat_meanwhile_is_answered_with_what_is_on_disk() -> None:
    node = feed(new_node(track_persistence=True), "2c 2s", commit=2)
    node.persisted(2, 2)
    node.step(A, append_entries("2c 2s 2 2s", 3, 4))
    node.step(A, append_entries("2c 2s 2 2s", 5, 4))
    assert only(node.ready(), AppendEntriesResponse) == AppendEntriesResponse(2, 2, success=True)


def test_waiting_acknowledgement_ends_with_its_view_and_its_entries() -> None:
    node = feed(new_node(track_persistence=True), "2c 2s", commit=2)
    node.persisted(2, 2)
    node.step(A, append_entries("2c 2s 2 2s", 3, 4))
    node.step(C, append_entries("2c 2s 2 2s", 5, 4, view=3))
    assert only(node.ready(), AppendEntriesResponse).last_seqno == 2
    node.step(C, append_entries("2c 2s 3 3s", 3, 4, view=3))
    node.persisted(4, 2)
    assert node.ready().messages == [], "a report about an entry that was replaced"
    node.persisted(4, 3)
    assert only(node.ready(), AppendEntriesResponse) == AppendEntriesResponse(3, 4, success=True)


@pytest.mark.parametrize(("limit", "backlog", "full"), [(3, 2, False), (3, 3, True), (0, 9, False)])
def test_capacity(limit: int, backlog: int, *, full: bool) -> None:
    node = primary(max_uncommitted=limit)
    write(node, backlog)
    assert node.at_capacity is full
    sign(node)


def test_committed_entries_can_be_released_and_are_still_known_by_view() -> None:
    node = new_node(A)
    node.bootstrap_primary()
    node.replicate([payload.configuration(1, frozenset({A}))], 2)
    write(node, 300)
    sign(node)
    write(node, 100)
    node.release(400)
    assert node.entry(302) is None
    assert node.entry(303) is not None, "not committed"
    assert (node.view_at(1), node.view_at(302), node.view_at(402)) == (2, 2, 2)
    write(node, 1)
    sign(node)
    assert node.commit == node.last


def test_memory_of_a_lone_node_is_bounded() -> None:
    node = new_node(A, retained_entries=10)
    node.bootstrap_primary()
    node.replicate([payload.configuration(1, frozenset({A}))], 2)
    most = 0
    for _ in range(200):
        write(node, 20)
        sign(node)
        node.ready()
        most = max(most, node.last - node.state.log.first + 1)
    assert node.last == 1 + 200 * 21
    assert most < 200


def test_released_entries_are_read_back_for_a_peer() -> None:
    node = primary(retained_entries=0, flush_bytes=1 << 30, batch_entries_max=100)
    write(node, 150)
    sign(node)
    accept(node, B, 153)
    assert node.commit == 153
    node.ready()
    refuse(node, C, 2)
    node.tick(10)
    first, *rest = messages(node.ready(), AppendEntries, C)
    assert not first.is_bound
    assert (first.prev_seqno, first.entries) == (2, ())
    assert rest[-1].last_seqno == 153
    entries = [Entry(3, seqno, b"r" + bytes(9)) for seqno in range(3, first.last_seqno + 1)]
    parts = bind(first, entries, 100)
    assert [part.last_seqno for part in parts[:2]] == [12, 22]
    assert all(part.is_bound for part in parts)
    assert parts[1].prev_view == 3


def test_flush_sends_what_waits() -> None:
    node = primary()
    write(node, 1)
    node.flush()
    assert ranges(messages(node.ready(), AppendEntries, B)) == [(2, 3)]
