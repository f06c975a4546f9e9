"""Several replicas: same ledgers, fail-over, rolled-back tails, refused entries."""

import msgspec
import pytest

from ledger.base.ids import NodeId, TxId
from ledger.consensus.messages import AppendEntries
from ledger.consensus.types import Entry
from ledger.tables.nodes import (
    NODES_ENDORSED_CERTIFICATES,
    NODES_INFO,
    NodeInfo,
    NodeStatus,
)
from tests.unit.replica.harness import RECORDS, Network, Service, TestNode, node_info

RETIRED = msgspec.structs.replace(node_info(), status=NodeStatus.RETIRED)
GONE = msgspec.structs.replace(RETIRED, retired_committed=True)


def _network(count: int) -> tuple[Network, list[TestNode]]:
    service = Service()
    nodes = [TestNode(service) for _ in range(count)]
    nodes[0].start()
    network = Network(*nodes)
    network.trust(nodes[0], *nodes[1:])
    network.run()
    return network, nodes


def _ledger(node: TestNode) -> bytes:
    return b"".join(node.ledger)


def test_backups_hold_the_same_bytes_state_and_root() -> None:
    network, (primary, *backups) = _network(3)
    for number in range(50):
        primary.write(f"k{number}", "v")
    network.run()
    for backup in backups:
        assert _ledger(backup) == _ledger(primary)
        assert backup.replica.commit_id == primary.replica.commit_id
        assert backup.replica.tree.root() == primary.replica.tree.root()
        assert backup.replica.begin().table(RECORDS).get("k49") == "v"
        assert not backup.replica.is_primary


def test_a_new_primary_goes_on_after_the_old_one_is_lost() -> None:
    network, nodes = _network(3)
    committed = nodes[0].write("kept", "v")
    network.run()
    network.lost.add(nodes[0].id)
    network.run(rounds=900)
    primary = next(node for node in nodes[1:] if node.replica.is_primary)
    assert primary.replica.status(*committed) == "Committed"
    tx_id = primary.write("after", "v")
    assert tx_id.view > 2
    network.run()
    assert primary.replica.status(*tx_id) == "Committed"
    assert _ledger(nodes[1]) == _ledger(nodes[2])


def test_uncommitted_writes_of_a_cut_off_primary_become_invalid() -> None:
    network, nodes = _network(3)
    network.run()
    others = {node.id for node in nodes[1:]}
    network.lost |= others
    lost = nodes[0].write("lost", "v")
    network.run(rounds=5)
    told: list[str] = []
    nodes[0].replica.on_decided(lost, told.append)
    network.lost = {nodes[0].id}
    network.run(rounds=900)
    primary = next(node for node in nodes[1:] if node.replica.is_primary)
    primary.write("won", "v")
    network.run()
    network.lost.clear()
    network.run(rounds=100)
    assert nodes[0].replica.status(*lost) == "Invalid"
    assert told == ["Invalid"]
    assert nodes[0].replica.begin().table(RECORDS).get("lost") is None
    assert nodes[0].replica.begin().table(RECORDS).get("won") == "v"
    assert nodes[0].replica.tree.root() == primary.replica.tree.root()


def test_a_damaged_entry_is_refused_with_a_reason() -> None:
    network, (primary, backup, _) = _network(3)
    network.run()
    seqno = backup.replica.store.version
    tx_id = primary.write("k", "v")
    primary.replica.tick(1)
    primary.turn()
    entry = primary.replica.raft.entry(tx_id.seqno)
    assert entry is not None
    for position in range(8, len(entry.data)):
        damaged = bytearray(entry.data)
        damaged[position] ^= 1
        applied = backup.replica.applier.apply(entry.view, entry.seqno, bytes(damaged))
        assert applied is None
        assert str(tx_id) in backup.replica.applier.problem
        assert backup.replica.store.version == seqno
    message = AppendEntries(2, 2, seqno, entry.seqno, 2, 0, (Entry(2, entry.seqno, entry.data),))
    backup.replica.receive(primary.id, message)
    assert backup.replica.current() == TxId(2, entry.seqno)


@pytest.mark.parametrize("rounds", [0, 30], ids=["mark not committed", "mark committed"])
def test_a_node_that_has_left_is_marked_once(rounds: int) -> None:
    """Rewriting its row is neither a second mark nor in the way of what else is written."""
    network, (primary, leaver, stays) = _network(3)
    _write_node(primary, leaver.id, RETIRED)
    network.run()
    _write_node(primary, leaver.id, GONE)
    network.run(rounds)
    joiner = TestNode(primary.service)
    network.nodes[joiner.id] = joiner
    tx = primary.replica.begin()
    tx.table(NODES_INFO).put(leaver.id, msgspec.structs.replace(GONE, node_data={"rack": 3}))
    tx.table(NODES_INFO).put(joiner.id, node_info())
    tx.table(NODES_ENDORSED_CERTIFICATES).put(joiner.id, joiner.certificate.pem)
    tx_id = primary.replica.commit(tx, None)
    assert tx_id is not None
    network.run()
    assert primary.replica.status(*tx_id) == "Committed"
    for node in (primary, stays, joiner):
        assert node.replica.commit_id == primary.replica.commit_id
        configs = node.replica.raft.status().configs
        assert configs == [(tx_id.seqno, {primary.id, stays.id, joiner.id})]
    assert primary.replica.raft.status().acks.keys() == {stays.id, joiner.id}


def test_a_primary_that_has_left_stands_down_once() -> None:
    """Its row may be rewritten before it knows that the mark is committed."""
    network, (primary, *others) = _network(3)
    _write_node(primary, primary.id, RETIRED)
    network.run()
    _write_node(primary, primary.id, GONE)
    _write_node(primary, primary.id, msgspec.structs.replace(GONE, node_data="spare"))
    network.run()
    assert primary.replica.raft.status().retirement_phase == "RetiredCommitted"
    assert any(node.replica.is_primary for node in others)


def _write_node(primary: TestNode, node_id: NodeId, info: NodeInfo) -> None:
    tx = primary.replica.begin()
    tx.table(NODES_INFO).put(node_id, info)
    assert primary.replica.commit(tx, None) is not None
