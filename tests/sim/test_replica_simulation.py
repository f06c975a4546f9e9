"""Whole replicas in simulation: a slice of it, that it repeats, that it finds mistakes."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ledger.codec.entry import NO_CLAIMS
from ledger.codec.writeset import Changes
from ledger.consensus import roles
from ledger.consensus.state import State
from ledger.crypto.sealing import EntrySealer, Ordered
from ledger.kv.store import Store
from ledger.kv.tx import Tx
from ledger.launch.admission import NodeAdmission
from ledger.launch.joining import Joining
from ledger.lifecycle import join
from ledger.merkle.tree import MerkleTree
from ledger.replica.replica import Replica
from ledger.replica.sealers import Sealers
from ledger.replica.signatures import SignatureIndex
from ledger.replica.waiters import CommitWaiters, Status
from ledger.tables.nodes import NODES_INFO, NodeStatus
from ledger.testing.shrink import failure_of
from ledger.testing.sim_replay import record
from ledger.testing.sim_replica import ReplicaSchedule, simulate
from ledger.testing.sim_replica_replay import ReplicaReplay, shrink_replicas, to_text

pytestmark = pytest.mark.sim

ROOT = Path(__file__).parents[2]
SECONDS = float(os.environ.get("QUORATE_SIM_SECONDS", "12"))
MISTAKE_SEEDS = 40
EXPECTED = (
    "entries held behind a signature",
    "entries read back for a peer",
    "joined node asks again",
    "roll-back of a signed suffix",
    "roll-back of a configuration",
    "call ran again",
    "receipt",
    "receipt of a signature",
    "secrets given before trust is committed",
    "secrets given by a backup",
    "secrets given to a node that leaves",
)
TRACES = """
from ledger.testing.shrink import failure_of
from ledger.testing.sim_replay import record
from ledger.testing.sim_replica import simulate
for seed in range(5):
    outcome = simulate(seed)
    print(seed, outcome.trace, outcome.steps, outcome.committed, sorted(outcome.counters.items()))
