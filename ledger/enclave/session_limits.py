"""Bounds of one interface's sessions and the counters that ``/node/metrics`` shows of it."""

import enum
import sys
from dataclasses import dataclass, field
from typing import Any

HANDSHAKE_TIME_MAX_MS = 10_000
"""A connection that has not finished its TLS handshake by then is cut. A handshake takes two
round trips; clients across the world on bad lines need a second or two."""

LINGER_TIME_MAX_MS = 2_000
"""After the last answer we read and drop what still comes, for at most this long: a socket
closed with unread bytes is reset, and the reset could destroy the answer on its way."""

HEAD_LINES_SIZE_MAX = 64 * 1024
"""Bytes of request line and all headers together, whatever the limits per header allow: bounds
what one session can make us hold (the limits alone permit 256 headers of 32 KiB)."""


DESCRIPTORS_KEPT = 256
"""Descriptors that clients never get, whatever the caps of the interfaces add up to: the host,
listening sockets, other nodes. A node without one could not be dialled or dial."""


def sessions_max(descriptors: int) -> int:
    """Return how many sessions there may be with this many descriptors for the whole process."""
    return descriptors - min(DESCRIPTORS_KEPT, descriptors // 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """What one interface lets a client do. Defaults are CCF's.

    Attributes:
        max_open_sessions_soft: Sessions from this number on are answered 503 and closed.
        max_open_sessions_hard: Connections from this number on are closed at once.
        max_body_size: Largest request body in bytes.
        max_header_size: Longest header name and longest header value in bytes.
        max_headers_count: Most header lines of a request.
        idle_timeout_ms: A session without progress for this long is closed; None for never.
    """

    max_open_sessions_soft: int = 1000
    max_open_sessions_hard: int = 1010
    max_body_size: int = 1 << 20
    max_header_size: int = 16 << 10
    max_headers_count: int = 256
    idle_timeout_ms: float | None = 60_000


class Refusal(enum.Enum):
    """Why a request is refused before anybody handles it. The value is its name in metrics."""

    PARSING = "parsing"
    BODY_TOO_LARGE = "request_payload_too_large"
    HEADER_TOO_LARGE = "request_header_too_large"


@dataclass(slots=True)
class Occupancy:
    """How many sessions there are. Invariant: ``0 <= active <= peak``.

    Attributes:
        active: Now.
        peak: Most at one time so far.
        most: How many there may be.
    """

    active: int = 0
    peak: int = 0
    most: int = sys.maxsize

    @property
    def is_full(self) -> bool:
        """Whether no further session is let in."""
        return self.active >= self.most

    def opened(self) -> None:
        """Count a session that was let in."""
        self.active += 1
        self.peak = max(self.peak, self.active)

    def closed(self) -> None:
        """Count the end of a session that was let in."""
        self.active -= 1
        assert self.active >= 0, "a session ends once"


@dataclass(slots=True)
class InterfaceMetrics:
    """Counters of one interface.

    Attributes:
        limits: The interface's bounds.
        total: Sessions of all interfaces, counted along.
        sessions: Sessions on it. Invariant: never above the hard cap.
        refused: How many requests were refused for which reason.
    """

    limits: SessionLimits
    total: Occupancy = field(default_factory=Occupancy)
    sessions: Occupancy = field(default_factory=Occupancy)
    refused: dict[Refusal, int] = field(default_factory=lambda: dict.fromkeys(Refusal, 0))

    def opened(self) -> None:
        """Count a session that was let in."""
        self.sessions.opened()
        self.total.opened()

    def closed(self) -> None:
        """Count the end of a session that was let in."""
        self.sessions.closed()
        self.total.closed()

    def document(self) -> dict[str, Any]:
        """Return the JSON value of this interface in ``/node/metrics``."""
        return {
            "active": self.sessions.active,
            "peak": self.sessions.peak,
            "soft_cap": self.limits.max_open_sessions_soft,
            "hard_cap": self.limits.max_open_sessions_hard,
            "errors": {refusal.value: count for refusal, count in self.refused.items()},
        }


@dataclass(slots=True)
class NodeMetrics:
    """Counters of all interfaces and their sum."""

    sessions: Occupancy = field(default_factory=Occupancy)
    interfaces: dict[str, InterfaceMetrics] = field(default_factory=dict)

    def add(self, name: str, limits: SessionLimits) -> InterfaceMetrics:
        """Return the counters of a new interface."""
        assert name not in self.interfaces, "interfaces have different names"
        metrics = self.interfaces[name] = InterfaceMetrics(limits, self.sessions)
        return metrics

    def document(self) -> dict[str, Any]:
        """Return the JSON value of ``/node/metrics``."""
        return {
            "sessions": {
                "active": self.sessions.active,
                "peak": self.sessions.peak,
                "interfaces": {name: one.document() for name, one in self.interfaces.items()},
            }
        }
