"""One client connection: bytes in, bytes out, no socket and no clock.

A session decrypts, parses, hands requests to the dispatcher and answers in order. All requests
of one read are handled in one go and leave as one TLS write. The work comes in three stages, so
that a loop can take all its sessions through one stage before the next. Rules:

* A request whose answer comes late holds back the answers behind it, not their handling.
* Nothing piles up: with too many answers owed or unread by the client, the session stops
  parsing and asks for the wire to be left unread (``reading``), until they drain.
* The last answer (a refusal, ``connection: close``, the dispatcher's wish, the client's half
  close) is followed by ``close_notify``; then input is dropped for a while, because a socket
  closed with unread bytes is reset and the reset could overtake the answer.
* Progress is a finished request, an answer that left, or a fair piece of a body; single bytes
  are not. Without it the session ends after the idle time.

Worked session::

    session.take(data)              # after every read
    session.advance()
    wire.write(session.output())
    if session.attention: ...       # reading, backlog or state have changed
    wire.write(session.flush())     # when the ``Wire`` was told that answers wait
    session.sweep(elapsed_ms)       # now and then; may end the session
"""

import enum
from typing import Protocol

from ledger.enclave.answers import AnswerQueue
from ledger.enclave.http import RequestParser
from ledger.enclave.http_response import CLOSE, CONTINUE, KEEP_ALIVE, NO_OPTION, encode
from ledger.enclave.session_limits import (
    HANDSHAKE_TIME_MAX_MS,
    LINGER_TIME_MAX_MS,
    InterfaceMetrics,
    Refusal,
)
from ledger.enclave.tls_types import TlsSession
from ledger.endpoints.errors import Code, error
from ledger.endpoints.request import Dispatcher, Request
from ledger.endpoints.response import Response

PARSE_SIZE_MAX = 16 * 1024
"""Plaintext parsed before the bounds are looked at again: at most some 900 smallest requests."""

OUTPUT_SIZE_MAX = 1 << 20
"""Bytes of answers made in one go; the rest of the requests waits for the next turn."""

REQUESTS_PER_TURN_MAX = 512
"""Requests of one session handled in one loop turn, so that the others get theirs. Soft: what
was parsed together is handled together."""

BODY_PROGRESS_SIZE = 16 * 1024
"""Body bytes that count as progress: 16 KiB per idle time is slower than any honest line."""


class State(enum.Enum):
    """How far a session is."""

    SERVING = "serving"
    LINGERING = "lingering"
    """The last answer is out; input is dropped until the client closes or the time is up."""
    OVER = "over"
    """The connection is to be closed at once."""


class Wire(Protocol):
    """The connection under a session."""

    def answers_wait(self) -> None:
        """``flush`` of the session has something to give; call it once this turn is over."""
        ...


