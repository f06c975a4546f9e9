"""Where requests run: redirected to a client's view of the primary, or forwarded to it.

An interface with ``redirections`` answers 307; one without passes a backup's writes to the primary
over the connections between nodes, once: a request that was forwarded is never forwarded again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ledger.base.ids import NodeId
from ledger.boundary.settings import InterfaceSettings, Redirections, Resolver
from ledger.enclave.peers import Peers
from ledger.endpoints.endpoint import Endpoint, Forwarding, Mode, Redirection
from ledger.endpoints.errors import Code, error
from ledger.endpoints.forwarding import Passed
from ledger.endpoints.request import Dispatcher, Request
from ledger.endpoints.response import TEXT, Response
from ledger.endpoints.waiting import UNASKED, parse_preference
from ledger.replica.peer_messages import (
    BODY_SIZE_MAX,
    ForwardedRequest,
    ForwardedResponse,
    PeerMessage,
)
from ledger.replica.replica import Replica
from ledger.tables.nodes import NODES_INFO, NodeInfo, NodeStatus

HEADERS_SIZE_MAX = 256 << 10
"""Bytes of the headers of an answer that is forwarded: any client would refuse more."""
REQUEST_HEAD_SIZE_MAX = ForwardedRequest.HEADER_SIZE_MAX - (64 << 10)
"""Bytes of target and headers of a request that is forwarded: room is left for the client's
certificate and the framing. An interface may be configured to take more."""
FORWARDED_MAX = 10_000
"""Requests that may wait for the primary's answer at one time."""


_LENGTHS_SIZE = 10
"""Most that MessagePack adds to one header."""


@dataclass(slots=True)
class _Waiting:
    """A forwarded request, who was asked, and how long it may still wait."""

    request: Request
    primary: NodeId
    left_ms: float


class ForwardedSession:
    """The session of a request that a backup passed on; implements ``request.Session``.

    Attributes:
        interface: Empty: no local interface restricts it, the backup's has judged it.
        pinned_view: View of the client's session.
        forwarded: Always true.
        ends: Whether the client's session ends with this answer.
    """

    __slots__ = ("_answer", "_certificate", "ends", "forwarded", "interface", "pinned_view")

    def __init__(
        self, message: ForwardedRequest, answer: Callable[["ForwardedSession", Response], None]
    ) -> None:
        self._certificate = message.certificate
        self._answer = answer
        self.interface = ""
        self.pinned_view = message.view
        self.forwarded = True
        self.ends = False

    def peer_certificate(self) -> bytes | None:
        """Return the client's certificate, as the backup saw it."""
        return self._certificate

    def complete(self, request: Request, response: Response) -> None:
        """Send the answer back to the backup."""
        del request
        self._answer(self, response)

    def close_after_response(self) -> None:
        """Have the backup end its session."""
        self.ends = True


