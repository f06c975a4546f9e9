"""What one node does: throughput by workload, connections and depth; a lone write; memory.

Bars and goals are for a machine with two cores that runs the node and the generator together.
"""

import time
from collections.abc import Iterator
from typing import NamedTuple

from tests.bench.load import Load
from tests.bench.lone import lone_writes, median_and_worst
from tests.bench.service import Node, Service, generate
from tests.bench.timing import Figure
from tests.bench.workloads import MESSAGE_SIZE, WORKLOADS

RECORDS = 100_000
"""Distinct private records after which memory is measured."""
_IDLE_SECONDS = 10.0
_LONE_WRITES = 50
_SETTLE_SECONDS_MAX = 10.0
_CONNECTIONS = (1, 16, 64)
_DEPTHS = (1, 16)


class Wanted(NamedTuple):
    """Bar, goal and comparison for one throughput figure."""

    bar: float | None = None
    goal: float | None = None
    reference: str = ""


_THROUGHPUT = {
    ("private write", 64, 1): Wanted(15_000, 22_000, "CCF C++ 16,000-21,000, JavaScript 9,000"),
    ("private write", 16, 16): Wanted(45_000, 70_000, "CCF C++ 22,000-41,000, JavaScript 14,000"),
    ("read", 64, 1): Wanted(22_000),
}


def memory(service: Service) -> list[Figure]:
    """Write ``RECORDS`` distinct records, wait, and look; for a service that just started."""
    node = service.nodes[service.primary]
    before = _settled_ledger_bytes(node)
    load = service.load(
        workload="private write", distinct=RECORDS, count=RECORDS, connections=16, depth=16
    )
    result = generate(load)
    if result["failed"]:
        raise OSError(f"got writes with status {result['failed']}, want 200")
    time.sleep(_IDLE_SECONDS)
    resident = node.resident_bytes()
    ledger = node.ledger_bytes() - before
    return [
        Figure(f"resident memory after {RECORDS} private records", resident / 1e6, "MB", 250.0),
        Figure(f"ledger bytes per private write of {MESSAGE_SIZE} B of text, signatures included",
               ledger / RECORDS, "B"),
    ]  # fmt: skip


def lone_write(service: Service) -> list[Figure]:
    """Measure the latency of writes that come one at a time."""
    times = lone_writes(service.load(), _LONE_WRITES)
    answered, answered_worst = median_and_worst(times["answered"])
    committed, committed_worst = median_and_worst(times["committed"])
    preferred, preferred_worst = median_and_worst(times["preferred"])
    on_wire, _ = median_and_worst(times["on_wire"])
    overslept, _ = median_and_worst(times["overslept"])
    return [
        Figure("lone write answered, median", answered, "ms", 0.5, reference="CCF 1.3 ms"),
        Figure("of that from wire to wire, median", on_wire, "ms"),
        Figure(f"lone write answered, worst of {_LONE_WRITES}", answered_worst, "ms"),
        Figure("for comparison: the machine wakes a sleeper late by, median", overslept, "ms"),
        Figure("lone write committed (polled), median", committed, "ms", 20.0,
               reference="CCF 400-850 ms"),
        Figure(f"lone write committed (polled), worst of {_LONE_WRITES}", committed_worst, "ms"),
        Figure("lone write answered after commit, median", preferred, "ms"),
        Figure(f"lone write answered after commit, worst of {_LONE_WRITES}",
               preferred_worst, "ms"),
    ]  # fmt: skip


def throughput(service: Service, seconds: float) -> Iterator[tuple[str, list[Figure]]]:
    """Measure every workload with every number of connections and depth.

    Args:
        service: A service that holds the records to read (``memory`` writes them).
        seconds: Length of each measurement.

    Yields:
        A title and its figures: rate, latencies, and who used how much processor time.
    """
    node = service.nodes[service.primary]
    for workload in WORKLOADS:
        for connections in _CONNECTIONS:
            for depth in _DEPTHS:
                title = f"{workload}, {connections} connections, depth {depth}"
                wanted = _THROUGHPUT.get((workload, connections, depth), Wanted())
                load = service.load(
                    workload=workload, connections=connections, depth=depth, seconds=seconds
                )
                yield title, measured(node, load, wanted)


def measured(node: Node, load: Load, wanted: Wanted) -> list[Figure]:
    """Run one load on a node and return its figures.

    The processor time per answer says what the node costs even while others use the machine.
    """
    before = node.cpu_seconds()
    result = generate(load)
    after = node.cpu_seconds()
    used = {pid: after[pid] - before.get(pid, 0.0) for pid in after}
    host = used.pop(node.pid)
    enclave = max(used.values(), default=0.0)
    everything = max(result["answers"] + result["warm_up_answers"], 1)
    busy = result["seconds"] + load.warm_up_seconds
    figures = [
        Figure("answered", result["rate"], "/s", wanted.bar, at_most=False, goal=wanted.goal,
               reference=wanted.reference),
        Figure("latency, median", result["latency_ms"]["50"], "ms"),
        Figure("latency, 99 %", result["latency_ms"]["99"], "ms"),
        Figure("latency, longest", result["latency_ms"]["100"], "ms"),
        Figure("enclave time per answer", enclave / everything * 1e6, "us"),
        Figure("core used by enclave", enclave / busy * 100, "%"),
        Figure("core used by host", host / busy * 100, "%"),
        Figure("core used by generator", result["cpu_share"] * 100, "%"),
    ]  # fmt: skip
    if result["failed"]:
        failed = sum(result["failed"].values())
        statuses = " ".join(f"{status}: {count}" for status, count in result["failed"].items())
        figures.append(Figure("other status than 200", failed, "answers", 0, reference=statuses))
    return figures


def _settled_ledger_bytes(node: Node) -> int:
    """Return the ledger's size once it stopped growing."""
    deadline = time.monotonic() + _SETTLE_SECONDS_MAX
    size = node.ledger_bytes()
    while time.monotonic() < deadline:
        time.sleep(1.0)
        now = node.ledger_bytes()
        if now == size:
            break
        size = now
    return size
