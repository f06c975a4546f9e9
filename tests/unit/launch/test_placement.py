"""Where a request runs: every row of role, interface and property, and what forwarding can do."""

from typing import TYPE_CHECKING, Any

import pytest

from ledger.base.ids import NodeId
from ledger.boundary.frames import encode
from ledger.boundary.settings import InterfaceSettings, Redirections, Resolver
from ledger.endpoints.auth import no_auth
from ledger.endpoints.context import CallContext
from ledger.endpoints.endpoint import Endpoint, Forwarding, Mode, Redirection
from ledger.endpoints.errors import Code
from ledger.endpoints.forwarding import Passed
from ledger.endpoints.request import Request
from ledger.endpoints.response import JSON, Response
from ledger.launch.placement import (
    FORWARDED_MAX,
    HEADERS_SIZE_MAX,
    REQUEST_HEAD_SIZE_MAX,
    ForwardedSession,
    NodePlacement,
)
from ledger.replica.peer_messages import (
    BODY_SIZE_MAX,
    ForwardedRequest,
    ForwardedResponse,
    PeerMessage,
)
from tests.unit.replica.harness import Network, Service, TestNode, node_info

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN, MOVING, FIXED = "plain", "moving", "fixed"
TO_ROLES = Redirections(
    to_primary=Resolver(kind="NodeByRole", role="primary", interface="rpc", address=None),
    to_backup=Resolver(kind="NodeByRole", role="backup", interface="rpc", address=None),
)
TO_NAME = Redirections(
    to_primary=Resolver(
        kind="StaticAddress", role="primary", interface=None, address="primary.example:443"
    ),
    to_backup=None,
)


def interface(name: str, redirections: Redirections | None) -> InterfaceSettings:
    return InterfaceSettings(
        name=name,
        bind_address="127.0.0.1:0",
        published_address="127.0.0.1:1",
        app_protocol="HTTP1",
        max_open_sessions_soft=10,
        max_open_sessions_hard=10,
        max_body_size=1 << 20,
        max_header_size=1 << 14,
        max_headers_count=100,
        authority="Service",
        accepted_endpoints=None,
        forwarding_timeout_ms=3000,
        redirections=redirections,
    )


class FakeSession:
    """A client's session that notes what became of it."""

    def __init__(self, name: str = PLAIN, *, forwarded: bool = False) -> None:
        self.interface = name
        self.pinned_view = 2
        self.forwarded = forwarded
        self.answers: list[Response] = []
        self.ends = 0

    def peer_certificate(self) -> bytes | None:
        return b"certificate"

    def complete(self, request: Request, response: Response) -> None:
        del request
        self.answers.append(response)

    def close_after_response(self) -> None:
        self.ends += 1


class FakePeers:
    """Takes what is forwarded, when there are connections."""

    def __init__(self) -> None:
        self.connected = True
        self.sent: list[tuple[NodeId, PeerMessage, bytes]] = []

    def forward(self, to: NodeId, message: PeerMessage, body: bytes) -> bool:
        if self.connected:
            self.sent.append((to, message, body))
        return self.connected


class Place:
    """One node's placement with everything around it."""

    def __init__(self, node: TestNode) -> None:
        self.node = node
        self.peers = FakePeers()
        names = ((PLAIN, None), (MOVING, TO_ROLES), (FIXED, TO_NAME))
        self.placement = NodePlacement(
            node.replica,
            lambda: self.peers,  # type: ignore[arg-type,return-value]  # only ``forward`` is used
            [interface(name, redirections) for name, redirections in names],
            lambda limit: limit,
        )
        self.placement.dispatcher = self
        self.handled: list[Request] = []
        self.answer: Callable[[Request], Response | None] = lambda request: Response(200)  # noqa: ARG005

    def handle(self, request: Request) -> Response | None:
        self.handled.append(request)
        return self.answer(request)

    def ask(self, made: Endpoint, session: FakeSession | None = None) -> Response | Passed | None:
        return self.placement.elsewhere(a_request(session or FakeSession()), made)


def endpoint(
    forwarding: Forwarding = Forwarding.ALWAYS,
    redirection: Redirection = Redirection.TO_PRIMARY,
    mode: Mode = Mode.READWRITE,
    *,
    respond_after_commit: bool = False,
) -> Endpoint:
    return Endpoint(
        method="POST",
        path="/x",
        handler=_unused,
        auth=(no_auth,),
        mode=mode,
        forwarding=forwarding,
        redirection=redirection,
        respond_after_commit=respond_after_commit,
    )


