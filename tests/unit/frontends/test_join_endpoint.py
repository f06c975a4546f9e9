"""``POST /node/join``: who is pointed elsewhere, refused, told to wait, or given the keys."""

import msgspec
import pytest

from ledger.codec import canonical
from ledger.lifecycle.join import JoinRequest
from ledger.tables.nodes import NODES_ENDORSED_CERTIFICATES, NODES_INFO, NodeStatus
from ledger.tables.service import ServiceStatus
from ledger.testing.app_client import Answer
from tests.unit.frontends.node_kit import NodeKit
from tests.unit.lifecycle.join_kit import allow, join_request, new_key, quote

KEY = new_key()
ID = KEY.public.id


def ready(status: ServiceStatus = ServiceStatus.OPEN) -> NodeKit:
    kit = NodeKit()
    tx = kit.log.begin()
    allow(tx, status)
    assert kit.log.commit(tx, None) is not None
    kit.log.commit_all()
    return kit


def ask(kit: NodeKit, request: JoinRequest | None = None) -> Answer:
    body = canonical.dumps(request or join_request(KEY))
    return kit.caller(KEY).post("/node/join", body=body)


def row_status(kit: NodeKit) -> NodeStatus | None:
    info = kit.log.begin().table(NODES_INFO).get(ID)
    return None if info is None else info.status


def test_a_backup_points_to_the_primary() -> None:
    kit = ready()
    kit.admission.is_primary = False
    answer = ask(kit)
    assert answer.status == 308
    assert answer.json()["error"]["code"] == "NodeCannotHandleRequest"
    assert answer.headers["location"] == "https://127.0.0.9:9/node/join"
    kit.admission.primary = None
    answer = ask(kit)
    assert (answer.status, answer.error_code) == (503, "PrimaryNotFound")
    assert row_status(kit) is None
    assert kit.admission.told == []


def test_an_open_service_lets_the_members_decide() -> None:
    kit = ready()
    answer = ask(kit)
    assert answer.status == 200
    assert answer.json() == {"node_status": "Pending", "node_id": ID}
    assert row_status(kit) is NodeStatus.PENDING
    assert kit.admission.told == [(ID, NodeStatus.PENDING)]
    version = kit.log.store.version
    assert ask(kit).json() == {"node_status": "Pending", "node_id": ID}
    assert kit.log.store.version == version, "asking again writes nothing"


def test_the_keys_are_given_once_the_row_is_trusted() -> None:
    kit = ready()
    assert "network_info" not in ask(kit).json()
    tx = kit.log.begin()
    table = tx.table(NODES_INFO)
    info = table.get(ID)
    assert info is not None
    table.put(ID, msgspec.structs.replace(info, status=NodeStatus.TRUSTED))
    tx.table(NODES_ENDORSED_CERTIFICATES).put(ID, "by the members")
    assert kit.log.commit(tx, None) is not None
    given = ask(kit).json()
    assert given["node_status"] == "Trusted"
    assert given["network_info"]["identity"] == {"cert": "cert", "priv_key": "key"}
    assert given["network_info"]["endorsed_certificate"] == "by the members"


def test_an_opening_service_trusts_at_once_where_it_may() -> None:
    kit = ready(ServiceStatus.OPENING)
    kit.admission.trust_at_once = True
    given = ask(kit).json()
    assert given["node_status"] == "Trusted"
    assert given["network_info"]["endorsed_certificate"] == "endorsed"
    assert kit.log.begin().table(NODES_ENDORSED_CERTIFICATES).get(ID) == "endorsed"
    assert kit.admission.told == [(ID, NodeStatus.TRUSTED)]


def test_refusals_have_their_status_and_write_nothing() -> None:
    kit = ready()
    bad = join_request(KEY, quote_info=quote(KEY, measurement="x"))
    answer = ask(kit, bad)
    assert (answer.status, answer.error_code) == (401, "InvalidQuote")
    answer = ask(kit, join_request(KEY, certificate_signing_request=None))
    assert (answer.status, answer.error_code) == (400, "CSRPublicKeyInvalid")
    assert row_status(kit) is None


def test_a_node_that_was_forgotten_does_not_come_back_under_its_id() -> None:
    kit = ready()
    kit.admission.left.add(ID)
    answer = ask(kit)
    assert (answer.status, answer.error_code) == (400, "InvalidNodeState")
    assert row_status(kit) is None


