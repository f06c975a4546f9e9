"""A request as the dispatcher sees it, independent of how its bytes arrived."""

from typing import Protocol

from ledger.base.plain import PlainStruct
from ledger.endpoints.response import Response


class Session(Protocol):
    """One client connection: facts that requests share, and the way back for late answers."""

    interface: str
    """Name of the RPC interface that accepted the connection."""
    pinned_view: int
    """View of the first request that touched the store, 0 before one (session consistency)."""
    forwarded: bool
    """Whether an earlier request of this session was forwarded to the primary."""

    def peer_certificate(self) -> bytes | None:
        """Return the DER of the client's certificate, or None when it sent none."""
        ...

    def complete(self, request: "Request", response: Response) -> None:
        """Send the late answer of a request whose handling returned None."""
        ...

    def close_after_response(self) -> None:
        """End the connection once the answers up to the current request are sent."""
        ...


class Request(PlainStruct):
    """One parsed request.

    Attributes:
        method: Verb in capitals, as sent.
        path: Path before ``?``, still percent-encoded; starts with ``/``.
        query: Text after ``?`` without it, still percent-encoded; empty when absent.
        headers: Names in lower case, values stripped; repeated names are joined by ``, ``.
        body: Whole body, empty when absent.
        session: The connection it came on.
        now: Seconds since 1970 when the dispatcher took it up; the one clock of the call, the
            same for authentication, handler and every run of it. 0.0 before.
    """

    method: str
    path: str
    query: str
    headers: dict[bytes, bytes]
    body: bytes
    session: Session
    now: float = 0.0


class Dispatcher(Protocol):
    """What a session hands its requests to."""

    def handle(self, request: Request) -> Response | None:
        """Answer now, or return None and call ``request.session.complete`` exactly once later.

        Never raises for anything a client can send.
        """
        ...
