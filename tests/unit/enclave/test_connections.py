"""Sessions on a transport: what the wire is told, when it closes, who is let in."""

from dataclasses import replace

import pytest

from ledger.enclave.connections import CLOSE_TIME_MAX_MS, Connection, Flushing, Interface
from ledger.enclave.session_limits import (
    InterfaceMetrics,
    NodeMetrics,
    Refusal,
    SessionLimits,
    sessions_max,
)
from ledger.enclave.tls import TlsContext
from ledger.endpoints.request import Request
from tests.unit.enclave.edge_support import BACKENDS, Script, get, node_identity, statuses


class Tape:
    """A transport that notes what is asked of it."""

    def __init__(self) -> None:
        self.written = b""
        self.calls: list[str] = []

    def write(self, data: bytes) -> None:
        self.written += data

    def write_eof(self) -> None:
        self.calls.append("write_eof")

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


class Side:
    """The link, by hand."""

    def __init__(self) -> None:
        self.turns = 0
        self.alone = False
        self.slowed = False
        self.over = False
        self.to_serve: list[Connection] = []
        self.to_flush: list[Flushing] = []
        self.up: set[Connection] = set()
        self.errors: list[BaseException] = []

    def want_turn(self) -> None:
        self.turns += 1

    def arrived(self, connection: Connection) -> bool:
        self.to_serve.append(connection)
        return not self.alone

    def flush_later(self, connection: Flushing) -> None:
        self.to_flush.append(connection)

    def opened(self, connection: Connection) -> None:
        self.up.add(connection)

    def closed(self, connection: Connection) -> None:
        self.up.remove(connection)

    def failed(self, error: BaseException) -> None:
        self.errors.append(error)

    def serve(self) -> None:
        connections, self.to_serve = self.to_serve, []
        for stage in (Connection.take, Connection.handle, Connection.answer):
            for connection in connections:
                stage(connection)

    def turn(self) -> None:
        connections, self.to_flush = self.to_flush, []
        for connection in connections:
            connection.flush()


class Port:
    """An interface with its connections."""

    def __init__(self, tls: TlsContext | None = None, limits: SessionLimits | None = None) -> None:
        self.script = Script()
        self.node = NodeMetrics()
        self.metrics = self.node.add("rpc", limits or SessionLimits())
        self.interface = Interface("rpc", tls, self.metrics, self.script)
        self.side = Side()

    def dial(self) -> tuple[Connection, Tape]:
        connection, tape = Connection(self.side, self.interface.open_session), Tape()
        connection.connection_made(tape)
        return connection, tape

    def read(self, connection: Connection, data: bytes) -> None:
        connection.data_received(data)
        self.side.serve()


def test_one_read_leads_to_one_write() -> None:
    port = Port()
    connection, tape = port.dial()
    connection.data_received(get("/1") + get("/2"))
    assert port.side.to_serve == [connection]
    assert port.script.seen == []
    port.side.serve()
    assert statuses(tape.written) == [200] * 2
    assert tape.calls == []
    connection.connection_lost(None)
    assert port.side.up == set()


def test_read_that_is_alone_is_served_at_once() -> None:
    port = Port()
    connection, tape = port.dial()
    port.side.alone = True
    connection.data_received(get("/1"))
    assert statuses(tape.written) == [200]


def test_all_requests_are_handled_before_any_answer_leaves() -> None:
    port = Port()
    dialled = [port.dial() for _ in range(3)]
    written: list[bytes] = []
    port.script.before = lambda _: written.extend(tape.written for _, tape in dialled)
    for connection, _ in dialled:
        connection.data_received(get("/1"))
    port.side.serve()
    assert written == [b""] * 9
    assert [statuses(tape.written) for _, tape in dialled] == [[200]] * 3


def test_second_read_before_the_first_is_served_holds_back_one_read_only() -> None:
    port = Port()
    connection, tape = port.dial()
    connection.data_received(get("/1"))
    connection.data_received(get("/2")[:9])
    assert statuses(tape.written) == [200]
    connection.data_received(get("/2")[9:] + get("/3"))
    assert port.side.to_serve == [connection]
    port.side.serve()
    assert [request.path for request in port.script.seen] == ["/1", "/2", "/3"]
    assert statuses(tape.written) == [200] * 3


