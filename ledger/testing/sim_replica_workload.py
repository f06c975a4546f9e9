"""Clients of a simulated service of replicas, and the check of everything that they were told.

Checked are, for every call:

- what it read is the state before its entry, and what it wrote is what its entry says, claims
  included: so all entries are serializable, committed or not;
- an entry that began when another was known to be committed comes after it: with the above, what is
  committed is strictly serializable;
- a call that only reads has an ID, and read the state at that ID;
- within a session on one node IDs do not fall, and all are of one view;
- a final status never contradicts an earlier one, whichever node says it, and the committed log
  agrees; a node that was asked to tell of a decision tells it once;
- a receipt of a committed transaction verifies offline, for that transaction and its claims.
"""

from functools import partial

from ledger.base.ids import NodeId, TxId
from ledger.consensus.tx_status import TxStatus
from ledger.crypto.hashing import sha256
from ledger.endpoints.request import Request
from ledger.endpoints.response import Response
from ledger.history.receipts import ReceiptParts, Unavailable
from ledger.kv.tx import Tx
from ledger.receipts.build import cose_receipt, signature_receipt, transaction_receipt
from ledger.receipts.verify import verify
from ledger.replica.waiters import Status
from ledger.testing.checkers import require
from ledger.testing.sim_replica_calls import Operation, endpoint_of
from ledger.testing.sim_replica_cluster import ReplicaCluster, ReplicaMember
from ledger.testing.sim_replica_identity import service
from ledger.testing.sim_replica_node import ReplicaNode
from ledger.testing.sim_replica_shadow import Key, Rows, Shadow

OPEN_MAX = 200
SESSIONS = 3
"""Connections of clients with each node."""


class ClientSession:
    """A connection of a client; implements ``endpoints.request.Session``.

    Attributes:
        interface: The same for all.
        pinned_view: See ``Session``.
        forwarded: Never.
        operation: The call that is being answered, None between calls.
        last: The newest ID that it was given.
        is_over: Whether the node closed it.
    """

    def __init__(self, workload: "Workload") -> None:
        self.interface = "primary_rpc_interface"
        self.pinned_view = 0
        self.forwarded = False
        self.operation: Operation | None = None
        self.last = TxId(0, 0)
        self.is_over = False
        self._workload = workload

    def peer_certificate(self) -> bytes | None:
        """Return nothing: nobody is asked who he is."""
        return None

    def complete(self, request: Request, response: Response) -> None:
        """Take a late answer."""
        del request
        self._workload.answered(self, response)

    def close_after_response(self) -> None:
        """End."""
        self.is_over = True