def _unused(context: CallContext) -> Response:
    raise AssertionError(f"{context} is not run here")


def a_request(
    session: FakeSession | ForwardedSession,
    body: bytes = b"body",
    headers: dict[str, str] | None = None,
) -> Request:
    given = {name.encode(): value.encode() for name, value in (headers or {}).items()}
    return Request("POST", "/app/x", "a=b%20c", given, body, session)


@pytest.fixture(scope="module")
def nodes() -> list[TestNode]:
    """A primary and a backup that knows it."""
    service = Service()
    made = [TestNode(service), TestNode(service)]
    made[0].start()
    network = Network(*made)
    network.trust(made[0], made[1])
    network.run()
    return made


@pytest.fixture
def primary(nodes: list[TestNode]) -> Place:
    return Place(nodes[0])


@pytest.fixture
def backup(nodes: list[TestNode]) -> Place:
    return Place(nodes[1])


def status(outcome: Response | Passed | None) -> int | Passed | None:
    return outcome.status if isinstance(outcome, Response) else outcome


ROWS = [
    # interface, forwarding, redirection, at the primary, at a backup
    (PLAIN, Forwarding.ALWAYS, Redirection.TO_PRIMARY, None, Passed.ON),
    (PLAIN, Forwarding.SOMETIMES, Redirection.NONE, None, None),
    (PLAIN, Forwarding.NEVER, Redirection.NONE, None, None),
    (MOVING, Forwarding.ALWAYS, Redirection.TO_PRIMARY, None, 307),
    (MOVING, Forwarding.ALWAYS, Redirection.NONE, None, None),
    (MOVING, Forwarding.SOMETIMES, Redirection.TO_BACKUP, 307, None),
    (FIXED, Forwarding.ALWAYS, Redirection.TO_PRIMARY, None, 307),
    (FIXED, Forwarding.SOMETIMES, Redirection.TO_BACKUP, 503, None),
]


@pytest.mark.parametrize(("name", "forwarding", "redirection", "at_primary", "at_backup"), ROWS)
def test_where_requests_run(
    name: str,
    forwarding: Forwarding,
    redirection: Redirection,
    at_primary: int | Passed | None,
    at_backup: int | Passed | None,
    primary: Place,
    backup: Place,
) -> None:
    made = endpoint(forwarding, redirection)
    assert status(primary.ask(made, FakeSession(name))) == at_primary
    assert status(backup.ask(made, FakeSession(name))) == at_backup


def test_reads_of_a_session_follow_its_forwarded_writes(backup: Place) -> None:
    reads = endpoint(Forwarding.SOMETIMES, Redirection.NONE, Mode.READONLY)
    session = FakeSession()
    assert backup.ask(reads, session) is None
    assert backup.ask(endpoint(), session) is Passed.ON
    assert session.forwarded
    assert backup.ask(reads, session) is Passed.ON
    assert backup.ask(endpoint(Forwarding.NEVER), session) is None


def test_redirects_keep_path_and_query(primary: Place, backup: Place) -> None:
    address = node_info().rpc_interfaces["rpc"]["published_address"]
    moved = backup.ask(endpoint(), FakeSession(MOVING))
    assert isinstance(moved, Response)
    assert moved.headers == [(b"location", f"https://{address}/app/x?a=b%20c".encode())]
    fixed = backup.ask(endpoint(), FakeSession(FIXED))
    assert isinstance(fixed, Response)
    assert fixed.headers == [(b"location", b"https://primary.example:443/app/x?a=b%20c")]
    to_backup = primary.ask(endpoint(redirection=Redirection.TO_BACKUP), FakeSession(MOVING))
    assert isinstance(to_backup, Response)
    assert to_backup.status == 307


def code(outcome: Response | Passed | None) -> str:
    assert isinstance(outcome, Response)
    return outcome.body.decode().split('"code":"')[1].split('"')[0]


def test_without_a_primary_nothing_is_passed_on() -> None:
    alone = Place(TestNode(Service()))
    assert code(alone.ask(endpoint())) == Code.INTERNAL_ERROR
    assert code(alone.ask(endpoint(), FakeSession(MOVING))) == Code.PRIMARY_NOT_FOUND