@pytest.mark.parametrize("end", ["lost", "eof"])
def test_what_was_sent_before_the_end_is_handled(end: str) -> None:
    port = Port()
    connection, tape = port.dial()
    connection.data_received(get("/1"))
    if end == "lost":
        connection.connection_lost(None)
        assert tape.written == b""
    else:
        connection.eof_received()
        assert statuses(tape.written) == [200]
    port.side.serve()
    assert [request.path for request in port.script.seen] == ["/1"]


def test_late_answers_of_a_turn_leave_together() -> None:
    port = Port()
    connection, tape = port.dial()
    port.read(connection, get("/late/1") + get("/late/2"))
    port.script.finish("/late/2")
    port.script.finish("/late/1")
    assert port.side.to_flush == [connection]
    port.side.turn()
    assert statuses(tape.written) == [200, 200]
    port.script.before = None
    port.read(connection, get("/late/3"))
    port.script.finish("/late/3")
    assert port.side.to_flush == [connection]


def test_last_answer_half_closes_and_the_client_closes() -> None:
    port = Port()
    connection, tape = port.dial()
    port.read(connection, get("/1", "connection: close"))
    assert tape.calls == ["write_eof"]
    port.read(connection, b"x" * 1000)
    assert connection.eof_received()
    assert tape.calls == ["write_eof", "close"]
    connection.connection_lost(None)


def test_client_that_never_closes_is_cut() -> None:
    port = Port()
    connection, tape = port.dial()
    port.read(connection, b"\x01")
    for _ in range(20):
        connection.sweep(CLOSE_TIME_MAX_MS / 4)
    assert tape.calls[:3] == ["write_eof", "close", "abort"]


def test_backlog_pauses_reading_until_it_is_worked_off() -> None:
    port = Port()
    connection, tape = port.dial()
    port.read(connection, get("/") * 3000)
    assert tape.calls == ["pause"]
    while port.side.to_flush:
        port.side.turn()
    assert tape.calls == ["pause", "resume"]
    assert len(statuses(tape.written)) == 3000


def test_slowed_client_is_not_read_further_until_it_is_served() -> None:
    port = Port()
    connection, tape = port.dial()
    port.side.slowed = True
    connection.data_received(get("/1"))
    assert tape.calls == []
    connection.data_received(get("/2"))
    assert tape.calls == ["pause"]
    connection.sweep(250)
    assert port.script.seen == [], "time passes, and it waits for us"
    port.side.serve()
    assert tape.calls == ["pause", "resume"]
    assert statuses(tape.written) == [200] * 2


def test_backlog_of_a_slowed_client_waits_with_the_others() -> None:
    port = Port()
    connection, tape = port.dial()
    port.side.slowed = True
    port.read(connection, get("/") * 3000)
    turns = 0
    while port.side.to_flush:
        seen = len(port.script.seen)
        port.side.turn()
        assert len(port.script.seen) == seen
        assert port.side.to_serve == [connection]
        port.side.serve()
        turns += 1
    assert turns > 2
    assert tape.calls == ["pause", "resume"]
    assert len(statuses(tape.written)) == 3000


def test_full_transport_pauses_reading_until_it_drains() -> None:
    port = Port()
    connection, tape = port.dial()
    connection.pause_writing()
    port.read(connection, get("/1"))
    assert tape.calls == ["pause"]
    assert tape.written == b""
    connection.resume_writing()
    port.side.turn()
    assert tape.calls == ["pause", "resume"]
    assert statuses(tape.written) == [200]


def test_half_close_of_the_client() -> None:
    port = Port()
    connection, tape = port.dial()
    port.read(connection, get("/late/1"))
    assert connection.eof_received()
    assert tape.calls == []
    port.script.finish("/late/1")
    port.side.turn()
    assert statuses(tape.written) == [200]
    assert tape.calls == ["close"]


def test_request_that_was_read_in_time_is_answered() -> None:
    port = Port(limits=SessionLimits(idle_timeout_ms=1000))
    connection, tape = port.dial()
    connection.sweep(900)
    connection.data_received(get("/1"))
    connection.sweep(150)
    port.side.serve()
    assert statuses(tape.written) == [200]
    assert tape.calls == []


def test_nothing_is_served_after_the_end() -> None:
    port = Port()
    connection, tape = port.dial()
    connection.data_received(get("/1"))
    port.side.over = True
    connection.connection_lost(None)
    assert port.script.seen == []
    assert tape.written == b""


def test_idle_connection_is_closed() -> None:
    port = Port(limits=SessionLimits(idle_timeout_ms=100))
    connection, tape = port.dial()
    connection.sweep(99)
    assert tape.calls == []
    connection.sweep(1)
    assert tape.calls == ["close"]


