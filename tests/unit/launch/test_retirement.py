"""Retirements are closed by the primary, and the primary's own ends its role."""

import msgspec
from typing_extensions import override

from ledger.base.ids import NodeId
from ledger.launch.retirement import mark_retired_committed
from ledger.replica.effects import Effect, RetirementCleanup, RoleChanged
from ledger.tables.nodes import NODES_INFO, NodeStatus
from tests.unit.replica.harness import Network, Service, TestNode


class CleaningNode(TestNode):
    """A node that marks retirements when it is asked to, as a running one does."""

    __test__ = False

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.roles: list[tuple[int, bool]] = []

    @override
    def _execute(self, effect: Effect, *, sign: bool, persist: bool) -> None:
        if isinstance(effect, RetirementCleanup):
            mark_retired_committed(self.replica)
        elif isinstance(effect, RoleChanged):
            self.roles.append((effect.view, effect.is_primary))
        super()._execute(effect, sign=sign, persist=persist)


def cluster() -> tuple[Network, list[CleaningNode]]:
    service = Service()
    nodes = [CleaningNode(service) for _ in range(3)]
    nodes[0].start()
    network = Network(*nodes)
    network.trust(nodes[0], *nodes[1:])
    network.run()
    return network, nodes


def retire(primary: TestNode, node: NodeId) -> None:
    tx = primary.replica.begin()
    table = tx.table(NODES_INFO)
    info = table.get(node)
    assert info is not None
    table.put(node, msgspec.structs.replace(info, status=NodeStatus.RETIRED))
    assert primary.replica.commit(tx, None) is not None


def is_marked(observer: TestNode, node: NodeId) -> bool:
    info = observer.replica.store.begin_committed().table(NODES_INFO).get(node)
    assert info is not None
    return info.retired_committed


def test_nothing_is_written_when_nobody_is_retired() -> None:
    _, (primary, backup, _) = cluster()
    version = primary.replica.store.version
    assert mark_retired_committed(primary.replica) == []
    assert mark_retired_committed(backup.replica) == []
    assert primary.replica.store.version == version


def test_a_retirement_is_not_marked_before_it_is_committed() -> None:
    network, (primary, backup, _) = cluster()
    retire(primary, backup.id)
    assert mark_retired_committed(primary.replica) == []
    network.run()
    assert is_marked(primary, backup.id)
    assert mark_retired_committed(primary.replica) == [], "once is enough"


def test_a_primary_that_is_removed_hands_over_and_takes_no_more_writes() -> None:
    network, (primary, *others) = cluster()
    committed = primary.write("k", "v")
    retire(primary, primary.id)
    network.run(rounds=60)
    assert primary.roles[-2:] == [(2, False), (3, False)], "it left, and then heard of the next"
    assert not primary.replica.is_primary
    primary.replica.flush()
    successor = next(node for node in others if node.replica.is_primary)
    assert is_marked(successor, primary.id)
    assert successor.replica.status(*committed) == "Committed"
    after = successor.write("after", "v")
    network.run()
    assert successor.replica.status(*after) == "Committed"


def test_what_a_primary_took_but_did_not_replicate_before_it_left_is_gone() -> None:
    """Writes between its last batch and the commit of its mark have no effect, and are told so."""
    network, (primary, *_) = cluster()
    retire(primary, primary.id)
    taken = []
    for round_number in range(60):
        if primary.replica.is_primary:
            taken.append(primary.write(f"k{round_number}", "v"))
        network.run(rounds=1)
    assert not primary.replica.is_primary
    assert primary.replica.store.version == primary.replica.raft.last
    network.run(rounds=600)
    successor = next(node for node in network.nodes.values() if node.replica.is_primary)
    successor.write("next", "v")
    network.run()
    words = [successor.replica.status(*tx_id) for tx_id in taken]
    assert set(words) <= {"Committed", "Invalid"}
    assert words == sorted(words), "what was committed comes before what was lost"