class Workload:
    """All clients of a cluster.

    Attributes:
        operations: Every call that was given the ID of a transaction, in that order.
        waiting: Calls whose handler waits.
    """

    def __init__(self, cluster: ReplicaCluster) -> None:
        self.operations: list[Operation] = []
        self.waiting: dict[int, Operation] = {}
        self._asked: set[tuple[NodeId, int]] = set()
        self._cluster = cluster
        self._open: list[Operation] = []
        self._sessions: dict[tuple[NodeId, int], ClientSession] = {}
        self._ordered: dict[Key, Operation] = {}
        self._reads: dict[Key, list[Operation]] = {}
        self._promises: dict[int, tuple[NodeId, TxId, list[Status]]] = {}
        self._known_committed = 0
        cluster.shadows.watcher = self._entry_written

    # -- calls -------------------------------------------------------------------------

    def begin(
        self, member: ReplicaMember, number: int, kind: str, *arguments: object, wait: bool = False
    ) -> Operation | None:
        """Begin a call; None when the client's connection is busy.

        Args:
            member: Node that it is made at.
            number: Its number, which decides what it does.
            kind: Name of its handler.
            arguments: Of the handler.
            wait: Whether the client asks for the answer after commit.
        """
        self._cluster.note_event("begin", member.node_id, number, kind, *arguments, wait)
        node = member.replica_node
        session = self._session(node, number % SESSIONS)
        if session.operation is not None:
            return None
        headers = {b"prefer": b"wait-for-commit; wait=1"} if wait else {}
        request = Request("POST", f"/{kind}", "", headers, b"", session)
        operation = Operation(number, kind, arguments, node, request, self._known_committed)
        session.operation = operation
        node.finished = _finished
        node.replica.on_ordered = self._was_ordered
        response = node.calls.run(request, endpoint_of(operation), {}, {})
        self._note_wait(operation)
        if response is not None:
            self.answered(session, response)
        self._cluster.after_call(member)
        return operation

    def resume(self, number: int) -> bool:
        """Let a call that waits go on; says whether it could."""
        operation = self.waiting.pop(number, None)
        if operation is None:
            return False
        node = operation.node
        member = self._cluster.member(node.node_id)
        self._cluster.note_event("resume", node.node_id, number)
        resume = operation.resume
        assert resume is not None, "a call that waits can be resumed"
        operation.resume = None
        resume(None)
        self._note_wait(operation)
        self._cluster.after_call(member)
        return True

    def _note_wait(self, operation: Operation) -> None:
        if operation.resume is not None:
            self.waiting[operation.number] = operation

    def _session(self, node: ReplicaNode, index: int) -> ClientSession:
        session = self._sessions.get((node.node_id, index))
        if session is None or session.is_over:
            session = self._sessions[node.node_id, index] = ClientSession(self)
        return session

    def answered(self, session: ClientSession, response: Response) -> None:
        """Take the answer to a session's call."""
        operation, session.operation = session.operation, None
        assert operation is not None, "a session that is answered had asked"
        assert operation.response is None, "a call is answered once"
        operation.response = response
        count = self._cluster.counters
        count[f"answer {response.status}"] += 1
        if operation.runs > 1:
            count["call ran again"] += 1
        tx_id = None if response.tx_id is None else TxId.parse(response.tx_id.decode())
        if operation.tx_id is None and tx_id is not None:
            self._has_read(operation, tx_id)
        elif response.status == 200:
            require(tx_id == operation.tx_id, "Answer", f"{tx_id} for {operation.tx_id}")
        if tx_id is not None and response.status == 200:
            _check_session(session, operation, tx_id)
        if operation.tx_id is not None and response.status == 503:
            self._final(operation, TxStatus.INVALID)
        elif operation.tx_id is not None and response.headers:
            self._final(operation, TxStatus.COMMITTED)

    # -- what entries say --------------------------------------------------------------

    def _was_ordered(self, tx: Tx, tx_id: TxId, claims: bytes | None) -> None:
        """Learn that a call's transaction has an ID."""
        operation = self._by_tx(tx)
        if operation is None:
            return
        require(operation.claims == claims, "Claims", f"{tx_id} was given other claims")
        operation.tx_id = tx_id
        operation.changes = tx.changes
        self._ordered[tx_id] = operation
        self.operations.append(operation)
        self._open.append(operation)
        if len(self._open) > OPEN_MAX:
            del self._open[0]

    def _by_tx(self, tx: Tx) -> Operation | None:
        for session in self._sessions.values():
            operation = session.operation
            if operation is not None and operation.tx is tx:
                return operation
        return None

    def _has_read(self, operation: Operation, tx_id: TxId) -> None:
        """Take the ID of a call that only read."""
        operation.read_id = tx_id
        shadow = self._cluster.shadows.by_id.get(tx_id)
        self._check_committed_reads(operation)
        if shadow is not None:
            _check_reads(operation, shadow.state(), f"at {tx_id}")
        elif tx_id.seqno:
            self._reads.setdefault(tx_id, []).append(operation)

    def _entry_written(self, shadow: Shadow) -> None:
        """Compare a new entry with the call that made it."""
        key = (shadow.view, shadow.seqno)
        for reader in self._reads.pop(key, ()):
            _check_reads(reader, shadow.state(), f"at {key}")
        operation = self._ordered.pop(key, None)
        if operation is None:
            return
        name = f"{shadow.view}.{shadow.seqno}"
        entry = shadow.entry
        assert entry is not None, "only the empty state has no entry"
        assert shadow.before is not None, "only the empty state has nothing before it"
        wrote = {name: rows for name, rows in (operation.changes or {}).items() if rows}
        require(shadow.changes == wrote, "Entry", f"{name} is not what its call wrote")
        require(
            entry.claims_digest == (operation.claims or bytes(32)), "Claims", f"{name} has others"
        )
        _check_reads(operation, shadow.before.state(), f"before {name}")
        self._check_committed_reads(operation)

    def _check_committed_reads(self, operation: Operation) -> None:
        """Compare what a call read of the committed state with that at its beginning."""
        if not operation.committed_reads:
            return
        rows = self._cluster.shadows.at(*operation.begin).state()
        for row, value in operation.committed_reads.items():
            record = rows.get(row)
            found = None if record is None else record[8:]
            require(
                found == value,
                "CommittedRead",
                f"{operation.kind} {operation.number} read {value!r} of {row}, "
                f"at {operation.begin} it is {found!r}",
            )

    # -- statuses ----------------------------------------------------------------------

    def poll(self, member: ReplicaMember, position: int) -> None:
        """Ask a node for the status of one of the transactions without a final one."""
        if not self._open:
            return
        self._cluster.note_event("poll", member.node_id, position)
        place = position % len(self._open)
        operation = self._open[place]
        assert operation.tx_id is not None, "a call in the list has an ID"
        replica = member.replica_node.replica
        status = replica.status(*operation.tx_id)
        if operation.tx_id.seqno <= member.raft.last:
            known = member.raft.tx_status(*operation.tx_id)
            require(status == known.value, "Status", f"{status} and {known} of {operation.tx_id}")
        if status in ("Committed", "Invalid"):
            self._final(operation, TxStatus(status))
            if position % 2:  # the others are asked again, elsewhere
                self._open[place] = self._open[-1]
                self._open.pop()
        elif position % 3 == 0:
            self._promise(replica_member=member, tx_id=operation.tx_id)

    def _promise(self, replica_member: ReplicaMember, tx_id: TxId) -> None:
        """Have a node tell what becomes of a transaction."""
        told: list[Status] = []
        self._promises[len(self._promises)] = (replica_member.node_id, tx_id, told)
        replica_member.replica_node.replica.on_decided(tx_id, told.append)

    def _final(self, operation: Operation, status: TxStatus) -> None:
        require(
            operation.status in (None, status),
            "TransactionStatus",
            f"{operation.tx_id} was {operation.status} and is {status}",
        )
        operation.status = status
        if status is TxStatus.COMMITTED and operation.tx_id is not None:
            self._known_committed = max(self._known_committed, operation.tx_id.seqno)

    # -- receipts ----------------------------------------------------------------------

    def ask_for_receipt(self, member: ReplicaMember, seqno: int) -> None:
        """Ask a node for the receipt of a transaction that it knows to be committed."""
        node = member.replica_node
        if not 0 < seqno <= node.replica.commit_id.seqno:
            return
        self._cluster.note_event("ask_for_receipt", member.node_id, seqno)
        tx_id = TxId(node.raft.view_at(seqno), seqno)
        member.replica_node.runtime.turn()  # what was appended in this turn goes to the host first
        self._asked.add((member.node_id, seqno))
        node.receipts.find(tx_id, partial(self._found, member.node_id, tx_id))
        self._cluster.after_call(member)

    @property
    def receipts_awaited(self) -> int:
        """How many receipts nodes that run still owe."""
        return sum(1 for node, _ in self._asked if self._cluster.member(node).is_alive)

    def _found(self, node: NodeId, tx_id: TxId, outcome: ReceiptParts | Unavailable) -> None:
        self._asked.discard((node, tx_id.seqno))
        if isinstance(outcome, Unavailable):
            require(False, "Receipt", f"none of {tx_id}: {outcome.reason}")
            return
        certificate = service()[1]
        shadow = self._cluster.shadows.by_id[tx_id]
        assert shadow.entry is not None, "only the empty state has no entry"
        if outcome.leaf is None:
            verify(signature_receipt(outcome.signed), certificate)
            self._cluster.counters["receipt of a signature"] += 1
            return
        claims = shadow.entry.claims_digest
        json = transaction_receipt(outcome.leaf, outcome.path, outcome.signed).to_json()
        proved = verify(json, certificate, tx_id=tx_id, claims_digest=claims)
        digest = sha256(shadow.entry.data)
        require(outcome.leaf.write_set_digest == digest, "Receipt", f"{tx_id}: another entry")
        cose = cose_receipt(outcome.leaf, outcome.path, outcome.signed)
        assert cose is not None, "our signature transactions have both signatures"
        other = verify(cose, certificate, tx_id=tx_id, claims_digest=claims)
        require(proved.root == other.root, "Receipt", f"{tx_id}: two roots")
        self._cluster.counters["receipt"] += 1

    # -- at the end --------------------------------------------------------------------

    def check(self) -> None:
        """Compare everything the clients were told with the committed log."""
        committed = self._cluster.invariants.committed
        for operation in self.operations:
            assert operation.tx_id is not None, "an ordered call has an ID"
            view, seqno = operation.tx_id
            is_committed = seqno < len(committed) and committed[seqno] == view
            if operation.status is not None:
                require(
                    (operation.status is TxStatus.COMMITTED) == is_committed,
                    "TransactionStatus",
                    f"{operation.tx_id} was called {operation.status}",
                )
            if is_committed:
                require(
                    seqno > operation.after,
                    "StrictSerializability",
                    f"{operation.tx_id} began when {operation.after} was known to be committed",
                )
        for node_id, tx_id, told in self._promises.values():
            self._check_promise(node_id, tx_id, told)

    def _check_promise(self, node_id: NodeId, tx_id: TxId, told: list[Status]) -> None:
        require(len(told) <= 1, "Decided", f"{node_id} told of {tx_id}: {told}")
        committed = self._cluster.invariants.committed
        view, seqno = tx_id
        is_committed = seqno < len(committed) and committed[seqno] == view
        if told:
            require((told[0] == "Committed") == is_committed, "Decided", f"{tx_id} was told {told}")
        if self._cluster.member(node_id).raft.commit >= seqno:
            require(told, "Decided", f"{node_id} never told of {tx_id}")


