"""A consortium with a real ledger: a replica with keys, and its ledger bent and signed anew."""

import json
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from typing_extensions import override

from governance.defaults import Variant, constitution
from governance.frontend import build
from governance.interpreter import run
from governance.parts import GovernanceParts
from governance.replay.recorded import recorded
from governance.replay.replay import Replay
from governance.replay.report import Difference, ReplayReport
from governance.replay.scripts import RunScript
from ledger.audit.report import Report
from ledger.audit.walk import audit
from ledger.base.ids import TxId
from ledger.codec.canonical import b64encode
from ledger.codec.entry import parse_entry
from ledger.codec.tables import Singleton, Table
from ledger.codec.writeset import Changes
from ledger.consensus.raft import Raft
from ledger.consensus.types import EntryRole, Settings
from ledger.crypto.certs import certificate_request, self_signed_node, self_signed_service
from ledger.crypto.cose_governance import MessageType
from ledger.crypto.hashing import sha256
from ledger.crypto.keys import Curve, SigningKey
from ledger.crypto.sealing import leaf_of
from ledger.endpoints.pipeline import Frontend, Pipeline
from ledger.files import chunk
from ledger.kv.store import Store
from ledger.kv.tx import Tx
from ledger.launch.frontends import ReplicaView
from ledger.launch.identity import NodeIdentity, ServiceIdentity
from ledger.launch.keys import Keys
from ledger.launch.operations import Operations
from ledger.launch.replica import broadcast_opener
from ledger.lifecycle.join import Admitted, JoinRequest, NetworkInfo, judge
from ledger.lifecycle.start import FirstMember, FirstNode, Genesis, write_genesis
from ledger.merkle.tree import MerkleTree
from ledger.replica.effects import Effect, SignRoot, WriteEntries
from ledger.replica.identity import NodeSigner, signature_changes
from ledger.replica.replica import Replica
from ledger.replica.sealers import Sealers
from ledger.replica.settings import ReplicaSettings
from ledger.secrets.chain import SecretChain
from ledger.secrets.ledger_secret import LedgerSecret
from ledger.tables.internal import SIGNATURES
from ledger.tables.nodes import (
    NODES_ENDORSED_CERTIFICATES,
    NODES_INFO,
    NodeInfo,
    NodeStatus,
    QuoteInfo,
)
from ledger.tables.service import ServiceConfiguration
from ledger.testing.app_client import Caller
from tests.unit.governance.gov_kit import (
    HOST_DATA,
    NOW,
    Consortium,
    CountedEntropy,
    QueuedRunner,
    encryption_key,
    first_member,
    person,
)

MEASUREMENT = "virtual"


class HandClock:
    """Time that the kit moves."""

    def __init__(self) -> None:
        self.ms = 0.0

    def unix_seconds(self) -> float:
        return NOW + self.ms / 1000

    def monotonic_ms(self) -> float:
        return self.ms


@cache
def node_key(name: str) -> SigningKey:
    """Return the key of a node."""
    return SigningKey.generate(Curve.P256, CountedEntropy(name.encode()), deterministic=True)


@cache
def node_identity(name: str) -> NodeIdentity:
    """Return a node's identity."""
    key = node_key(name)
    names = ("iPAddress:127.0.0.1",)
    return NodeIdentity(
        key,
        self_signed_node(key, f"CN={name}", names, 365, NOW),
        certificate_request(key, f"CN={name}", names),
    )


def join_request(name: str, port: int) -> JoinRequest:
    """Return what a node sends to join."""
    identity = node_identity(name)
    digest = sha256(identity.key.public.der)
    evidence = {
        "measurement": MEASUREMENT,
        "host_data": HOST_DATA,
        "report_data": b64encode(digest),
    }
    return JoinRequest(
        node_info_network=NetworkInfo(
            node_to_node_interface={"published_address": f"127.0.0.1:{port}"},
            rpc_interfaces={"main": {"published_address": f"127.0.0.1:{port + 1}"}},
        ),
        quote_info=QuoteInfo(
            format="Insecure_Virtual",
            quote=b64encode(json.dumps(evidence).encode()),
            endorsements="",
        ),
        public_encryption_key=encryption_key().public.pem,
        certificate_signing_request=identity.request.pem,
    )


