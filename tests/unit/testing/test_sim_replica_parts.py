"""Parts of the simulation of replicas by themselves: host, seals, identities, shadows."""

from random import Random
from typing import TYPE_CHECKING

import pytest

from ledger.base.errors import FormatError
from ledger.boundary.to_enclave import Entries, Persisted
from ledger.boundary.to_host import Append, Committed, ReadEntries, Truncate
from ledger.crypto.sealing import EntrySealer
from ledger.kv.store import Store
from ledger.merkle.tree import MerkleTree
from ledger.tables.nodes import NodeStatus
from ledger.testing.checkers import InvariantError
from ledger.testing.shrink import failure_of
from ledger.testing.sim_replay import Event, Recording
from ledger.testing.sim_replica import ReplicaSchedule
from ledger.testing.sim_replica_host import SimulatedHost
from ledger.testing.sim_replica_identity import SeededEntropy, identity, service
from ledger.testing.sim_replica_plan import draw_replica_plan
from ledger.testing.sim_replica_replay import ReplicaReplay
from ledger.testing.sim_replica_sealing import SealedOnce
from ledger.testing.sim_replica_shadow import Shadows, total_of, total_of_newest

if TYPE_CHECKING:
    from ledger.codec.writeset import Changes

SECRET = bytes(range(32))


def _entries(count: int, first: int = 1, view: int = 2) -> list[bytes]:
    sealer = EntrySealer(SECRET)
    return [
        sealer.seal(view, seqno, 0, {"records": {b"k": b"%d" % seqno}})[0]
        for seqno in range(first, first + count)
    ]


def _append(host: SimulatedHost, entries: list[bytes], first: int, *, sync: bool) -> None:
    host.send(Append(first, len(entries), sync), b"".join(entries))


def test_host_answers_once_for_all_batches_of_a_turn() -> None:
    host, entries = SimulatedHost(1 << 20), _entries(4)
    _append(host, entries[:2], 1, sync=True)
    _append(host, entries[2:], 3, sync=True)
    host.turn()
    assert host.entries == entries
    assert host.durable == 4
    assert [message for message, _ in host.answers] == [Persisted(4, 0)]


def test_host_counts_only_what_is_synced_as_durable() -> None:
    host, entries = SimulatedHost(1 << 20), _entries(3)
    _append(host, entries, 1, sync=False)
    host.turn()
    assert (len(host.entries), host.durable, len(host.answers)) == (3, 0, 0)


def test_host_tells_how_many_truncations_it_knows() -> None:
    host, entries = SimulatedHost(1 << 20), _entries(4)
    _append(host, entries, 1, sync=True)
    host.send(Truncate(2))
    _append(host, _entries(1, 3, 3), 3, sync=True)
    host.turn()
    assert [message for message, _ in host.answers] == [Persisted(3, 1)]
    assert host.untouched == 0


@pytest.mark.parametrize(
    ("message", "tail", "problem"),
    [
        (Append(3, 1, sync=False), _entries(1, 3)[0], "entries from 3 on"),
        (Committed(2), b"", "commit of 2"),
        (Append(2, 2, sync=False), _entries(1, 2)[0], "entry header"),
    ],
)
def test_host_refuses_what_the_real_one_refuses(
    message: Append | Committed, tail: bytes, problem: str
) -> None:
    host = SimulatedHost(1 << 20)
    _append(host, _entries(1), 1, sync=False)
    host.send(message, tail)
    with pytest.raises(FormatError, match=problem):
        host.turn()


def test_host_refuses_to_remove_what_is_committed() -> None:
    host = SimulatedHost(1 << 20)
    _append(host, _entries(3), 1, sync=False)
    host.send(Committed(2))
    host.send(Truncate(1))
    with pytest.raises(FormatError, match="roll-back to 1"):
        host.turn()


@pytest.mark.parametrize(("size", "last"), [(1, 1), (1 << 20, 3)])
def test_host_ends_a_read_at_its_size_and_gives_one_entry_at_least(size: int, last: int) -> None:
    host, entries = SimulatedHost(size), _entries(3)
    _append(host, entries, 1, sync=False)
    host.send(ReadEntries(7, 1, 3))
    host.turn()
    assert list(host.answers) == [(Entries(7, 1, last), b"".join(entries[:last]))]


