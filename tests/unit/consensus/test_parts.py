"""The small parts: view history, log, quorums, configurations, peers, messages, statuses."""

import pytest

from ledger.base.ids import NodeId
from ledger.consensus.committable import Committable
from ledger.consensus.configurations import Configurations
from ledger.consensus.log import NOMINAL_ENTRY_BYTES, RELEASE_BATCH, Log
from ledger.consensus.messages import AppendEntries, AppendEntriesResponse, bind
from ledger.consensus.progress import Peer, Peers
from ledger.consensus.quorum import committable_seqno, has_quorum, quorum_size
from ledger.consensus.retirement import FOLLOWING, Retirement
from ledger.consensus.testing import make_node
from ledger.consensus.tx_status import TxStatus, tx_status
from ledger.consensus.types import Applied, Entry, Proposed, RetirementPhase, Role
from ledger.consensus.view_history import ViewHistory
from ledger.testing import scenario_payload as payload

A, B, C, D = (NodeId(name) for name in "abcd")

# View 1 is empty, view 2 has 1..4, view 3 is empty, view 4 has 5..6, view 5 has 7 and on.
HISTORY = [1, 1, 5, 5, 7]


@pytest.mark.parametrize(
    ("seqno", "view"), [(0, 0), (1, 2), (4, 2), (5, 4), (6, 4), (7, 5), (99, 5)]
)
def test_view_of_a_seqno(seqno: int, view: int) -> None:
    assert ViewHistory(HISTORY).view_at(seqno) == view


@pytest.mark.parametrize(
    ("view", "start", "end"),
    [(0, 0, 0), (1, 0, 0), (2, 1, 4), (3, 0, 0), (4, 5, 6), (5, 7, 0), (6, 0, 0)],
)
def test_range_of_a_view(view: int, start: int, end: int) -> None:
    history = ViewHistory(HISTORY)
    assert (history.start(view), history.end(view)) == (start, end)


def test_history_grows_by_entries() -> None:
    history = ViewHistory()
    for seqno, view in ((1, 2), (2, 2), (5, 4), (6, 4), (7, 5)):
        history.update(seqno, view)
    assert history.starts == HISTORY
    assert history.newest_view == 5


def test_history_refuses_a_start_below_the_newest() -> None:
    with pytest.raises(AssertionError, match="below its predecessor"):
        ViewHistory(HISTORY).update(6, 6)
    with pytest.raises(AssertionError, match="below its predecessor"):
        ViewHistory([3, 2])


@pytest.mark.parametrize(
    ("seqno", "starts"), [(7, HISTORY), (6, [1, 1, 5, 5]), (5, [1, 1, 5, 5]), (4, [1, 1]), (0, [])]
)
def test_history_rolls_back(seqno: int, starts: list[int]) -> None:
    history = ViewHistory(HISTORY)
    history.rollback(seqno)
    assert history.starts == starts


@pytest.mark.parametrize(
    ("view", "seqno", "last", "best"),
    [
        (5, 9, 8, 8),
        (5, 7, 8, 7),
        (4, 9, 8, 6),
        (4, 5, 8, 5),
        (3, 9, 8, 4),
        (2, 9, 8, 4),
        (2, 3, 8, 3),
        (1, 9, 8, 0),
        (9, 20, 8, 8),
        (0, 3, 8, 0),
    ],
)
def test_best_match(view: int, seqno: int, last: int, best: int) -> None:
    assert ViewHistory(HISTORY).best_match(view, seqno, last) == best


def full_log(count: int) -> Log:
    log = Log()
    for seqno in range(1, count + 1):
        log.append(Entry(2, seqno, bytes(seqno % 7)))
    return log


def test_log_appends_reads_and_truncates() -> None:
    log = full_log(5)
    assert [entry.seqno for entry in log.between(2, 4)] == [2, 3, 4]
    assert log.between(6, 5) == ()
    log.truncate(3)
    assert (log.last, log.get(4), log.bytes_between(0, 3)) == (3, None, 1 + 2 + 3)
    log.append(Entry(3, 4, b"1234567"))
    assert log.bytes_between(3, 4) == 7
    with pytest.raises(AssertionError, match="to append, want 5"):
        log.append(Entry(3, 7, b""))


def test_log_releases_in_batches() -> None:
    log = full_log(3 * RELEASE_BATCH)
    log.release(RELEASE_BATCH - 1)
    assert log.first == 1
    log.release(2 * RELEASE_BATCH)
    assert log.first == 2 * RELEASE_BATCH + 1
    assert log.get(log.first) is not None
    assert log.get(log.first - 1) is None
    assert log.between(log.first - 1, log.last) == ()
    with pytest.raises(AssertionError, match="released as committed"):
        log.truncate(RELEASE_BATCH)


