"""A lone write: how long until it is answered, and until it is committed."""

import json
import socket
import ssl
import statistics
import struct
import time
from typing import TYPE_CHECKING

from tests.bench import workloads
from tests.bench.load import SILENCE_MAX_S, client_context, connect

if TYPE_CHECKING:
    from tests.bench.load import Load

_PAUSE_S = 0.03
"""Between two writes, so that the one before is signed and committed and each is alone."""
_POLL_PAUSE_S = 0.0005
_COMMIT_SECONDS_MAX = 10.0
_PREFER = "prefer: wait-for-commit\r\n"


class Caller:
    """One connection that sends one request and waits for its answer.

    Args:
        address: ``host:port``.
        context: From ``client_context``.
        patience_s: Longest wait for bytes, ``SILENCE_MAX_S`` when None.

    Attributes:
        received: When the last bytes came, by ``time.perf_counter``.
    """

    def __init__(
        self, address: str, context: ssl.SSLContext, patience_s: float | None = None
    ) -> None:
        self.address = address
        self.received = 0.0
        self._socket = connect(address, context)
        wait_in_kernel(self._socket, SILENCE_MAX_S if patience_s is None else patience_s)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def call(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers (names in lower case) and body of the answer.

        Raises:
            OSError: the connection ended.
        """
        self._socket.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        while len(body) < int(headers.get("content-length", "0")):
            body += self._more()
        return int(first.split()[1]), headers, body

    def _more(self) -> bytes:
        data = self._socket.recv(65536)
        self.received = time.perf_counter()
        if not data:
            raise OSError("got the end of a connection instead of an answer")
        return data


def wait_in_kernel(connection: ssl.SSLSocket, seconds: float) -> None:
    """Have reads block in the kernel: a Python timeout costs a poll and a second read each."""
    whole, rest = divmod(seconds, 1)
    interval = struct.pack("@ll", int(whole), int(rest * 1e6))
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, interval)


def lone_writes(load: "Load", count: int) -> dict[str, list[float]]:
    """Write one record at a time and watch it commit.

    Args:
        load: Whom to write to and as whom; its workload is not used.
        count: How many of each kind.

    Returns:
        Milliseconds of each write: ``answered``, from sending to the last byte of the answer;
        ``committed``, from sending to the first answer of ``/app/tx`` that says so; ``preferred``,
        as ``answered``, of a write that was asked to wait for commit; and ``overslept``, how late
        the machine ended the pause before each write: a lone write waits for the node and for the
        caller to be woken alike.

    Raises:
        OSError: a write failed, or was not committed in time.
    """
    caller = Caller(load.address, client_context(load))
    try:
        answered, committed, overslept = [], [], []
        for number in range(count):
            paused = time.perf_counter()
            time.sleep(_PAUSE_S)
            woken = time.perf_counter()
            overslept.append((woken - paused - _PAUSE_S) * 1e3)
            request = workloads.write("private", number, caller.address)
            start = time.perf_counter()
            transaction = _write(caller, request)
            answered.append((caller.received - start) * 1e3)
            _await_commit(caller, transaction)
            committed.append((time.perf_counter() - start) * 1e3)
        preferred = []
        for number in range(count):
            time.sleep(_PAUSE_S)
            request = workloads.write("private", number, caller.address, _PREFER)
            start = time.perf_counter()
            _write(caller, request)
            preferred.append((caller.received - start) * 1e3)
    finally:
        caller.close()
    return {
        "answered": answered,
        "committed": committed,
        "preferred": preferred,
        "overslept": overslept,
    }


def median_and_worst(times: list[float]) -> tuple[float, float]:
    """Return the median and the largest."""
    return statistics.median(times), max(times)


def _write(caller: Caller, request: bytes) -> str:
    status, answer, body = caller.call(request)
    if status != 200:
        raise OSError(f"got status {status} for a write, want 200: {body[:200]!r}")
    return answer["x-ms-ccf-transaction-id"]


def _await_commit(caller: Caller, transaction: str) -> None:
    deadline = time.perf_counter() + _COMMIT_SECONDS_MAX
    request = workloads.get(f"/app/tx?transaction_id={transaction}", caller.address)
    while True:
        _, _, body = caller.call(request)
        status = json.loads(body).get("status")
        if status == "Committed":
            return
        if status == "Invalid" or time.perf_counter() > deadline:
            raise OSError(f"got status {status} of transaction {transaction}, want Committed")
        time.sleep(_POLL_PAUSE_S)
