"""The stretch between a session, which is pure, and a transport of the event loop.

``Connection`` has the methods that an event loop calls on a protocol, and the three stages that
the link takes what was read through; it knows no loop, so tests drive it by hand. ``Interface``
decides who is let in and counts.

Whatever a session or what it calls raises is a broken invariant of ours, never a client's doing:
it is reported to ``LoopSide.failed``, which ends the process. Errors of the network end up in
``connection_lost`` and end one connection.
"""

from collections.abc import Callable
from typing import Any, Protocol

from ledger.enclave.plain_session import PlainSession
from ledger.enclave.session_limits import InterfaceMetrics
from ledger.enclave.sessions import HttpSession, State, Wire
from ledger.enclave.tls import TlsContext
from ledger.endpoints.request import Dispatcher

CLOSE_TIME_MAX_MS = 10_000
"""A closed connection whose last bytes the client has not taken by then is aborted."""


OpenSession = Callable[[Wire], HttpSession | None]
"""Makes the session of a new connection, or None to close it at once."""


class Transport(Protocol):
    """What a connection needs of the event loop's transport."""

    def write(self, data: bytes) -> None:
        """Write, or queue what does not fit."""
        ...

    def write_eof(self) -> None:
        """End our side of the stream behind what is queued."""
        ...

    def close(self) -> None:
        """Close behind what is queued."""
        ...

    def abort(self) -> None:
        """Close now."""
        ...

    def pause_reading(self) -> None:
        """Stop reading."""
        ...

    def resume_reading(self) -> None:
        """Read again."""
        ...


class Flushing(Protocol):
    """Something on the loop that goes on in the next turn."""

    def flush(self) -> None:
        """Go on."""
        ...


class LoopSide(Protocol):
    """What connections ask of the link."""

    @property
    def over(self) -> bool:
        """Whether nothing is served any more."""
        ...

    @property
    def slowed(self) -> bool:
        """Whether clients have to wait, because they come faster than their writes can commit."""
        ...

    def arrived(self, connection: "Connection") -> bool:
        """Take what the connection has read through its stages, with that of the others.

        Returns:
            False when there are no others and nobody is slowed: then the connection does it, at
            once.
        """
        ...

    def want_turn(self) -> None:
        """Have ``on_turn`` run once what was read now is handled."""
        ...

    def flush_later(self, connection: "Flushing") -> None:
        """Call ``connection.flush`` in the next turn."""
        ...

    def opened(self, connection: "Connection") -> None:
        """Keep the connection and let time pass for it."""
        ...

    def closed(self, connection: "Connection") -> None:
        """Forget the connection."""
        ...

    def failed(self, error: BaseException) -> None:
        """Stop the process."""
        ...


