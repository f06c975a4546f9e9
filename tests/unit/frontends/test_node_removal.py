"""Forgetting a node: only when its retirement is committed for good."""

import pytest

from ledger.tables.nodes import NODES_ENDORSED_CERTIFICATES, NODES_INFO, NodeStatus
from tests.unit.frontends.node_kit import OTHER, OWN, NodeKit, info

GONE = info(NodeStatus.RETIRED, retired_committed=True)


@pytest.mark.parametrize(
    "row",
    [info(NodeStatus.PENDING), info(NodeStatus.TRUSTED), info(NodeStatus.RETIRED)],
    ids=lambda row: str(row.status.value),
)
def test_a_node_that_may_still_be_needed_stays(row: object) -> None:
    kit = NodeKit()
    assert isinstance(row, type(GONE))
    kit.put((OTHER, row))
    refused = kit.caller().delete(f"/node/network/nodes/{OTHER}")
    assert (refused.status, refused.error_code) == (400, "NodeNotRetiredCommitted")
    assert "/node/network/removable_nodes" in refused.text
    status = row.status
    assert (f"it is {status.value}, members have to remove it" in refused.text) is (
        status is not NodeStatus.RETIRED
    )
    assert kit.log.begin().table(NODES_INFO).has(OTHER)


def test_the_mark_counts_once_it_is_committed() -> None:
    kit = NodeKit()
    kit.put((OWN, info()), (OTHER, info(NodeStatus.RETIRED)))
    kit.put((OTHER, GONE), commit=False)
    assert kit.caller().delete(f"/node/network/nodes/{OTHER}").status == 400
    kit.log.commit_all()
    answer = kit.caller().delete(f"/node/network/nodes/{OTHER}")
    assert (answer.status, answer.text) == (200, "true")
    assert not kit.log.begin().table(NODES_INFO).has(OTHER)
    assert kit.log.begin().table(NODES_INFO).has(OWN)


def test_its_certificate_goes_with_it() -> None:
    kit = NodeKit()
    tx = kit.log.begin()
    for node in (OWN, OTHER):
        tx.table(NODES_ENDORSED_CERTIFICATES).put(node, "PEM")
    assert kit.log.commit(tx, None) is not None
    kit.put((OTHER, GONE))
    assert kit.caller().delete(f"/node/network/nodes/{OTHER}").status == 200
    certificates = kit.log.begin().table(NODES_ENDORSED_CERTIFICATES)
    assert (certificates.has(OWN), certificates.has(OTHER)) == (True, False)


@pytest.mark.parametrize("node", [OTHER, "x", "%2F", "a" * 10_000])
def test_a_node_that_is_not_known(node: str) -> None:
    answer = NodeKit().caller().delete(f"/node/network/nodes/{node}")
    assert (answer.status, answer.error_code) == (404, "ResourceNotFound")
    assert len(answer.text) < 500