def _check_session(session: ClientSession, operation: Operation, tx_id: TxId) -> None:
    if operation.tx_id is not None:
        require(
            tx_id.view == session.pinned_view,
            "SessionConsistency",
            f"{tx_id} in a session of view {session.pinned_view}",
        )
    require(tx_id >= session.last, "SessionConsistency", f"{tx_id} comes after {session.last}")
    session.last = tx_id


def _finished(request: Request, response: Response) -> None:
    request.session.complete(request, response)


def _check_reads(operation: Operation, rows: Rows, where: str) -> None:
    """Compare what a call read with a state."""
    for (name, key), record in operation.reads.items():
        found = rows.get((name, key))
        require(
            found == record,
            "Serializability",
            f"{operation.kind} {operation.number} read {record!r} of {key!r} in {name}, "
            f"{where} it is {found!r}",
        )
    for read in operation.ranges:
        end = read.end
        found_rows = sorted(
            (key, value[8:])
            for (name, key), value in rows.items()
            if name == read.name
            and key >= read.begin
            and (end is None or key < end)
            and key not in read.own
        )
        want = [row for row in read.rows if row[0] not in read.own]
        require(
            found_rows == want,
            "Serializability",
            f"{operation.kind} {operation.number} read {want} from {read.name}, "
            f"{where} there are {found_rows}",
        )
