"""One real node without its processes: replica, runtime, peers' book, request calls, and a host.

What a node's shell does by threads and sockets is left to the schedule: signing jobs and answers of
the host wait until it takes them, messages go where it says.
"""

from collections import deque
from collections.abc import Callable
from functools import partial

from typing_extensions import override

from ledger.base.errors import FormatError
from ledger.base.ids import NodeId, TxId
from ledger.boundary.to_host import ToHost
from ledger.codec.entry import parse_entry
from ledger.consensus.messages import AppendEntries, Message, bind
from ledger.consensus.raft import Raft
from ledger.consensus.ready import Ready
from ledger.consensus.types import Entry, EntryRole, Jitter, Settings
from ledger.crypto.sealing import EntrySealer
from ledger.enclave.peers import QUEUED_MESSAGES_MAX
from ledger.enclave.runtime import Runtime
from ledger.endpoints.calls import Calls
from ledger.endpoints.request import Request
from ledger.endpoints.response import Response
from ledger.endpoints.waiting import CommitWaiters
from ledger.history.receipts import ReceiptSource
from ledger.kv.store import Store
from ledger.kv.tx import Tx
from ledger.launch.joining import Joined
from ledger.launch.peer_book import PeerBook
from ledger.launch.retirement import mark_retired_committed
from ledger.merkle.tree import MerkleTree
from ledger.replica.identity import RootSignatures
from ledger.replica.replica import Replica
from ledger.replica.sealers import Sealers
from ledger.replica.settings import ReplicaSettings
from ledger.secrets.chain import SecretChain
from ledger.secrets.ledger_secret import LedgerSecret
from ledger.testing.checkers import require
from ledger.testing.sim_replica_host import SimulatedHost
from ledger.testing.sim_replica_identity import NOW, SimulatedIdentity, opener
from ledger.testing.sim_replica_joining import Entrance
from ledger.testing.sim_replica_shadow import Shadows, total_of

MakeSealer = Callable[[bytes], EntrySealer]
Transmit = Callable[[NodeId, Message], None]


class NodeClock:
    """A node's clock: it stands still but for the ticks of its schedule."""

    def __init__(self) -> None:
        self.ms = 0

    def unix_seconds(self) -> float:
        """See ``base.clock.Clock``."""
        return NOW + self.ms / 1000

    def monotonic_ms(self) -> float:
        """See ``base.clock.Clock``."""
        return float(self.ms)


class TappedRaft(Raft):
    """Consensus whose outputs are seen by the simulation as well as by the replica."""

    __slots__ = ("_seen",)

    def __init__(
        self,
        node_id: NodeId,
        settings: Settings,
        apply_entry: Callable[[int, int, bytes], EntryRole | None],
        jitter: Jitter,
    ) -> None:
        super().__init__(node_id, settings, apply_entry, jitter)
        self._seen = Ready([], [])

    @override
    def ready(self) -> Ready:
        """Drain the outputs, keeping a copy for ``tapped``."""
        ready = super().ready()
        self._seen.effects.extend(ready.effects)
        self._seen.messages.extend(ready.messages)
        return ready

    def tapped(self) -> Ready:
        """Return what went out since the last call."""
        seen, self._seen = self._seen, Ready([], [])
        return seen


class ObservedReplica(Replica):
    """A replica that is looked at in the moments between two steps of the simulation.

    Attributes:
        at_commit: Per committed seqno not looked at yet: root, and sum over the committed state.
        on_ordered: Told of every transaction that was given an ID.
    """

    at_commit: dict[int, tuple[bytes, int]]
    on_ordered: Callable[[Tx, TxId, bytes | None], None] | None = None

    @override
    def commit_advanced(self, seqno: int) -> TxId:
        """Note what is committed at the moment that it is."""
        tx_id = super().commit_advanced(seqno)
        self.at_commit[seqno] = (self.tree.root(seqno), total_of(self.store.contents()))
        return tx_id

    @override
    def commit(self, tx: Tx, claims_digest: bytes | None) -> TxId | None:
        """Tell of the transaction."""
        tx_id = super().commit(tx, claims_digest)
        if tx_id is not None and self.on_ordered is not None:
            self.on_ordered(tx, tx_id, claims_digest)
        return tx_id


