"""The loop itself, with real sockets: turns, timers, the worker, the host, how it ends."""

import os
import select
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from typing_extensions import override

from ledger.base.errors import MisuseError
from ledger.boundary.frames import TO_HOST, FrameDecoder, encode
from ledger.boundary.to_enclave import Persisted
from ledger.boundary.to_host import Append, Committed
from ledger.enclave.connections import Connection
from ledger.enclave.link import HOST_GONE, SWEEP_INTERVAL_MS, Link
from ledger.enclave.peers import Wire
from ledger.enclave.session_limits import SessionLimits
from ledger.enclave.system import SystemClock, SystemEntropy, raise_descriptor_limit
from ledger.endpoints.request import Request
from tests.unit.enclave.edge_support import Script, get, node_identity, statuses

DEADLINE_MS = 10_000
BRAKE_MS = 50


@pytest.fixture(name="link")
def _link() -> Iterator[Link]:
    link = Link(SystemClock())
    link.timers.every(DEADLINE_MS, lambda: link.stop("deadline"))
    yield link
    link.close()


def listener() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    return sock


def in_thread(function: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def receive_all(sock: socket.socket) -> bytes:
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_stop_says_why(link: Link) -> None:
    link.timers.wake_in(0)
    link.on_turn = lambda: link.stop("enough")
    outcome = link.run()
    assert (outcome.reason, outcome.error) == ("enough", None)
    link.stop("later")
    assert link.run().reason == "enough"


def test_exception_in_a_turn_ends_the_loop(link: Link) -> None:
    def break_down() -> None:
        raise ValueError("broken invariant")

    link.on_turn = break_down
    link.timers.wake_in(1)
    outcome = link.run()
    assert outcome.reason == "ValueError: broken invariant"
    assert outcome.error is not None
    assert "break_down" in outcome.error


def test_exception_in_a_timer_ends_the_loop(link: Link) -> None:
    def break_down() -> None:
        raise ValueError("broken invariant")

    link.every(1, break_down)
    assert link.run().reason == "ValueError: broken invariant"


def test_exception_in_the_worker_ends_the_loop(link: Link) -> None:
    def break_down() -> None:
        raise ValueError("no signature")

    link.run_in_thread(break_down, lambda _: None)
    outcome = link.run()
    assert outcome.reason == "ValueError: no signature"
    assert outcome.error is not None


def test_exception_in_a_completion_ends_the_loop(link: Link) -> None:
    def break_down(_result: int) -> None:
        raise ValueError("broken invariant")

    link.run_in_thread(lambda: 1, break_down)
    assert link.run().reason == "ValueError: broken invariant"


class Crowd:
    """Clients of one link in its own thread: they send waves from its turns.

    ``second`` is called for every request of the second wave with whether any answer of that wave
    could be read by then. With ``stop`` the link is stopped when that wave is sent.
    """

    def __init__(
        self, link: Link, size: int, second: Callable[[bool], None], *, stop: bool = False
    ) -> None:
        self.script = Script()
        self.script.before = self._handled
        self._link = link
        self._size = size
        self._second = second
        self._stop = stop
        self.wave = 0
        self._clients: list[socket.socket] = []
        server = listener()
        self._address = server.getsockname()
        link.listen("rpc", server, None, SessionLimits(), self.script)
        link.on_turn = self._turn
        link.timers.wake_in(0)

    def _handled(self, request: Request) -> None:
        if request.path == "/2":
            self._second(bool(select.select(self._clients, [], [], 0)[0]))

    def _turn(self) -> None:
        if not self._clients:
            self._clients = [socket.create_connection(self._address) for _ in range(self._size)]
        elif self.wave == 0 and self._link.metrics.sessions.active == self._size:
            self._send("/1")
        elif self.wave == 1 and len(self.script.seen) == self._size:
            assert all(statuses(client.recv(4096)) == [200] for client in self._clients)
            self._send("/2")
            if self._stop:
                self._link.stop("done")
        elif self.wave == 2 and len(self.script.seen) == 2 * self._size:
            self._link.stop("done")
        if self.wave == 0:
            self._link.timers.wake_in(1)

    def _send(self, path: str) -> None:
        self.wave += 1
        for client in self._clients:
            client.sendall(get(path))

    def close(self) -> list[bytes]:
        """Close the link and return what each client could still read."""
        self._link.close()
        answers = [receive_all(client) for client in self._clients]
        for client in self._clients:
            client.close()
        return answers


def test_crowd_is_handled_before_anybody_is_answered(link: Link) -> None:
    early: list[bool] = []
    crowd = Crowd(link, 5, early.append)
    assert link.run().reason == "done"
    assert early == [False] * 5
    assert link.reads == 10, "each wave of each client is a read, whatever the turns between"
    assert [statuses(answer) for answer in crowd.close()] == [[200]] * 5


def test_client_outside_a_crowd_is_answered_before_the_turn(link: Link) -> None:
    server = listener()
    link.listen("rpc", server, None, SessionLimits(), Script())
    client = socket.create_connection(server.getsockname())
    client.sendall(get("/1"))
    answered: list[bool] = []
    crowded: list[bool] = []

    def turn() -> None:
        if link.metrics.sessions.active:
            answered.append(bool(select.select([client], [], [], 0)[0]))
            if answered[-1]:
                crowded.append(link.arrived(Connection(link, lambda _: None)))
                link.stop("done")

    link.on_turn = turn
    assert link.run().reason == "done"
    assert set(crowded) == {False}
    assert statuses(client.recv(4096)) == [200]
    client.close()


def test_end_leaves_a_crowd_unserved(link: Link) -> None:
    crowd = Crowd(link, 3, lambda _: None, stop=True)
    assert link.run().reason == "done"
    assert crowd.close() == [b""] * 3
    assert [request.path for request in crowd.script.seen] == ["/1"] * 3


def test_turn_follows_a_crowd_without_anything_else(link: Link) -> None:
    seen: list[bool] = []

    def last(early: bool) -> None:
        seen.append(early)
        if len(seen) == 3:
            link.timers.cancel()  # only the crowd itself can want a turn now

    crowd = Crowd(link, 3, last)
    link.loop.call_later(DEADLINE_MS / 1000, link.stop, "no turn came")
    assert link.run().reason == "done"
    crowd.close()


@pytest.mark.parametrize(
    ("last", "limit"), [(3, 50), (1_000_000, 50), (2 * SWEEP_INTERVAL_MS, 10_000)]
)
def test_crowd_is_held_back_while_what_it_writes_cannot_commit(
    link: Link, last: int, limit: int
) -> None:
    asked = 0
    asked_before: set[int] = set()

    def brake_ms() -> int:
        nonlocal asked
        if crowd.wave < 2:
            return 0
        asked += not link._in_turn
        return limit if asked <= last else 0

    crowd = Crowd(link, 3, lambda _: asked_before.add(asked))
    link.brake_ms = brake_ms
    assert link.run().reason == "done", "it is served in the end"
    assert asked_before == {min(last, limit) + 1}
    assert [statuses(answer) for answer in crowd.close()] == [[200]] * 3


def test_lone_client_is_held_back_too(link: Link) -> None:
    waits: list[int] = []

    def brake_ms() -> int:
        if crowd.wave == 2:
            waits.append(BRAKE_MS if len(waits) < 3 else 0)
            return waits[-1]
        return BRAKE_MS  # from the turn before on

    crowd = Crowd(link, 1, lambda _: None)
    link.brake_ms = brake_ms
    assert link.run().reason == "done"
    assert waits[:4] == [BRAKE_MS] * 3 + [0], "it was asked until it said no"
    assert [statuses(answer) for answer in crowd.close()] == [[200]]


def test_turn_takes_along_what_was_read_before_it(link: Link) -> None:
    events: list[str] = []

    class Noted(Connection):
        @override
        def take(self) -> None:
            events.append("take")

    connection = Noted(link, lambda _: None)

    def turn() -> None:
        events.append("turn")
        if len(events) == 1:  # two reads make a crowd
            link.arrived(connection)
            link.arrived(connection)
        elif len(events) == 2:
            link.want_turn()
            assert link.arrived(connection)
        else:
            link.stop("done")

    link.on_turn = turn
    link.timers.wake_in(0)
    assert link.run().reason == "done"
    assert events == ["turn", "turn", "take", "turn"]


def test_exception_in_a_crowd_ends_the_loop(link: Link) -> None:
    def break_down(_early: bool) -> None:
        raise ValueError("broken invariant")

    crowd = Crowd(link, 3, break_down)
    assert link.run().reason == "ValueError: broken invariant"
    handled = len(crowd.script.seen)
    crowd.close()
    assert len(crowd.script.seen) == handled, "nothing is served behind a broken invariant"


def test_worker_runs_elsewhere_in_order_and_completes_on_the_loop(link: Link) -> None:
    threads: set[int] = set()
    results: list[int] = []

    def work(number: int) -> int:
        threads.add(threading.get_ident())
        return number * number

    def done(result: int) -> None:
        assert threading.get_ident() not in threads
        results.append(result)

    for number in range(50):
        link.run_in_thread(lambda number=number: work(number), done)  # type: ignore[misc]
    link.on_turn = lambda: link.stop("done") if len(results) == 50 else None
    assert link.run().reason == "done"
    assert results == [number * number for number in range(50)]
    assert len(threads) == 1


def test_timer_repeats_and_makes_nothing_up(link: Link) -> None:
    clock = SystemClock()
    fired: list[float] = []

    def tick() -> None:
        fired.append(clock.monotonic_ms())
        if len(fired) == 1:
            until = clock.monotonic_ms() + 60
            while clock.monotonic_ms() < until:
                pass
        if len(fired) == 5:
            link.stop("done")

    begin = clock.monotonic_ms()
    link.every(10, tick)
    assert link.run().reason == "done"
    # One at 10, held up until 70, one at once, the others 10 apart; made up, it were 5 by 80.
    assert fired[-1] - begin >= 95


def test_every_timer_has_its_turn(link: Link) -> None:
    turns: list[int] = []
    ticks: list[int] = []
    link.on_turn = lambda: turns.append(len(ticks))
    link.every(25, lambda: ticks.append(1) if len(ticks) < 5 else link.stop("done"))
    link.run()
    assert set(turns) >= {1, 2, 3, 4, 5}


def test_earliest_alarm_wins_and_rings_once(link: Link) -> None:
    clock = SystemClock()
    rung: list[float] = []
    begin = clock.monotonic_ms()
    link.on_turn = lambda: rung.append(clock.monotonic_ms() - begin)
    link.wake_in(5000)
    link.wake_in(20)
    link.wake_in(3000)
    link.every(200, lambda: link.stop("done"))
    link.run()
    early = [at for at in rung if at < 150]
    assert len(early) == 1
    assert early[0] >= 19


def test_host_frames_and_turns(link: Link) -> None:
    ours, host = socket.socketpair()
    seen: list[object] = []
    link.attach_host(ours, lambda message, _tail, _passed: seen.append(message))

    def turn() -> None:
        if seen:
            link.send_host(encode(Committed(len(seen))))
            if len(seen) >= 3:
                link.stop("done")

    link.on_turn = turn
    host.sendall(b"".join(encode(Persisted(1, 0))) * 3)
    assert link.run().reason == "done"
    link.send_host(encode(Committed(99)))
    link.close()
    messages = [message for message, _ in FrameDecoder(TO_HOST).feed(receive_all(host))]
    assert messages == [Committed(3), Committed(99)]
    host.close()


def test_slow_host_gets_everything_in_the_end(link: Link) -> None:
    ours, host = socket.socketpair()
    link.attach_host(ours, lambda _message, _tail, _passed: link.stop("done"))
    tail = bytes(1 << 20)
    for seqno in range(1, 9):
        link.send_host(encode(Append(seqno, 1, sync=False), [tail]))
    channel = link._host
    assert channel is not None
    assert channel.queued_size > 8 * len(tail)
    got: list[object] = []

    def be_slow() -> None:
        decoder = FrameDecoder(TO_HOST)
        while len(got) < 8:
            got.extend(message for message, _ in decoder.feed(host.recv(50_000)))
        host.sendall(b"".join(encode(Persisted(8, 0))))

    thread = in_thread(be_slow)
    assert link.run().reason == "done"
    thread.join(10)
    assert got == [Append(seqno, 1, sync=False) for seqno in range(1, 9)]
    assert channel.queued_size == 0
    host.close()


def test_end_of_the_host_is_the_end(link: Link) -> None:
    ours, host = socket.socketpair()
    link.attach_host(ours, lambda *_: None)
    host.close()
    outcome = link.run()
    assert (outcome.reason, outcome.error) == (HOST_GONE, None)


def test_host_that_breaks_the_protocol_is_the_end(link: Link) -> None:
    ours, host = socket.socketpair()
    link.attach_host(ours, lambda *_: None)
    host.sendall(b"\xff" * 64)
    outcome = link.run()
    assert outcome.reason.startswith("FormatError: ")
    assert outcome.error is not None
    host.close()


def test_exception_of_a_dispatcher_ends_the_loop(link: Link) -> None:
    sock = listener()
    address = sock.getsockname()
    script = Script()

    def break_down(_request: object) -> None:
        raise OSError("of ours")

    script.before = break_down
    link.listen("rpc", sock, None, SessionLimits(), script)
    with socket.create_connection(address) as client:
        client.sendall(get("/1"))
        assert link.run().reason == "OSError: of ours"


def test_all_that_is_readable_is_followed_by_one_turn(link: Link) -> None:
    sock = listener()
    address = sock.getsockname()
    script = Script()
    link.listen("rpc", sock, None, SessionLimits(), script)
    clients = [socket.create_connection(address) for _ in range(20)]
    turns: list[int] = []

    def turn() -> None:
        if len(script.seen) == 20 and not turns:
            turns.append(0)
            for number, client in enumerate(clients):
                client.sendall(get(f"/late/{number}"))
        elif len(script.seen) > 20:
            turns.append(len(script.late))
            for request in tuple(script.late):
                script.finish(request.path)
            if len(script.seen) == 40:
                link.stop("done")

    link.on_turn = turn
    for client in clients:
        client.sendall(get("/1"))
    assert link.run().reason == "done"
    assert turns == [0, 20]
    for client in clients:
        assert statuses(client.recv(1000)) == [200, 200]
        client.close()


def test_listening_goes_on_and_ends_while_the_loop_runs(link: Link) -> None:
    sock = listener()
    address = sock.getsockname()
    link.every(5, lambda: link.stop("done") if not thread.is_alive() else None)
    answers: list[bytes] = []

    def serve() -> None:
        link.timers.wake_in(0)
        link.on_turn = lambda: None
        link.listen("late", sock, None, SessionLimits(), Script())

    def ask() -> None:
        with socket.create_connection(address) as client:
            client.sendall(get("/1", "connection: close"))
            answers.append(receive_all(client))

    link.on_turn = serve
    link.wake_in(1)
    thread = in_thread(ask)
    assert link.run().reason == "done"
    assert statuses(answers[0]) == [200]
    link.stop_accepting()
    link.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_certificate_for_a_plain_or_unknown_interface_is_a_mistake(link: Link) -> None:
    link.listen("plain", listener(), None, SessionLimits(), Script())
    for name in ("plain", "other"):
        with pytest.raises(MisuseError):
            link.set_certificate(name, node_identity())


class Echo:
    """A handler of a node connection that returns what it hears."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.heard = b""
        self.ended = ""

    def received(self, data: bytes) -> None:
        self.heard += data
        if data == b"quit":
            self.wire.close()
        else:
            self.wire.write(data)

    def lost(self, reason: str) -> None:
        self.ended = reason


def test_node_connections_both_ways(link: Link) -> None:
    sock = listener()
    handlers: list[Echo] = []

    def opened(wire: Wire) -> Echo:
        handlers.append(Echo(wire))
        return handlers[-1]

    link.listen_peers(sock, opened)
    far = listener()
    dialled = socket.create_connection(far.getsockname())
    other, _ = far.accept()
    dialled.setblocking(False)
    link.adopt_peer(dialled, opened, link.stop)
    client = socket.create_connection(sock.getsockname())
    heard: list[bytes] = []

    def talk() -> None:
        for end in (client, other):
            end.sendall(b"hello")
            heard.append(end.recv(100))
            end.sendall(b"quit")

    def both_ended() -> bool:
        return len(handlers) == 2 and all(handler.ended for handler in handlers)

    thread = in_thread(talk)
    link.on_turn = lambda: link.stop("done") if both_ended() else None
    assert link.run().reason == "done"
    thread.join(10)
    assert heard == [b"hello", b"hello"]
    assert {handler.heard for handler in handlers} == {b"helloquit"}
    for end in (client, other, far):
        end.close()


def test_refused_node_connection_is_closed(link: Link) -> None:
    sock = listener()
    link.listen_peers(sock, lambda _wire: None)
    client = socket.create_connection(sock.getsockname())
    client.setblocking(False)
    ends: list[bytes] = []

    def look() -> None:
        try:
            ends.append(client.recv(1))
        except BlockingIOError:
            return
        link.stop("done")

    link.every(5, look)
    assert link.run().reason == "done"
    assert ends == [b""]
    client.close()


def test_clock_and_entropy_of_the_system() -> None:
    clock = SystemClock()
    first = clock.monotonic_ms()
    assert clock.monotonic_ms() >= first
    assert clock.unix_seconds() > 1_700_000_000
    entropy = SystemEntropy()
    assert len(entropy.random_bytes(33)) == 33
    assert entropy.random_bytes(16) != entropy.random_bytes(16)


def test_descriptor_limit_is_raised() -> None:
    assert raise_descriptor_limit() >= os.sysconf("SC_OPEN_MAX") > 0