"""


def test_no_seed_of_replicas_fails() -> None:
    counters: Counter[str] = Counter()
    begin = time.monotonic()
    for seed in count():
        if time.monotonic() - begin > SECONDS:
            break
        schedule = ReplicaSchedule(seed)
        try:
            outcome = schedule.run()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            pytest.fail(f"scripts/simulate --replica --seed {seed}: {error!r}")
        counters += outcome.counters
        counters["demanded"] += outcome.demanded
    assert counters["demanded"] > 0
    if counters["demanded"] > 100:
        assert [name for name in EXPECTED if not counters[name]] == []


def test_replicas_repeat_whatever_the_hash_seed() -> None:
    outputs = set()
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", TRACES],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        outputs.add(done.stdout)
    assert len(outputs) == 1
    assert len(outputs.pop().splitlines()) == 5


# Mistakes that the checkers have to notice: what is replaced, and by what.


def _no_conflict(tx: Tx) -> None:
    del tx


def _keep_tree(tree: MerkleTree, seqno: int) -> None:
    del tree, seqno


def _keep_secrets(sealers: Sealers, seqno: int) -> None:
    del sealers, seqno


def _nobody_waits(waiters: CommitWaiters, seqno: int, view_at: Callable[[int], int]) -> None:
    del waiters, seqno, view_at


def _never_told_to_sync(index: SignatureIndex, first: int, last: int) -> bool:
    del index, first, last
    return False


def _always_pending(replica: Replica, view: int, seqno: int) -> Status:
    return "Committed" if replica.view_at(seqno) == view else "Invalid"


_Sealed = tuple[list[bytes], list[bytes]]


def _claims_forgotten(seal_all: Callable[..., _Sealed]) -> Callable[..., _Sealed]:
    def forgetful(sealer: EntrySealer, view: int, transactions: Iterable[Ordered]) -> _Sealed:
        return seal_all(sealer, view, [(*each[:2], NO_CLAIMS, *each[3:]) for each in transactions])

    return forgetful


def _same_view(replica: Replica) -> None:
    del replica


def _half_filled(fill: Callable[..., None]) -> Callable[..., Any]:
    def half(store: Store, seqno: int, changes: Changes) -> None:
        fill(store, seqno, dict(list(changes.items())[:1]))

    return half


def _disk_far_ahead(persisted: Callable[..., None]) -> Callable[..., Any]:
    def ahead(replica: Replica, seqno: int) -> None:
        persisted(replica, max(seqno, replica.raft.last))

    return ahead


def _wrong_leaf(append: Callable[..., None]) -> Callable[..., Any]:
    def wrong(tree: MerkleTree, leaf: bytes) -> None:
        append(tree, leaf[::-1] if tree.count % 16 == 9 else leaf)

    return wrong


def _only_the_first(accepted: Callable[..., None]) -> Callable[..., Any]:
    def once(joining: Joining, body: bytes) -> None:
        if not joining._has_joined:
            accepted(joining, body)

    return once


def _only_trusted(tx: Tx, node: str) -> bool:
    info = tx.table(NODES_INFO).get(node)
    return info is not None and info.status is NodeStatus.TRUSTED


def _whoever_is_listed(tx: Tx, node: str) -> bool:
    return tx.table(NODES_INFO).has(node)


def _keep_peers(state: State) -> None:
    del state


MISTAKES: dict[str, tuple[object, str, Any]] = {
    "conflicts are not noticed": (Tx, "conflict", _no_conflict),
    "the tree keeps what is rolled back": (MerkleTree, "retract", _keep_tree),
    "secrets stay when their rekey is rolled back": (Sealers, "rollback", _keep_secrets),
    "waiters are not told": (CommitWaiters, "release", _nobody_waits),
    "signatures are not synced": (SignatureIndex, "any_in", _never_told_to_sync),
    "what is held counts as committed": (Replica, "status", _always_pending),
    "claims are not sealed": (EntrySealer, "seal_all", _claims_forgotten(EntrySealer.seal_all)),
    "a roll-back shows no other view": (Replica, "_leave_view", _same_view),
    "a signature is filled in by half": (Store, "fill", _half_filled(Store.fill)),
    "a report of the disk counts for more": (
        Replica,
        "persisted",
        _disk_far_ahead(Replica.persisted),
    ),
    "a joiner takes no answer but the first": (
        Joining,
        "_accepted",
        _only_the_first(Joining._accepted),
    ),
    "no backup gives the keys": (NodeAdmission, "stands_in", False),
    "a node that leaves is refused the keys": (join, "takes_part", _only_trusted),
    "a node that waits is given the keys": (join, "takes_part", _whoever_is_listed),
    "peers stay when their trust is rolled back": (
        roles,
        "_drop_peers_never_trusted",
        _keep_peers,
    ),
    "some leaves are wrong": (MerkleTree, "append", _wrong_leaf(MerkleTree.append)),
}


RARE = {
    "a joiner takes no answer but the first": 400,
    "a node that leaves is refused the keys": 40,
    "no backup gives the keys": 50,
}
"""Where to begin with mistakes that only few schedules show: a run of many seeds finds them."""


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_a_replica_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*MISTAKES[name])
    first = RARE.get(name, 0)
    for seed in range(first, first + MISTAKE_SEEDS):
        try:
            simulate(seed)
        except Exception:  # noqa: BLE001 - whatever it is, it was noticed
            return
    pytest.fail(f"nothing noticed in {MISTAKE_SEEDS} seeds from {first} that {name}")


def test_a_failure_is_written_down_repeated_and_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*MISTAKES["claims are not sealed"])
    recording = record(0, ReplicaSchedule)
    again = failure_of(recording, ReplicaReplay)
    assert again is not None
    assert str(again) == str(recording.error), "a recording repeats the failure exactly"
    small = shrink_replicas(recording, 5)
    assert len(small.events) < len(recording.events) / 2
    assert failure_of(small, ReplicaReplay) is not None
    assert to_text(small).startswith("# seed 0: Claims")