class NodeShell:
    """Implements ``enclave.runtime.Shell``.

    Attributes:
        jobs: What the signing thread has to do.
    """

    def __init__(self, host: SimulatedHost) -> None:
        self.jobs: deque[tuple[Callable[[], RootSignatures], Callable[[RootSignatures], None]]]
        self.jobs = deque()
        self._host = host

    def send(self, message: ToHost, tail: bytes = b"") -> None:
        """Queue a frame for the host."""
        self._host.send(message, tail)

    def run_in_thread(
        self, function: Callable[[], RootSignatures], done: Callable[[RootSignatures], None]
    ) -> None:
        """Queue a job for the signing thread."""
        self.jobs.append((function, done))

    def wake_in(self, delay_ms: float) -> None:
        """Do nothing: every tick is followed by a turn."""


class NodePeers:
    """Sends messages, reading back entries that are no longer in memory, as ``enclave.peers``."""

    def __init__(self, runtime: Runtime, transmit: Transmit, bytes_max: int) -> None:
        self._runtime = runtime
        self._transmit = transmit
        self._bytes_max = bytes_max
        self._waiting: dict[NodeId, deque[Message]] = {}

    def send(self, to: NodeId, message: Message) -> None:
        """Send a message, after those for the same node that wait for entries."""
        waiting = self._waiting.get(to)
        if waiting is not None:
            waiting.append(message)
        elif isinstance(message, AppendEntries) and not message.is_bound:
            self._waiting[to] = deque(maxlen=QUEUED_MESSAGES_MAX)
            self._read(to, message)
        else:
            self._transmit(to, message)

    def _read(self, to: NodeId, message: AppendEntries) -> None:
        done = partial(self._was_read, to, message)
        self._runtime.read_entries(message.prev_seqno + 1, message.last_seqno, done)

    def _was_read(
        self, to: NodeId, message: AppendEntries, data: bytes | None, problem: str
    ) -> None:
        assert data is not None, f"committed entries are in the ledger files: {problem}"
        entries = _parse(data, message.prev_seqno)
        last = message.prev_seqno + len(entries)
        for part in bind(_part(message, message.prev_seqno, last), entries, self._bytes_max):
            self._transmit(to, part)
        if last < message.last_seqno:
            self._read(to, _part(message, last, message.last_seqno))
            return
        waiting = self._waiting.pop(to)
        while waiting:
            self.send(to, waiting.popleft())
            held = self._waiting.get(to)
            if held is not None:
                held.extend(waiting)
                return