def node_row(name: str, port: int, status: NodeStatus) -> NodeInfo:
    """Return a node's row."""
    request = join_request(name, port)
    return NodeInfo(
        node_to_node_interface=request.node_info_network.node_to_node_interface,
        rpc_interfaces=request.node_info_network.rpc_interfaces,
        quote_info=request.quote_info,
        encryption_pub_key=request.public_encryption_key,
        status=status,
        certificate_signing_request=request.certificate_signing_request,
        public_key=node_key(name).public.pem,
        ledger_secret_seqno=1 if status is NodeStatus.TRUSTED else None,
    )


class LedgerConsortium(Consortium):
    """``Consortium`` over a real replica: every entry is sealed, hashed and signed."""

    def __init__(
        self,
        members: Iterable[str | FirstMember] = ("alice", "bob", "carol"),
        *,
        variant: Variant = Variant.MAJORITY,
        extra: str = "",
        threshold: int = 1,
        window: int | None = None,
    ) -> None:
        self.hand_clock = HandClock()
        self.entropy = CountedEntropy()
        service_key = SigningKey.generate(Curve.P256, CountedEntropy(b"s"), deterministic=True)
        certificate = self_signed_service(service_key, "CN=Service", 90, NOW)
        self.keys = Keys(node_identity("node0"), encryption_key(), "issuer", "subject")
        self.keys.hold_service(ServiceIdentity(service_key, certificate))
        self.entries: list[bytes] = []
        self.replica = self._new_replica()
        self.queue = QueuedRunner()
        node_operations = Operations(self.replica, self.keys, self.hand_clock, self.entropy)
        parts = GovernanceParts(
            self.replica, ReplicaView(self.replica), self.queue, node_operations
        )
        self.failures = []
        self.pipeline = Pipeline(
            self.replica,
            [Frontend(build(parts), lambda: True, back_pressured=True)],
            now=lambda: float(NOW),
            on_failure=self.failures.append,
            tell_messages=True,
        )
        self.caller = Caller(self.pipeline, None)
        self.clock = NOW
        self.service_pem = certificate.pem
        self.node_id = self.keys.node.id
        self._start(members, constitution(variant) + extra, threshold, window)

    def _new_replica(self) -> Replica:
        def apply(view: int, seqno: int, data: bytes) -> EntryRole | None:
            raise AssertionError(f"nobody sends entry {view}.{seqno} of {len(data)} bytes")

        chain = SecretChain([LedgerSecret(bytes(range(32)), 1)])
        return Replica(
            self.keys.node.id,
            Raft(self.keys.node.id, Settings(), apply, lambda limit: limit // 2),
            Store(),
            MerkleTree(),
            Sealers(chain, broadcast_opener(self.keys)),
            ReplicaSettings(),
            self.hand_clock,
        )

    def _start(
        self,
        members: Iterable[str | FirstMember],
        source: str,
        threshold: int,
        window: int | None,
    ) -> None:
        self.replica.bootstrap()
        rows = [first_member(each) if isinstance(each, str) else each for each in members]
        service = self.keys.service
        pem = service.endorse(self.keys.node.request, NOW, 365).pem
        genesis = Genesis(
            members=rows,
            constitution=source,
            configuration=ServiceConfiguration(
                recovery_threshold=threshold,
                maximum_node_certificate_validity_days=365,
                maximum_service_certificate_validity_days=365,
                recent_cose_proposals_window_size=window,
            ),
            service_certificate=self.service_pem,
            service_data=None,
            node=FirstNode(
                self.node_id, node_row("node0", 1000, NodeStatus.TRUSTED), pem, MEASUREMENT,
                HOST_DATA,
            ),
        )  # fmt: skip
        self.write(lambda tx: write_genesis(tx, genesis))
        self.settle()

    # -- what Consortium does with its own log -------------------------------------------

    @override
    def write(self, body: Callable[[Tx], None]) -> None:
        """Commit a transaction of the node's own."""
        tx = self.replica.begin()
        body(tx)
        assert self.replica.commit(tx, None) is not None

    @override
    def read(self, table: Table[Any, Any], key: object) -> Any:
        return self.replica.begin_read_only().table(table).get(key)

    @override
    def read_one(self, table: Singleton[Any]) -> Any:
        return self.replica.begin_read_only().singleton(table).get()

    def settle(self) -> None:
        """Sign everything and write it out; with other nodes in the service it cannot commit."""
        for _ in range(20):
            self.hand_clock.ms += 20
            for effect in self.replica.flush():
                self._execute(effect)
            if len(self.entries) == self.replica.store.version:
                return
        raise AssertionError("nothing is written")

    def _execute(self, effect: Effect) -> None:
        if isinstance(effect, WriteEntries):
            at = 0
            while at < len(effect.data):
                entry = parse_entry(effect.data, at)
                self.entries.append(entry.data)
                at += entry.size
            if effect.sync:
                self.replica.persisted(effect.last)
        elif isinstance(effect, SignRoot):
            made = self.keys.sign(effect.tx_id, effect.root, effect.issued_at)
            self.replica.signature_made(effect.tx_id, made)

    def acknowledge(self, *names: str) -> None:
        """Make members active, as members do it."""
        for name in names:
            path = f"/members/state-digests/{person(name).id}"
            digest = self.post(f"{path}:update", self.message(name, MessageType.STATE_DIGEST))
            assert digest.status == 200, digest
            body = {"stateDigest": digest.json()["stateDigest"]}
            answer = self.post(f"{path}:ack", self.message(name, MessageType.ACK, body))
            assert answer.status == 204, answer

    def join(self, name: str, port: int, *, at_once: bool = False) -> str:
        """Take a node in, as ``POST /node/join`` does."""
        node_id = node_key(name).public.id

        def body(tx: Tx) -> None:
            outcome = judge(
                tx, join_request(name, port), node_key(name).public,
                startup_seqno=0, trust_at_once=at_once,
            )  # fmt: skip
            assert isinstance(outcome, Admitted), outcome
            tx.table(NODES_INFO).put(node_id, outcome.info)
            if outcome.info.status is NodeStatus.TRUSTED:
                pem = self.keys.service.endorse(node_identity(name).request, NOW, 90).pem
                tx.table(NODES_ENDORSED_CERTIFICATES).put(node_id, pem)

        self.write(body)
        return node_id


Edit = Callable[[Changes], None]


def bent(consortium: LedgerConsortium, seqno: int, edit: Edit) -> list[bytes]:
    """Return the ledger with one entry changed, and everything after it hashed and signed anew.

    Sealed with the ledger's own secrets and signed with the keys of node and service, so that
    nothing but a replay can see it.
    """
    sealers = consortium.replica.sealers
    made: list[bytes] = []
    tree = MerkleTree()
    for number, data in enumerate(consortium.entries, 1):
        entry = parse_entry(data)
        sealer = sealers.at(number)
        if number >= seqno:
            changes = sealer.open(entry)
            if number == seqno:
                edit(changes)
            elif SIGNATURES.name in changes:
                changes = _signed_again(consortium, TxId(entry.view, number), tree)
            claims = entry.claims_digest
            made.append(sealer.seal(entry.view, number, entry.flags, changes, claims)[0])
        else:
            made.append(data)
        tree.append(leaf_of(made[-1]))
    return made


def extended(consortium: LedgerConsortium, *entries: Changes) -> list[bytes]:
    """Return the ledger with more entries, and a signature over them."""
    made = list(consortium.entries)
    tree = MerkleTree()
    for data in made:
        tree.append(leaf_of(data))
    sealer, view = consortium.replica.sealers.latest, consortium.replica.view
    for changes in entries:
        data, leaf = sealer.seal(view, len(made) + 1, 0, changes, None)
        made.append(data)
        tree.append(leaf)
    seqno = len(made) + 1
    signature = _signed_again(consortium, TxId(view, seqno), tree)
    made.append(sealer.seal(view, seqno, 0, signature, None)[0])
    return made


def _signed_again(consortium: LedgerConsortium, tx_id: TxId, tree: MerkleTree) -> Changes:
    keys = consortium.keys
    signer = NodeSigner(keys.node.key, keys.service.key, "issuer", "subject")
    signatures = signer.sign(tx_id, tree.root(), NOW)
    pem = consortium.read(NODES_ENDORSED_CERTIFICATES, consortium.node_id)
    return signature_changes(
        tx_id, tree.root(), signatures, consortium.node_id, pem, tree.serialise()
    )


def replayed(entries: Iterable[bytes], run_script: RunScript = run) -> ReplayReport:
    """Replay entries with scripts run in this process."""
    replay = Replay(run_script)
    for data in entries:
        if replay.feed(recorded(parse_entry(data))) is not None:
            break
    return replay.report


def difference(entries: Iterable[bytes]) -> Difference | None:
    """Return the first difference of a ledger."""
    return replayed(entries).difference


def save(entries: Iterable[bytes], directory: Path) -> Path:
    """Write a ledger as one open chunk."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "ledger_1").write_bytes(chunk.OPEN_HEADER + b"".join(entries))
    return directory


def audited(entries: Iterable[bytes], directory: Path) -> Report:
    """Audit a ledger without replaying it."""
    return audit([save(entries, directory)])