class NodePlacement:
    """Implements ``endpoints.forwarding.Placement`` on one node.

    Attributes:
        dispatcher: Runs requests that backups pass on; set before peers can speak.
        refuse_writes: This node is about to hand its role over and takes no writes any more.
    """

    def __init__(
        self,
        replica: Replica,
        peers: Callable[[], Peers],
        interfaces: Sequence[InterfaceSettings],
        jitter: Callable[[int], int],
    ) -> None:
        self._replica = replica
        self._peers = peers
        self._interfaces: Mapping[str, InterfaceSettings] = {each.name: each for each in interfaces}
        self._jitter = jitter
        self._waiting: dict[int, _Waiting] = {}
        self._next = 0
        self.dispatcher: Dispatcher | None = None
        self.refuse_writes = False

    # -- at the node that the client reached -------------------------------------------

    def elsewhere(self, request: Request, endpoint: Endpoint) -> Response | Passed | None:
        """See ``Placement``."""
        session = request.session
        if self.refuse_writes and endpoint.mode is Mode.READWRITE and self._replica.is_primary:
            session.close_after_response()
            return error(503, Code.PRIMARY_NOT_FOUND, "This node is stopping. Try another one.")
        if type(session) is ForwardedSession:
            return None if self._replica.is_primary else _forwarded_already()
        interface = self._interfaces[session.interface]
        if interface.redirections is not None:
            return self._redirect(request, endpoint, interface, interface.redirections)
        if self._replica.is_primary or endpoint.forwarding is Forwarding.NEVER:
            return None
        if endpoint.forwarding is Forwarding.SOMETIMES and not session.forwarded:
            return None
        return self._forward(request, endpoint, interface)

    def _redirect(
        self,
        request: Request,
        endpoint: Endpoint,
        interface: InterfaceSettings,
        redirections: Redirections,
    ) -> Response | None:
        is_primary = self._replica.is_primary
        if endpoint.redirection is Redirection.TO_PRIMARY and not is_primary:
            address = self._resolve(redirections.to_primary, interface.name)
            if address is None:
                message = "The primary of this service is not known here."
                return error(503, Code.PRIMARY_NOT_FOUND, message)
            return _redirect_to(address, request)
        if endpoint.redirection is Redirection.TO_BACKUP and is_primary:
            address = self._resolve(redirections.to_backup, interface.name)
            if address is None:
                return error(503, Code.BACKUP_NOT_FOUND, "There is no backup in this service.")
            return _redirect_to(address, request)
        return None

    def _resolve(self, resolver: Resolver | None, interface: str) -> str | None:
        if resolver is None:
            return None
        if resolver.kind == "StaticAddress":
            return resolver.address
        info = self._primary() if resolver.role == "primary" else self._some_backup()
        if info is None:
            return None
        record = info.rpc_interfaces.get(resolver.interface or interface)
        address = None if record is None else record.get("published_address")
        return address if isinstance(address, str) else None

    def _primary(self) -> NodeInfo | None:
        primary = self._replica.raft.primary_id
        if primary is None:
            return None
        return self._replica.begin_read_only().table(NODES_INFO).get(primary)

    def _some_backup(self) -> NodeInfo | None:
        primary = self._replica.raft.primary_id
        backups = [
            info
            for node, info in self._replica.begin_read_only().table(NODES_INFO).items()
            if node != primary and info.status is NodeStatus.TRUSTED
        ]
        return backups[self._jitter(len(backups) - 1)] if backups else None

    def _forward(
        self, request: Request, endpoint: Endpoint, interface: InterfaceSettings
    ) -> Response | Passed:
        primary = self._replica.raft.primary_id
        if primary is None:
            return _cannot_forward("The primary of this service is not known here.")
        too_large = _too_large(request)
        if too_large is not None:
            return too_large
        if len(self._waiting) >= FORWARDED_MAX:
            return _cannot_forward("Too much waits for the primary already. Try again later.")
        self._next += 1
        message = ForwardedRequest(
            id=self._next,
            method=request.method,
            path=request.path,
            query=request.query,
            headers=request.headers,
            certificate=request.session.peer_certificate(),
            interface=interface.name,
            view=request.session.pinned_view,
        )
        if not self._peers().forward(primary, message, request.body):
            return _cannot_forward("There is no connection to the primary now. Try again later.")
        request.session.forwarded = True
        patience_ms = interface.forwarding_timeout_ms + _wait_for_commit_ms(request, endpoint)
        self._waiting[self._next] = _Waiting(request, primary, patience_ms)
        return Passed.ON

    def tick(self, elapsed_ms: float) -> None:
        """Let time pass for requests that wait for the primary."""
        over = []
        for number, waiting in self._waiting.items():
            waiting.left_ms -= elapsed_ms
            if waiting.left_ms <= 0:
                over.append(number)
        for number in over:
            request = self._waiting.pop(number).request
            response = Response(504, b"Request timed out waiting for the primary.", TEXT)
            request.session.complete(request, response)

    # -- between nodes -----------------------------------------------------------------

    def received(self, peer: NodeId, message: PeerMessage, body: memoryview) -> None:
        """Take a forwarded request, or the answer to one of ours."""
        match message:
            case ForwardedRequest():
                self._run(peer, message, bytes(body))
            case ForwardedResponse():
                self._answered(peer, message, bytes(body))
            case _:
                raise AssertionError("consensus messages are handled elsewhere")

    def _run(self, peer: NodeId, message: ForwardedRequest, body: bytes) -> None:
        def answer(session: ForwardedSession, response: Response) -> None:
            if not _fits(response):
                response = error(500, Code.INTERNAL_ERROR, "The answer cannot be forwarded.")
            reply = ForwardedResponse(
                id=message.id,
                status=response.status,
                content_type=response.content_type,
                tx_id=response.tx_id,
                headers=response.headers or [],
                view=session.pinned_view,
                ends_session=session.ends,
            )
            self._peers().forward(peer, reply, response.body)

        assert self.dispatcher is not None, "the dispatcher is set before peers can speak"
        session = ForwardedSession(message, answer)
        request = Request(
            message.method, message.path, message.query, message.headers, body, session
        )
        response = self.dispatcher.handle(request)
        if response is not None:
            answer(session, response)

    def _answered(self, peer: NodeId, message: ForwardedResponse, body: bytes) -> None:
        waiting = self._waiting.get(message.id)
        if waiting is None or waiting.primary != peer:
            return  # It was answered meanwhile, or this node was never asked.
        del self._waiting[message.id]
        request = waiting.request
        if message.view:
            request.session.pinned_view = message.view
        if message.ends_session:
            request.session.close_after_response()
        response = Response(
            message.status, body, message.content_type, message.headers or None, message.tx_id
        )
        request.session.complete(request, response)


