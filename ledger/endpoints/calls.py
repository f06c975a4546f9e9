"""Running one call: authenticate, handle in a transaction, order it, answer.

Steps 6 to 10 of the pipeline. On a conflict they run again, at most ``COMMIT_ATTEMPTS_MAX`` times.
Between the first read and the answer nothing else runs, unless the handler is a generator and
waits for something: then its transaction stays open while other calls run, and the conflict check
tells whether what it read still holds. A change of view under such a call is a conflict too.

Calls of endpoints with ``turns`` run one at a time: each waits behind those that came before, and
keeps its turn until it is ordered or refused.

Exceptions of handlers and policies end here, as 400 or 500, even those that are to end a program.
An error in ordering a transaction, other than its size, is a broken invariant of the node and is
let through, to stop it.
"""

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import msgspec

from ledger.base.ids import TxId
from ledger.base.limits import COMMIT_ATTEMPTS_MAX
from ledger.codec.entry import EntrySizeError
from ledger.endpoints import failures
from ledger.endpoints.adapters import bad_body
from ledger.endpoints.auth import NOBODY, Identity, authenticate, no_auth
from ledger.endpoints.context import CallContext
from ledger.endpoints.endpoint import Endpoint, Mode, Suspension
from ledger.endpoints.errors import Code, HttpError, error
from ledger.endpoints.log import TransactionLog
from ledger.endpoints.request import Request, Session
from ledger.endpoints.response import Response
from ledger.endpoints.sendable import sendable
from ledger.endpoints.turns import WAITING_MAX, Turn
from ledger.endpoints.waiting import UNASKED, CommitWaiters, parse_preference
from ledger.kv.tx import Tx

RETRY_AFTER = b"3"
"""Seconds a client is asked to wait when conflicts did not end, as CCF."""

Waiting = Generator[Suspension, Any, Response]


_OUTCOMES = (Response, Generator)

_READWRITE, _COMMAND = Mode.READWRITE, Mode.COMMAND
"""Named here because looking a member up in its class costs more than a call, at every request."""


class Conflict:
    """Something the call read has changed: it has to run again."""

    __slots__ = ()


CONFLICT = Conflict()


class Calls:
    """Runs calls on one log.

    Args:
        log: Where transactions begin and are ordered.
        waiters: Holds back answers until commit.
        complete: Sends the answer of a call that was suspended.
        on_failure: Told, in one line, of every exception that a handler or policy let through.
        tell_messages: Whether that line includes the texts of foreign exceptions.
    """

    __slots__ = ("_on_failure", "_tell_messages", "complete", "log", "waiters")

    def __init__(
        self,
        log: TransactionLog,
        waiters: CommitWaiters,
        complete: Callable[[Request, Response], None],
        on_failure: Callable[[str], None],
        *,
        tell_messages: bool,
    ) -> None:
        self.log = log
        self.waiters = waiters
        self.complete = complete
        self._on_failure = on_failure
        self._tell_messages = tell_messages

    def run(
        self,
        request: Request,
        endpoint: Endpoint,
        params: dict[str, str],
        raw_params: dict[str, str],
        attempt: int = 1,
    ) -> Response | None:
        """Run a call as often as it takes.

        Args:
            request: The request.
            endpoint: What it was dispatched to.
            params: Path parameters, decoded.
            raw_params: Path parameters as sent.
            attempt: Number of this run, from 1.

        Returns:
            The answer, or None when it comes later.
        """
        mode = endpoint.mode
        turns = endpoint.turns
        log = self.log
        while attempt <= COMMIT_ATTEMPTS_MAX:
            tx: Tx | None = None
            if mode is _READWRITE:
                tx = log.begin()
            elif mode is not _COMMAND:
                tx = log.begin_read_only()
            context = CallContext(request, endpoint, params, raw_params, tx, None, log, attempt)
            outcome: Response | Waiting
            try:
                if tx is None:
                    identity = self._caller_of_command(request, endpoint)
                else:
                    identity = authenticate(endpoint.auth, request, tx)
                if isinstance(identity, Response):
                    if turns is not None:
                        turns.leave(request)
                    return identity
                context.identity = identity
                if turns is not None:
                    turn = turns.take(request, identity.id, partial(self._come_back, context))
                    if turn is not Turn.HELD:
                        return None if turn is Turn.WAITS else _too_many_wait()
                outcome = endpoint.handler(context)
                if not isinstance(outcome, _OUTCOMES):
                    raise TypeError(f"got {type(outcome).__name__}, want a Response")
            except BaseException as problem:  # noqa: BLE001 - an application may even exit
                outcome = self.failed(endpoint, problem)
            done: Response | Conflict | None
            if isinstance(outcome, Response):
                done = self.finish(context, tx, outcome, None)
                if turns is not None and done is not CONFLICT:
                    turns.leave(request)
            else:
                done = _SuspendedCall(self, context, tx, outcome, attempt).advance(None)
            if not isinstance(done, Conflict):
                return done
            attempt += 1
        if turns is not None:
            turns.leave(request)
        return error(
            503,
            Code.TRANSACTION_COMMIT_ATTEMPTS_EXCEED_LIMIT,
            f"Transaction conflicted with others {COMMIT_ATTEMPTS_MAX} times. Try again later.",
            headers=[(b"retry-after", RETRY_AFTER)],
        )

    def _come_back(self, context: CallContext) -> None:
        """Run a call whose turn has come, on the state that those before it have left."""
        outcome = self.again(context, context.attempt)
        if outcome is not None:
            self.complete(context.request, outcome)

    def again(self, context: CallContext, attempt: int) -> Response | None:
        """Run a call anew; see ``run``."""
        request, endpoint = context.request, context.endpoint
        if endpoint.turns is not None and not self.log.is_primary:
            endpoint.turns.leave(request)
            return _not_ordered()
        return self.run(request, endpoint, context.params, context.raw_params, attempt)

    def finish(
        self, context: CallContext, tx: Tx | None, response: Response, read_id: TxId | None
    ) -> Response | Conflict | None:
        """Take steps 8 to 10 for a handler's answer.

        Args:
            context: The run.
            tx: Its transaction; None for a command.
            response: What the handler answered.
            read_id: ID of the state it read; None when that is still the newest.
        """
        if tx is None or not (tx.changes or tx.touched):
            return response
        log = self.log
        request = context.request
        if request.session.pinned_view != log.view and not pin(request.session, log.view):
            return _consistency_lost()
        apply_writes = context.apply_writes
        if apply_writes is None:
            apply_writes = 200 <= response.status < 300
        if not apply_writes:
            return response
        if tx.changes and tx.has_writes:
            if not log.is_primary:
                return _not_ordered()
            try:
                tx_id = log.commit(tx, context.claims_digest)
            except EntrySizeError as problem:
                return self.failed(context.endpoint, problem)
            if tx_id is None:
                return CONFLICT
        else:
            tx_id = read_id or log.current()
            if tx_id.seqno == 0:
                return response  # there is no transaction yet
        response.tx_id = b"%d.%d" % tx_id
        insists = context.endpoint.respond_after_commit
        if insists or b"prefer" in request.headers:
            preference = parse_preference(request.headers.get(b"prefer", b""))
            if insists or preference is not None:
                return self.waiters.hold(
                    request, response, tx_id, preference or UNASKED, insists=insists
                )
        return response

    def failed(self, endpoint: Endpoint, problem: BaseException) -> Response:
        """Return the answer for an exception; tell the operator when it is nobody's answer."""
        try:
            if isinstance(problem, HttpError):
                return sendable(problem.response())
            if isinstance(problem, msgspec.MsgspecError):
                return bad_body(problem).response()
        except Exception as further:  # noqa: BLE001 - what an application put into its error
            problem = further
        self._on_failure(
            failures.describe(
                f"{endpoint.method} {endpoint.path}", problem, with_message=self._tell_messages
            )
        )
        return error(500, Code.INTERNAL_ERROR, "Exception thrown by the endpoint.")

    def _caller_of_command(self, request: Request, endpoint: Endpoint) -> Identity | Response:
        if endpoint.auth == (no_auth,):
            return NOBODY
        return authenticate(endpoint.auth, request, self.log.begin_read_only())


