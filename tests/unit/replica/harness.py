"""Replicas with real keys, stores, trees and consensus, joined by hand in one thread."""

from ledger.base.ids import NodeId, TxId
from ledger.codec.entry import parse_entry
from ledger.codec.tables import Table
from ledger.consensus.raft import Raft
from ledger.consensus.types import EntryRole, Settings
from ledger.crypto.certs import certificate_request, endorse, self_signed_service
from ledger.crypto.keys import Curve, SigningKey
from ledger.kv.store import Store
from ledger.lifecycle.start import FirstNode, Genesis, write_genesis
from ledger.merkle.tree import MerkleTree
from ledger.replica.effects import Effect, LedgerCommitted, SendMessage, SignRoot, WriteEntries
from ledger.replica.identity import NodeSigner
from ledger.replica.replica import Replica
from ledger.replica.sealers import Sealers
from ledger.replica.settings import ReplicaSettings
from ledger.secrets.chain import SecretChain
from ledger.secrets.ledger_secret import LedgerSecret
from ledger.tables.nodes import (
    NODES_ENDORSED_CERTIFICATES,
    NODES_INFO,
    NodeInfo,
    NodeStatus,
    QuoteInfo,
)
from ledger.tables.service import ServiceConfiguration

RECORDS = Table("records", str, str)
SECRET = bytes(range(32))
NOW = 1_750_000_000


def new_chain() -> SecretChain:
    return SecretChain([LedgerSecret(SECRET, 1)])


def no_broadcast(value: bytes, seqno: int) -> list[LedgerSecret]:
    raise AssertionError(f"no secrets of {len(value)} bytes at {seqno} are expected")


class ManualClock:
    """Time that tests move."""

    def __init__(self) -> None:
        self.ms = 0.0

    def unix_seconds(self) -> float:
        return NOW + self.ms / 1000

    def monotonic_ms(self) -> float:
        return self.ms


class Service:
    """The keys of one service."""

    def __init__(self) -> None:
        self.key = SigningKey.generate(Curve.P256)
        self.certificate = self_signed_service(self.key, "CN=Service", 30, NOW - 10)


def node_info() -> NodeInfo:
    address = {"bind_address": "127.0.0.1:1", "published_address": "127.0.0.1:1"}
    return NodeInfo(
        node_to_node_interface=address,
        rpc_interfaces={"rpc": address},
        quote_info=QuoteInfo(format="Insecure_Virtual", quote="", endorsements=""),
        encryption_pub_key="",
        status=NodeStatus.TRUSTED,
    )


class TestNode:
    """One replica and what it asked of its shell."""

    __test__ = False

    def __init__(
        self,
        service: Service,
        settings: ReplicaSettings | None = None,
        consensus: Settings | None = None,
    ) -> None:
        self.service = service
        self.key = SigningKey.generate(Curve.P256)
        self.id = NodeId(self.key.public.id)
        request = certificate_request(self.key, "CN=Node", ("iPAddress:127.0.0.1",))
        self.certificate = endorse(request, service.key, service.certificate, NOW - 10, 30)
        self.clock = ManualClock()
        self.signer = NodeSigner(self.key, service.key, "issuer", "subject")
        raft = Raft(self.id, consensus or Settings(), self._apply, lambda limit: limit // 2)
        self.replica = Replica(
            self.id, raft, Store(), MerkleTree(), Sealers(new_chain(), no_broadcast),
            settings or ReplicaSettings(), self.clock,
        )  # fmt: skip
        self.ledger: list[bytes] = []
        self.outbox: list[SendMessage] = []
        self.commits: list[TxId] = []
        self.signing: list[SignRoot] = []

    def _apply(self, view: int, seqno: int, data: bytes) -> EntryRole | None:
        return self.replica.applier.apply(view, seqno, data)

    def start(self) -> None:
        """Start the service with this node."""
        self.replica.bootstrap()
        tx = self.replica.begin()
        configuration = ServiceConfiguration(recovery_threshold=1)
        node = FirstNode(self.id, node_info(), self.certificate.pem, "measurement", "00" * 32)
        write_genesis(tx, Genesis((), "", configuration, self.service.certificate.pem, None, node))
        assert self.replica.commit(tx, None) == TxId(2, 1)
        self.settle()

    def write(self, key: str, value: str) -> TxId:
        tx = self.replica.begin()
        tx.table(RECORDS).put(key, value)
        tx_id = self.replica.commit(tx, None)
        assert tx_id is not None
        return tx_id

    def turn(self, *, sign: bool = True, persist: bool = True) -> None:
        """One loop turn; signatures and the disk answer at once unless told otherwise."""
        for effect in self.replica.flush():
            self._execute(effect, sign=sign, persist=persist)

    def _execute(self, effect: Effect, *, sign: bool, persist: bool) -> None:
        if isinstance(effect, WriteEntries):
            self.ledger.append(effect.data)
            if effect.sync and persist:
                self.replica.persisted(effect.last)
        elif isinstance(effect, SignRoot):
            self.signing.append(effect)
            if sign:
                self.finish_signature()
        elif isinstance(effect, SendMessage):
            self.outbox.append(effect)
        elif isinstance(effect, LedgerCommitted):
            self.commits.append(effect.tx_id)

    def finish_signature(self) -> None:
        effect = self.signing.pop(0)
        signatures = self.signer.sign(effect.tx_id, effect.root, effect.issued_at)
        self.replica.signature_made(effect.tx_id, signatures)

    def settle(self) -> None:
        """Turn until everything written is committed."""
        for _ in range(20):
            self.clock.ms += 20
            self.turn()
            if self.replica.commit_id.seqno == self.replica.store.version:
                self.turn()
                return
        raise AssertionError("nothing commits")


class Network:
    """Delivers the messages of replicas that share one service."""

    def __init__(self, *nodes: TestNode) -> None:
        self.nodes = {node.id: node for node in nodes}
        self.lost: set[str] = set()

    def trust(self, primary: TestNode, *joiners: TestNode) -> None:
        """Have the primary trust more nodes."""
        tx = primary.replica.begin()
        for node in joiners:
            tx.table(NODES_INFO).put(node.id, node_info())
            tx.table(NODES_ENDORSED_CERTIFICATES).put(node.id, node.certificate.pem)
        assert primary.replica.commit(tx, None) is not None

    def run(self, rounds: int = 30, elapsed_ms: int = 20) -> None:
        """Let time pass; every node takes a turn and every message arrives at once."""
        for _ in range(rounds):
            for node in self.nodes.values():
                if node.id in self.lost:
                    continue
                node.clock.ms += elapsed_ms
                node.replica.tick(elapsed_ms)
                node.turn()
                outbox, node.outbox = node.outbox, []
                for sent in outbox:
                    if sent.to in self.nodes and sent.to not in self.lost:
                        self.nodes[sent.to].replica.receive(node.id, sent.message)


def started(settings: ReplicaSettings | None = None) -> TestNode:
    """A service of one node."""
    node = TestNode(Service(), settings)
    node.start()
    return node


def entries_of(node: TestNode) -> list[bytes]:
    """What the node has written, entry by entry."""
    data = b"".join(node.ledger)
    entries, offset = [], 0
    while offset < len(data):
        entry = parse_entry(data, offset)
        entries.append(entry.data)
        offset += entry.size
    return entries