def test_mistake_of_ours_is_reported_and_no_connection_swallows_it() -> None:
    port = Port()
    connection, _ = port.dial()

    def break_down(_request: Request) -> None:
        raise RuntimeError("broken")

    port.script.before = break_down
    with pytest.raises(RuntimeError, match="broken"):
        port.read(connection, get("/1"))
    connection.data_received(get("/1"))
    connection.data_received(get("/1"))
    assert [str(error) for error in port.side.errors] == ["broken"]


def test_network_error_of_ours_is_still_a_mistake() -> None:
    # An OSError out of a handler must not be taken for a broken connection.
    port = Port()
    connection, _ = port.dial()

    def break_down(_request: Request) -> None:
        raise ConnectionResetError("not the client")

    port.script.before = break_down
    with pytest.raises(ConnectionResetError):
        port.read(connection, get("/1"))
    connection.data_received(get("/1"))
    assert connection.eof_received()
    assert len(port.side.errors) == 1


def test_nobody_is_served_before_there_is_a_certificate() -> None:
    context = TlsContext(BACKENDS[0])
    port = Port(context)
    connection, tape = port.dial()
    assert tape.calls == ["close"]
    port.read(connection, b"\x16")
    connection.connection_lost(None)
    assert port.node.sessions.peak == 0
    context.replace(node_identity())
    _, tape = port.dial()
    assert tape.calls == []
    assert port.node.sessions.active == 1


@pytest.mark.parametrize(("soft", "hard"), [(2, 3), (0, 1), (3, 3), (5, 3)])
def test_caps(soft: int, hard: int) -> None:
    limits = SessionLimits(max_open_sessions_soft=soft, max_open_sessions_hard=hard)
    port = Port(limits=limits)
    dialled = [port.dial() for _ in range(hard + 2)]
    for connection, _ in dialled:
        port.read(connection, get("/1"))
    answered = [statuses(tape.written) for _, tape in dialled]
    served = min(soft, hard)
    assert answered == [[200]] * served + [[503]] * (hard - served) + [[], []]
    assert [tape.calls for _, tape in dialled[hard:]] == [["close"]] * 2
    assert (port.metrics.sessions.active, port.metrics.sessions.peak) == (hard, hard)
    for connection, _ in dialled:
        connection.connection_lost(None)
    assert (port.metrics.sessions.active, port.metrics.sessions.peak) == (0, hard)
    connection, tape = port.dial()
    port.read(connection, get("/1"))
    assert statuses(tape.written) == ([200] if soft else [503])


def test_no_interface_takes_what_the_process_needs_itself() -> None:
    """The caps of all interfaces may add up to more than the process may open."""
    port = Port()
    port.node.sessions.most = 2
    dialled = [port.dial() for _ in range(4)]
    assert [tape.calls for _, tape in dialled] == [[], [], ["close"], ["close"]]
    dialled[0][0].connection_lost(None)
    _, tape = port.dial()
    assert tape.calls == []


@pytest.mark.parametrize(
    ("descriptors", "sessions"), [(1, 1), (100, 50), (1024, 768), (1 << 20, (1 << 20) - 256)]
)
def test_some_descriptors_are_kept(descriptors: int, sessions: int) -> None:
    assert sessions_max(descriptors) == sessions


def test_metrics_as_the_node_shows_them() -> None:
    node = NodeMetrics()
    limits = SessionLimits(max_open_sessions_soft=7, max_open_sessions_hard=9)
    first, second = node.add("a", limits), node.add("b", replace(limits, max_body_size=1))
    for metrics in (first, second, second):
        metrics.opened()
    second.closed()
    second.refused[Refusal.BODY_TOO_LARGE] += 1
    errors = {"parsing": 0, "request_payload_too_large": 0, "request_header_too_large": 0}
    caps = {"soft_cap": 7, "hard_cap": 9}
    assert node.document() == {
        "sessions": {
            "active": 2,
            "peak": 3,
            "interfaces": {
                "a": {"active": 1, "peak": 1, **caps, "errors": errors},
                "b": {
                    "active": 1,
                    "peak": 2,
                    **caps,
                    "errors": {**errors, "request_payload_too_large": 1},
                },
            },
        }
    }


def test_a_session_ends_once() -> None:
    metrics = InterfaceMetrics(SessionLimits())
    metrics.opened()
    metrics.closed()
    with pytest.raises(AssertionError, match="ends once"):
        metrics.closed()
