"""How simulated nodes join: the product's request, judgement and answer, without the wire between.

A node's :class:`Entrance` has both sides. Its ``/node/join`` endpoint is what others ask, with the
node's keys behind it; its ``Joining`` asks, until it has read in the ledger that it is trusted.
The schedule decides when it asks, and which node answers at an address.
"""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from ledger.base.clock import Clock
from ledger.boundary.settings import JoinSettings, Settings
from ledger.enclave.outbound import Answer, AnswerDone
from ledger.enclave.tls_types import ClientContext, TlsBackend
from ledger.endpoints.pipeline import Frontend, Pipeline
from ledger.endpoints.registry import Registry
from ledger.endpoints.request import Request
from ledger.endpoints.response import Response
from ledger.frontends.join import add_join
from ledger.launch.admission import NodeAdmission
from ledger.launch.identity import ServiceIdentity
from ledger.launch.joining import Joined, Joining
from ledger.launch.keys import Keys
from ledger.replica.replica import Replica
from ledger.secrets.chain import SecretChain
from ledger.tables.nodes import NodeStatus
from ledger.testing.sim_replica_identity import (
    DAYS,
    INTERFACE,
    SimulatedIdentity,
    encryption_key,
    service,
)

if TYPE_CHECKING:
    from ledger.launch.shell import NodeLog

SERVICE = "service:1"
"""Where every node asks at first: a name that stands for any node of the service."""

Answering = Callable[[bytes, bytes], Answer]
"""Client certificate (DER) and body of a join request to a node's answer."""


class Entrance:
    """Joins a node to the service, and others through it.

    Args:
        own: Who the node is.
        replica: Its state machine.
        clock: Its clock.
        joined: Called once, when it is trusted.
        secrets: Called with the ledger secrets of every later answer.
        peers: Called with the nodes that take part and their addresses.
        settled: Whether it has read that it is trusted.

    Attributes:
        ended: Why it gave up; None as long as it did not.
    """

    def __init__(
        self,
        own: SimulatedIdentity,
        replica: Replica,
        clock: Clock,
        *,
        joined: Callable[[Joined], None],
        secrets: Callable[[SecretChain], None],
        peers: Callable[[Mapping[str, str]], None],
        settled: Callable[[], bool],
    ) -> None:
        self.ended: str | None = None
        self._certificate = own.node.self_signed.der
        self._keys = Keys(own.node, encryption_key())
        self._pipeline = _pipeline(replica, self._keys, own, clock)
        self._request: tuple[str, bytes, AnswerDone] | None = None
        self._on_joined = joined
        log = cast("NodeLog", _Log())
        self._joining = Joining(
            _join_settings(),
            self._keys,
            own.row(NodeStatus.PENDING),
            backend=cast("TlsBackend", _NoTls()),
            send=self._send,
            clock=clock,
            log=log,
            joined=self._joined,
            secrets=secrets,
            peers=peers,
            settled=settled,
            failed=self._failed,
        )

    # -- the side that asks ------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Whether the node will not ask again."""
        return self._joining.is_over

    def wants(self) -> str | None:
        """Return the address that the node wants to ask now; None when it asks no more."""
        if self._request is None:
            self._joining.tick()
        return None if self._request is None else self._request[0]

    def ask(self, answering: Answering | None) -> Answer | None:
        """Ask, if the node wants to.

        Args:
            answering: The node that answers; None when nobody does.

        Returns:
            What it answered.
        """
        if self.wants() is None:
            return None
        assert self._request is not None, "a node that wants to ask has a request"
        _, body, done = self._request
        self._request = None
        answer = None if answering is None else answering(self._certificate, body)
        done("nobody answers" if answer is None else answer)
        return answer

    def _send(
        self, address: str, context: ClientContext, request: bytes, size: int, done: AnswerDone
    ) -> None:
        del context, size
        self._request = address, request.partition(b"\r\n\r\n")[2], done

    def _joined(self, joined: Joined) -> None:
        self._keys.hold_service(joined.service)
        self._on_joined(joined)

    def _failed(self, reason: str) -> None:
        self.ended = reason

    # -- the side that answers ---------------------------------------------------------

    def start_service(self) -> None:
        """Hold the service's key from the start, as its first node."""
        self._keys.hold_service(ServiceIdentity(*service()))

    def answer(self, certificate: bytes, body: bytes) -> Answer:
        """Answer a join request that came with a client certificate (DER)."""
        request = Request("POST", "/node/join", "", {}, body, _Session(certificate))
        response = self._pipeline.handle(request)
        assert response is not None, "joining waits for nothing"
        return Answer(response.status, dict(response.headers or ()), response.body, None)


class _Session:
    """A connection for one request; implements ``endpoints.request.Session``."""

    def __init__(self, certificate: bytes) -> None:
        self.interface = INTERFACE
        self.pinned_view = 0
        self.forwarded = False
        self._certificate = certificate

    def peer_certificate(self) -> bytes | None:
        """Return the client's certificate."""
        return self._certificate

    def complete(self, request: Request, response: Response) -> None:
        """Never called: the answer comes at once."""
        raise AssertionError(f"{request.path} is answered late, by {response.status}")

    def close_after_response(self) -> None:
        """End: every request has its own connection."""


class _NoTls:
    """Nothing is encrypted on its way in a simulation."""

    def client(self, *arguments: object, **options: object) -> object:
        """Return something that stands for a context."""
        del arguments, options
        return self


class _Log:
    """Nobody reads the log of a simulated node."""

    def info(self, text: str) -> None:
        """Drop a line."""


def _pipeline(replica: Replica, keys: Keys, own: SimulatedIdentity, clock: Clock) -> Pipeline:
    """Return what answers at ``/node/join`` of a node."""
    interface = own.row(NodeStatus.PENDING).node_to_node_interface
    settings = SimpleNamespace(
        node_to_node=SimpleNamespace(published_address=interface["published_address"]),
        node_certificate=SimpleNamespace(initial_validity_days=DAYS),
    )
    registry = Registry("/node")
    log = cast("NodeLog", _Log())
    add_join(registry, NodeAdmission(replica, keys, cast("Settings", settings), clock, log))
    frontend = Frontend(registry, lambda: True, back_pressured=False)
    return Pipeline(replica, [frontend], now=clock.unix_seconds, on_failure=_handler_failed)


def _join_settings() -> JoinSettings:
    return JoinSettings(
        target_rpc_address=SERVICE,
        service_certificate=service()[1].pem,
        retry_timeout_ms=0,  # the schedule decides when it asks
        follow_redirect=True,
        fetch_recent_snapshot=False,
        fetch_snapshot_max_attempts=0,
        fetch_snapshot_retry_interval_ms=0,
        fetch_snapshot_max_size=1,
    )


def _handler_failed(text: str) -> None:
    raise AssertionError(f"a handler failed: {text}")