class HttpSession:
    """Serves one connection. Implements ``ledger.endpoints.request.Session``.

    Attributes:
        interface: Name of the RPC interface.
        pinned_view: For the dispatcher, see the protocol.
        forwarded: For the dispatcher, see the protocol.
        state: How far the session is.
        reading: Whether the wire should be read.
        backlog: Whether ``flush`` should be called on the next turn without further cause.
        attention: One of the three changed since the wire looked; the wire resets it.
    """

    __slots__ = (
        "_answers", "_close_asked", "_dispatcher",
        "_final_request", "_idle_ms", "_input_ended", "_metrics", "_no_more", "_over_soft_cap",
        "_parser", "_progress", "_seen_body", "_tls", "_unparsed", "_unparsed_at", "_wire",
        "_writable", "attention", "backlog", "forwarded", "interface", "pinned_view", "reading",
        "state",
    )  # fmt: skip

    def __init__(
        self,
        interface: str,
        tls: TlsSession,
        dispatcher: Dispatcher,
        metrics: InterfaceMetrics,
        wire: Wire,
        *,
        over_soft_cap: bool = False,
    ) -> None:
        self.interface = interface
        self.pinned_view = 0
        self.forwarded = False
        self.state = State.SERVING
        self.reading = True
        self.backlog = False
        self.attention = False
        self._tls = tls
        self._dispatcher = dispatcher
        self._metrics = metrics
        self._wire = wire
        self._over_soft_cap = over_soft_cap
        self._parser = RequestParser(metrics.limits, self)
        self._answers = AnswerQueue()
        self._unparsed = b""
        self._unparsed_at = 0
        self._final_request: Request | None = None
        self._no_more = False
        self._close_asked = False
        self._input_ended = False
        self._writable = True
        self._progress = False
        self._seen_body = 0
        self._idle_ms = 0.0
        metrics.opened()

    # -- for the dispatcher ------------------------------------------------------------

    def peer_certificate(self) -> bytes | None:
        """Return the DER of the client's certificate, or None when it sent none."""
        return self._tls.peer_certificate()

    def complete(self, request: Request, response: Response) -> None:
        """Send the late answer of a request whose handling returned None."""
        if request not in self._answers.owed:
            assert self._no_more, "a late answer belongs to a request that waits for one"
            return
        if self._close_asked:
            self._end_with(request)
        self._answers.complete(request, self._encode(request, response))
        self._progress = True
        self._wire.answers_wait()

    def close_after_response(self) -> None:
        """End the connection once the answers up to the current request are sent.

        The current request is the one being handled, or else the one completed next. What
        the client sent behind it is not answered.
        """
        self._close_asked = True

    # -- for the wire ------------------------------------------------------------------

    def take(self, data: bytes) -> None:
        """Decrypt and parse what was read."""
        if self.state is not State.SERVING:
            return
        plaintext = self._tls.feed(data)
        if plaintext and not self._no_more:
            if self._unparsed or len(plaintext) > PARSE_SIZE_MAX:
                self._unparsed = self._unparsed[self._unparsed_at :] + plaintext
                self._unparsed_at = 0
            else:
                self._parser.feed(plaintext)

    def advance(self) -> None:
        """Handle what was parsed, and go on with what was held back."""
        if self.state is not State.SERVING:
            return
        self._handle_parsed()
        tls = self._tls
        if tls.ended or tls.failure is not None:
            self._send()
            self.end_of_input()

    def output(self) -> bytes:
        """Encrypt the answers; return what is to be written, maybe nothing."""
        self._send()
        return self._tls.output()

    def end_of_input(self) -> None:
        """The client sends nothing more; what it sent is still answered."""
        self._input_ended = True
        tls = self._tls
        if self.state is State.SERVING and tls.established and tls.failure is None:
            self._settle()
        else:
            self._become(State.OVER)

    def flush(self) -> bytes:
        """Go on with what was held back and return what is to be written, maybe nothing."""
        self.advance()
        return self.output()

    def writable(self, writable: bool) -> None:
        """Say whether the wire takes more bytes; call ``flush`` after it became true."""
        self._writable = writable
        self._progress |= writable
        if self.state is State.SERVING:
            self._settle()

    def lost(self) -> None:
        """The connection is gone, said once. Answers that come later are dropped."""
        self._metrics.closed()
        self._become(State.OVER)

    def sweep(self, elapsed_ms: float) -> None:
        """Let time pass; a session without progress ends."""
        if self.state is State.OVER:
            return
        body_size = self._parser.body_size_total
        waits_for_us = self._answers.owed and self._writable
        if self._progress or waits_for_us or body_size - self._seen_body >= BODY_PROGRESS_SIZE:
            self._progress = False
            self._seen_body = body_size
            self._idle_ms = 0.0
            return
        self._idle_ms += elapsed_ms
        limit = self._patience_ms()
        if limit is not None and self._idle_ms >= limit:
            self._tls.close()
            self._become(State.OVER)

    # -- the work ----------------------------------------------------------------------

    def _patience_ms(self) -> float | None:
        """Return how long the session may go without progress."""
        limit = self._metrics.limits.idle_timeout_ms
        if not self._tls.established:
            return HANDSHAKE_TIME_MAX_MS if limit is None else min(limit, HANDSHAKE_TIME_MAX_MS)
        if self.state is State.LINGERING and self._writable:
            return LINGER_TIME_MAX_MS
        return limit

    def _handle_parsed(self) -> None:
        """Handle what is parsed and parse what is not, until all is done or a bound is met."""
        parser = self._parser
        budget, size = REQUESTS_PER_TURN_MAX, 0
        while not self._no_more and self._has_room() and budget > 0 and size < OUTPUT_SIZE_MAX:
            if parser.requests:
                requests, parser.requests = parser.requests, []
                handled, made = self._handle(requests)
                if not self._no_more:
                    parser.requests[:0] = requests[handled:]
                budget -= handled
                size += made
            elif self._unparsed:
                self._parse_piece()
            else:
                break
        if (
            parser.final or parser.requests or parser.wants_continue or self._unparsed
            or self._answers.owed or not self.reading
        ):  # fmt: skip
            self._settle()

    def _parse_piece(self) -> None:
        end = self._unparsed_at + PARSE_SIZE_MAX
        self._parser.feed(self._unparsed[self._unparsed_at : end])
        if end >= len(self._unparsed):
            self._unparsed = b""
            end = 0
        self._unparsed_at = end

    def _handle(self, requests: list[Request]) -> tuple[int, int]:
        """Handle requests until a bound is met.

        Returns:
            How many were handled, and the size of the answers made.
        """
        handle = self._over_cap if self._over_soft_cap else self._dispatcher.handle
        answers, parser = self._answers, self._parser
        owed, ready = answers.owed, answers.ready
        last = requests[-1] if parser.final and parser.refusal is None else None
        size = handled = 0
        self._progress = True
        for request in requests:
            response = handle(request)
            handled += 1
            if self._close_asked or request is last:
                self._end_with(request)
            if response is None:
                owed[request] = None
            else:
                answer = self._encode(request, response)
                size += len(answer)
                if owed:
                    answers.add(request, answer)
                else:
                    ready.append(answer)
            if self._no_more or size >= OUTPUT_SIZE_MAX or (owed and not answers.has_room):
                break
        return handled, size

    def _over_cap(self, _request: Request) -> Response:
        self._close_asked = True
        text = "Service is currently busy and unable to serve new connections"
        return error(503, Code.SESSION_CAP_EXHAUSTED, text)

    def _encode(self, request: Request, response: Response) -> bytes:
        connection = NO_OPTION
        if request is self._final_request:
            connection = CLOSE
        elif self._parser.keep_alive_asked:
            connection = KEEP_ALIVE
        return encode(response, connection, head=request.method == "HEAD")

    def _end_with(self, request: Request) -> None:
        """Make this the last request that is answered."""
        self._final_request = request
        self._close_asked = False
        self._answers.drop_behind(request)
        self._take_no_more()

    def _take_no_more(self) -> None:
        self._no_more = True
        self._parser.release()
        self._unparsed = b""
        self._unparsed_at = 0

    def _has_room(self) -> bool:
        return self._writable and self._answers.has_room

    def _settle(self) -> None:
        """Refuse, continue or end where it is due, and say whether to read on."""
        parser, answers = self._parser, self._answers
        pending = bool(parser.requests or self._unparsed)
        if not pending and not self._no_more:
            if parser.refusal is not None:
                self._refuse(parser.refusal)
            elif self._input_ended:
                self._take_no_more()
            elif parser.wants_continue and not answers.owed:
                parser.wants_continue = False
                answers.ready.append(CONTINUE)
        self._send()
        if self._no_more and not answers.owed:
            self._tls.close()
            self._become(State.OVER if self._input_ended else State.LINGERING)
            return
        reading = self._no_more or (not pending and self._has_room())
        backlog = pending and self._has_room()
        if (reading, backlog) != (self.reading, self.backlog):
            self.reading, self.backlog = reading, backlog
            self.attention = True

    def _send(self) -> None:
        if self._answers.ready:
            self._tls.send(self._answers.take())

    def _refuse(self, refusal: Refusal) -> None:
        self._metrics.refused[refusal] += 1
        answer = encode(self._parser.refusal_response(), CLOSE)
        # Nobody was asked: the request only holds the place in the queue.
        self._answers.add(Request("", "", "", {}, b"", self), answer)
        self._take_no_more()

    def _become(self, state: State) -> None:
        if self.state is not State.OVER:
            self.state = state
            self.reading = state is State.LINGERING
            self.backlog = False
            self.attention = True
            self._idle_ms = 0.0
        # Requests refer to the session: what is over should need no garbage collector.
        self._final_request = None
        self._take_no_more()
        self._answers.clear()
