"""Answers that wait for their transaction to commit.

A client asks with ``prefer: wait-for-commit; wait=N`` (after RFC 7240; N in whole seconds), an
endpoint declares it. The answer is sent when the transaction is committed, replaced by a 503 when
it turns out invalid, and by a 202 with the transaction ID when the time is up first.
"""

from typing import Protocol

from ledger.base.ids import TxId
from ledger.endpoints.errors import Code, error
from ledger.endpoints.log import Status, TransactionLog
from ledger.endpoints.request import Request
from ledger.endpoints.response import JSON, Response

WAITERS_MAX = 10_000
"""Answers held back at one time, a few hundred bytes each."""
WAIT_SECONDS_DEFAULT = 10
WAIT_SECONDS_MAX = 60
"""Longest wait; connections idle for as long are closed anyway."""
PREFERENCE = b"wait-for-commit"
_BUCKET_MS = 100
"""Deadlines are kept by tenths of a second: cheap to add, cheap to cancel, never early."""


class Deliver(Protocol):
    """Sends a late answer."""

    def __call__(self, request: Request, response: Response) -> None:
        """Send it; called once for each answer that was held back."""
        ...


class Preference:
    """What a request asks for.

    Attributes:
        wait_ms: How long the answer may be held back; ``[0, 60_000]``.
        asked: Whether the client asked, and so is told that its wish was granted.
    """

    __slots__ = ("asked", "wait_ms")

    def __init__(self, wait_ms: int, *, asked: bool) -> None:
        self.wait_ms = wait_ms
        self.asked = asked


UNASKED = Preference(WAIT_SECONDS_DEFAULT * 1000, asked=False)


def parse_preference(value: bytes) -> Preference | None:
    """Read a ``prefer`` header; None when it does not ask for commit.

    Preferences that are unknown or malformed are ignored, as RFC 7240 wants.
    """
    asked = False
    seconds = WAIT_SECONDS_DEFAULT
    for token in value.replace(b";", b",").split(b","):
        name, _, number = token.strip().partition(b"=")
        name = name.strip().lower()
        if name == PREFERENCE:
            asked = True
        elif name == b"wait":
            digits = number.strip().strip(b'"')
            if digits.isdigit():
                seconds = WAIT_SECONDS_MAX if len(digits) > 4 else int(digits)
    if not asked:
        return None
    return Preference(min(seconds, WAIT_SECONDS_MAX) * 1000, asked=True)


class _Waiter:
    __slots__ = ("asked", "bucket", "held", "outcome", "request", "response", "tx_id")

    def __init__(self, request: Request, response: Response, tx_id: TxId, *, asked: bool) -> None:
        self.request = request
        self.response = response
        self.tx_id = tx_id
        self.asked = asked
        self.bucket = 0
        self.held = False
        self.outcome: Response | None = None


class CommitWaiters:
    """The answers held back on one node.

    Args:
        log: Tells when transactions are decided.
        deliver: Sends answers that were held back.
    """

    def __init__(self, log: TransactionLog, deliver: Deliver) -> None:
        self._log = log
        self._deliver = deliver
        self._now_ms = 0.0
        self._buckets: dict[int, dict[_Waiter, None]] = {}
        self._count = 0

    @property
    def full(self) -> bool:
        """Whether no further answer can be held back."""
        return self._count >= WAITERS_MAX

    def hold(
        self,
        request: Request,
        response: Response,
        tx_id: TxId,
        preference: Preference,
        *,
        insists: bool,
    ) -> Response | None:
        """Hold an answer back until its transaction is decided.

        Args:
            request: The request.
            response: Its answer once the transaction is committed.
            tx_id: The transaction.
            preference: How long to wait, and whether the client asked.
            insists: The endpoint never answers before commit; without room it says 202 at once,
                where a mere preference is ignored.

        Returns:
            The answer when it is known at once; None when it will be delivered.
        """
        status = self._log.status(*tx_id)
        if status == "Committed":
            return _granted(response, asked=preference.asked)
        if preference.wait_ms == 0:
            return _still_pending(tx_id)
        if self.full:
            return _still_pending(tx_id) if insists else response
        waiter = _Waiter(request, response, tx_id, asked=preference.asked)
        self._log.on_decided(tx_id, lambda status: self._decide(waiter, status))
        if waiter.outcome is not None:
            return waiter.outcome
        waiter.held = True
        waiter.bucket = int((self._now_ms + preference.wait_ms) // _BUCKET_MS) + 1
        self._buckets.setdefault(waiter.bucket, {})[waiter] = None
        self._count += 1
        return None

    def tick(self, now_ms: float) -> None:
        """Take the time, in milliseconds that never fall; answer what has waited long enough."""
        current, previous = int(now_ms // _BUCKET_MS), int(self._now_ms // _BUCKET_MS)
        self._now_ms = now_ms
        if current == previous:
            return
        for bucket in sorted(key for key in self._buckets if key <= current):
            for waiter in list(self._buckets[bucket]):
                self._release(waiter, _still_pending(waiter.tx_id))

    def _decide(self, waiter: _Waiter, status: Status) -> None:
        if waiter.outcome is not None:
            return  # its time was up
        if status == "Committed":
            answer = _granted(waiter.response, asked=waiter.asked)
        else:
            answer = _invalid(waiter.tx_id)
        if waiter.held:
            self._release(waiter, answer)
        else:
            waiter.outcome = answer

    def _release(self, waiter: _Waiter, answer: Response) -> None:
        bucket = self._buckets[waiter.bucket]
        del bucket[waiter]
        if not bucket:
            del self._buckets[waiter.bucket]
        self._count -= 1
        waiter.outcome = answer
        self._deliver(waiter.request, answer)


def _granted(response: Response, *, asked: bool) -> Response:
    if asked:
        response.headers = [*(response.headers or ()), (b"preference-applied", PREFERENCE)]
    return response


def _still_pending(tx_id: TxId) -> Response:
    body = b'{"status":"Pending","transaction_id":"%d.%d"}' % tx_id
    return Response(202, body, JSON, tx_id=b"%d.%d" % tx_id)


def _invalid(tx_id: TxId) -> Response:
    return error(
        503,
        Code.TRANSACTION_INVALID,
        f"Transaction {tx_id} was ordered and then lost in an election: it has no effect.",
    )
