"""The event loop of the enclave process: sockets, timers, the worker thread, the host's frames.

Everything here is given capabilities, never names: listening sockets are inherited, connected
ones come from the host, and nothing is opened, bound or dialled. Worked session::

    link = Link(SystemClock())
    link.attach_host(pair, on_frame)            # on_frame(message, tail, socket or None)
    link.listen("primary", sock, TlsContext(backend), SessionLimits(), dispatcher)
    link.set_certificate("primary", Identity(chain_pem, key_pem))       # served from now on
    link.on_turn = runtime.turn
    link.every(10, tick)
    outcome = link.run()                                                # until ``stop``
    link.send_host(encode(Stopping(outcome.reason, code)))
    link.close()

**Stages.** While several clients speak at once, what is readable is read from all of them first,
then all of it is decrypted and parsed, then all requests are handled, then all answers are
encrypted and written. Whether they do is judged by the reads before the last turn. A read outside
a crowd is served at once. (``docs/decisions/0006``: code that runs again finds its caches warm.)

**Turns.** Whatever happens (bytes of a client, a frame of the host, a timer, a result of the
worker) has ``on_turn`` called once before the loop waits again, after everything that was
readable has been handled and answered. Answers completed inside it and frames queued by it leave
in the same turn. Nothing runs per request but the dispatcher.

**Failures.** Whatever a callback, a session or a job raises ends the loop: ``run`` returns with
``error`` set. There is no way on after a broken invariant.

uvloop opens an io_uring where the kernel lets it, only to save ``epoll_ctl`` calls, and works
without. A lock-down must make ``io_uring_setup`` fail with ENOSYS before a ``Link`` exists:
one that lets the ring be made and then refuses ``io_uring_enter`` kills the process.
"""

import asyncio
import socket
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import uvloop

from ledger.base.clock import Clock
from ledger.base.errors import MisuseError
from ledger.enclave.connections import Connection, Flushing, Interface
from ledger.enclave.host_channel import HostChannel, OnHostFrame
from ledger.enclave.peer_wires import OpenWire, PeerWire
from ledger.enclave.session_limits import NodeMetrics, SessionLimits, sessions_max
from ledger.enclave.streams import OnFailure, Streams
from ledger.enclave.system import raise_descriptor_limit
from ledger.enclave.timers import Timers
from ledger.enclave.tls import Identity, TlsContext
from ledger.enclave.worker import Worker
from ledger.endpoints.request import Dispatcher

T = TypeVar("T")

SWEEP_INTERVAL_MS = 250
"""How often time passes for sessions; the precision of their timeouts."""

_BRAKE_STEP_MS = 1

HOST_GONE = "the host process closed the channel"

_WORKER_STOP_S = 1.0
"""How long ``close`` waits for the worker to finish its job."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Why the loop ended.

    Attributes:
        reason: One sentence.
        error: Traceback of what broke, or None when nothing did.
    """

    reason: str
    error: str | None = None