def test_a_seal_may_repeat_and_may_not_change() -> None:
    sealer = SealedOnce().sealer(SECRET)
    first: Changes = {"records": {b"k": b"1"}}
    assert sealer.seal(2, 5, 0, first) == sealer.seal(2, 5, 0, first)
    sealer.seal(3, 5, 0, {"records": {b"k": b"2"}})
    with pytest.raises(InvariantError, match=r"2\.5 is sealed with another content"):
        sealer.seal(2, 5, 0, {"records": {b"k": b"2"}})


def test_identities_are_the_same_every_time_and_differ() -> None:
    identity.cache_clear()
    one = identity(3)
    identity.cache_clear()
    again = identity(3)
    assert again is not one
    assert (again.node_id, again.certificate) == (one.node_id, one.certificate)
    assert again.row(NodeStatus.PENDING) == one.row(NodeStatus.PENDING)
    assert again.node.self_signed.pem == one.node.self_signed.pem
    root = SeededEntropy(2).random_bytes(32)
    assert again.signer.node_key.sign_digest(root) == one.signer.node_key.sign_digest(root)
    assert identity(4).node_id != one.node_id
    assert service()[0].sign_digest(bytes(32)) == service()[0].sign_digest(bytes(32))
    assert SeededEntropy(1).random_bytes(8) == SeededEntropy(1).random_bytes(8)


def test_a_shadow_agrees_with_a_tree_and_a_store_made_the_usual_way() -> None:
    shadows, store, tree, sealer = Shadows(SECRET), Store(), MerkleTree(), EntrySealer(SECRET)
    writes: list[Changes] = [
        {"records": {b"a": b"1", b"b": b"2"}},
        {"public:log": {b"a": b"1"}, "records": {b"a": None}},
        {"records": {b"c": b"3", b"b": b"4"}},
        {"records": {b"nobody": None}},
    ] * 4
    before = 0
    for seqno, changes in enumerate(writes, start=1):
        entry, leaf = sealer.seal(2, seqno, 0, changes)
        shadow = shadows.add(2, seqno, before, entry)
        tree.append(leaf)
        store.apply(seqno, changes)
        before = 2
        assert shadow.root == tree.root()
        assert shadow.total == total_of_newest(store)
        store.compact(seqno)
        assert shadow.total == total_of(store.contents())


def test_rows_that_were_dropped_are_worked_out_again() -> None:
    shadows, sealer = Shadows(SECRET), EntrySealer(SECRET)
    for seqno in range(1, 9):
        entry, _ = sealer.seal(2, seqno, 0, {"records": {b"%d" % (seqno % 3): b"%d" % seqno}})
        shadows.add(2, seqno, 2 if seqno > 1 else 0, entry)
    before = {key: dict(shadow.state()) for key, shadow in shadows.by_id.items()}
    shadows.drop_rows([0] + 8 * [2])
    assert shadows.by_id[2, 5].rows is None
    assert {key: shadow.state() for key, shadow in shadows.by_id.items()} == before


def test_an_entry_under_another_secret_has_no_shadow() -> None:
    entry, _ = EntrySealer(bytes(32)).seal(2, 1, 0, {"records": {b"k": b"v"}})
    with pytest.raises(InvariantError, match="cannot be opened"):
        Shadows(SECRET).add(2, 1, 0, entry)


def test_equal_seeds_draw_equal_plans_and_run_alike() -> None:
    assert draw_replica_plan(Random(5)) == draw_replica_plan(Random(5))
    one, other = ReplicaSchedule(5).run(), ReplicaSchedule(5).run()
    assert (one.trace, one.steps, one.committed) == (other.trace, other.steps, other.committed)


def test_events_that_cannot_happen_are_passed_over() -> None:
    schedule = ReplicaSchedule(0)
    first = identity(0).node_id
    events = (
        Event(0, "create", (first, 0), 0),
        Event(1, "sign_next", (first,), 0),
        Event(2, "take_answer", (first,), 0),
        Event(3, "deliver", ("nobody", first, 0, 0), 0),
        Event(4, "tick", ("nobody", 5), 0),
    )
    recording = Recording(0, schedule.plan, events, AssertionError())
    assert failure_of(recording, ReplicaReplay) is None
    assert list(ReplicaReplay(recording).cluster.members) == []
