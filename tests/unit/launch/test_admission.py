"""What the primary brings to a join: whom it trusts at once, what it gives, where it points."""

from typing import Any

import msgspec
import pytest

from ledger.boundary.settings import NodeToNodeSettings, Settings
from ledger.codec import canonical
from ledger.crypto.certs import Certificate, certificate_request
from ledger.crypto.keys import Curve, SigningKey
from ledger.launch.admission import NodeAdmission
from ledger.launch.identity import ServiceIdentity
from ledger.replica.sealers import Sealers
from ledger.tables.nodes import NODES_INFO, NodeStatus
from tests.unit.launch.test_joining import Log, new_keys
from tests.unit.launch.test_network_peer_book import put, retired, started
from tests.unit.replica.harness import SECRET, ManualClock, Network, Service, TestNode, node_info


class FakeSettings:
    """The settings that admission looks at."""

    def __init__(self, address: str = "127.0.0.1:1") -> None:
        self.node_to_node = NodeToNodeSettings(bind_address=address, published_address=address)
        self.node_certificate = FakeCertificateSettings()


class FakeCertificateSettings:
    """Validity of first certificates."""

    initial_validity_days = 7


def admission(node: TestNode, address: str = "127.0.0.1:1") -> NodeAdmission:
    keys = new_keys()
    keys.hold_service(ServiceIdentity(node.service.key, node.service.certificate))
    keys.cose_issuer, keys.cose_subject = "issuer", "subject"
    settings: Any = FakeSettings(address)
    log: Any = Log()
    return NodeAdmission(node.replica, keys, settings, ManualClock(), log)


@pytest.fixture(scope="module")
def nodes() -> list[TestNode]:
    service = Service()
    made = [TestNode(service), TestNode(service)]
    made[0].start()
    network = Network(*made)
    network.trust(made[0], made[1])
    network.run()
    return made


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("10.0.0.1:1", False),
        ("192.168.1.1:1", False),
        ("[fe80::1]:1", False),
        ("localhost.example:1", False),
        ("node.example:1", False),
    ],
)
def test_nobody_is_trusted_at_once_but_on_loopback(
    address: str, trusted: bool, nodes: list[TestNode]
) -> None:
    """Virtual evidence can be made up by anybody who can reach the service."""
    assert admission(nodes[0], address).trust_at_once is trusted


def test_a_backup_points_to_the_primary(nodes: list[TestNode]) -> None:
    primary, backup = map(admission, nodes)
    assert primary.is_primary
    assert not backup.is_primary
    address = node_info().rpc_interfaces["rpc"]["published_address"]
    assert backup.primary_address("rpc") == address
    assert backup.primary_address("another") == address, "any interface is better than none"
    assert admission(TestNode(Service())).primary_address("rpc") is None


def test_a_trusted_node_gets_secrets_keys_and_peers(nodes: list[TestNode]) -> None:
    primary = nodes[0]
    given = admission(primary).secrets_for("certificate")
    assert given.identity.cert == primary.service.certificate.pem
    assert SigningKey.from_pem(given.identity.priv_key).public.id == primary.service.key.public.id
    (secret,) = given.ledger_secrets
    assert (canonical.b64decode(secret.secret), secret.version) == (SECRET, 1)
    assert given.endorsed_certificate == "certificate"
    assert given.service_status == "Opening"
    assert given.cose_signatures_config is not None
    assert given.cose_signatures_config.issuer == "issuer"
    assert set(given.peers) == {node.id for node in nodes}


def test_only_nodes_that_take_part_are_named_as_peers() -> None:
    """A retired node takes part until it is committed that it is retired for good."""
    node = TestNode(Service())
    node.start()
    waits, leaves = "b" * 64, "c" * 64
    tx = node.replica.begin()
    for name, status in ((waits, NodeStatus.PENDING), (leaves, NodeStatus.RETIRED)):
        tx.table(NODES_INFO).put(name, msgspec.structs.replace(node_info(), status=status))
    assert node.replica.commit(tx, None) is not None
    assert set(admission(node).secrets_for(None).peers) == {node.id, leaves}
    node.settle()
    tx = node.replica.begin()
    gone = msgspec.structs.replace(node_info(), status=NodeStatus.RETIRED, retired_committed=True)
    tx.table(NODES_INFO).put(leaves, gone)
    assert node.replica.commit(tx, None) is not None
    assert set(admission(node).secrets_for(None).peers) == {node.id, leaves}
    node.settle()
    assert set(admission(node).secrets_for(None).peers) == {node.id}