def test_log_counts_released_entries_by_their_average() -> None:
    log = Log()
    for seqno in range(1, 201):
        log.append(Entry(2, seqno, bytes(10)))
    log.release(150)
    assert log.bytes_between(0, 200) == 2000
    assert log.bytes_between(100, 160) == 600
    assert Log(10).bytes_between(0, 10) == 10 * NOMINAL_ENTRY_BYTES


@pytest.mark.parametrize(
    ("first", "last", "bytes_max", "end"),
    [(1, 9, 30, 3), (1, 9, 29, 2), (1, 9, 1, 1), (4, 5, 1000, 5), (10, 9, 5, 9)],
)
def test_log_finds_the_end_of_a_batch(first: int, last: int, bytes_max: int, end: int) -> None:
    log = Log()
    for seqno in range(1, 10):
        log.append(Entry(2, seqno, bytes(10)))
    assert log.end_within(first, last, bytes_max) == end


def test_batch_of_released_entries_ends_where_memory_begins() -> None:
    log = full_log(2 * RELEASE_BATCH)
    log.release(RELEASE_BATCH)
    assert log.end_within(1, 2 * RELEASE_BATCH, 1) == RELEASE_BATCH


def test_committable_signatures() -> None:
    committable = Committable()
    assert committable.newest == 0
    for seqno in (2, 5, 9):
        committable.add(seqno)
    assert [committable.highest_up_to(n) for n in (1, 2, 4, 9, 99)] == [0, 2, 2, 9, 9]
    assert [committable.contains(n) for n in (2, 3, 9)] == [True, False, True]
    committable.drop_up_to(2)
    committable.drop_above(5)
    assert committable.seqnos == [5]
    with pytest.raises(AssertionError):
        committable.add(5)


@pytest.mark.parametrize(("count", "size"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (7, 4)])
def test_quorum_size(count: int, size: int) -> None:
    assert quorum_size(count) == size


@pytest.mark.parametrize(
    ("sets", "granted", "want"),
    [
        (["abc"], "ab", True),
        (["abc"], "a", False),
        (["abc", "abcde"], "ade", False),
        (["abc", "abcde"], "abd", True),
        (["abcd"], "ab", False),
        ([], "abc", False),
    ],
)
def test_quorum_in_each_configuration(sets: list[str], granted: str, *, want: bool) -> None:
    assert (
        has_quorum(
            [frozenset(map(NodeId, nodes)) for nodes in sets], {NodeId(name) for name in granted}
        )
        is want
    )


@pytest.mark.parametrize(
    ("sets", "want"),
    [(["abc"], 5), (["ab"], 5), (["abcd"], 5), (["a"], 9), (["cd"], 0), (["abc", "acd"], 3)],
)
def test_seqno_of_a_majority_in_each_configuration(sets: list[str], want: int) -> None:
    acked = {A: 9, B: 5, C: 3}
    if sets == ["abcd"]:
        acked[C] = 5
    assert committable_seqno([frozenset(map(NodeId, nodes)) for nodes in sets], acked) == want


def test_configurations() -> None:
    held = Configurations(A)
    assert held.newest == frozenset()
    assert held.add(1, frozenset({A}))
    assert not held.add(2, frozenset({A}))
    assert held.add(3, frozenset({A, C, B}))
    assert held.others == [B, C]
    assert not held.drop_committed(2)
    assert held.add(5, frozenset({B, D}))
    assert held.others == [B, C, D]
    assert [held.newest_seqno_of(node) for node in (A, B, C, D, NodeId("z"))] == [3, 5, 3, 5, 0]
    held.rollback(4)
    assert [configuration.seqno for configuration in held.active] == [1, 3]
    assert held.add(5, frozenset({B}))
    assert held.drop_committed(9)
    assert [configuration.seqno for configuration in held.active] == [5]
    assert not held.has_own
    assert held.former == {A, C}
    with pytest.raises(AssertionError, match="comes after"):
        held.add(4, frozenset({B, D}))


def test_retirement_follows_its_table() -> None:
    retirement = Retirement()
    retirement.signature_appended(2)
    assert retirement.membership == "Active"
    retirement.configuration_appended(3)
    retirement.committed(2)
    retirement.signature_appended(4)
    retirement.signature_appended(5)
    assert retirement.committable_seqno == 4
    retirement.committed(3)
    assert str(retirement.phase) == "Signed"
    retirement.committed(5)
    retirement.rollback(0)
    assert str(retirement.phase) == "Completed", "only the first two can be taken back"
    retirement.marked(6)
    assert retirement.is_final
    assert not FOLLOWING[RetirementPhase.RETIRED_COMMITTED]