class ReplicaNode:
    """One node.

    Attributes:
        node_id: Its id.
        identity: Its keys.
        raft: Its consensus core.
        replica: Its state machine.
        runtime: Carries out what the replica asks for.
        host: Its host.
        shell: Its shell.
        book: Who may speak to it.
        entrance: Joins it, and others through it.
        calls: Runs clients' calls.
        receipts: Finds receipts.
        has_joined: Whether it has the service's secrets.
        finished: Told of late answers to calls.
    """

    def __init__(
        self,
        identity: SimulatedIdentity,
        settings: Settings,
        replica_settings: ReplicaSettings,
        read_size: int,
        first_secret: bytes,
        make_sealer: MakeSealer,
        shadows: Shadows,
        jitter: Jitter,
        transmit: Transmit,
    ) -> None:
        self.node_id = identity.node_id
        self.identity = identity
        self.has_joined = False
        self.finished: Callable[[Request, Response], None] | None = None
        self._clock = NodeClock()
        self._make_sealer = make_sealer
        self._shadows = shadows
        self.raft = TappedRaft(self.node_id, settings, self._apply, jitter)
        self.replica = ObservedReplica(
            self.node_id,
            self.raft,
            Store(),
            MerkleTree(),
            self._sealers(SecretChain([LedgerSecret(first_secret, 1)])),
            replica_settings,
            self._clock,
        )
        self.replica.at_commit = {}
        self.host = SimulatedHost(read_size)
        self.shell = NodeShell(self.host)
        self.runtime = Runtime(self.shell, self.replica, identity.signer)
        self.runtime.peers = NodePeers(self.runtime, transmit, settings.batch_bytes_max)
        self.runtime.on_retirement.append(self._mark_retired)
        self.book = PeerBook(self.replica)
        self.entrance = Entrance(
            identity,
            self.replica,
            self._clock,
            joined=self._joined,
            secrets=lambda chain: self.replica.sealers.give(chain.secrets),
            peers=self.book.name,
            settled=lambda: self.book.is_settled,
        )
        self.receipts = ReceiptSource(self.replica, self.runtime)
        self._waiters = CommitWaiters(self.replica, self._complete)
        self.calls = Calls(
            self.replica, self._waiters, self._complete, _handler_failed, tell_messages=True
        )

    def _apply(self, view: int, seqno: int, data: bytes) -> EntryRole | None:
        replica = self.replica
        role = replica.applier.apply(view, seqno, data)
        require(
            role is not None or replica.sealers.lacks_latest,
            "Refused",
            f"{self.node_id} refuses {view}.{seqno}: {replica.applier.problem}",
        )
        return role

    def _sealers(self, secrets: SecretChain) -> Sealers:
        return Sealers(secrets, opener(self.node_id), self._make_sealer)

    def _mark_retired(self) -> None:
        mark_retired_committed(self.replica)

    def _complete(self, request: Request, response: Response) -> None:
        assert self.finished is not None, "who calls waits for the answer"
        self.finished(request, response)

    # -- inputs ------------------------------------------------------------------------

    def tick(self, elapsed_ms: int) -> None:
        """Let time pass."""
        self._clock.ms += elapsed_ms
        self.replica.tick(elapsed_ms)
        self._waiters.tick(self._clock.monotonic_ms())

    def sign_next(self) -> None:
        """Let the signing thread finish its oldest job."""
        function, done = self.shell.jobs.popleft()
        done(function())

    def take_answer(self) -> None:
        """Take the host's next answer."""
        message, tail = self.host.answers.popleft()
        self.runtime.from_host(message, memoryview(tail))

    def start_service(self) -> None:
        """Become the first primary of a new service."""
        self.has_joined = True
        self.entrance.start_service()
        self.replica.bootstrap()

    def _joined(self, joined: Joined) -> None:
        self.replica.adopt_secrets(self._sealers(joined.chain))
        self.has_joined = True

    # -- for the checkers --------------------------------------------------------------

    def drain(self) -> Ready:
        """Return what consensus put out since the last call."""
        return self.raft.tapped()

    def role_of(self, entry: Entry) -> EntryRole:
        """Work out the shadow of an entry that this node has written; its role."""
        before = self.raft.view_at(entry.seqno - 1)
        return self._shadows.add(entry.view, entry.seqno, before, entry.data).role

    def digest(self, seqno: int) -> bytes:
        """Compare the committed state at ``seqno`` with its shadow; its root."""
        root, total = self.replica.at_commit.pop(seqno)
        shadow = self._shadows.at(self.raft.view_at(seqno), seqno)
        require(root == shadow.root, "Root", f"{self.node_id} has another root at {seqno}")
        require(total == shadow.total, "State", f"{self.node_id} holds another state at {seqno}")
        return root


def _handler_failed(text: str) -> None:
    raise AssertionError(f"a handler failed: {text}")


def _parse(data: bytes, before: int) -> list[Entry]:
    entries: list[Entry] = []
    offset = 0
    while offset < len(data):
        entry = parse_entry(data, offset)
        if entry.seqno != before + len(entries) + 1:
            raise FormatError(f"got entry {entry.seqno}, want {before + len(entries) + 1}")
        entries.append(Entry(entry.view, entry.seqno, entry.data))
        offset += entry.size
    return entries


def _part(message: AppendEntries, after: int, last: int) -> AppendEntries:
    """Return a message without entries that names ``after + 1 .. last`` of another's."""
    before = message.prev_view if after == message.prev_seqno else message.entries_view
    return AppendEntries(
        message.view, before, after, last, message.entries_view, message.primary_commit
    )
