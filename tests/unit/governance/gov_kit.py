"""A consortium in process: real store, real pipeline, real interpreter, signed messages."""

import functools
import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from governance.defaults import Variant, constitution
from governance.frontend import build
from governance.interpreter import run
from governance.operations import OperationRefused, ShareProgress
from governance.parts import GovernanceParts
from governance.recovery_members import active_recovery_members
from governance.scripting import HostCall, ScriptCall, ScriptOutcome, ScriptRunner
from governance.state_digests import give_state_digest
from ledger.base.errors import LedgerError
from ledger.base.ids import MemberId
from ledger.codec.canonical import b64encode
from ledger.codec.tables import Singleton, Table
from ledger.crypto.certificate import Certificate, CertificateRequest
from ledger.crypto.certs import certificate_request, endorse, renew, self_signed_caller
from ledger.crypto.certs import self_signed_service as self_signed
from ledger.crypto.cose_governance import MessageType, sign_request
from ledger.crypto.keys import Curve, SigningKey
from ledger.crypto.rsa import RsaPrivateKey
from ledger.endpoints.endpoint import Suspension
from ledger.endpoints.local_log import LocalLog
from ledger.endpoints.pipeline import Frontend, Pipeline
from ledger.kv.tx import Tx
from ledger.lifecycle import secrets_in_ledger
from ledger.lifecycle.start import FirstMember, FirstNode, Genesis, write_genesis
from ledger.secrets.ledger_secret import LedgerSecret
from ledger.tables.internal import SIGNATURES, SignatureInfo
from ledger.tables.members import MEMBER_ENCRYPTION_KEYS, MEMBER_INFO, RecoveryRole
from ledger.tables.nodes import (
    NODES_ENDORSED_CERTIFICATES,
    NODES_INFO,
    NodeInfo,
    NodeStatus,
    QuoteInfo,
)
from ledger.tables.service import SERVICE_INFO, ServiceConfiguration
from ledger.testing.app_client import Answer, Call, Caller

if TYPE_CHECKING:
    from governance.verdict import Verdict

NOW = 1_750_000_000
VERSION = "?api-version=2024-07-01"
COSE_HEADERS = {"content-type": "application/cose"}
YES = "def vote(proposal, proposer_id): return True"
NO = "def vote(proposal, proposer_id): return False"
HOST_DATA = "ab" * 32


class CountedEntropy:
    """Random bytes that are the same in every run."""

    def __init__(self, seed: bytes = b"entropy") -> None:
        self._seed = seed
        self._count = 0

    def random_bytes(self, count: int) -> bytes:
        drawn = b""
        while len(drawn) < count:
            self._count += 1
            drawn += hashlib.sha256(self._seed + self._count.to_bytes(8, "big")).digest()
        return drawn[:count]


@functools.cache
def encryption_key() -> RsaPrivateKey:
    """One RSA key for all members: it takes long to make."""
    return RsaPrivateKey.generate()


@functools.cache
def other_encryption_key() -> RsaPrivateKey:
    """Another one."""
    return RsaPrivateKey.generate()


class Person:
    """A member or a user: a key and its certificate."""

    def __init__(self, name: str, curve: Curve = Curve.P256) -> None:
        entropy = CountedEntropy(name.encode())
        self.key = SigningKey.generate(curve, entropy, deterministic=True)
        self.certificate: Certificate = self_signed_caller(
            self.key, f"CN={name}", 365, NOW, entropy=entropy
        )
        self.pem = self.certificate.pem
        self.id = MemberId(self.certificate.id)


@functools.cache
def person(name: str) -> Person:
    """Return the person of a name."""
    return Person(name)


