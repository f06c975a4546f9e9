"""One connection at a time, driven by hand: order, bounds, ends, patience."""

import gc
from dataclasses import replace

import pytest

from ledger.enclave.answers import OWED_MAX
from ledger.enclave.http_response import CONTINUE
from ledger.enclave.plain_session import PlainSession
from ledger.enclave.session_limits import (
    HANDSHAKE_TIME_MAX_MS,
    LINGER_TIME_MAX_MS,
    InterfaceMetrics,
    Refusal,
    SessionLimits,
)
from ledger.enclave.sessions import (
    BODY_PROGRESS_SIZE,
    OUTPUT_SIZE_MAX,
    REQUESTS_PER_TURN_MAX,
    HttpSession,
    State,
)
from ledger.enclave.tls_types import Expiry, TlsBackend, TlsSession
from ledger.endpoints.request import Request
from ledger.endpoints.response import Response
from tests.unit.enclave.edge_support import (
    BACKEND_IDS,
    BACKENDS,
    CountingWire,
    Plain,
    Script,
    caller_identity,
    der_of,
    get,
    node_identity,
    post,
    statuses,
    through,
)

IDLE_MS = 1000.0
QUICK = SessionLimits(idle_timeout_ms=IDLE_MS)


def paths(plain: Plain) -> list[str]:
    return [request.path for request in plain.script.seen]


def echoed(data: bytes) -> list[bytes]:
    """Return the paths that answers echo, in order."""
    return [part.split(b'"')[0] for part in data.split(b'"GET ')[1:]]


# -- requests and answers --------------------------------------------------------------


def test_one_request_one_answer() -> None:
    plain = Plain()
    answer = plain.send(get("/1"))
    assert answer == (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 8\r\n"
        b'x-ms-ccf-transaction-id: 2.17\r\n\r\n"GET /1"'
    )
    assert plain.script.seen[0].session is plain.session
    assert plain.session.interface == "rpc"
    assert plain.session.peer_certificate() is None
    assert not plain.session.attention


def test_every_split_of_a_pipeline_gives_the_same_answers() -> None:
    data = get("/1") + post("/2", b"x" * 30) + get("/3") + get("/4", "connection: close")
    whole = Plain().send(data)
    for cut in range(len(data)):
        plain = Plain()
        assert plain.send(data[:cut]) + plain.send(data[cut:]) == whole
    assert whole.count(b"connection: close") == 1
    assert whole.index(b"connection: close") > whole.index(b'/3"')


def test_head_has_no_body_and_the_length() -> None:
    answer = Plain().send(b"HEAD /1 HTTP/1.1\r\n\r\n")
    assert b"content-length: 9\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_late_answer_holds_back_those_behind_it_but_not_their_handling() -> None:
    plain = Plain()
    first = plain.send(get("/1") + get("/late/2") + get("/3") + get("/late/4") + get("/5"))
    assert echoed(first) == [b"/1"]
    assert paths(plain) == ["/1", "/late/2", "/3", "/late/4", "/5"]
    plain.script.finish("/late/4")
    assert plain.session.flush() == b""
    plain.script.finish("/late/2")
    assert plain.wire.asked == 2
    assert echoed(plain.session.flush()) == [b"/late/2", b"/3", b"/late/4", b"/5"]
    assert echoed(plain.send(get("/6"))) == [b"/6"]


def test_answer_that_comes_while_another_request_is_handled() -> None:
    plain = Plain()
    plain.send(get("/late/1"))
    plain.script.before = lambda request: (
        plain.script.finish("/late/1") if request.path == "/2" else None
    )
    assert echoed(plain.send(get("/2") + get("/3"))) == [b"/late/1", b"/2", b"/3"]


def test_late_answer_after_the_connection_is_lost_is_dropped() -> None:
    plain = Plain()
    plain.send(get("/late/1"))
    plain.session.lost()
    plain.script.finish("/late/1")
    assert plain.session.flush() == b""
    assert plain.metrics.sessions.active == 0


def test_unasked_answer_is_our_mistake() -> None:
    plain = Plain()
    plain.send(get("/1"))
    request = plain.script.seen[0]
    with pytest.raises(AssertionError, match="waits for one"):
        plain.session.complete(request, Response(200))


# -- 100-continue ----------------------------------------------------------------------


