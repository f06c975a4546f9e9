"""The order of checks every request goes through, from its path to its answer.

1. back-pressure, 2. is the frontend open, 3. dispatch, 4. does the interface accept the path,
5. does it run elsewhere; then, in ``calls``: 6. authenticate, 7. run the handler in a transaction,
8. session consistency, 9. writes apply when the status is 2xx (the handler may say otherwise),
10. order the transaction and tell its ID.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from ledger.endpoints.auth import UnixSeconds
from ledger.endpoints.calls import Calls
from ledger.endpoints.errors import Code, error
from ledger.endpoints.forwarding import Passed, Placement
from ledger.endpoints.interfaces import Interface
from ledger.endpoints.log import TransactionLog
from ledger.endpoints.registry import Registry
from ledger.endpoints.request import Request
from ledger.endpoints.response import Response
from ledger.endpoints.router import (
    Ambiguous,
    Match,
    Miss,
    Router,
    Undecodable,
    UnknownPath,
    WrongVerb,
)
from ledger.endpoints.waiting import CommitWaiters

if TYPE_CHECKING:
    from ledger.endpoints.endpoint import Endpoint

_NO_PARAMS: dict[str, str] = {}


class Frontend:
    """One of the three sets of endpoints and its door.

    Attributes:
        registry: Its endpoints; not changed once it is installed.
        router: Their dispatch table.
        is_open: Asked at every request.
        back_pressured: Whether it refuses requests while too many transactions are pending.
    """

    __slots__ = ("back_pressured", "is_open", "registry", "router")

    def __init__(
        self, registry: Registry, is_open: Callable[[], bool], *, back_pressured: bool
    ) -> None:
        self.registry = registry
        self.router = Router(registry.endpoints)
        self.is_open = is_open
        self.back_pressured = back_pressured


class Pipeline:
    """Answers requests; the node's ``Dispatcher``.

    Args:
        log: Where transactions begin and are ordered.
        frontends: At most one for each prefix. Paths without a known prefix go to ``/app``.
        now: Wall clock; read once for each request.
        on_failure: Told, in one line, of every exception that a handler or policy let through.
        interfaces: Interfaces that may refuse paths; any other accepts all.
        placement: Decides where requests run; None runs all of them here.
        tell_messages: Whether failures are told with the texts of foreign exceptions, which may
            quote private records (sandboxes, tests).
    """

    def __init__(
        self,
        log: TransactionLog,
        frontends: Iterable[Frontend],
        *,
        now: UnixSeconds,
        on_failure: Callable[[str], None],
        interfaces: Sequence[Interface] = (),
        placement: Placement | None = None,
        tell_messages: bool = False,
    ) -> None:
        self._log = log
        self._now = now
        self._placement = placement
        self._restricted = {each.name: each for each in interfaces if each.restricted}
        self._waiters = CommitWaiters(log, _complete)
        calls = Calls(log, self._waiters, _complete, on_failure, tell_messages=tell_messages)
        self._run = calls.run
        self._frontends: dict[str, Frontend] = {}
        self._literals: dict[str, tuple[Frontend, str, dict[str, Endpoint]]] = {}
        for frontend in frontends:
            self.install(frontend)

    def install(self, frontend: Frontend) -> None:
        """Put a frontend in, in place of the one with its prefix if there is one."""
        self._frontends[frontend.registry.prefix] = frontend
        self._literals = {}
        for prefix, each in self._frontends.items():
            for path, methods in each.router.literals.items():
                self._literals[prefix + path] = (each, path, methods)
        app = self._frontends.get("/app")
        if app is not None:
            for path, methods in app.router.literals.items():
                if _head(path) not in self._frontends:
                    self._literals[path] = (app, path, methods)

    def tick(self, now_ms: float) -> None:
        """Take the time in milliseconds that never fall; ends waits that took too long."""
        self._waiters.tick(now_ms)

    def handle(self, request: Request) -> Response | None:
        """Answer now, or return None and call ``request.session.complete`` exactly once later."""
        request.now = self._now()
        literal = self._literals.get(request.path)
        if literal is None:
            frontend, path = self._frontend_of(request.path)
            if frontend is None:
                return _undispatched(UnknownPath(), request)
            endpoint = None
        else:
            frontend, path, methods = literal
            endpoint = methods.get(request.method)
        if frontend.back_pressured and self._log.at_capacity:
            return _at_capacity()
        if not frontend.is_open():
            return error(404, Code.FRONTEND_NOT_OPEN, "Frontend is not open.")
        params = raw_params = _NO_PARAMS
        if endpoint is None:
            found = frontend.router.find(request.method, path)
            if not isinstance(found, Match):
                return _undispatched(found, request)
            endpoint, params, raw_params = found
        if self._restricted:
            interface = self._restricted.get(request.session.interface)
            if interface is not None and not interface.accepts(frontend.registry.prefix + path):
                return Response(503)
        if self._placement is not None:
            elsewhere = self._placement.elsewhere(request, endpoint)
            if elsewhere is not None:
                return None if elsewhere is Passed.ON else elsewhere
        if endpoint.respond_after_commit and self._waiters.full:
            return _at_capacity()
        return self._run(request, endpoint, params, raw_params)

    def _frontend_of(self, path: str) -> tuple[Frontend | None, str]:
        head = _head(path)
        frontend = self._frontends.get(head)
        if frontend is None:
            return self._frontends.get("/app"), path
        return frontend, path[len(head) :] or "/"


def _head(path: str) -> str:
    """Return the first segment of a path with its slash."""
    end = path.find("/", 1)
    return path if end < 0 else path[:end]


def _complete(request: Request, response: Response) -> None:
    request.session.complete(request, response)


def _undispatched(miss: Miss, request: Request) -> Response:
    match miss:
        case UnknownPath():
            return error(404, Code.RESOURCE_NOT_FOUND, f"Unknown path: {request.path}.")
        case Ambiguous():
            return error(500, Code.INTERNAL_ERROR, f"Several endpoints match {request.path}.")
        case Undecodable(name):
            return error(
                400,
                Code.INVALID_RESOURCE_NAME,
                f"Path parameter '{name}' is not UTF-8 text once percent-decoded.",
            )
        case WrongVerb(verbs):
            return _wrong_verb(request, ", ".join(("OPTIONS", *verbs)))


def _wrong_verb(request: Request, allow: str) -> Response:
    headers = [(b"allow", allow.encode())]
    if request.method == "OPTIONS":
        return Response(204, headers=headers)
    return error(
        405,
        Code.UNSUPPORTED_HTTP_VERB,
        f"Allowed methods for {request.path} are: {allow}.",
        headers=headers,
    )


def _at_capacity() -> Response:
    return error(
        503,
        Code.TOO_MANY_PENDING_TRANSACTIONS,
        "Too many transactions are waiting for commit. Try again later.",
    )
