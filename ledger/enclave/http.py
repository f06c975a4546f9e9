"""HTTP/1.1 requests out of a byte stream, with limits and without leniency.

``httptools`` (llhttp in strict mode) reads the grammar. This module adds what it leaves open:
the bounds of the interface, one reading of every request (only ``chunked`` as transfer coding,
only HTTP/1.0 and 1.1, one ``host``, no body behind an upgrade), and the form of the target.
Whatever the bytes, the outcome is requests and at most one refusal, after which nothing is read.

An upgrade is never made: the request is answered as an ordinary one, or refused where its body
could be taken for another protocol.
"""

from typing import NoReturn

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from ledger.enclave.http_heads import KnownHeads
from ledger.enclave.session_limits import HEAD_LINES_SIZE_MAX, Refusal, SessionLimits
from ledger.endpoints.errors import Code, error
from ledger.endpoints.request import Request, Session
from ledger.endpoints.response import TEXT, Response

FRAGMENT_SIZE_MAX = 4096
"""Most bytes of what did not parse that are shown to the client who sent it."""

_METHODS = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
}
_HEAD_IN_THIS_FEED = -1
_SCHEMES = ("http://", "https://")


class _RefusedError(Exception):
    """Ends a parser's run from inside a callback; the reason is in the parser already."""