class _SuspendedCall:
    """A call whose handler waits. Its transaction stays open."""

    __slots__ = ("_attempt", "_calls", "_context", "_generator", "_read_id", "_tx", "_view")

    def __init__(
        self,
        calls: Calls,
        context: CallContext,
        tx: Tx | None,
        generator: Waiting,
        attempt: int,
    ) -> None:
        self._calls = calls
        self._context = context
        self._tx = tx
        self._generator = generator
        self._attempt = attempt
        self._read_id = calls.log.current()
        self._view = calls.log.view

    def advance(self, result: Any) -> Response | Conflict | None:  # noqa: ANN401
        """Run the handler up to its next wait or its end, handing in what it waited for."""
        context = self._context
        try:
            suspension = self._generator.send(result)
            if self._tx is not None:
                # What it has read so far belongs to this view, whenever it ends.
                pin(context.request.session, self._view)
            suspension.start(self._resume)
        except StopIteration as end:
            response = end.value
            assert isinstance(response, Response), "a handler that waited ends in a Response"
        except BaseException as problem:  # noqa: BLE001 - an application may even exit
            response = self._calls.failed(context.endpoint, problem)
        else:
            return None
        outcome = self._calls.finish(context, self._tx, response, self._read_id)
        turns = context.endpoint.turns
        if turns is not None and outcome is not CONFLICT:
            turns.leave(context.request)
        return outcome

    def _resume(self, result: Any) -> None:  # noqa: ANN401
        calls, context = self._calls, self._context
        outcome: Response | Conflict | None
        if self._tx is not None and calls.log.view != self._view:
            self._generator.close()
            outcome = CONFLICT
        else:
            outcome = self.advance(result)
        if isinstance(outcome, Conflict):
            outcome = calls.again(context, self._attempt + 1)
        if outcome is not None:
            calls.complete(context.request, outcome)


def pin(session: Session, view: int) -> bool:
    """Bind a session to a view; False, and the end of the session, when it is bound to another."""
    if session.pinned_view == 0:
        session.pinned_view = view
    elif session.pinned_view != view:
        session.close_after_response()
        return False
    return True


def _too_many_wait() -> Response:
    return error(
        503,
        Code.TOO_MANY_PENDING_TRANSACTIONS,
        f"{WAITING_MAX} requests of this caller wait for their turn. Try again later.",
        headers=[(b"retry-after", RETRY_AFTER)],
    )


def _consistency_lost() -> Response:
    return error(
        500,
        Code.SESSION_CONSISTENCY_LOST,
        "The view has changed since this session began: what it read before may be undone. "
        "Open a new session.",
    )


def _not_ordered() -> Response:
    return error(
        503,
        Code.TRANSACTION_REPLICATION_FAILED,
        "This node is not the primary and cannot order the transaction.",
    )