WAITING = b"POST /1 HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n"


def test_client_that_waits_is_told_to_go_on() -> None:
    plain = Plain()
    assert plain.send(WAITING) == CONTINUE
    assert plain.send(b"") == b""
    assert statuses(plain.send(b"abc")) == [200]
    assert statuses(plain.send(WAITING + b"abc")) == [200]


def test_go_on_comes_after_the_answers_before_it() -> None:
    plain = Plain()
    assert plain.send(get("/late/1") + WAITING) == b""
    plain.script.finish("/late/1")
    assert statuses(plain.session.flush()) == [200, 100]
    assert statuses(plain.send(b"abc")) == [200]


def test_client_is_not_told_to_send_what_will_be_refused() -> None:
    plain = Plain(limits=SessionLimits(max_body_size=2))
    assert statuses(plain.send(WAITING)) == [413]


# -- ends ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "status", "refusal"),
    [
        (b"\x01", 400, Refusal.PARSING),
        (post("/", b"x" * 101), 413, Refusal.BODY_TOO_LARGE),
        (get("/", "a: " + "x" * 101), 431, Refusal.HEADER_TOO_LARGE),
    ],
)
def test_refusal_is_counted_answered_last_and_ends(
    data: bytes, status: int, refusal: Refusal
) -> None:
    plain = Plain(limits=SessionLimits(max_body_size=100, max_header_size=100))
    answer = plain.send(get("/1") + data + get("/2"))
    assert statuses(answer) == [200, status]
    assert answer.count(b"connection: close\r\n") == 1
    assert paths(plain) == ["/1"]
    assert plain.state() is State.LINGERING
    assert plain.metrics.refused[refusal] == sum(plain.metrics.refused.values()) == 1
    assert plain.send(get("/3")) == b""
    assert paths(plain) == ["/1"]


def test_refusal_waits_for_late_answers_before_it() -> None:
    plain = Plain()
    assert plain.send(get("/late/1") + b"\x01") == b""
    assert plain.state() is State.SERVING
    plain.script.finish("/late/1")
    assert statuses(plain.session.flush()) == [200, 400]
    assert plain.state() is State.LINGERING


def test_last_request_may_be_answered_late() -> None:
    plain = Plain()
    assert plain.send(get("/late/1", "connection: close") + get("/2")) == b""
    plain.script.finish("/late/1")
    answer = plain.session.flush()
    assert echoed(answer) == [b"/late/1"]
    assert b"connection: close" in answer
    assert plain.state() is State.LINGERING


def test_dispatcher_ends_the_session_with_an_answer() -> None:
    plain = Plain()
    answer = plain.send(get("/1") + get("/bye") + get("/2"))
    assert echoed(answer) == [b"/1", b"/bye"]
    assert answer.count(b"connection: close") == 1
    assert paths(plain) == ["/1", "/bye"]
    assert plain.state() is State.LINGERING


def test_dispatcher_ends_the_session_with_a_late_answer() -> None:
    plain = Plain()
    assert echoed(plain.send(get("/1") + get("/late/bye") + get("/2"))) == [b"/1"]
    assert paths(plain) == ["/1", "/late/bye"]
    plain.script.finish("/late/bye")
    assert echoed(plain.session.flush()) == [b"/late/bye"]
    assert plain.state() is State.LINGERING


def test_dispatcher_decides_to_end_only_when_it_answers_late() -> None:
    plain = Plain()
    plain.send(get("/late/1") + get("/late/2") + get("/3") + get("/late/4"))
    plain.session.close_after_response()
    plain.script.finish("/late/2")
    plain.script.finish("/late/4")
    assert plain.state() is State.SERVING
    plain.script.finish("/late/1")
    answer = plain.session.flush()
    assert echoed(answer) == [b"/late/1", b"/late/2"]
    assert answer.index(b"connection: close") > answer.index(b'/late/1"')
    assert plain.state() is State.LINGERING


