"""A lone write: how long until it is answered, and until it is committed."""

import json
import statistics
import time
from typing import TYPE_CHECKING

from tests.bench import workloads
from tests.bench.caller import Caller
from tests.bench.load import client_context

if TYPE_CHECKING:
    from tests.bench.load import Load

_PAUSE_S = 0.03
"""Between two writes, so that the one before is signed and committed and each is alone."""
_POLL_PAUSE_S = 0.0005
_COMMIT_SECONDS_MAX = 10.0
_PREFER = "prefer: wait-for-commit\r\n"


def lone_writes(load: "Load", count: int) -> dict[str, list[float]]:
    """Write one record at a time and watch it commit.

    Args:
        load: Whom to write to and as whom; its workload is not used.
        count: How many of each kind.

    Returns:
        Milliseconds of each write: ``answered``, of the whole call, the caller's own encryption,
        decryption and parsing included; ``on_wire``, of that from giving the encrypted request to
        the kernel to taking the last byte of the answer from it; ``committed``, from the call to
        the first answer of ``/app/tx`` that says so; ``preferred``, as ``answered``, of a write
        that was asked to wait for commit; and ``overslept``, how late the machine ended the pause
        before each write: a lone write waits for the node and for the caller to be woken alike.

    Raises:
        OSError: a write failed, or was not committed in time.
    """
    caller = Caller(load.address, client_context(load))
    try:
        answered, on_wire, committed, overslept = [], [], [], []
        for number in range(count):
            paused = time.perf_counter()
            time.sleep(_PAUSE_S)
            woken = time.perf_counter()
            overslept.append((woken - paused - _PAUSE_S) * 1e3)
            request = workloads.write("private", number, caller.address)
            start = time.perf_counter()
            transaction = _write(caller, request)
            answered.append((time.perf_counter() - start) * 1e3)
            on_wire.append((caller.received - caller.sent) * 1e3)
            _await_commit(caller, transaction)
            committed.append((time.perf_counter() - start) * 1e3)
        preferred = []
        for number in range(count):
            time.sleep(_PAUSE_S)
            request = workloads.write("private", number, caller.address, _PREFER)
            start = time.perf_counter()
            _write(caller, request)
            preferred.append((time.perf_counter() - start) * 1e3)
    finally:
        caller.close()
    return {
        "answered": answered,
        "on_wire": on_wire,
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
