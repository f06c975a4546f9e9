"""Time and chance of the operating system, behind the protocols of ``ledger.base.clock``."""

import os
import resource
import time


class SystemClock:
    """The machine's clocks."""

    def unix_seconds(self) -> float:
        """Return seconds since 1970-01-01T00:00:00Z. May jump."""
        return time.time()

    def monotonic_ms(self) -> float:
        """Return milliseconds since an arbitrary start. Never falls."""
        return time.monotonic() * 1000.0


class SystemEntropy:
    """The kernel's random generator."""

    def random_bytes(self, count: int) -> bytes:
        """Return ``count`` fresh random bytes."""
        return os.urandom(count)  # noqa: TID251 - this is where entropy comes in


def raise_descriptor_limit() -> int:
    """Allow as many open files as the system lets us and return that number.

    Every session is one; the usual soft limit of 1,024 is about one interface's cap.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