def test_old_clients_are_told_whether_the_connection_is_kept() -> None:
    plain = Plain()
    kept = plain.send(b"GET /1 HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
    assert b"connection: keep-alive\r\n" in kept
    assert b"connection: close\r\n" in plain.send(b"GET /2 HTTP/1.0\r\n\r\n")
    assert plain.state() is State.LINGERING


def test_half_closed_client_gets_its_answers() -> None:
    plain = Plain()
    assert echoed(plain.send(get("/1") + get("/late/2") + get("/3")[:-3])) == [b"/1"]
    plain.session.end_of_input()
    assert plain.state() is State.SERVING
    plain.script.finish("/late/2")
    assert echoed(plain.session.flush()) == [b"/late/2"]
    assert plain.state() is State.OVER


def test_end_of_input_without_a_request_is_the_end() -> None:
    plain = Plain()
    plain.session.end_of_input()
    assert plain.state() is State.OVER
    assert plain.session.attention


def test_end_of_input_while_lingering_is_the_end() -> None:
    plain = Plain()
    plain.send(b"\x01")
    plain.session.end_of_input()
    assert plain.state() is State.OVER


def test_session_over_the_soft_cap_answers_once() -> None:
    plain = Plain(over_soft_cap=True)
    assert plain.send(get("/1")[:-1]) == b""
    answer = plain.send(b"\n" + get("/2"))
    assert statuses(answer) == [503]
    assert b'"code":"SessionCapExhausted"' in answer
    assert b"connection: close" in answer
    assert plain.script.seen == []
    assert plain.state() is State.LINGERING


# -- bounds ----------------------------------------------------------------------------


def test_too_many_answers_owed_stop_the_reading_until_they_leave() -> None:
    plain = Plain()
    late = [f"/late/{number}" for number in range(OWED_MAX + 20)]
    plain.send(b"".join(map(get, late)))
    assert len(plain.script.seen) == OWED_MAX
    assert not plain.reading()
    assert not plain.backlog()
    assert plain.session.attention
    plain.script.finish("/late/0")
    assert echoed(plain.session.flush()) == [b"/late/0"]
    assert len(plain.script.seen) == OWED_MAX + 1
    assert not plain.reading()
    answered = []
    while plain.script.late:
        plain.script.finish(plain.script.late[0].path)
        answered += echoed(plain.session.flush())
    assert answered == [path.encode() for path in late[1:]]
    assert plain.reading()


def test_unread_answers_stop_the_handling_until_the_client_reads() -> None:
    plain = Plain()
    plain.session.writable(False)
    assert not plain.reading()
    assert plain.send(get("/1") + get("/2")) == b""
    assert plain.send(get("/3")) == b""
    assert plain.script.seen == []
    plain.session.writable(True)
    assert plain.backlog()
    assert echoed(plain.session.flush()) == [b"/1", b"/2", b"/3"]
    assert plain.reading()
    assert not plain.backlog()


def test_large_answers_are_made_a_few_at_a_time() -> None:
    plain = Plain()
    size = OUTPUT_SIZE_MAX // 2
    asked = get(f"/size/{size}") * 5 + get("/end")
    answer = plain.send(asked)
    assert len(statuses(answer)) == 2
    assert plain.backlog()
    assert not plain.reading()
    rounds = [len(statuses(plain.session.flush())) for _ in range(2)]
    assert rounds == [2, 2]
    assert plain.reading()
    assert not plain.backlog()


def test_endless_pipeline_gives_the_others_their_turn() -> None:
    plain = Plain()
    count = 5 * REQUESTS_PER_TURN_MAX
    answers = statuses(plain.send(get("/") * count))
    assert REQUESTS_PER_TURN_MAX <= len(answers) < 3 * REQUESTS_PER_TURN_MAX
    assert plain.backlog()
    while plain.backlog():
        answers += statuses(plain.session.flush())
    assert answers == [200] * count
    assert plain.reading()


def test_close_wish_in_a_backlog_drops_the_rest() -> None:
    plain = Plain()
    data = get("/") * REQUESTS_PER_TURN_MAX + get("/bye") + get("/") * REQUESTS_PER_TURN_MAX
    count = len(statuses(plain.send(data)))
    while plain.backlog():
        count += len(statuses(plain.session.flush()))
    assert count == REQUESTS_PER_TURN_MAX + 1
    assert plain.state() is State.LINGERING


def test_half_close_behind_a_backlog_still_gets_everything() -> None:
    plain = Plain()
    count = 4 * REQUESTS_PER_TURN_MAX
    got = len(statuses(plain.send(get("/") * count)))
    plain.session.end_of_input()
    assert plain.state() is State.SERVING
    while plain.backlog():
        got += len(statuses(plain.session.flush()))
    assert got == count
    assert plain.state() is State.OVER


class Forgetful:
    """A dispatcher that keeps nothing."""

    def handle(self, request: Request) -> Response | None:
        return None if request.path == "/late" else Response(200)


@pytest.mark.parametrize(
    "data",
    [
        get("/1"),
        get("/1")[:-1],
        get("/1") + get("/2", "connection: close"),
        get("/late") + get("/2"),
        get("/late", "connection: close"),
        b"\x01",
        get("/") * 3000,
        post("/", b"x" * 1000)[:-1],
    ],
)
def test_session_that_is_lost_needs_no_garbage_collector(data: bytes) -> None:
    gc.collect()
    gc.disable()
    try:
        metrics = InterfaceMetrics(SessionLimits())
        session = HttpSession("rpc", PlainSession(), Forgetful(), metrics, CountingWire())
        through(session, data)
        session.lost()
        count = sum(isinstance(one, HttpSession) for one in gc.get_objects())
        del session
        assert sum(isinstance(one, HttpSession) for one in gc.get_objects()) == count - 1
    finally:
        gc.enable()


# -- patience --------------------------------------------------------------------------


def test_idle_session_ends() -> None:
    plain = Plain(limits=QUICK)
    plain.send(get("/1"))
    plain.session.sweep(10_000)  # what the answer bought
    plain.session.sweep(IDLE_MS - 1)
    assert plain.state() is State.SERVING
    plain.session.sweep(1)
    assert plain.state() is State.OVER
    assert plain.session.attention


def test_session_without_idle_limit_stays() -> None:
    plain = Plain(limits=replace(QUICK, idle_timeout_ms=None))
    plain.session.sweep(1e12)
    assert plain.state() is State.SERVING


def test_single_bytes_are_no_progress() -> None:
    plain = Plain(limits=QUICK)
    for byte in get("/", "x: " + "y" * 100):
        plain.send(bytes([byte]))
        plain.session.sweep(IDLE_MS / 10)
    assert plain.state() is State.OVER


def test_fair_pieces_of_a_body_are_progress() -> None:
    plain = Plain(limits=QUICK)
    data = post("/", b"x" * (BODY_PROGRESS_SIZE * 20))
    step = BODY_PROGRESS_SIZE
    for at in range(0, len(data), step):
        plain.send(data[at : at + step])
        plain.session.sweep(IDLE_MS * 0.6)
        assert plain.state() is State.SERVING
    assert len(plain.script.seen) == 1


def test_trickled_body_is_no_progress() -> None:
    plain = Plain(limits=QUICK)
    data = post("/", b"x" * BODY_PROGRESS_SIZE * 20)
    for at in range(0, len(data), BODY_PROGRESS_SIZE // 8):
        plain.send(data[at : at + BODY_PROGRESS_SIZE // 8])
        plain.session.sweep(IDLE_MS * 0.6)
    assert plain.state() is State.OVER


def test_client_that_waits_for_us_is_not_idle() -> None:
    plain = Plain(limits=QUICK)
    plain.send(get("/late/1"))
    for _ in range(10):
        plain.session.sweep(IDLE_MS)
    assert plain.state() is State.SERVING
    plain.session.writable(False)
    plain.session.sweep(IDLE_MS)
    assert plain.state() is State.OVER


def test_client_that_does_not_read_ends() -> None:
    plain = Plain(limits=QUICK)
    plain.send(get("/1"))
    plain.session.writable(False)
    plain.session.sweep(1)
    plain.session.sweep(IDLE_MS)
    assert plain.state() is State.OVER


def test_lingering_ends_soon_but_not_before_the_answer_is_out() -> None:
    plain = Plain()
    plain.send(b"\x01")
    plain.session.writable(False)
    plain.session.sweep(LINGER_TIME_MAX_MS * 2)
    plain.session.sweep(LINGER_TIME_MAX_MS * 2)
    assert plain.state() is State.LINGERING
    plain.session.writable(True)
    plain.session.sweep(LINGER_TIME_MAX_MS)
    assert plain.state() is State.LINGERING
    plain.session.sweep(LINGER_TIME_MAX_MS)
    assert plain.state() is State.OVER


# -- with TLS --------------------------------------------------------------------------


class Encrypted:
    """A session and a TLS client in memory."""

    def __init__(self, backend: TlsBackend) -> None:
        self.script = Script()
        self.metrics = InterfaceMetrics(QUICK)
        tls = backend.rpc_server(node_identity()).session()
        self.session = HttpSession("rpc", tls, self.script, self.metrics, CountingWire())
        self.client: TlsSession = backend.client(
            node_identity().chain_pem,
            caller_identity("alice"),
            expiry=Expiry.CHECKED,
            alpn=True,
        ).session()

    def state(self) -> State:
        return self.session.state

    def connect(self) -> None:
        for _ in range(4):
            self.client.feed(through(self.session, self.client.output()))
        assert self.client.established

    def ask(self, data: bytes) -> bytes:
        self.client.send(data)
        return self.client.feed(through(self.session, self.client.output()))


backends = pytest.mark.parametrize("backend", BACKENDS, ids=BACKEND_IDS)


@backends
def test_pipelined_requests_leave_as_one_record(backend: TlsBackend) -> None:
    end = Encrypted(backend)
    end.connect()
    end.client.send(get("/1") + get("/2") + get("/3"))
    wire = through(end.session, end.client.output())
    assert wire[0] == 0x17
    assert int.from_bytes(wire[3:5], "big") == len(wire) - 5
    assert echoed(end.client.feed(wire)) == [b"/1", b"/2", b"/3"]
    assert end.session.peer_certificate() == der_of(caller_identity("alice"))


@backends
def test_certificate_is_not_known_before_the_handshake(backend: TlsBackend) -> None:
    end = Encrypted(backend)
    assert end.session.peer_certificate() is None
    end.connect()
    assert end.session.peer_certificate() is not None


@backends
def test_end_is_said_in_tls_too(backend: TlsBackend) -> None:
    end = Encrypted(backend)
    end.connect()
    assert statuses(end.ask(get("/1", "connection: close"))) == [200]
    assert end.client.ended
    assert end.state() is State.LINGERING


@backends
def test_client_that_says_goodbye_gets_its_answers_and_ours(backend: TlsBackend) -> None:
    end = Encrypted(backend)
    end.connect()
    end.client.send(get("/1"))
    end.client.close()
    wire = through(end.session, end.client.output())
    assert end.state() is State.OVER
    assert statuses(end.client.feed(wire)) == [200]
    assert end.client.ended


@backends
def test_broken_record_ends_the_session_with_an_alert(backend: TlsBackend) -> None:
    end = Encrypted(backend)
    end.connect()
    end.client.send(get("/1"))
    wire = bytearray(end.client.output())
    wire[-1] ^= 1
    end.client.feed(through(end.session, bytes(wire)))
    assert end.state() is State.OVER
    assert end.client.failure is not None
    assert end.script.seen == []


@backends
def test_request_before_a_broken_record_is_handled_as_its_sender(backend: TlsBackend) -> None:
    # What came before the damage is whole; asking for the certificate then must not fail.
    end = Encrypted(backend)
    end.connect()
    seen: list[bytes | None] = []
    end.script.before = lambda request: seen.append(request.session.peer_certificate())
    end.client.send(get("/1"))
    good = end.client.output()
    end.client.send(get("/2"))
    bad = bytearray(end.client.output())
    bad[-1] ^= 1
    through(end.session, good + bytes(bad))
    assert seen == [der_of(caller_identity("alice"))]
    assert end.state() is State.OVER


@backends
def test_handshake_has_its_own_patience(backend: TlsBackend) -> None:
    end = Encrypted(backend)
    end.metrics.limits = replace(QUICK, idle_timeout_ms=None)
    hello = end.client.output()
    through(end.session, hello[:10])
    end.session.sweep(HANDSHAKE_TIME_MAX_MS - 1)
    assert end.state() is State.SERVING
    end.session.sweep(1)
    assert end.state() is State.OVER
    assert end.session.flush() == b""


@backends
def test_http_sent_to_tls_ends_the_session(backend: TlsBackend) -> None:
    end = Encrypted(backend)
    through(end.session, get("/1"))
    assert end.state() is State.OVER
    assert end.script.seen == []
