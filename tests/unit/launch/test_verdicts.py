"""Verdicts in the node's log: those that are committed, once, and no others."""

from governance.proposal_store import archive_closed
from governance.verdict import Verdict
from ledger.base.ids import TxId
from ledger.endpoints.local_log import LocalLog
from ledger.kv.tx import Tx
from ledger.launch.verdicts import Verdicts
from ledger.tables.members import PROPOSALS_INFO, ProposalInfo, ProposalState


class Decider:
    """Decides proposals on a log, as governance does."""

    def __init__(self) -> None:
        self.log = LocalLog(commits_at_once=False)
        self.told: list[str] = []
        self.verdicts = Verdicts(self.log.store, self.told.append)

    def propose(self, proposal_id: str, state: ProposalState = ProposalState.OPEN) -> Tx:
        tx = self.log.begin()
        archive_closed(tx, but=proposal_id)
        info = ProposalInfo(proposer_id="m", state=state, ballots={})
        tx.table(PROPOSALS_INFO).put(proposal_id, info)
        return tx

    def decide(self, proposal_id: str, state: ProposalState = ProposalState.ACCEPTED) -> Tx:
        tx = self.propose(proposal_id, state)
        self.verdicts.decided(Verdict(proposal_id, state, "1 action (a)"))
        return tx

    def order(self, tx: Tx) -> TxId | None:
        return self.log.commit(tx, None)

    def write(self) -> None:
        tx = self.log.begin()
        tx.map("other").put(b"key", b"value")
        assert self.order(tx) is not None

    def commit(self) -> list[str]:
        self.log.commit_all()
        self.verdicts.committed(self.log.committed())
        told, self.told[:] = list(self.told), []
        return told


def test_a_verdict_is_told_once_and_when_it_is_committed() -> None:
    service = Decider()
    service.write()
    tx = service.decide("a")
    assert service.commit() == []
    service.order(tx)
    service.verdicts.committed(service.log.committed())
    assert service.told == []
    assert service.commit() == ["Proposal a is Accepted: 1 action (a)"]
    service.write()
    assert service.commit() == []


def test_verdicts_that_are_committed_together_are_told_in_order() -> None:
    """The first one is in the archive by then."""
    service = Decider()
    service.order(service.decide("b", ProposalState.REJECTED))
    service.order(service.decide("a", ProposalState.FAILED))
    assert service.commit() == [
        "Proposal b is Rejected: 1 action (a)",
        "Proposal a is Failed: 1 action (a)",
    ]


def test_a_verdict_that_conflicts_is_told_when_it_is_made_again() -> None:
    service = Decider()
    first, second = service.decide("a"), service.decide("a")
    service.order(first)
    assert service.order(second) is None
    service.order(service.decide("a", ProposalState.FAILED))
    assert service.commit() == ["Proposal a is Failed: 1 action (a)"]


def test_a_verdict_that_is_not_ordered_or_rolled_back_is_not_told() -> None:
    service = Decider()
    service.order(service.propose("lost"))
    assert service.commit() == []
    service.decide("refused")
    service.order(service.decide("lost"))
    service.log.lose_uncommitted()
    for _ in range(3):
        service.write()
    assert service.commit() == []
    assert service.verdicts._waiting == {}
