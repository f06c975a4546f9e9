"""Every ``/node`` endpoint that tells of node, network and service."""

from typing import Any

import msgspec
import pytest

from ledger.tables.nodes import NodeStatus
from ledger.tables.service import (
    PREVIOUS_SERVICE_IDENTITY,
    SERVICE_CONFIG,
    SERVICE_INFO,
    ServiceConfiguration,
    ServiceInfo,
    ServiceStatus,
)
from tests.unit.frontends.node_kit import OTHER, OWN, NodeKit, info


@pytest.fixture
def kit() -> NodeKit:
    return NodeKit()


def service(kit: NodeKit, **changes: Any) -> None:  # noqa: ANN401 - fields of ``ServiceInfo``
    tx = kit.log.begin()
    row = ServiceInfo(cert="PEM", status=ServiceStatus.OPEN, current_service_create_txid="2.1")
    tx.singleton(SERVICE_INFO).put(msgspec.structs.replace(row, **changes))
    tx.singleton(SERVICE_CONFIG).put(ServiceConfiguration(recovery_threshold=2))
    assert kit.log.commit(tx, None) is not None


def test_state(kit: NodeKit) -> None:
    kit.facts.stop_notice = True
    assert kit.caller().get("/node/state").json() == {
        "node_id": OWN,
        "state": "PartOfNetwork",
        "last_signed_seqno": 5,
        "startup_seqno": 0,
        "stop_notice": True,
    }


def test_version(kit: NodeKit) -> None:
    version = kit.caller().get("/node/version").json()
    assert version["ccf_version"].startswith("quorate-")
    assert version["unsafe"] is False


def test_network_before_and_after_creation(kit: NodeKit) -> None:
    assert kit.caller().get("/node/network").status == 404
    assert kit.caller().get("/node/service/configuration").status == 404
    service(kit, recovery_count=1, service_data={"a": 1})
    answer = kit.caller().get("/node/network")
    assert answer.json() == {
        "service_status": "Open",
        "service_certificate": "PEM",
        "current_view": 2,
        "primary_id": OWN,
        "recovery_count": 1,
        "service_data": {"a": 1},
        "current_service_create_txid": "2.1",
    }
    assert answer.tx_id is not None, "clients read the transaction ID of every answer"
    configuration = kit.caller().get("/node/service/configuration").json()
    assert configuration["recovery_threshold"] == 2


def test_a_node_that_knows_nobody_says_null(kit: NodeKit) -> None:
    service(kit)
    kit.facts.view, kit.facts.primary_id = 0, None
    network = kit.caller().get("/node/network").json()
    assert (network["current_view"], network["primary_id"]) == (None, None)
    assert network["recovery_count"] == 0


def test_nodes_with_filters(kit: NodeKit) -> None:
    kit.put((OWN, info(number=1)), (OTHER, info(NodeStatus.PENDING, 2)))

    def ids(query: str) -> list[str]:
        nodes = kit.caller().get(f"/node/network/nodes{query}").json()["nodes"]
        return [node["node_id"] for node in nodes]

    assert ids("") == [OWN, OTHER]
    assert ids("?status=Trusted") == [OWN]
    assert ids("?status=Retired") == []
    assert ids("?host=127.0.0.2") == [OTHER]
    assert ids("?port=41") == [OWN]
    assert ids("?host=127.0.0.2&port=41") == []
    assert ids("?host=127.0.0.1&port=41&status=Pending") == []
    refused = kit.caller().get("/node/network/nodes?status=Gone")
    assert (refused.status, refused.error_code) == (400, "InvalidQueryParameterValue")


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_nodes_by_ipv6_address(kit: NodeKit, host: str) -> None:
    node = info(number=1)
    node.rpc_interfaces["app_client"]["published_address"] = "[::1]:41"
    kit.put((OWN, node))
    nodes = kit.caller().get(f"/node/network/nodes?host={host}").json()["nodes"]
    assert [node["node_id"] for node in nodes] == [OWN]


def test_one_node(kit: NodeKit) -> None:
    kit.put((OWN, info(node_data={"x": 1})))
    node = kit.caller().get(f"/node/network/nodes/{OWN}").json()
    assert node == {
        "node_id": OWN,
        "status": "Trusted",
        "primary": True,
        "rpc_interfaces": info().rpc_interfaces,
        "node_data": {"x": 1},
        "last_written": 1,
    }
    missing = kit.caller().get(f"/node/network/nodes/{OTHER}")
    assert (missing.status, missing.error_code) == (404, "ResourceNotFound")


