"""Time and chance as injected capabilities: the core reads neither by itself."""

from typing import Protocol


class Clock(Protocol):
    """Wall clock and monotonic time, owned by the shell."""

    def unix_seconds(self) -> float:
        """Return seconds since 1970-01-01T00:00:00Z. May jump."""
        ...

    def monotonic_ms(self) -> float:
        """Return milliseconds since an arbitrary start. Never falls."""
        ...


class Entropy(Protocol):
    """Source of cryptographically strong random bytes."""

    def random_bytes(self, count: int) -> bytes:
        """Return ``count`` fresh random bytes."""
        ...
