"""One HTTPS request from inside the enclave, on a socket that the host connected.

For joining a service and for fetching keys and snapshots. One connection carries one request; the
answer is bounded in size and time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httptools

from ledger.enclave.peers import Wire
from ledger.enclave.tls_types import ClientContext

ANSWER_TIME_MAX_MS = 10_000
"""From the connection to the whole answer."""
HEAD_SIZE_MAX = 64 << 10
"""Bytes of status line and headers of an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said.

    Attributes:
        status: HTTP status.
        headers: Names in lower case.
        body: Whole body.
        certificate: The server's certificate as DER.
    """

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    certificate: bytes | None


AnswerDone = Callable[[Answer | str], None]
"""Called once with the answer, or with the reason there is none."""


def request_bytes(
    method: str, host: str, target: str, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()
) -> bytes:
    """Return an HTTP/1.1 request that asks for the connection to be closed after the answer.

    Args:
        method: Verb.
        host: ``host:port``, or a host for the default port.
        target: Path and query, already encoded.
        body: Body, may be empty.
        headers: Further headers.
    """
    lines = [
        f"{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n".encode(),
        b"content-length: %d\r\n" % len(body),
        *(b"%s: %s\r\n" % header for header in headers),
        b"\r\n",
        body,
    ]
    return b"".join(lines)


class Exchange:
    """One request and its answer on one connection; implements ``peers.WireHandler``."""

    def __init__(
        self,
        wire: Wire,
        context: ClientContext,
        request: bytes,
        body_size_max: int,
        done: AnswerDone,
    ) -> None:
        self._wire = wire
        self._tls = context.session()
        self._request: bytes | None = request
        self._body_size_max = body_size_max
        self._done: AnswerDone | None = done
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._head_size = 0
        self._received_size = 0
        self._in_body = False
        self._body: list[bytes] = []
        self._body_size = 0
        self._age_ms = 0.0
        wire.write(self._tls.output())

    @property
    def is_over(self) -> bool:
        """Whether ``done`` was called."""
        return self._done is None

    def received(self, data: bytes) -> None:
        """Take what was read."""
        if self._done is None:
            return
        plaintext = self._tls.feed(data)
        if self._tls.failure is not None:
            self._finish(f"TLS failed: {self._tls.failure}")
            return
        if self._tls.established and self._request is not None:
            request, self._request = self._request, None
            self._tls.send(request)
        output = self._tls.output()
        if output:
            self._wire.write(output)
        if plaintext:
            self._parse(plaintext)
        if self._tls.ended:
            self._ended()

    def lost(self, reason: str) -> None:
        """The connection is gone."""
        del reason
        self._ended()

    def tick(self, elapsed_ms: float) -> None:
        """Give up after a while."""
        self._age_ms += elapsed_ms
        if self._age_ms > ANSWER_TIME_MAX_MS:
            self._finish(f"no complete answer within {ANSWER_TIME_MAX_MS / 1000:g} s")

    # -- the answer --------------------------------------------------------------------

    def _parse(self, plaintext: bytes) -> None:
        self._received_size += len(plaintext)
        try:
            self._parser.feed_data(plaintext)
        except httptools.HttpParserUpgrade:
            self._finish("the server wants another protocol")
        except httptools.HttpParserError as error:
            self._finish(f"the answer is not HTTP: {error}")
        # The parser keeps a header that does not end to itself.
        if not self._in_body and self._received_size > HEAD_SIZE_MAX:
            self._finish(f"the answer's headers are larger than {HEAD_SIZE_MAX} bytes")

    def _ended(self) -> None:
        # Without a length, the end of the stream is the end of the body.
        if self._in_body and b"content-length" not in self._headers:
            self.on_message_complete()
        self._finish("the connection was closed before the answer was complete")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; httptools calls it."""
        self._head_size += len(name) + len(value)
        if self._head_size > HEAD_SIZE_MAX:
            self._finish(f"the answer's headers are larger than {HEAD_SIZE_MAX} bytes")
            return
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Note that the body begins; httptools calls it."""
        self._in_body = True

    def on_body(self, body: bytes) -> None:
        """Take a part of the body; httptools calls it."""
        self._body_size += len(body)
        if self._body_size > self._body_size_max:
            self._finish(f"the answer is larger than {self._body_size_max} bytes")
            return
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Hand on the answer; httptools calls it."""
        self._finish(
            Answer(
                self._parser.get_status_code(),
                self._headers,
                b"".join(self._body),
                self._tls.peer_certificate(),
            )
        )

    def _finish(self, outcome: Answer | str) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        self._wire.close()
        done(outcome)