class RequestParser:
    """Bytes in, requests out, for one session.

    Attributes:
        requests: Complete requests, oldest first. The caller takes them away.
        final: Nothing more will be parsed: the client asked to close, or see ``refusal``.
        refusal: Why the rest was refused, or None.
        wants_continue: The client waits for ``100 Continue`` before it sends the body.
        keep_alive_asked: An HTTP/1.0 client asked to keep the connection.
        body_size_total: Body bytes received so far, of all requests; a measure of progress.
    """

    __slots__ = (
        "_body",
        "_body_size",
        "_body_size_max",
        "_body_wire_size",
        "_count",
        "_count_max",
        "_fragment",
        "_head_size",
        "_head_size_max",
        "_headers",
        "_heads",
        "_in_body",
        "_in_message",
        "_parser",
        "_partial_line",
        "_path",
        "_query",
        "_reason",
        "_session",
        "_size_max",
        "_target",
        "body_size_total",
        "final",
        "keep_alive_asked",
        "refusal",
        "requests",
        "wants_continue",
    )  # fmt: skip

    def __init__(self, limits: SessionLimits, session: Session) -> None:
        self._size_max = limits.max_header_size
        self._count_max = limits.max_headers_count
        self._head_size_max = HEAD_LINES_SIZE_MAX + 2 * limits.max_header_size
        self._body_size_max = limits.max_body_size
        self._session: Session | None = session
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self._partial_line = 0
        self._heads = KnownHeads()
        self._fragment = b""
        self._reason = ""
        self.requests: list[Request] = []
        self.final = False
        self.refusal: Refusal | None = None
        self.wants_continue = False
        self.keep_alive_asked = False
        self.body_size_total = 0
        self.on_message_begin()
        self._in_message = False

    def feed(self, data: bytes) -> None:
        """Parse; requests and the refusal are attributes then."""
        if self.final:
            return
        assert self._parser is not None, "a released parser is not fed"
        before = len(self.requests)
        at_start = not self._in_message
        if at_start:
            assert self._session is not None, "a released parser is not fed"
            taken = self._heads.take(data, self._session, self.requests)
            if taken:
                self.body_size_total += sum([len(each.body) for each in self.requests[before:]])
                data = data[taken:]
                before = len(self.requests)
        rest = data
        while rest:
            try:
                self._parser.feed_data(rest)
                break
            except HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
            except HttpParserError as problem:
                if not self.final:
                    self._note(Refusal.PARSING, str(problem))
                # A middleman may carry several clients on one connection: nobody is shown what
                # could be the whole request of somebody else.
                if len(self.requests) == before:
                    self._fragment = data[:FRAGMENT_SIZE_MAX]
                return
        if at_start and len(self.requests) > before:
            self._heads.learn(data, self.requests[before])
        if self._in_body:
            self._bound_overhead(len(data))
        elif self._head_size:
            self._bound_partial_line(rest)

    def release(self) -> None:
        """Forget what refers back to this object: feeding is over."""
        self.final = True
        self.requests = []
        self._parser = None
        self._session = None

    def refusal_response(self) -> Response:
        """Return the answer to a refused request."""
        match self.refusal:
            case Refusal.BODY_TOO_LARGE:
                text = f"HTTP request body is too large (max size allowed: {self._body_size_max})"
                return error(413, Code.REQUEST_BODY_TOO_LARGE, text)
            case Refusal.HEADER_TOO_LARGE:
                return error(431, Code.REQUEST_HEADER_TOO_LARGE, self._reason)
            case _:
                text = (
                    "Unable to parse data as a HTTP request. "
                    f"Error message is: {self._reason}\nError occurred while parsing fragment:\n"
                )
                return Response(400, text.encode() + self._fragment, TEXT)

    # -- called by httptools -----------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        if self.final:
            raise _RefusedError
        self._target = b""
        self._path = self._query = ""
        self._headers: dict[bytes, bytes] = {}
        self._count = 0
        self._head_size = 0
        self._body: bytes | list[bytes] = b""
        self._body_size = 0
        self._body_wire_size = 0
        self._in_message = True  # from the first letter of the method on
        self._in_body = False

    def on_url(self, part: bytes) -> None:
        """A part of the target, maybe all of it."""
        self._target += part
        self._head_size += len(part)
        if self._head_size > self._head_size_max:
            self._refuse_headers(0)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line, or a trailer, which is dropped."""
        name_size, value_size, size_max = len(name), len(value), self._size_max
        self._count += 1
        self._head_size += name_size + value_size + 4
        if (
            name_size > size_max or value_size > size_max
            or self._count > self._count_max or self._head_size > self._head_size_max
        ):  # fmt: skip
            self._refuse_headers(max(name_size, value_size))
        if self._in_body:
            return
        name = name.lower()
        value = value.rstrip(b" \t")
        headers = self._headers
        if name not in headers:
            headers[name] = value
        elif name == b"host":
            self._refuse("more than one host header")
        else:
            headers[name] = b"%b, %b" % (headers[name], value)

    def on_headers_complete(self) -> None:
        """The head is complete: decide how the body is framed and whether it may come."""
        self._in_body = True
        self._body_wire_size = _HEAD_IN_THIS_FEED
        parser, headers = self._parser, self._headers
        assert parser is not None, "a released parser calls nobody"
        keep_alive = parser.should_keep_alive()
        if not keep_alive or b"connection" in headers:
            self._check_version(parser.get_http_version(), keep_alive=keep_alive)
        coding = headers.get(b"transfer-encoding")
        if coding is not None and coding.lower() != b"chunked":
            self._refuse("transfer-encoding other than chunked")
        length = int(headers.get(b"content-length", b"0"))
        if length > self._body_size_max:
            self._refuse_body()
        has_body = length > 0 or coding is not None
        if parser.should_upgrade() and (has_body or parser.get_method() == b"CONNECT"):
            self._refuse("upgrade is not supported")
        self._path, self._query = self._split_target()
        if has_body and headers.get(b"expect", b"").lower() == b"100-continue":
            self.wants_continue = True

    def on_body(self, part: bytes) -> None:
        """A part of the body, maybe all of it."""
        self._body_size += len(part)
        self.body_size_total += len(part)
        if self._body_size > self._body_size_max:
            self._refuse_body()
        self.wants_continue = False
        if isinstance(self._body, list):
            self._body.append(part)
        elif self._body:
            self._body = [self._body, part]
        else:
            self._body = part

    def on_message_complete(self) -> None:
        """The request is complete."""
        parser, session = self._parser, self._session
        assert parser is not None, "a released parser calls nobody"
        assert session is not None, "a released parser calls nobody"
        method = parser.get_method()
        body = self._body
        self.requests.append(
            Request(
                _METHODS.get(method) or method.decode("ascii"),
                self._path,
                self._query,
                self._headers,
                b"".join(body) if isinstance(body, list) else body,
                session,
            )
        )
        self._in_body = self._in_message = False
        self._head_size = self._partial_line = 0
        self.wants_continue = False
        # Asked again, because the library also obeys a ``connection: close`` among the trailers.
        if not parser.should_keep_alive():
            self.final = True

    # -- helpers -----------------------------------------------------------------------

    def _split_target(self) -> tuple[str, str]:
        """Return path and query of an origin-form or absolute-form target, RFC 9112, section 3.2.

        A fragment does not belong to a request and is dropped, as CCF does.
        """
        try:
            target = self._target.decode("ascii")
        except UnicodeDecodeError:
            self._refuse("target is not ASCII")
        if "#" in target:
            target = target.partition("#")[0]
        if not target.startswith("/"):
            if not target.lower().startswith(_SCHEMES):
                self._refuse("target is neither a path nor an absolute http address")
            rest = target.partition("://")[2]
            cut = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
            if cut == 0:
                self._refuse("target is an address without a host")
            target = rest[cut:]
            if not target.startswith("/"):
                target = "/" + target
        path, _, query = target.partition("?")
        return path, query

    def _check_version(self, version: str, *, keep_alive: bool) -> None:
        if version == "1.1":
            return
        if version != "1.0":
            self._refuse(f"HTTP version {version} is not supported")
        if b"transfer-encoding" in self._headers:
            self._refuse("transfer-encoding in HTTP/1.0")
        self.keep_alive_asked |= keep_alive

    def _bound_partial_line(self, data: bytes) -> None:
        """Bound the line that is not complete yet: the library holds it without telling."""
        cut = data.rfind(b"\n")
        line = len(data) - cut - 1
        self._partial_line = self._partial_line + line if cut < 0 else line
        if self._head_size + self._partial_line > self._head_size_max:
            self._note(Refusal.HEADER_TOO_LARGE, self._head_text())

    def _bound_overhead(self, size: int) -> None:
        """Bound chunk extensions and trailers: a body of tiny chunks needs 5 bytes for each byte.

        Bytes that came together with the head are not counted, which makes the bound looser by
        one read.
        """
        if self._body_wire_size == _HEAD_IN_THIS_FEED:
            self._body_wire_size = 0
            return
        self._body_wire_size += size
        if self._body_wire_size > self._head_size_max + 8 * self._body_size:
            self._note(Refusal.HEADER_TOO_LARGE, self._head_text())

    def _refuse_headers(self, size: int) -> NoReturn:
        """Refuse a head of which one bound is exceeded; ``size`` is that of the last header."""
        if size > self._size_max:
            reason = f"A header is too large (max size allowed: {self._size_max})"
        elif self._count > self._count_max:
            reason = f"Too many headers (max number allowed: {self._count_max})"
        else:
            reason = self._head_text()
        self._note(Refusal.HEADER_TOO_LARGE, reason)
        raise _RefusedError

    def _head_text(self) -> str:
        return f"Request line and headers are too large (max size allowed: {self._head_size_max})"

    def _note(self, refusal: Refusal, reason: str) -> None:
        self.final = True
        self.refusal = refusal
        self._reason = reason
        self.wants_continue = False

    def _refuse(self, reason: str) -> NoReturn:
        self._note(Refusal.PARSING, reason)
        raise _RefusedError

    def _refuse_body(self) -> NoReturn:
        self._note(Refusal.BODY_TOO_LARGE, "")
        raise _RefusedError