def become(kit: NodeKit, status: NodeStatus, *, marked: bool = False) -> None:
    """Have the members decide on a node that waits."""
    tx = kit.log.begin()
    table = tx.table(NODES_INFO)
    info = table.get(ID)
    assert info is not None
    table.put(ID, msgspec.structs.replace(info, status=status, retired_committed=marked))
    tx.table(NODES_ENDORSED_CERTIFICATES).put(ID, "by the members")
    assert kit.log.commit(tx, None) is not None


def standing_in(status: NodeStatus, *, marked: bool = False) -> NodeKit:
    """A backup without a primary, and a node that asked when there was one."""
    kit = ready()
    ask(kit)
    kit.admission.told.clear()
    become(kit, status, marked=marked)
    kit.admission.is_primary, kit.admission.stands_in, kit.admission.primary = False, True, None
    return kit


@pytest.mark.parametrize("status", [NodeStatus.TRUSTED, NodeStatus.RETIRED])
def test_a_backup_without_a_primary_gives_the_keys_to_nodes_that_count(status: NodeStatus) -> None:
    """There may be no primary again without their votes."""
    kit = standing_in(status)
    version = kit.log.store.version
    answer = ask(kit)
    assert answer.status == 200
    given = answer.json()
    assert given["node_status"] == status.value
    assert given["network_info"]["identity"] == {"cert": "cert", "priv_key": "key"}
    assert given["network_info"]["endorsed_certificate"] == "by the members"
    assert kit.log.store.version == version
    assert kit.admission.told == []


def test_a_backup_without_a_primary_takes_nobody_in_and_refuses_nobody() -> None:
    """What it knows may be old, and most refusals end the node that asks."""
    waits = standing_in(NodeStatus.PENDING)
    unknown = ready(ServiceStatus.OPENING)
    unknown.admission.trust_at_once = True
    unknown.admission.is_primary, unknown.admission.stands_in = False, True
    gone = standing_in(NodeStatus.RETIRED, marked=True)
    gone.log.commit_all()
    left = ready()
    left.admission.left.add(ID)
    left.admission.is_primary, left.admission.stands_in = False, True
    for kit in (waits, unknown, gone, left):
        version = kit.log.store.version
        answer = ask(kit)
        assert (answer.status, answer.error_code) == (503, "PrimaryNotFound")
        assert kit.log.store.version == version
        assert kit.admission.told == []


@pytest.mark.parametrize("is_primary", [False, True])
def test_the_keys_are_for_who_proves_the_key_and_shows_the_evidence(is_primary: bool) -> None:
    kit = standing_in(NodeStatus.TRUSTED)
    kit.admission.is_primary = is_primary
    body = canonical.dumps(join_request(KEY))
    other = canonical.dumps(join_request(KEY, quote_info=quote(KEY, measurement="x")))
    for answer in (
        kit.caller().post("/node/join", body=body),
        kit.caller(new_key()).post("/node/join", body=body),
        kit.caller(KEY).post("/node/join", body=other),
    ):
        assert answer.status in {401, 503}
        assert b"priv_key" not in answer.body
    assert b"priv_key" in kit.caller(KEY).post("/node/join", body=body).body


def test_a_node_that_was_removed_gets_the_keys_while_it_counts() -> None:
    kit = standing_in(NodeStatus.RETIRED, marked=True)
    kit.admission.is_primary = True
    kit.admission.left.add(ID)
    assert "network_info" in ask(kit).json()
    kit.log.commit_all()
    answer = ask(kit)
    assert (answer.status, answer.error_code) == (400, "InvalidNodeState")


def test_the_key_is_proved_by_the_handshake() -> None:
    kit = ready()
    body = canonical.dumps(join_request(KEY))
    assert kit.caller().post("/node/join", body=body).status == 401
    stolen = kit.caller(new_key()).post("/node/join", body=body)
    assert (stolen.status, stolen.error_code) == (401, "InvalidQuote")


def nested(depth: int) -> dict[str, object]:
    value: dict[str, object] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def test_free_json_is_not_nested_deeper_than_its_readers_go() -> None:
    kit = ready()
    body = canonical.dumps(join_request(KEY)).replace(
        b'"x"}', b"%s}" % canonical.dumps(nested(100)), 1
    )
    assert b'"a":{"a"' in body
    answer = kit.caller(KEY).post("/node/join", body=body)
    assert (answer.status, answer.error_code) == (400, "InvalidInput")


BODIES = [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"quote_info": 1}', b'{"a": ' * 5000]


@pytest.mark.parametrize("body", BODIES)
def test_bodies_that_are_no_request(body: bytes) -> None:
    kit = ready()
    answer = kit.caller(KEY).post("/node/join", body=body)
    assert (answer.status, answer.error_code) == (400, "InvalidInput")
    assert kit.failures == []