def test_marking_before_completion_is_fatal() -> None:
    retirement = Retirement()
    with pytest.raises(AssertionError, match="want a committed retirement"):
        retirement.marked(3)


def test_peers_are_in_order_and_match_never_falls() -> None:
    peers = Peers()
    for node in (C, A, B):
        peers.add(node, 4)
    assert [node for node, _ in peers.items()] == [A, B, C]
    peers.remove(B)
    peers.remove(D)
    assert (len(peers), B in peers) == (2, False)
    peer = Peer(9)
    peer.acknowledged(5)
    peer.refused(3)
    assert (peer.sent, peer.match) == (5, 5)
    with pytest.raises(AssertionError, match="would fall"):
        peer.acknowledged(4)


def test_messages_are_immutable_and_have_a_kind() -> None:
    response = AppendEntriesResponse(2, 3, success=True)
    assert response.kind == "append_entries_response"
    with pytest.raises(AttributeError):
        response.view = 3  # type: ignore[misc]


def test_entries_can_be_bound_late() -> None:
    message = AppendEntries(3, 2, 4, 6, 3, 4)
    entries = (Entry(3, 5, b"x"), Entry(3, 6, b"y"))
    assert not message.is_bound
    bound = message.with_entries(entries)
    assert bound.is_bound
    assert (bound.view, bound.prev_seqno, bound.last_seqno, bound.entries) == (3, 4, 6, entries)
    assert message.entries == ()
    with pytest.raises(AssertionError, match="got 1 entries for a message that names 2"):
        bind(message, entries[:1], 10)


@pytest.mark.parametrize(
    ("sizes", "ends"),
    [([4, 4, 4], [[1, 2], [3]]), ([20, 1, 1], [[1], [2, 3]]), ([1, 20, 1], [[1], [2], [3]])],
)
def test_binding_splits_by_size(sizes: list[int], ends: list[list[int]]) -> None:
    entries = [Entry(3, seqno, bytes(size)) for seqno, size in enumerate(sizes, start=1)]
    parts = bind(AppendEntries(3, 0, 0, 3, 3, 0), entries, 10)
    assert [[entry.seqno for entry in part.entries] for part in parts] == ends
    assert [part.prev_view for part in parts] == [0] + [3] * (len(parts) - 1)
    assert [part.prev_seqno for part in parts] == [end[0] - 1 for end in ends]


@pytest.mark.parametrize(
    ("asked", "held_view", "commit", "commit_view", "want"),
    [
        ((3, 5), 3, 5, 3, TxStatus.COMMITTED),
        ((3, 5), 4, 5, 4, TxStatus.INVALID),
        ((3, 5), 3, 4, 3, TxStatus.PENDING),
        ((3, 5), 0, 4, 4, TxStatus.INVALID),
        ((3, 5), 2, 4, 2, TxStatus.UNKNOWN),
        ((3, 5), 0, 4, 3, TxStatus.UNKNOWN),
        ((3, 5), 4, 4, 3, TxStatus.UNKNOWN),
        ((3, 5), 0, 9, 4, TxStatus.INVALID),
    ],
)
def test_transaction_status(
    asked: tuple[int, int], held_view: int, commit: int, commit_view: int, want: TxStatus
) -> None:
    view, seqno = asked
    got = tx_status(view, seqno, held_view=held_view, commit=commit, commit_view=commit_view)
    assert got is want


def test_published_words() -> None:
    assert [role.value for role in Role] == [
        "None",
        "Follower",
        "PreVoteCandidate",
        "Candidate",
        "Leader",
    ]
    assert [phase.value for phase in RetirementPhase] == [
        "Ordered",
        "Signed",
        "Completed",
        "RetiredCommitted",
    ]


def test_factory_makes_a_node_that_knows_nothing() -> None:
    node = make_node(
        "0",
        message_timeout_ms=10,
        election_timeout_ms=100,
        pre_vote_enabled=True,
        jitter=lambda limit: limit,
        apply_entry=payload.apply,
    )
    status = node.status()
    assert (status.leadership_state, status.current_view, status.last_seqno) == ("None", 0, 0)
    assert (status.ticking, status.configs, status.acks, status.primary_id) == (False, [], {}, None)
    assert (node.entry(1), node.view_at(1), node.view_at(0)) == (None, 0, 0)
    node.start_ticking()
    node.bootstrap_primary()
    first = Proposed(1, b"c0", committable=False, configuration=frozenset({NodeId("0")}))
    assert node.replicate([first], 2)
    assert node.entry(1) == Entry(2, 1, b"c0")
    assert Applied(True, None, None).committable  # the order drivers may rely on