class QueuedRunner:
    """Runs scripts in this process when told to."""

    def __init__(self) -> None:
        self.jobs: deque[tuple[ScriptCall, HostCall, Callable[[ScriptOutcome], None]]] = deque()
        self.outcomes: list[ScriptOutcome] = []
        self.canned: dict[str, ScriptOutcome] = {}
        """What comes of a source instead of running it, as if the machine had ended it."""

    def start(
        self, call: ScriptCall, host: HostCall, resume: Callable[[ScriptOutcome], None]
    ) -> None:
        self.jobs.append((call, host, resume))

    def step(self) -> None:
        """Run the oldest script."""
        call, host, resume = self.jobs.popleft()
        outcome = self.canned.get(call.source) or run(call, host)
        self.outcomes.append(outcome)
        resume(outcome)

    def pump(self) -> None:
        """Run until nothing waits."""
        while self.jobs:
            self.step()


class KitLedger:
    """Roots that differ at every version."""

    def __init__(self) -> None:
        self.wait: Suspension | None = None

    def root_at(self, seqno: int) -> bytes:
        return hashlib.sha256(b"root" + seqno.to_bytes(8, "big")).digest()

    def await_root(self, seqno: int) -> Suspension | None:
        del seqno
        wait, self.wait = self.wait, None
        return wait


class KitOperations:
    """The node's part with real keys, without a node."""

    def __init__(self) -> None:
        self.entropy = CountedEntropy()
        self.service_key = SigningKey.generate(Curve.P384, self.entropy, deterministic=True)
        self.service = self_signed(self.service_key, "CN=Service", 90, NOW, entropy=self.entropy)
        self.secret = LedgerSecret(self.entropy.random_bytes(32), 1)
        self.triggered: list[str] = []
        self.progress: ShareProgress | OperationRefused = OperationRefused("not now")

    def open_service(self, tx: Tx) -> None:
        self._refusing(
            lambda: secrets_in_ledger.open_service(
                tx,
                self.secret,
                self.service_key,
                self._members(tx),
                entropy=self.entropy,
                now=NOW,
            )
        )

    def refresh_recovery_shares(self, tx: Tx) -> None:
        self.triggered.append("shares")
        self._refusing(
            lambda: secrets_in_ledger.reshare(tx, self.secret, self._members(tx), self.entropy)
        )

    def rekey_ledger(self, tx: Tx) -> None:
        self.triggered.append("rekey")
        self._refusing(
            lambda: secrets_in_ledger.rekey(tx, self.secret, self._members(tx), self.entropy)
        )

    def give_state_digest(self, tx: Tx, member_id: str) -> None:
        give_state_digest(tx, member_id)

    def latest_ledger_secret_seqno(self, tx: Tx) -> int:
        del tx
        return self.secret.first

    def endorse_node(self, tx: Tx, node_id: str, not_before: int, days: int) -> None:
        info = tx.table(NODES_INFO).get(node_id)
        assert info is not None
        assert info.certificate_signing_request is not None
        request = CertificateRequest.parse(info.certificate_signing_request)
        endorsed = endorse(request, self.service_key, self.service, not_before, days)
        tx.table(NODES_ENDORSED_CERTIFICATES).put(node_id, endorsed.pem)

    def renew_service_certificate(self, tx: Tx, not_before: int, days: int) -> None:
        service = tx.singleton(SERVICE_INFO).get()
        assert service is not None
        renewed = renew(self.service, self.service_key, None, not_before, days)
        tx.singleton(SERVICE_INFO).put(msgspec.structs.replace(service, cert=renewed.pem))

    def trigger_ledger_chunk(self, tx: Tx) -> None:
        del tx
        self.triggered.append("chunk")

    def trigger_snapshot(self, tx: Tx) -> None:
        del tx
        self.triggered.append("snapshot")

    def submit_recovery_share(self, tx: Tx, member_id: str, share: bytes) -> ShareProgress:
        del tx, member_id, share
        if isinstance(self.progress, OperationRefused):
            raise self.progress
        return self.progress

    def _members(self, tx: Tx) -> dict[MemberId, tuple[str, str]]:
        keys = tx.table(MEMBER_ENCRYPTION_KEYS)
        return {
            MemberId(member): (keys.get(member) or "", role.value)
            for member, role in active_recovery_members(tx).items()
        }

    def _refusing(self, operation: Callable[[], None]) -> None:
        try:
            operation()
        except LedgerError as error:
            raise OperationRefused(str(error)) from error


