"""What the machine gives the enclave: how its process starts, and evidence of what it is.

``Platform`` is the interface; ``virtual`` is the one implementation so far: a plain process
whose evidence anyone could make up. It is for development and tests, and for machines whose
operator is trusted.
"""

import ctypes
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ledger.base.errors import UnavailableError
from ledger.codec import canonical

VIRTUAL_MEASUREMENT = "Insecure hard-coded virtual measurement v1"
"""The fixed text of CCF's virtual platform, so that join policies written for it apply."""
REPORT_DATA_SIZE_MAX = 64
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a platform says about the running code, in CCF's quote format.

    Attributes:
        format: ``Insecure_Virtual``, ``AMD_SEV_SNP_v1``, …
        quote: The evidence itself.
        endorsements: Certificates behind it, may be empty.
        uvm_endorsements: Endorsement of the utility VM, or None.
    """

    format: str
    quote: bytes
    endorsements: bytes = b""
    uvm_endorsements: bytes | None = None


class Platform(Protocol):
    """One kind of machine."""

    @property
    def name(self) -> str:
        """Name in the configuration."""
        ...

    @staticmethod
    def command(interpreter: Sequence[str]) -> list[str]:
        """Return how the host starts the enclave; the host makes no platform for it.

        Args:
            interpreter: The Python interpreter (absolute path) and its arguments.
        """
        ...

    def measurement(self) -> bytes:
        """Return what the platform says about the code."""
        ...

    def host_data(self) -> bytes:
        """Return the 32 bytes that bind the application and its configuration."""
        ...

    def evidence(self, report_data: bytes) -> Evidence:
        """Return evidence that names ``report_data``.

        Args:
            report_data: 1 to 64 bytes, padded with zeros to 64.
        """
        ...


class VirtualPlatform:
    """No protection and no proof: evidence as of CCF's virtual platform.

    Args:
        host_data: 32 bytes; a digest of code and configuration that the process made of itself.
    """

    name = "virtual"

    def __init__(self, host_data: bytes) -> None:
        assert len(host_data) == 32, "host data is a SHA-256 digest"
        self._host_data = host_data

    @staticmethod
    def command(interpreter: Sequence[str]) -> list[str]:
        """Return the interpreter itself: the enclave is a plain process."""
        return list(interpreter)

    def measurement(self) -> bytes:
        """Return the fixed text."""
        return VIRTUAL_MEASUREMENT.encode()

    def host_data(self) -> bytes:
        """Return what the platform was made with."""
        return self._host_data

    def evidence(self, report_data: bytes) -> Evidence:
        """Return a JSON object with measurement, host data and report data."""
        assert 1 <= len(report_data) <= REPORT_DATA_SIZE_MAX, "report data is 1 to 64 bytes"
        padded = report_data.ljust(REPORT_DATA_SIZE_MAX, b"\0")
        quote = {
            "measurement": VIRTUAL_MEASUREMENT,
            "host_data": self._host_data.hex(),
            "report_data": canonical.b64encode(padded),
        }
        return Evidence("Insecure_Virtual", canonical.dumps(quote))


def die_with_parent(parent_pid: int) -> None:
    """Let the kernel kill this process when its parent ends, however it ends.

    Call it first thing in the enclave process, from its main thread.

    Args:
        parent_pid: The host, as it told us.

    Raises:
        UnavailableError: the host has ended already, or the kernel refuses.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise UnavailableError(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent_pid:
        raise UnavailableError(f"got parent {os.getppid()}, want the host, {parent_pid}")
