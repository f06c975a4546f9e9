"""Quorums, view histories and batches against slow definitions; repair of any divergent log."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.base.ids import NodeId
from ledger.consensus import quorum
from ledger.consensus.log import Log
from ledger.consensus.messages import AppendEntries
from ledger.consensus.raft import Raft
from ledger.consensus.types import Entry, Settings
from ledger.consensus.view_history import ViewHistory
from ledger.testing import scenario_payload as payload
from tests.reference import consensus_parts as reference

EXAMPLES = int(os.environ.get("QUORATE_EXAMPLES", "100"))
NODES = [NodeId(name) for name in "abcdef"]
A, B = NODES[:2]

node_sets = st.lists(st.frozensets(st.sampled_from(NODES), min_size=1), max_size=3)
log_views = st.lists(st.integers(0, 2), max_size=12).map(
    lambda steps: [1 + sum(steps[: n + 1]) for n in range(len(steps))]
)


@settings(max_examples=EXAMPLES)
@given(sets=node_sets, granted=st.frozensets(st.sampled_from(NODES)))
def test_quorum_meets_every_majority(
    sets: list[frozenset[NodeId]], granted: frozenset[NodeId]
) -> None:
    assert quorum.has_quorum(sets, granted) == reference.has_quorum(sets, granted)


@settings(max_examples=EXAMPLES)
@given(
    sets=node_sets.filter(bool),
    acked=st.dictionaries(st.sampled_from(NODES), st.integers(0, 9)),
)
def test_committable_seqno_is_held_by_majorities(
    sets: list[frozenset[NodeId]], acked: dict[NodeId, int]
) -> None:
    assert quorum.committable_seqno(sets, acked) == reference.committable_seqno(sets, acked)


@settings(max_examples=EXAMPLES)
@given(views=log_views, cut=st.integers(0, 13))
def test_view_history_is_the_log_in_short(views: list[int], cut: int) -> None:
    history = ViewHistory()
    for seqno, view in enumerate(views, start=1):
        history.update(seqno, view)
    assert history.starts == reference.starts_of(views)
    assert [history.view_at(n) for n in range(1, len(views) + 1)] == views
    for view in range(1, max(views, default=0) + 1):
        own = [n for n, held in enumerate(views, start=1) if held == view]
        assert history.start(view) == (own[0] if own else 0)
        if view < max(views):
            assert history.end(view) == (own[-1] if own else 0)
    history.rollback(cut)
    assert history.starts == reference.starts_of(views[:cut])


@settings(max_examples=EXAMPLES)
@given(views=log_views, view=st.integers(0, 20), seqno=st.integers(0, 20))
def test_best_match_is_the_highest_that_could_agree(
    views: list[int], view: int, seqno: int
) -> None:
    history = ViewHistory(reference.starts_of(views))
    got = history.best_match(view, seqno, len(views))
    assert got == reference.best_match(views, view, seqno)


@settings(max_examples=EXAMPLES)
@given(
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=12),
    begin=st.integers(0, 11),
    bytes_max=st.integers(1, 80),
)
def test_batch_is_the_longest_that_fits(sizes: list[int], begin: int, bytes_max: int) -> None:
    log = Log()
    for seqno, size in enumerate(sizes, start=1):
        log.append(Entry(2, seqno, bytes(size)))
    first = min(begin + 1, len(sizes))
    want = reference.end_within(sizes, first, len(sizes), bytes_max)
    assert log.end_within(first, len(sizes), bytes_max) == want
    assert log.bytes_between(first - 1, want) == sum(sizes[first - 1 : want])


@st.composite
def divergent_logs(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Draw the views of two logs that agree up to some signature, every second entry being one."""
    trunk = draw(st.lists(st.integers(0, 1), max_size=4))
    views = [2, 2]
    for step in trunk:
        views += [views[-1] + step] * 2
    logs = []
    for parity in (0, 1):
        # Odd views are written by one of the two primaries, even ones by the other: a view has one.
        log = list(views)
        view = views[-1] + 1
        for step in draw(st.lists(st.integers(0, 2), max_size=4)):
            view += step
            log += [2 * view + parity] * 2
        logs.append(log)
    return logs[0], logs[1]


def node_with(name: NodeId, views: list[int], batch: int) -> Raft:
    settings = Settings(
        pre_vote=False,
        eager_send=False,
        resend_on_nack=False,
        track_persistence=False,
        inflight_bytes_max=0,
        batch_entries_max=batch,
    )
    node = Raft(name, settings, payload.apply, lambda limit: limit)
    node.start_ticking()
    for seqno, view in enumerate(views, start=1):
        proposed = payload.signature(seqno)
        if seqno == 1:
            proposed = payload.configuration(1, frozenset({A, B}))
        elif seqno % 2:
            proposed = payload.raw(seqno, f"{view}.{seqno}")
        before = views[seqno - 2] if seqno > 1 else 0
        entry = Entry(view, seqno, proposed.data)
        node.step(NodeId("z"), AppendEntries(view, before, seqno - 1, seqno, view, 2, (entry,)))
    node.ready()
    return node


@settings(max_examples=EXAMPLES)
@given(logs=divergent_logs(), batch=st.integers(1, 6))
def test_any_divergent_log_is_repaired_in_a_round_trip_per_view(
    logs: tuple[list[int], list[int]], batch: int
) -> None:
    ours, theirs = logs
    if ours[-1] < theirs[-1]:
        ours, theirs = theirs, ours
    primary, backup = node_with(A, ours, batch), node_with(B, theirs, batch)
    primary.tick(5000)
    for _, message in primary.ready().messages:
        backup.step(A, message)
    for _, message in backup.ready().messages:
        primary.step(B, message)
    assert primary.is_primary, "its newest signature is of a newer view, or as far"
    trips = 0
    while backup.last != primary.last or backup.view_at(backup.last) != primary.view_at(
        primary.last
    ):
        trips += 1
        for _, message in primary.ready().messages:
            backup.step(A, message)
        for _, message in backup.ready().messages:
            primary.step(B, message)
        primary.tick(100)
    for seqno in range(1, primary.last + 1):
        assert backup.entry(seqno) == primary.entry(seqno)
    assert trips <= len(set(ours) | set(theirs)) + 2