def first_member(
    name: str, *, recovers: bool = True, data: object = None, role: RecoveryRole | None = None
) -> FirstMember:
    """Return a member of the first consortium."""
    each = person(name)
    key = encryption_key().public.pem if recovers else None
    return FirstMember(each.id, each.pem, key, data, role)


def virtual_node(name: str, status: NodeStatus = NodeStatus.TRUSTED) -> tuple[str, NodeInfo]:
    """Return ID and row of a node."""
    key = SigningKey.generate(Curve.P256, CountedEntropy(name.encode()))
    evidence = {"measurement": "virtual", "host_data": HOST_DATA, "report_data": "AAAA"}
    info = NodeInfo(
        node_to_node_interface={"bind_address": "127.0.0.1:1"},
        rpc_interfaces={"main": {"published_address": "127.0.0.1:2", "protocol": "tcp"}},
        quote_info=QuoteInfo(
            format="Insecure_Virtual",
            quote=b64encode(json.dumps(evidence).encode()),
            endorsements="",
        ),
        encryption_pub_key=encryption_key().public.pem,
        status=status,
        certificate_signing_request=certificate_request(key, f"CN={name}", ["dNSName:a"]).pem,
    )
    return key.public.id, info


class Consortium:
    """Members and a service, up to and including its genesis.

    Args:
        members: Names or rows of the first members.
        active: Whether they have acknowledged already.
        variant: Constitution.
        extra: Source that is put behind it.
        source: Another constitution than a shipped one.
        threshold: Recovery threshold.
        runner: What runs scripts; in this process when None.
    """

    def __init__(
        self,
        members: Iterable[str | FirstMember] = ("alice", "bob", "carol"),
        *,
        active: bool = True,
        variant: Variant = Variant.MAJORITY,
        extra: str = "",
        source: str | None = None,
        threshold: int = 1,
        runner: ScriptRunner | None = None,
    ) -> None:
        self.log = LocalLog()
        self.queue = QueuedRunner()
        self.operations = KitOperations()
        self.ledger = KitLedger()
        self.verdicts: list[Verdict] = []
        self.parts = GovernanceParts(
            self.log,
            self.ledger,
            runner or self.queue,
            self.operations,
            self.verdicts.append,
        )
        self.failures: list[str] = []
        self.pipeline = Pipeline(
            self.log,
            [Frontend(build(self.parts), lambda: True, back_pressured=True)],
            now=lambda: float(NOW),
            on_failure=self.failures.append,
            tell_messages=True,
        )
        self.caller = Caller(self.pipeline, None)
        self.clock = NOW
        self.service_pem = self.operations.service.pem
        rows = [first_member(each) if isinstance(each, str) else each for each in members]
        node_id, node = virtual_node("node0")
        genesis = Genesis(
            members=rows,
            constitution=(source or constitution(variant)) + extra,
            configuration=ServiceConfiguration(
                recovery_threshold=threshold,
                maximum_node_certificate_validity_days=365,
                maximum_service_certificate_validity_days=365,
            ),
            service_certificate=self.service_pem,
            service_data=None,
            node=FirstNode(node_id, node, "-", "virtual", HOST_DATA),
        )
        self.node_id = node_id
        self.write(lambda tx: write_genesis(tx, genesis))
        self.sign()
        if active:
            for row in rows:
                self.activate(row.id)

    def write(self, body: Callable[[Tx], None]) -> None:
        """Commit a transaction."""
        tx = self.log.begin()
        body(tx)
        assert self.log.commit(tx, None) is not None

    def sign(self) -> str:
        """Write a signature; returns its root."""
        root = self.ledger.root_at(self.log.store.version).hex()
        info = SignatureInfo(
            seqno=self.log.store.version + 1,
            view=2,
            root=root,
            sig="",
            node="",
            hashed_nonce="",
            commit_seqno=0,
            commit_view=0,
        )
        self.write(lambda tx: tx.singleton(SIGNATURES).put(info))
        return root

    def activate(self, member_id: str) -> None:
        """Make a member Active without asking it."""

        def body(tx: Tx) -> None:
            info = tx.table(MEMBER_INFO).get(member_id)
            assert info is not None
            payload = msgspec.to_builtins(info) | {"status": "Active"}
            tx.table(MEMBER_INFO).put(member_id, msgspec.convert(payload, type(info)))

        self.write(body)

    def get(self, path: str, version: str = VERSION) -> Answer:
        """Send a GET below ``/gov``."""
        self.caller.reconnect()
        return self.caller.get(f"/gov{path}{version}")

    def message(
        self,
        name: str,
        kind: MessageType,
        payload: object = b"",
        *,
        proposal_id: str | None = None,
        created_at: int | None = None,
    ) -> bytes:
        """Return a signed message; time goes on by a second with each."""
        self.clock += 1
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        signer = person(name)
        return sign_request(
            signer.key,
            signer.id,
            kind,
            body,
            created_at=self.clock if created_at is None else created_at,
            proposal_id=proposal_id,
        )

    def start(self, path: str, message: bytes, version: str = VERSION) -> Call:
        """Send a message and leave its scripts waiting."""
        self.caller.reconnect()
        return self.caller.start("POST", f"/gov{path}{version}", body=message, headers=COSE_HEADERS)

    def post(self, path: str, message: bytes, version: str = VERSION) -> Answer:
        """Send a message and run its scripts."""
        call = self.start(path, message, version)
        self.queue.pump()
        return call.result()

    def propose(self, name: str, *actions: object, created_at: int | None = None) -> Answer:
        """Propose a list of actions."""
        payload = {"actions": list(actions)}
        message = self.message(name, MessageType.PROPOSAL, payload, created_at=created_at)
        return self.post("/members/proposals:create", message)

    def vote(self, name: str, proposal_id: str, ballot: str = YES) -> Answer:
        """Submit a ballot."""
        payload = {"ballot": ballot}
        message = self.message(name, MessageType.BALLOT, payload, proposal_id=proposal_id)
        path = f"/members/proposals/{proposal_id}/ballots/{person(name).id}:submit"
        return self.post(path, message)

    def withdraw(self, name: str, proposal_id: str) -> Answer:
        """Withdraw a proposal."""
        message = self.message(name, MessageType.WITHDRAWAL, b"", proposal_id=proposal_id)
        return self.post(f"/members/proposals/{proposal_id}:withdraw", message)

    def pass_actions(self, *actions: object) -> Answer:
        """Propose and let everybody vote yes until it is decided."""
        names = [name for name in PEOPLE if self.is_active(name)]
        answer = self.propose(names[0], *actions)
        assert answer.status == 200, answer
        proposal_id = answer.json()["proposalId"]
        for name in names:
            if answer.status == 200 and answer.json()["proposalState"] == "Open":
                answer = self.vote(name, proposal_id)
        return answer

    def is_active(self, name: str) -> bool:
        """Say whether a member is Active."""
        info = self.read(MEMBER_INFO, person(name).id)
        return info is not None and info.status.value == "Active"

    def read(self, table: Table[Any, Any], key: object) -> Any:  # noqa: ANN401 - every table has its own
        """Return a value of a table."""
        return self.log.begin_read_only().table(table).get(key)

    def read_one(self, table: Singleton[Any]) -> Any:  # noqa: ANN401 - every table has its own
        """Return the value of a singleton."""
        return self.log.begin_read_only().singleton(table).get()

    def open(self) -> None:
        """Open the service."""
        answer = self.pass_actions(action_open(self.service_pem))
        assert answer.json()["proposalState"] == "Accepted", answer


PEOPLE = ("alice", "bob", "carol", "dave", "erin", "oscar", "peggy")


def action(name: str, /, **args: object) -> dict[str, object]:
    """Return an action."""
    return {"name": name, "args": args}


def action_open(service_pem: str) -> dict[str, object]:
    """Return the action that opens the service."""
    return action("transition_service_to_open", next_service_identity=service_pem)
