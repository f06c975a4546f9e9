"""Clients that keep everything they sent and were told, for the checker to compare.

Every write has a message of its own and is sent once. Workers read back what they wrote on the
same connection, and ask now and then what became of earlier transactions.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from itertools import count, pairwise
from typing import TYPE_CHECKING

from ledger.base.ids import TxId
from tests.e2e.cluster_kit_connection import Connection, LostError, Reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REFUSALS = {
    (503, "TooManyPendingTransactions"),
    (503, "PrimaryNotFound"),
    (503, "InternalError"),
    (503, "TransactionReplicationFailed"),
    (503, "RequestAlreadyForwarded"),
    (500, "SessionConsistencyLost"),
    (404, "FrontendNotOpen"),
}
"""Answers after which nothing was written."""
_ANSWERS_PER_READ = 4
_ANSWERS_PER_QUESTION = 7
_PAUSE_AFTER_REFUSAL_S = 0.01
_PAUSE_S = 0.02
"""Between two writes of a worker: enough load to lose something, little enough to check all."""


class Outcome(Enum):
    """What a client knows of a write."""

    ANSWERED = "answered"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(slots=True)
class Write:
    """One write.

    Attributes:
        session: Number of the connection it was sent on.
        record: Number of the record.
        msg: Its message.
        outcome: What the client knows.
        tx_id: When it was answered.
        at: Monotonic time of the answer.
    """

    session: int
    record: int
    msg: str
    outcome: Outcome = Outcome.UNKNOWN
    tx_id: TxId | None = None
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Told:
    """What a node said of a transaction."""

    node: str
    tx_id: TxId
    status: str


@dataclass(slots=True)
class History:
    """Everything the clients know."""

    writes: list[Write] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @property
    def answered(self) -> list[Write]:
        return [write for write in self.writes if write.outcome is Outcome.ANSWERED]

    def longest_silence_s(self, since: float = 0.0, until: float | None = None) -> float:
        """Return the longest time without an answered write within a span of monotonic time."""
        end = time.monotonic() if until is None else until
        times = [write.at for write in self.answered if since <= write.at <= end]
        moments = sorted([max(since, self.began), *times, end])
        return max(later - earlier for earlier, later in pairwise(moments))


class Load:
    """Workers that write as one user.

    Args:
        context: TLS.
        addresses: Where to send to now: worker n takes the n-th, round and round, another one
            after a connection was lost.
        workers: How many write at the same time, each on a connection of its own.
    """

    def __init__(
        self, context: ssl.SSLContext, addresses: Callable[[], Sequence[str]], workers: int = 6
    ) -> None:
        self.history = History()
        self._context = context
        self._addresses = addresses
        self._workers = workers
        self._records = count(1)
        self._sessions = count(1)
        self._stopped = False
        self._answers = self._wanted = 0
        self._enough = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> "AsyncIterator[History]":
        """Keep the workers busy inside."""
        self._stopped = False
        self.history.began = time.monotonic()
        tasks = [asyncio.create_task(self._work(number)) for number in range(self._workers)]
        try:
            yield self.history
        finally:
            self._stopped = True
            await asyncio.gather(*tasks)

    async def wait_for_writes(self, more: int = 50, timeout_s: float = 30.0) -> None:
        """Wait until so many more writes were answered."""
        self._wanted = self._answers + more
        self._enough.clear()
        await asyncio.wait_for(self._enough.wait(), timeout_s)

    async def _work(self, number: int) -> None:
        try:
            for attempt in count():
                if self._stopped:
                    return
                addresses = self._addresses()
                address = addresses[(number + attempt) % len(addresses)]
                await self._use_connection(address)
        except Exception as error:  # noqa: BLE001 - whatever breaks a worker has to fail the test
            self.history.problems.append(f"worker {number} broke: {error!r}")

    async def _use_connection(self, address: str) -> None:
        try:
            connection = await Connection.open(address, self._context, timeout_s=2.0)
        except LostError:
            await asyncio.sleep(_PAUSE_AFTER_REFUSAL_S)
            return
        session = next(self._sessions)
        try:
            for number in count(1):
                if self._stopped or connection.closed:
                    return
                write = await self._write(connection, session)
                if write.outcome is not Outcome.ANSWERED:
                    await asyncio.sleep(_PAUSE_AFTER_REFUSAL_S)
                elif number % _ANSWERS_PER_READ == 0 and not connection.closed:
                    await self._read_back(connection, write)
                if number % _ANSWERS_PER_QUESTION == 0 and not connection.closed:
                    await self._ask(connection)
                await asyncio.sleep(_PAUSE_S)
        except LostError:
            await asyncio.sleep(_PAUSE_AFTER_REFUSAL_S)
        finally:
            connection.close()

    async def _write(self, connection: Connection, session: int) -> Write:
        record = next(self._records)
        write = Write(session, record, f"record {record}")
        self.history.writes.append(write)
        value = {"id": record, "msg": write.msg}
        reply = await connection.call("POST", "/app/log/public", value)
        if reply.status == 200 and reply.tx_id is not None:
            write.outcome, write.tx_id, write.at = Outcome.ANSWERED, reply.tx_id, time.monotonic()
            self._answers += 1
            if self._answers >= self._wanted:
                self._enough.set()
        elif self._is_refusal(reply):
            write.outcome = Outcome.REFUSED
        elif reply.status != 504:
            self.history.problems.append(f"got {reply.status} {reply.body[:200]!r} for a write")
        return write

    async def _read_back(self, connection: Connection, write: Write) -> None:
        """Read in the session that wrote: the write is there, or the session is over."""
        reply = await connection.call("GET", f"/app/log/public?id={write.record}")
        if reply.status == 200:
            if reply.json() != {"msg": write.msg}:
                self.history.problems.append(f"got {reply.body!r}, want what was written")
        elif not self._is_refusal(reply) and reply.status != 504:
            self.history.problems.append(
                f"got {reply.status} {reply.body[:200]!r} for record {write.record}, written in "
                f"{write.tx_id} of the same session"
            )

    async def _ask(self, connection: Connection) -> None:
        answered = self.history.answered[-40:]
        if not answered:
            return
        tx_id = answered[0].tx_id
        assert tx_id is not None
        reply = await connection.call("GET", f"/node/tx?transaction_id={tx_id}")
        if reply.status == 200:
            self.history.told.append(Told(connection.address, tx_id, reply.json()["status"]))

    def _is_refusal(self, reply: Reply) -> bool:
        refusal = (reply.status, reply.code)
        if refusal not in REFUSALS:
            return False
        self.history.refusals[reply.code] = self.history.refusals.get(reply.code, 0) + 1
        return True