def test_self_before_and_after_it_is_in_the_table(kit: NodeKit) -> None:
    node = kit.caller().get("/node/network/nodes/self").json()
    assert (node["status"], node["last_written"]) == ("Pending", 0)
    kit.put((OWN, info()))
    node = kit.caller().get("/node/network/nodes/self").json()
    assert (node["status"], node["last_written"]) == ("Trusted", 1)


def test_primary_of_the_network(kit: NodeKit) -> None:
    kit.put((OTHER, info()))
    kit.facts.primary_id = OTHER
    assert kit.caller().get("/node/network/nodes/primary").json()["node_id"] == OTHER
    kit.facts.primary_id = OWN
    assert kit.caller().get("/node/network/nodes/primary").status == 404
    kit.facts.primary_id = None
    assert kit.caller().get("/node/network/nodes/primary").status == 500


def test_removable_nodes_are_told_by_the_committed_state(kit: NodeKit) -> None:
    gone = info(NodeStatus.RETIRED, retired_committed=True)
    kit.put((OWN, info()), (OTHER, info(NodeStatus.RETIRED)))
    kit.put((OTHER, gone), commit=False)

    def removable() -> list[str]:
        nodes = kit.caller().get("/node/network/removable_nodes").json()["nodes"]
        return [node["node_id"] for node in nodes]

    assert removable() == []
    kit.log.commit_all()
    assert removable() == [OTHER]


def test_previous_identity(kit: NodeKit) -> None:
    assert kit.caller().get("/node/service/previous_identity").status == 404
    tx = kit.log.begin()
    tx.singleton(PREVIOUS_SERVICE_IDENTITY).put("old PEM")
    assert kit.log.commit(tx, None) is not None
    previous = kit.caller().get("/node/service/previous_identity").json()
    assert previous == {"previous_service_identity": "old PEM"}


@pytest.mark.parametrize("name", ["quotes", "attestations"])
def test_evidence_of_trusted_nodes(name: str, kit: NodeKit) -> None:
    kit.put((OWN, info()), (OTHER, info(NodeStatus.RETIRED)))
    quote = {
        "node_id": OWN, "raw": "cXVvdGU=", "endorsements": "ZQ==", "format": "Insecure_Virtual",
    }  # fmt: skip
    assert kit.caller().get(f"/node/{name}").json() == {name: [quote]}
    assert kit.caller().get(f"/node/{name}/self").json() == quote


def test_where_the_primary_is(kit: NodeKit) -> None:
    caller = kit.caller()
    assert caller.request("HEAD", "/node/primary").status == 200
    assert caller.get("/node/primary").status == 200
    assert caller.get("/node/backup").status == 404
    kit.put((OTHER, info(number=2)))
    kit.facts.primary_id = OTHER
    moved = caller.request("HEAD", "/node/primary")
    assert moved.status == 308
    assert moved.headers["location"] == "https://127.0.0.2:42/node/primary"
    assert caller.get("/node/primary").status == 404
    assert caller.get("/node/backup").status == 200
    kit.facts.primary_id = None
    assert caller.request("HEAD", "/node/primary").status == 500
    assert caller.get("/node/backup").status == 200


@pytest.mark.parametrize("name", ["app", "gov"])
def test_readiness(name: str, kit: NodeKit) -> None:
    assert kit.caller().get(f"/node/ready/{name}").status == 204
    kit.facts.ready = False
    assert kit.caller().get(f"/node/ready/{name}").status == 503


def test_consensus_and_its_configuration(kit: NodeKit) -> None:
    assert kit.caller().get("/node/config").json() == {}
    nodes = {OWN: {"address": "127.0.0.1:1"}}
    kit.facts.details = {"configs": [{"idx": 1, "nodes": {}}, {"idx": 5, "nodes": nodes}]}
    assert kit.caller().get("/node/config").json() == nodes
    assert kit.caller().get("/node/consensus").json() == {"details": kit.facts.details}
    assert kit.caller().get("/node/metrics").json() == {"sessions": {}}
    certificate = kit.caller().get("/node/self_signed_certificate").json()
    assert certificate == {"self_signed_certificate": "PEM"}