def test_a_primary_without_backups_says_so() -> None:
    node = TestNode(Service())
    node.start()
    outcome = Place(node).ask(endpoint(redirection=Redirection.TO_BACKUP), FakeSession(MOVING))
    assert code(outcome) == Code.BACKUP_NOT_FOUND


def test_what_cannot_be_passed_on_is_refused_and_leaves_the_session_as_it_was(
    backup: Place,
) -> None:
    session = FakeSession()
    backup.peers.connected = False
    assert status(backup.ask(endpoint(), session)) == 503
    backup.peers.connected = True
    assert not session.forwarded
    for _ in range(FORWARDED_MAX):
        assert backup.ask(endpoint()) is Passed.ON
    assert status(backup.ask(endpoint())) == 503


@pytest.mark.parametrize(
    ("excess", "refused"),
    [
        ({"body": bytes(BODY_SIZE_MAX + 1)}, 413),
        ({"headers": {b"x": bytes(REQUEST_HEAD_SIZE_MAX)}}, 431),
        ({"headers": {b"%d" % number: b"" for number in range(900_000)}}, 431),
        ({"path": "/" * REQUEST_HEAD_SIZE_MAX}, 431),
        ({"query": "\N{SNOWMAN}" * (REQUEST_HEAD_SIZE_MAX // 4 + 1)}, 431),
    ],
    ids=["body", "header", "headers", "path", "query"],
)
def test_what_no_message_between_nodes_holds_is_refused(
    excess: dict[str, Any], refused: int, backup: Place
) -> None:
    """An interface may take more than that; what a client sends must not end the node."""
    session = FakeSession()
    request = a_request(session)
    for name, value in excess.items():
        setattr(request, name, value)
    assert status(backup.placement.elsewhere(request, endpoint())) == refused
    assert not session.forwarded


def test_what_is_passed_on_fits_a_message(backup: Place) -> None:
    request = a_request(FakeSession(), bytes(BODY_SIZE_MAX))
    request.headers = {b"x": bytes(REQUEST_HEAD_SIZE_MAX - 200)}
    assert backup.placement.elsewhere(request, endpoint()) is Passed.ON
    ((_, message, body),) = backup.peers.sent
    assert encode(message, [body])


def test_only_who_was_asked_answers(backup: Place, primary: Place) -> None:
    session = FakeSession()
    assert backup.ask(endpoint(), session) is Passed.ON
    answer = ForwardedResponse(1, 200, None, None, [], 2, ends_session=False)
    backup.placement.received(NodeId("f" * 64), answer, memoryview(b"made up"))
    assert session.answers == []
    backup.placement.received(primary.node.id, answer, memoryview(b"real"))
    assert [each.body for each in session.answers] == [b"real"]


def test_a_forwarded_request_carries_what_the_primary_needs(backup: Place, primary: Place) -> None:
    session = FakeSession()
    request = a_request(session, headers={"prefer": "x"})
    assert backup.placement.elsewhere(request, endpoint()) is Passed.ON
    ((to, message, body),) = backup.peers.sent
    assert to == primary.node.id
    assert message == ForwardedRequest(
        id=1, method="POST", path="/app/x", query="a=b%20c", headers={b"prefer": b"x"},
        certificate=b"certificate", interface=PLAIN, view=2,
    )  # fmt: skip
    primary.placement.received(backup.node.id, message, memoryview(body))
    (handled,) = primary.handled
    assert handled.session.peer_certificate() == b"certificate"
    assert (handled.body, handled.session.pinned_view) == (b"body", 2)
    assert handled.session.forwarded


def round_trip(backup: Place, primary: Place, session: FakeSession) -> None:
    """Carry one request of a client to the primary and its answer back."""
    assert backup.ask(endpoint(), session) is Passed.ON
    for sender, receiver in ((backup, primary), (primary, backup)):
        (_, message, body) = sender.peers.sent.pop()
        receiver.placement.received(sender.node.id, message, memoryview(body))


def test_answers_come_back_whole(backup: Place, primary: Place) -> None:
    headers = [(b"etag", b"x")]
    primary.answer = lambda request: Response(201, b"made", JSON, headers, b"2.7")  # noqa: ARG005
    session = FakeSession()
    round_trip(backup, primary, session)
    (answer,) = session.answers
    assert (answer.status, answer.body, answer.content_type) == (201, b"made", JSON)
    assert (answer.headers, answer.tx_id) == (headers, b"2.7")
    assert session.ends == 0


def test_late_answers_come_back_too(backup: Place, primary: Place) -> None:
    primary.answer = lambda request: None  # noqa: ARG005
    session = FakeSession()
    assert backup.ask(endpoint(), session) is Passed.ON
    (_, message, body) = backup.peers.sent.pop()
    primary.placement.received(backup.node.id, message, memoryview(body))
    assert primary.peers.sent == []
    (handled,) = primary.handled
    handled.session.complete(handled, Response(200, b"late"))
    (_, reply, data) = primary.peers.sent.pop()
    backup.placement.received(primary.node.id, reply, memoryview(data))
    assert [answer.body for answer in session.answers] == [b"late"]


def test_the_view_of_a_session_is_pinned_at_the_primary(backup: Place, primary: Place) -> None:
    def pins(request: Request) -> Response:
        request.session.pinned_view = 2
        return Response(200)

    primary.answer = pins
    session = FakeSession()
    session.pinned_view = 0
    round_trip(backup, primary, session)
    assert session.pinned_view == 2


def test_a_session_that_the_primary_ends_is_ended_by_the_backup(
    backup: Place, primary: Place
) -> None:
    def ends(request: Request) -> Response:
        request.session.close_after_response()
        return Response(500)

    primary.answer = ends
    session = FakeSession()
    round_trip(backup, primary, session)
    assert session.ends == 1


UNFIT = [
    Response(200, bytes(BODY_SIZE_MAX + 1)),
    Response(999),
    Response(200, headers=[(b"x", bytes(HEADERS_SIZE_MAX))]),
]


@pytest.mark.parametrize("answer", UNFIT, ids=["body", "status", "headers"])
def test_answers_beyond_the_bounds_are_replaced(
    answer: Response, backup: Place, primary: Place
) -> None:
    """An application made them; a frame out of bounds would cut the connection for everybody."""
    primary.answer = lambda request: answer  # noqa: ARG005
    session = FakeSession()
    round_trip(backup, primary, session)
    assert [(each.status, code(each)) for each in session.answers] == [(500, Code.INTERNAL_ERROR)]


def test_a_request_is_forwarded_once(backup: Place, primary: Place) -> None:
    """Whoever it was passed to has to be primary: no request wanders."""
    message = ForwardedRequest(1, "POST", "/x", "", {}, None, PLAIN, 0)
    session = ForwardedSession(message, lambda session, response: None)  # noqa: ARG005
    request = a_request(session)
    assert primary.placement.elsewhere(request, endpoint()) is None
    outcome = backup.placement.elsewhere(request, endpoint())
    assert code(outcome) == Code.REQUEST_ALREADY_FORWARDED
    assert status(outcome) == 503


PATIENCE = [
    ({}, False, 3000),
    ({"prefer": "wait-for-commit; wait=7"}, False, 10_000),
    ({"prefer": "wait=7"}, False, 3000),
    ({}, True, 13_000),
    ({"prefer": "wait-for-commit; wait=0"}, True, 3000),
]


@pytest.mark.parametrize(("headers", "after_commit", "patience_ms"), PATIENCE)
def test_an_answer_that_does_not_come_is_504(
    headers: dict[str, str], after_commit: bool, patience_ms: int, backup: Place, primary: Place
) -> None:
    """Counted from when the primary has to answer, which the client may have put off."""
    session = FakeSession()
    made = endpoint(respond_after_commit=after_commit)
    backup.placement.elsewhere(a_request(session, headers=headers), made)
    backup.placement.tick(patience_ms - 1)
    assert session.answers == []
    backup.placement.tick(1)
    assert [answer.status for answer in session.answers] == [504]
    late = ForwardedResponse(1, 200, None, None, [], 2, ends_session=False)
    backup.placement.received(primary.node.id, late, memoryview(b""))
    assert len(session.answers) == 1, "it is answered once"


def test_a_primary_that_stops_refuses_writes_and_ends_their_sessions(
    primary: Place, backup: Place
) -> None:
    for place in (primary, backup):
        place.placement.refuse_writes = True
    session = FakeSession()
    assert code(primary.ask(endpoint(), session)) == Code.PRIMARY_NOT_FOUND
    assert session.ends == 1
    reads = endpoint(Forwarding.SOMETIMES, Redirection.NONE, Mode.READONLY)
    assert primary.ask(reads, session) is None
    assert backup.ask(endpoint(), FakeSession()) is Passed.ON, "it is primary no longer"
