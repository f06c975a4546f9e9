"""Who is heard and where others are, while a node joins, catches up, was away, or is up to date."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import msgspec

from ledger.base.ids import NodeId
from ledger.consensus.messages import AppendEntries
from ledger.launch.network import NodeNetwork
from ledger.launch.peer_book import PeerBook
from ledger.replica.membership import trusted_nodes
from ledger.replica.replica import Replica
from ledger.tables.nodes import NODES_INFO, NodeInfo, NodeStatus
from tests.unit.replica.harness import Network, Service, TestNode, node_info

if TYPE_CHECKING:
    from ledger.enclave.peers import Peers

STRANGER = NodeId("f" * 64)


def started(*, others: int = 0) -> tuple[Network, list[TestNode]]:
    """A service of some nodes, all of them up to date."""
    service = Service()
    nodes = [TestNode(service) for _ in range(1 + others)]
    nodes[0].start()
    network = Network(*nodes)
    if others:
        network.trust(nodes[0], *nodes[1:])
    network.run()
    return network, nodes


def put(replica: Replica, node: NodeId, info: NodeInfo | None) -> None:
    tx = replica.begin()
    table = tx.table(NODES_INFO)
    if info is None:
        table.remove(node)
    else:
        table.put(node, info)
    assert replica.commit(tx, None) is not None


def retired(*, committed: bool) -> NodeInfo:
    return msgspec.structs.replace(
        node_info(), status=NodeStatus.RETIRED, retired_committed=committed
    )


def at(address: str, status: NodeStatus = NodeStatus.TRUSTED) -> NodeInfo:
    interface = {"bind_address": "127.0.0.1:0", "published_address": address}
    return msgspec.structs.replace(node_info(), node_to_node_interface=interface, status=status)


def test_a_joiner_with_an_empty_table_hears_only_whom_it_was_told_of() -> None:
    service = Service()
    book = PeerBook(TestNode(service).replica)
    told = NodeId("a" * 64)
    assert not book.may_speak(told)
    book.name({told: "127.0.0.1:5"})
    assert book.may_speak(told)
    assert not book.may_speak(STRANGER)
    assert book.address_of(told) == "127.0.0.1:5"
    assert not book.is_settled


def test_a_joiner_hears_whom_it_was_told_of_until_it_has_read_that_it_is_trusted() -> None:
    """Its table begins with nodes that may all be gone, and lacks those that send it entries."""
    network, (first, second, joiner) = started(others=2)
    late = TestNode(first.service)
    network.nodes[late.id] = late
    book = PeerBook(late.replica)
    book.name({second.id: "127.0.0.1:7"})
    for seqno in range(1, first.replica.commit_id.seqno + 1):
        entry = first.replica.raft.entry(seqno)
        assert entry is not None
        assert late.replica.applier.apply(entry.view, seqno, entry.data) is not None
        assert book.may_speak(second.id), f"after {seqno}"
    assert not book.is_settled
    assert PeerBook(joiner.replica).is_settled


def test_a_joiner_whose_trust_is_not_committed_hears_whom_it_was_told_of() -> None:
    """The primary that trusted it is lost, and the others go on without its row.

    Without a signature after the row it never stands, so it follows the lost primary for good. Who
    leads now is not in its table: only the answers that it still asks for name that node
    (``scripts/simulate --replica --seed 5000451``).
    """
    _, (primary,) = started()
    joiner = TestNode(primary.service)
    book = PeerBook(joiner.replica)
    put(primary.replica, joiner.id, node_info())
    trusted_at = primary.replica.store.version
    network_entry(primary, trusted_at)
    entries = tuple(filter(None, map(primary.replica.raft.entry, range(1, trusted_at + 1))))
    commit = primary.replica.commit_id.seqno
    message = AppendEntries(2, 0, 0, trusted_at, 2, commit, entries)
    joiner.replica.receive(primary.id, message)
    assert trusted_nodes(joiner.replica.store) == {primary.id, joiner.id}
    assert not book.is_settled

    joiner.replica.tick(10 * joiner.replica.raft.state.settings.election_timeout_ms)
    assert joiner.replica.raft.primary_id == primary.id
    assert not book.may_speak(STRANGER)
    book.name({STRANGER: "127.0.0.1:8"})
    assert book.may_speak(STRANGER)


def test_a_node_that_knows_its_primary_hears_the_nodes_of_its_table() -> None:
    _, (primary, backup) = started(others=1)
    for book, other in (
        (PeerBook(primary.replica), backup),
        (PeerBook(backup.replica), primary),
    ):
        assert book.may_speak(other.id)
        assert not book.may_speak(STRANGER)


def test_pending_nodes_are_not_heard() -> None:
    _, (primary,) = started()
    put(primary.replica, STRANGER, at("127.0.0.1:9", NodeStatus.PENDING))
    assert not PeerBook(primary.replica).may_speak(STRANGER)


def test_a_retired_node_is_heard_until_its_mark_is_committed() -> None:
    """Nothing commits without it before: the mark of a primary that leaves least of all."""
    network, (primary, backup, leaving) = started(others=2)
    books = [PeerBook(primary.replica), PeerBook(backup.replica)]
    put(primary.replica, leaving.id, retired(committed=False))
    network.run()
    assert all(book.may_speak(leaving.id) for book in books)
    put(primary.replica, leaving.id, retired(committed=True))
    assert books[0].may_speak(leaving.id)
    network.run()
    assert not any(book.may_speak(leaving.id) for book in books)


def test_a_roll_back_is_noticed_although_the_table_has_the_same_version() -> None:
    network, (primary, backup, third) = started(others=2)
    book = PeerBook(backup.replica)
    network.lost |= {third.id}
    put(primary.replica, STRANGER, at("127.0.0.1:9"))
    version = primary.replica.store.version
    entry = network_entry(primary, version)
    assert backup.replica.applier.apply(entry[0], version, entry[1]) is not None
    assert book.may_speak(STRANGER)
    backup.replica.roll_back(version - 1)
    assert not book.may_speak(STRANGER)


class Kept:
    """Peers of which only the closing is of interest: whom each call would keep."""

    def __init__(self, *nodes: NodeId) -> None:
        self._nodes = nodes
        self.calls: list[list[NodeId]] = []

    def forget(self, keep: Callable[[NodeId], bool]) -> None:
        self.calls.append([node for node in self._nodes if keep(node)])


def test_connections_to_a_node_whose_trust_was_rolled_back_are_closed() -> None:
    """The table then has the version that it had when connections were last looked through."""
    network, (primary, backup, third, *others) = started(others=4)
    rest: set[str] = {node.id for node in (third, *others)}
    unused: Any = SimpleNamespace(info=None)
    own = NodeNetwork(
        unused, unused, unused, backup.replica, unused, unused, "", unused, unused, unused
    )
    kept = Kept(third.id, STRANGER)
    own.peers = cast("Peers", kept)
    own.committed(backup.replica.commit_id)
    own.committed(backup.replica.commit_id)
    assert kept.calls == [[third.id]], "nothing has changed"
    put(primary.replica, STRANGER, at("127.0.0.1:9"))
    network.lost = rest
    network.run(rounds=5)
    assert backup.replica.begin().table(NODES_INFO).get(STRANGER) is not None
    network.lost = {primary.id, backup.id}
    third.replica.tick(third.replica.raft.state.settings.election_timeout_ms)
    network.run()
    assert third.replica.is_primary
    network.lost = {primary.id}
    network.run()
    assert backup.replica.begin().table(NODES_INFO).get(STRANGER) is None
    own.committed(backup.replica.commit_id)
    assert kept.calls[1:] == [[third.id]]


def network_entry(node: TestNode, seqno: int) -> tuple[int, bytes]:
    node.replica.tick(1)
    node.turn()
    entry = node.replica.raft.entry(seqno)
    assert entry is not None
    return entry.view, entry.data


def test_a_node_without_a_primary_hears_whom_the_service_endorsed_meanwhile() -> None:
    """It was away while others came; one of them is primary now, and it cannot know."""
    network, (primary, backup, third) = started(others=2)
    book = PeerBook(backup.replica)
    assert not book.may_speak(STRANGER)
    network.lost |= {primary.id, third.id}
    network.run(rounds=600)
    assert backup.replica.raft.primary_id is None
    assert book.may_speak(STRANGER)
    assert book.may_speak(third.id)


def test_addresses_come_from_the_table_before_what_others_said() -> None:
    _, (primary,) = started()
    book = PeerBook(primary.replica)
    assert book.address_of(STRANGER) is None
    book.introduced(STRANGER, "127.0.0.1:1")
    assert book.address_of(STRANGER) == "127.0.0.1:1"
    book.name({STRANGER: "127.0.0.1:2"})
    assert book.address_of(STRANGER) == "127.0.0.1:2"
    put(primary.replica, STRANGER, at("127.0.0.1:3"))
    assert book.address_of(STRANGER) == "127.0.0.1:3"