class Link:
    """The loop and all that hangs on it.

    Attributes:
        on_turn: Called once per loop turn in which something happened.
        brake_ms: How long what clients have sent may be held back now, because they come faster
            than what they write can be signed or committed; 0 not at all.
        metrics: Counters of all sessions.
        reads: How often something was read from clients so far; while a client is held back, what
            it sends further does not count.
        timers: ``every`` and ``wake_in``.
    """

    def __init__(self, clock: Clock) -> None:
        self.on_turn: Callable[[], None] = _nothing
        self.brake_ms: Callable[[], int] = _no_brake
        self.metrics = NodeMetrics()
        self._turn_wanted = False
        self._in_turn = False
        self._clock = clock
        self._loop = uvloop.new_event_loop()
        self._loop.set_exception_handler(self._loop_failed)
        self._interfaces: dict[str, Interface] = {}
        self._streams = Streams(self._loop, self.failed)
        self._arrived: list[Connection] = []
        self.reads = 0
        self._reads_before = 0
        self._crowded = False
        self._slowed = False
        self._held_ms = 0
        self._serve_asked = False
        self._to_flush: list[Flushing] = []
        self._host: HostChannel | None = None
        self._host_watched = False
        self._worker: Worker | None = None
        self._outcome: Outcome | None = None
        self.timers = Timers(self._loop, self.want_turn)
        self._swept_at = clock.monotonic_ms()
        self.timers.every(SWEEP_INTERVAL_MS, self._sweep)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop, for what runs beside the connections: the script process."""
        return self._loop

    # -- clients and other nodes -------------------------------------------------------

    def listen(
        self,
        name: str,
        sock: socket.socket,
        tls: TlsContext | None,
        limits: SessionLimits,
        dispatcher: Dispatcher,
    ) -> None:
        """Serve HTTP on an inherited listening socket.

        Args:
            name: Of the interface, unique.
            sock: The socket, owned by the link from now on.
            tls: Where the certificate will be. Connections are closed before the handshake
                until it is there. None serves plain TCP at once.
            limits: Bounds of its sessions.
            dispatcher: What requests are handed to.
        """
        interface = Interface(name, tls, self.metrics.add(name, limits), dispatcher)
        self._interfaces[name] = interface
        self._streams.serve(sock, lambda: Connection(self, interface.open_session))

    def set_certificate(self, name: str, identity: Identity) -> None:
        """Serve this certificate to the connections that an interface accepts from now on.

        Raises:
            MisuseError: no interface of this name has TLS.
            FormatError: certificate and key do not parse or do not belong together.
        """
        interface = self._interfaces.get(name)
        if interface is None or interface.tls is None:
            raise MisuseError(f"got certificate for {name!r}, which is no interface with TLS")
        interface.tls.replace(identity)

    def listen_peers(self, sock: socket.socket, accept: OpenWire) -> None:
        """Accept connections of other nodes on an inherited listening socket."""
        self._streams.serve(sock, lambda: PeerWire(self, accept, self._streams.accepted))

    def adopt_peer(self, sock: socket.socket, opened: OpenWire, failed: OnFailure) -> None:
        """Run a node connection on a connected socket that the host handed over.

        Args:
            sock: The socket, owned by the link from now on.
            opened: Called with the wire, soon, unless the other side is gone already.
            failed: Called with the reason instead of ``opened`` then.
        """
        wire = PeerWire(self, opened, self._streams.dialled)
        wire.keep()  # whom we dialled makes no room for others
        self._streams.adopt(sock, wire, failed)

    def stop_accepting(self) -> None:
        """Close the listening sockets; connections that are up go on."""
        self._streams.stop_accepting()

    # -- the host ----------------------------------------------------------------------

    def attach_host(self, pair: socket.socket, on_frame: OnHostFrame) -> None:
        """Exchange frames with the host over our end of the socket pair."""
        assert self._host is None, "there is one host"
        self._host = HostChannel(pair, on_frame)
        self._loop.add_reader(self._host.descriptor, self._host_readable)

    def send_host(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Queue one frame, in pieces; it leaves at the end of this turn."""
        assert self._host is not None, "the host is attached before frames are sent"
        self._host.send(pieces)
        if not self._in_turn:
            self.want_turn()

    # -- time and work -----------------------------------------------------------------

    def every(self, interval_ms: float, callback: Callable[[], None]) -> None:
        """Call back again and again, never twice for one interval; missed ones are not made up."""
        self.timers.every(interval_ms, callback)

    def wake_in(self, delay_ms: float) -> None:
        """Have a turn happen after this time at the latest."""
        self.timers.wake_in(delay_ms)

    def run_in_thread(self, function: Callable[[], T], done: Callable[[T], None]) -> None:
        """Run ``function`` in the worker thread, in order, and ``done`` on the loop."""
        if self._worker is None:
            self._worker = Worker(self._hand_back, self._worker_failed)
        self._worker.submit(function, done)

    # -- beginning and end -------------------------------------------------------------

    def run(self) -> Outcome:
        """Run the loop until ``stop`` or a failure."""
        self.metrics.sessions.most = sessions_max(raise_descriptor_limit())
        if self._outcome is None:
            self._loop.run_forever()
        assert self._outcome is not None, "only an outcome ends the loop"
        return self._outcome

    def stop(self, reason: str) -> None:
        """End ``run`` after this turn. The first reason counts."""
        self._end(Outcome(reason))

    def fail(self, reason: str) -> None:
        """End ``run`` because the node cannot go on, for a reason that is no defect of ours."""
        self._end(Outcome(reason, reason))

    def close(self) -> None:
        """Close everything, after ``run``. Frames that are queued still leave."""
        assert not self._loop.is_running(), "the loop ends first"
        if self._loop.is_closed():
            return
        self.on_turn = _nothing
        self.timers.cancel()
        self._loop.run_until_complete(self._streams.close())
        if self._worker is not None:
            self._worker.stop(_WORKER_STOP_S)
        if self._host is not None:
            self._loop.remove_reader(self._host.descriptor)
            self._loop.remove_writer(self._host.descriptor)
            self._host.flush_and_close()
            self._host = None
        self._loop.close()

    # -- what connections ask for, see ``LoopSide`` ------------------------------------

    def arrived(self, connection: Connection) -> bool:
        """See ``LoopSide``. There are others, or it has to wait, if it was so in the last turn."""
        self.reads += 1
        if not self._crowded:
            self.want_turn()
            return False
        self._arrived.append(connection)
        self._serve_later()
        return True

    @property
    def slowed(self) -> bool:
        """See ``LoopSide``. As of the last turn."""
        return self._slowed

    @property
    def over(self) -> bool:
        """Whether the end is decided: nothing is served any more."""
        return self._outcome is not None

    def want_turn(self) -> None:
        """Have ``on_turn`` run once what was read now is handled."""
        if not self._turn_wanted:
            self._turn_wanted = True
            self._loop.call_soon(self._turn)

    def flush_later(self, connection: Flushing) -> None:
        """Call ``connection.flush`` in the next turn."""
        self._to_flush.append(connection)
        if not self._in_turn:
            self.want_turn()

    def opened(self, connection: Connection) -> None:
        """Keep the connection and let time pass for it."""
        self._streams.opened(connection)

    def closed(self, connection: Connection) -> None:
        """Forget the connection."""
        self._streams.closed(connection)

    def failed(self, error: BaseException) -> None:
        """End the loop because of a broken invariant."""
        text = "".join(traceback.format_exception(error))
        self._end(Outcome(f"{type(error).__name__}: {error}", text))

    # -- the stages and the turn -------------------------------------------------------

    def _serve_later(self) -> None:
        """Have the crowd served once all that is readable now is read, or a step later."""
        if not self._serve_asked:
            self._serve_asked = True
            if self._held_ms:
                self._loop.call_later(_BRAKE_STEP_MS / 1000, self._serve_crowd)
            else:
                self._loop.call_soon(self._serve_crowd)

    def _serve_crowd(self) -> None:
        self._serve_asked = False
        if not self._arrived:
            return  # a turn came first and took them along
        if self._held_ms < self.brake_ms():
            self._slowed = True
            self._held_ms += _BRAKE_STEP_MS
            self._serve_later()
            return
        self._held_ms = 0
        self._serve()
        # Not at once: these answers leave first, and what has come meanwhile is read.
        self.want_turn()

    def _serve(self) -> None:
        arrived, self._arrived = self._arrived, []
        if self.over:
            return
        try:
            for connection in arrived:
                connection.take()
            for connection in arrived:
                connection.handle()
            for connection in arrived:
                connection.answer()
        except BaseException as error:  # noqa: BLE001 - the edge: any error ends the process
            self.failed(error)

    def _end(self, outcome: Outcome) -> None:
        if self._outcome is None:
            self._outcome = outcome
            if self._loop.is_running():
                self._loop.call_soon(self._loop.stop)
        elif self._outcome.error is None and outcome.error is not None:
            self._outcome = outcome

    def _turn(self) -> None:
        self._turn_wanted = False
        if self._arrived and not self._slowed:  # something else wanted the turn before them
            self._serve()
        self._in_turn = True
        self._slowed = self._held_ms > 0 or self.brake_ms() > 0
        self._crowded = self.reads - self._reads_before > 1 or self._slowed
        self._reads_before = self.reads
        try:
            self._flush_connections()
            self.on_turn()
            self._flush_connections()
            if self._to_flush:
                self.want_turn()
            if self._host is not None and self._host.wants_to_write:
                self._write_host(self._host)
        except BaseException as error:  # noqa: BLE001 - the edge: any error ends the process
            self.failed(error)
        self._in_turn = False

    def _flush_connections(self) -> None:
        # What a flush adds (a backlog of pipelined requests) waits for the next turn.
        connections, self._to_flush = self._to_flush, []
        for connection in connections:
            connection.flush()

    def _write_host(self, host: HostChannel) -> None:
        try:
            host.write()
        except (BrokenPipeError, ConnectionResetError):
            self.stop(HOST_GONE)
            return
        if host.wants_to_write != self._host_watched:
            self._host_watched = host.wants_to_write
            if self._host_watched:
                self._loop.add_writer(host.descriptor, self.want_turn)
            else:
                self._loop.remove_writer(host.descriptor)

    def _host_readable(self) -> None:
        assert self._host is not None, "the reader goes with the channel"
        self.want_turn()
        try:
            if not self._host.read():
                self._loop.remove_reader(self._host.descriptor)
                self.stop(HOST_GONE)
        except BaseException as error:  # noqa: BLE001 - the edge: any error ends the process
            self._loop.remove_reader(self._host.descriptor)
            self.failed(error)

    def _sweep(self) -> None:
        now = self._clock.monotonic_ms()
        elapsed, self._swept_at = now - self._swept_at, now
        self._streams.sweep(elapsed)

    def _hand_back(self, done: Callable[[Any], None], result: object) -> None:
        self._loop.call_soon_threadsafe(self._worker_done, done, result)

    def _worker_done(self, done: Callable[[Any], None], result: object) -> None:
        self.want_turn()
        done(result)

    def _worker_failed(self, error: BaseException) -> None:
        self._loop.call_soon_threadsafe(self.failed, error)

    def _loop_failed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and "transport" in context:
            return  # the network's: the connection is lost and told so. Ours never get here
        self.failed(error or RuntimeError(context.get("message", "the event loop failed")))


def _no_brake() -> int:
    return 0


def _nothing() -> None:
    """Do nothing, until somebody wants turns."""