def _wait_for_commit_ms(request: Request, endpoint: Endpoint) -> int:
    """Return how long the primary may hold the answer back, by what it is asked to do."""
    preference = parse_preference(request.headers.get(b"prefer", b""))
    if preference is not None:
        return preference.wait_ms
    return UNASKED.wait_ms if endpoint.respond_after_commit else 0


def _too_large(request: Request) -> Response | None:
    """Refuse what does not fit a message between nodes, however much the interface takes."""
    if len(request.body) > BODY_SIZE_MAX:
        message = f"A body of more than {BODY_SIZE_MAX} bytes is taken by the primary only."
        return error(413, Code.REQUEST_BODY_TOO_LARGE, message)
    head_size = 4 * (len(request.path) + len(request.query)) + sum(
        len(name) + len(value) + _LENGTHS_SIZE for name, value in request.headers.items()
    )
    if head_size > REQUEST_HEAD_SIZE_MAX:
        message = (
            f"Headers of more than {REQUEST_HEAD_SIZE_MAX} bytes are taken by the primary only."
        )
        return error(431, Code.REQUEST_HEADER_TOO_LARGE, message)
    return None


def _fits(response: Response) -> bool:
    """Say whether an answer keeps to the bounds of its message; an application made it."""
    headers = response.headers or ()
    size = sum(len(name) + len(value) for name, value in headers) + len(
        response.content_type or b""
    )
    return (
        100 <= response.status <= 599
        and len(response.body) <= BODY_SIZE_MAX
        and size <= HEADERS_SIZE_MAX
    )


def _redirect_to(address: str, request: Request) -> Response:
    query = f"?{request.query}" if request.query else ""
    location = f"https://{address}{request.path}{query}".encode()
    return Response(307, headers=[(b"location", location)])


def _cannot_forward(message: str) -> Response:
    return error(503, Code.INTERNAL_ERROR, message)


def _forwarded_already() -> Response:
    return error(
        503,
        Code.REQUEST_ALREADY_FORWARDED,
        "Request was already forwarded once, and this node is not the primary.",
    )
