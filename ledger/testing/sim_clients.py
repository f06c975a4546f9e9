"""Clients of a simulated service and the check of what they were told.

A client writes at a node that calls itself primary, remembers the transaction id it was given, and
asks any node for the transaction's status, now and then, until it is final. It also reads at any
node. Checked are:

- a final status never contradicts an earlier one, whichever nodes were asked;
- what was called Committed is in the committed log, as it was written, and what was called Invalid
  is not;
- a write that began after a client knew of a committed transaction comes after it (with what every
  node checks when it applies an entry, that makes committed writes strictly serializable);
- a read whose transaction committed saw the newest write of its key at that point (serializable).
"""

from random import Random

from ledger.base.ids import TxId
from ledger.consensus.tx_status import TxStatus
from ledger.testing.checkers import Invariants, require
from ledger.testing.cluster import Cluster, Member
from ledger.testing.sim_machine import NO_VERSION, decode_write, operation_of

KEYS = 5
OPEN_MAX = 200


class Operation:
    """One write of a client.

    Attributes:
        number: Its number, carried in the entry.
        tx_id: The id that the client was given.
        after: Highest seqno that some client knew to be committed when it began.
        status: The final status it was told, None so far.
    """

    __slots__ = ("after", "number", "status", "tx_id")

    def __init__(self, number: int, tx_id: TxId, after: int) -> None:
        self.number = number
        self.tx_id = tx_id
        self.after = after
        self.status: TxStatus | None = None


class Read:
    """One read of a client.

    Attributes:
        tx_id: Id of the last transaction that it could have seen.
        key: What it read.
        found: The transaction that wrote the key, as the node had it.
    """

    __slots__ = ("found", "key", "tx_id")

    def __init__(self, tx_id: TxId, key: int, found: TxId) -> None:
        self.tx_id = tx_id
        self.key = key
        self.found = found


class Clients:
    """All clients of a cluster.

    Attributes:
        operations: Every write that was executed.
    """

    def __init__(self, cluster: Cluster, chance: Random) -> None:
        self.operations: list[Operation] = []
        self._cluster = cluster
        self._chance = chance
        self._open: list[Operation] = []
        self._reads: list[Read] = []
        self._known_committed = 0

    def write(self, member: Member) -> bool:
        """Write a random key at a node; False when it refuses."""
        return self.write_again(member, self._chance.randrange(KEYS), len(self.operations))

    def write_again(self, member: Member, key: int, number: int) -> bool:
        """Write a key at a node as the operation of this number; False when it refuses."""
        done = self._cluster.write(member, key, number)
        if done is None:
            return False
        operation = Operation(number, done[0], self._known_committed)
        self.operations.append(operation)
        self._open.append(operation)
        if len(self._open) > OPEN_MAX:
            del self._open[0]
        return True

    def read(self, member: Member) -> None:
        """Read a random key at a node."""
        raft = member.raft
        key = self._chance.randrange(KEYS)
        tx_id = TxId(raft.view_at(raft.last), raft.last)
        self._reads.append(Read(tx_id, key, member.node.read(key)))

    def poll(self, member: Member) -> None:
        """Ask a node for the status of a random transaction that had no final one of late."""
        if not self._open:
            return
        position = self._chance.randrange(len(self._open))
        operation = self._open[position]
        status = member.raft.tx_status(*operation.tx_id)
        if status in (TxStatus.COMMITTED, TxStatus.INVALID):
            self._final(operation, status)
            if self._chance.random() < 0.5:  # the others are asked again, elsewhere
                self._open[position] = self._open[-1]
                self._open.pop()

    def _final(self, operation: Operation, status: TxStatus) -> None:
        require(
            operation.status in (None, status),
            "TransactionStatus",
            f"{operation.tx_id} was {operation.status} and is {status}",
        )
        operation.status = status
        if status is TxStatus.COMMITTED:
            self._known_committed = max(self._known_committed, operation.tx_id.seqno)

    def check(self) -> None:
        """Compare everything the clients were told with the committed log."""
        invariants = self._cluster.invariants
        committed = invariants.committed
        for operation in self.operations:
            view, seqno = operation.tx_id
            is_committed = seqno < len(committed) and committed[seqno] == view
            if operation.status is not None:
                require(
                    (operation.status is TxStatus.COMMITTED) == is_committed,
                    "TransactionStatus",
                    f"{operation.tx_id} was called {operation.status}",
                )
            if is_committed:
                entry = invariants.register[view, seqno]
                require(
                    operation_of(entry.data) == operation.number,
                    "CommittedLog",
                    f"{operation.tx_id} is not the entry of operation {operation.number}",
                )
                require(
                    seqno > operation.after,
                    "StrictSerializability",
                    f"{operation.tx_id} began when {operation.after} was known to be committed",
                )
        self._check_reads(invariants)

    def _check_reads(self, invariants: Invariants) -> None:
        committed = invariants.committed
        latest: dict[int, TxId] = {}
        at: list[dict[int, TxId]] = [{}]
        for seqno in range(1, len(committed)):
            view = committed[seqno]
            data = invariants.register[view, seqno].data
            if operation_of(data) is not None:
                latest = {**latest, decode_write(data)[0]: TxId(view, seqno)}
            at.append(latest)
        for read in self._reads:
            view, seqno = read.tx_id
            if seqno < len(committed) and committed[seqno] == view:
                newest = at[seqno].get(read.key, NO_VERSION)
                require(
                    read.found == newest,
                    "Serializability",
                    f"a read at {read.tx_id} saw {read.found}, want {newest}",
                )
