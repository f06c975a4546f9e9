"""The view that sessions are pinned to: it stays only as long as nothing is rolled back."""

from ledger.consensus.messages import AppendEntries
from ledger.replica.effects import TruncateLedger
from tests.unit.replica.harness import Network, Service, TestNode


def _pair() -> tuple[TestNode, TestNode, Network]:
    service = Service()
    primary, backup = TestNode(service), TestNode(service)
    primary.start()
    network = Network(primary, backup)
    network.trust(primary, backup)
    network.run()
    assert backup.replica.commit_id == primary.replica.commit_id
    return primary, backup, network


def test_a_backup_that_agrees_with_the_primary_shows_its_view() -> None:
    primary, backup, _ = _pair()
    assert primary.replica.view == backup.replica.view == 2


def test_a_primary_that_loses_its_quorum_shows_another_view_though_it_stays_in_its_own() -> None:
    primary, backup, network = _pair()
    network.lost.add(backup.id)
    tx_id = primary.write("k", "answered and lost")
    assert tx_id.view == primary.replica.view
    for _ in range(30):
        primary.replica.tick(200)
    assert not primary.replica.is_primary
    assert primary.replica.raft.view == 2
    assert primary.replica.status(*tx_id) == "Unknown"
    assert primary.replica.view != 2


def test_every_new_view_without_entries_shows_another_number_that_is_no_view() -> None:
    primary, backup, network = _pair()
    network.lost.add(primary.id)
    shown = [backup.replica.view]
    for view in (5, 6, 7):
        backup.replica.receive(primary.id, AppendEntries(view, 9, 900, 900, 9, 0))
        shown.append(backup.replica.view)
    assert len(set(shown)) == len(shown)
    assert min(shown[1:]) > 7


def test_truncations_count_when_they_are_decided_and_not_when_they_are_drained() -> None:
    primary, backup, network = _pair()
    network.lost.add(backup.id)
    primary.write("k", "in consensus, unsigned")
    primary.replica.tick(1)
    primary.turn(sign=False)
    before = primary.replica.truncations
    for _ in range(30):
        primary.replica.tick(200)
    assert primary.replica.truncations == before + 1
    effects = primary.replica.flush()
    assert sum(isinstance(each, TruncateLedger) for each in effects) == 1
    assert primary.replica.truncations == before + 1