class Connection:
    """One accepted connection; the event loop's protocol object."""

    __slots__ = ("_closing_ms", "_eof_sent", "_flush_asked", "_open", "_read", "_reading",
                 "_session", "_side", "_transport", "_waits")  # fmt: skip

    def __init__(self, side: LoopSide, open_session: OpenSession) -> None:
        self._side = side
        self._open = open_session
        self._session: HttpSession | None = None
        self._transport: Transport | None = None
        self._read = b""
        self._reading = True
        self._waits = False
        self._eof_sent = False
        self._flush_asked = False
        self._closing_ms: float | None = None

    # -- called by the event loop ------------------------------------------------------

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - the loop's own type
        """The connection is up."""
        side = self._side
        try:
            self._transport = transport
            session = self._open(self)
            if session is None:
                transport.close()
                return
            self._session = session
            side.opened(self)
            self._write(session.flush())
            self._attend(session)
        except BaseException as error:  # noqa: BLE001 - the edge: any error ends the process
            side.failed(error)

    def data_received(self, data: bytes) -> None:
        """Bytes were read: keep them until all that is readable now is read."""
        if self._read:  # a large request; what is held stays one read
            if self._side.slowed:
                self._read += data
                self._pause_reading()
                return
            self._catch_up()
            self._read = data
            return
        self._read = data
        self._waits = self._waits or self._side.arrived(self)
        if not self._waits:
            self._catch_up()

    def eof_received(self) -> bool:
        """The other side closed its direction; ours stays open until all is answered."""
        self._catch_up()
        session, side = self._session, self._side
        if session is not None:
            try:
                session.end_of_input()
                self._write(session.flush())
                self._attend(session)
            except BaseException as error:  # noqa: BLE001 - the edge: any error ends the process
                side.failed(error)
        return True

    def connection_lost(self, _reason: Exception | None) -> None:
        """The connection is gone, for whatever reason."""
        self._transport = None
        self._catch_up()  # what was sent before counts
        session, side = self._session, self._side
        self._session = None
        if session is not None:
            try:
                session.lost()
                side.closed(self)
            except BaseException as error:  # noqa: BLE001 - the edge: any error ends the process
                side.failed(error)

    def pause_writing(self) -> None:
        """More is queued than the transport likes."""
        if self._session is not None:
            self._session.writable(False)

    def resume_writing(self) -> None:
        """The transport takes more."""
        if self._session is not None:
            self._session.writable(True)
            self.answers_wait()

    # -- the stages of what was read, called by the link -------------------------------

    def take(self) -> None:
        """Decrypt and parse."""
        self._waits = False
        data, self._read = self._read, b""
        if data and self._session is not None:
            self._session.take(data)

    def handle(self) -> None:
        """Run the requests that are complete."""
        if self._session is not None:
            self._session.advance()

    def answer(self) -> None:
        """Encrypt and write the answers."""
        session = self._session
        if session is not None:
            self._write(session.output())
            if session.attention or session.backlog or not self._reading:
                self._attend(session)

    # -- called by the session and the link --------------------------------------------

    def answers_wait(self) -> None:
        """See ``Wire``."""
        if not self._flush_asked:
            self._flush_asked = True
            self._side.flush_later(self)

    def flush(self) -> None:
        """Write what the session has to say."""
        self._flush_asked = False
        session = self._session
        if session is None:
            return
        if session.backlog and self._side.slowed:
            self._waits = self._waits or self._side.arrived(self)
            if self._waits:
                self._write(session.output())  # only what was handled before
                return
        if not session.reading:  # requests were held back, and are handled now
            self._side.want_turn()
        self._write(session.flush())
        self._attend(session)

    def sweep(self, elapsed_ms: float) -> None:
        """Let time pass."""
        if self._read and self._side.slowed:
            return  # it waits for us
        self._catch_up()  # what was read in time counts as progress
        session, transport = self._session, self._transport
        if session is None or transport is None:
            return
        if self._closing_ms is not None:
            self._closing_ms += elapsed_ms
            if self._closing_ms >= CLOSE_TIME_MAX_MS:
                transport.abort()
            return
        session.sweep(elapsed_ms)
        if session.attention:
            self._write(session.flush())
            self._attend(session)

    def close(self) -> None:
        """Close the connection behind what is queued: the node stops."""
        if self._transport is not None:
            self._transport.close()

    # -- helpers -----------------------------------------------------------------------

    def _catch_up(self) -> None:
        """Take what was read through all stages now."""
        if self._read and not self._side.over:
            try:
                self.take()
                self.handle()
                self.answer()
            except BaseException as error:  # noqa: BLE001 - the edge: any error ends the process
                self._side.failed(error)

    def _pause_reading(self) -> None:
        self._reading = False
        if self._transport is not None:
            self._transport.pause_reading()

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None:
            self._transport.write(data)

    def _attend(self, session: HttpSession) -> None:
        """Carry out what the session wants of the wire."""
        transport = self._transport
        if transport is None:
            return
        session.attention = False
        if session.state is State.OVER:
            if self._closing_ms is None:
                self._closing_ms = 0.0
                transport.close()
            return
        if session.state is State.LINGERING and not self._eof_sent:
            self._eof_sent = True
            transport.write_eof()
        if session.reading is not self._reading:
            if session.reading:
                self._reading = True
                transport.resume_reading()
            else:
                self._pause_reading()
        if session.backlog:
            self.answers_wait()


class Interface:
    """One RPC interface: decides who is let in.

    Attributes:
        tls: Certificate of the interface; None serves plain TCP.
    """

    def __init__(
        self,
        name: str,
        tls: TlsContext | None,
        metrics: InterfaceMetrics,
        dispatcher: Dispatcher,
    ) -> None:
        self.tls = tls
        self._name = name
        self._metrics = metrics
        self._dispatcher = dispatcher

    def open_session(self, wire: Wire) -> HttpSession | None:
        """Let a connection in, or return None above a cap or without a certificate."""
        limits, active = self._metrics.limits, self._metrics.sessions.active
        if active >= limits.max_open_sessions_hard or self._metrics.total.is_full:
            return None
        tls = PlainSession() if self.tls is None else self.tls.session()
        if tls is None:
            return None
        over = active >= limits.max_open_sessions_soft
        return HttpSession(
            self._name, tls, self._dispatcher, self._metrics, wire, over_soft_cap=over
        )