def test_a_first_certificate_is_for_the_joiners_key_and_as_long_as_configured(
    nodes: list[TestNode],
) -> None:
    key = SigningKey.generate(Curve.P256)
    request = certificate_request(key, "CN=Joiner", ["iPAddress:127.0.0.1"])
    made = admission(nodes[0])
    certificate = Certificate.parse(made.endorse(request.pem))
    assert certificate.public_key.id == key.public.id
    certificate.verify_endorsed_by(nodes[0].service.certificate)
    assert certificate.not_after - certificate.not_before == 7 * 86_400 - 1


@pytest.mark.parametrize("status", [NodeStatus.PENDING, NodeStatus.TRUSTED])
def test_the_operator_reads_of_every_node_that_is_taken_in(
    status: NodeStatus, nodes: list[TestNode]
) -> None:
    made = admission(nodes[0])
    made.admitted("d" * 64, status)
    log: Any = made.log
    (line,) = log.lines
    assert "d" * 64 in line
    if status is NodeStatus.TRUSTED:
        assert "virtual evidence proves nothing" in line


def test_a_node_that_left_is_remembered_when_its_row_is_forgotten() -> None:
    service = Service()
    nodes = [TestNode(service) for _ in range(3)]
    nodes[0].start()
    network = Network(*nodes)
    network.trust(*nodes)
    network.run()
    primary, leaving = nodes[0], nodes[2]
    assert not admission(primary).has_left(leaving.id)
    for row in (retired(committed=False), retired(committed=True), None):
        tx = primary.replica.begin()
        table = tx.table(NODES_INFO)
        if row is None:
            table.remove(leaving.id)
        else:
            table.put(leaving.id, row)
        assert primary.replica.commit(tx, None) is not None
        network.run()
    assert [admission(node).has_left(leaving.id) for node in nodes[:2]] == [True, True]
    assert not admission(primary).has_left(primary.id)
    assert not admission(primary).has_left("f" * 64)


def lose_primary(*backups: TestNode) -> None:
    """Let so much time pass that they stand for election."""
    for backup in backups:
        backup.replica.tick(backup.replica.raft.state.settings.election_timeout_ms)
        assert backup.replica.raft.primary_id is None


def test_a_backup_stands_in_while_it_knows_no_primary() -> None:
    network, made = started(others=2)
    backup = made[1]
    assert not admission(backup).stands_in
    lose_primary(backup)
    assert admission(backup).stands_in
    network.run()
    assert not any(admission(node).stands_in for node in made)
    assert not admission(TestNode(Service())).stands_in, "it was never trusted"


def test_a_node_that_left_for_good_does_not_stand_in() -> None:
    network, made = started(others=2)
    leaving = made[0]
    put(leaving.replica, leaving.id, retired(committed=False))
    network.run()
    put(leaving.replica, leaving.id, retired(committed=True))
    while leaving.replica.is_primary:
        network.run(rounds=1)
    assert leaving.replica.raft.primary_id is None
    assert not admission(leaving).stands_in


def test_a_backup_that_lacks_a_secret_does_not_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    _, made = started(others=2)
    lose_primary(made[1])
    assert admission(made[1]).stands_in
    monkeypatch.setattr(Sealers, "lacks_latest", True)
    assert not admission(made[1]).stands_in


def test_a_node_that_left_is_remembered_before_its_leaving_is_known_to_be_committed() -> None:
    """A node that begins to lead holds entries that it does not know to be committed yet."""
    network, made = started(others=2)
    primary, backup, leaving = made
    put(primary.replica, leaving.id, retired(committed=False))
    raft = backup.replica.raft
    committed = raft.commit
    while raft.last == committed:
        network.run(rounds=1)
    assert raft.commit == committed, "the retirement came and is not committed here"
    assert admission(backup).has_left(leaving.id)


def test_settings_are_what_admission_expects() -> None:
    """The stand-in above has the names of the real settings."""
    for name in ("node_to_node", "node_certificate"):
        assert name in Settings.__struct_fields__
