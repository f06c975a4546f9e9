"""What three nodes on one machine do together: throughput, commit, and the loss of the primary.

Bars and goals are for a machine with two cores that runs all three nodes and the generator.
"""

import asyncio
import json
import os
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ledger.sandbox.configuration import INTERFACE
from ledger.sandbox.service import Sandbox, SandboxOptions
from tests.bench import workloads
from tests.bench.caller import Caller
from tests.bench.load import Load, client_context
from tests.bench.lone import lone_writes, median_and_worst
from tests.bench.one_node import Wanted, measured
from tests.bench.service import Node, Service, generate
from tests.bench.timing import Figure

if TYPE_CHECKING:
    from ledger.sandbox.process import NodeProcess

NODES = 3
_LONE_WRITES = 50
_ELECTION_TIMEOUT = {"consensus": {"election_timeout": "1s", "message_timeout": "100ms"}}
_PATIENCE_S = 0.2
"""How long one write may take during an outage before it is tried again."""
_OUTAGE_SECONDS_MAX = 60.0

_LOADS = (
    ("private write", 64, 1, Wanted(8_000, 11_000, "CCF C++ 10,000-19,000")),
    ("private write", 16, 16, Wanted(20_000, 25_000, "CCF C++ 22,000-25,500")),
    ("read", 64, 1, Wanted()),
    ("read", 16, 16, Wanted()),
)


def lone_write(service: Service) -> list[Figure]:
    """Measure the latency of writes that come one at a time."""
    times = lone_writes(service.load(), _LONE_WRITES)
    answered, answered_worst = median_and_worst(times["answered"])
    committed, committed_worst = median_and_worst(times["committed"])
    return [
        Figure("lone write answered, median", answered, "ms"),
        Figure(f"lone write answered, worst of {_LONE_WRITES}", answered_worst, "ms"),
        Figure("lone write committed (polled), median", committed, "ms", 30.0,
               reference="CCF 600 ms"),
        Figure(f"lone write committed (polled), worst of {_LONE_WRITES}", committed_worst, "ms"),
    ]  # fmt: skip


def throughput(service: Service, seconds: float) -> Iterator[tuple[str, list[Figure]]]:
    """Measure writes on the primary and reads on a backup.

    Yields:
        A title and its figures.
    """
    records = workloads.DISTINCT
    generate(service.load(workload="private write", connections=16, depth=16, count=records))
    backup = (service.primary + 1) % len(service.nodes)
    for workload, connections, depth, wanted in _LOADS:
        target = backup if workload == "read" else service.primary
        place = "backup" if target == backup else "primary"
        load = service.load(
            target, workload=workload, connections=connections, depth=depth, seconds=seconds
        )
        title = f"{workload} on {place}, {connections} connections, depth {depth}"
        yield title, measured(service.nodes[target], load, wanted)


def outages(kills: int) -> list[Figure]:
    """Kill the primary of a fresh service that many times, and see when it takes writes again.

    Every kill has a service of its own, so each is the loss of one of three healthy nodes.

    Raises:
        OSError: no write succeeded for a minute after a kill.
    """
    times = []
    for _ in range(kills):
        with tempfile.TemporaryDirectory(prefix="quorate-bench-") as directory:
            times.append(asyncio.run(_outage(Path(directory) / "sandbox")))
    return [
        Figure("kill of the primary to the next write, median", statistics.median(times), "s",
               1.5, reference="CCF about 2.5 s (paper)"),
        Figure("kill of the primary to the next write, shortest", min(times), "s"),
        Figure(f"kill of the primary to the next write, worst of {kills}", max(times), "s"),
    ]  # fmt: skip


async def _outage(directory: Path) -> float:
    options = SandboxOptions(directory=directory, nodes=NODES, port=0, overlay=_ELECTION_TIMEOUT)
    async with Sandbox(options) as sandbox:
        user = sandbox.files.users[0]
        loads = [
            Load(
                node.address(INTERFACE),
                str(sandbox.files.service_certificate_file),
                str(user.certificate_file),
                str(user.key_file),
            )
            for node in sandbox.nodes
        ]
        await asyncio.to_thread(_first_write, loads[:1], 0.0)
        primary = await asyncio.to_thread(_primary, sandbox.nodes, loads[0])
        survivors = [load for place, load in enumerate(loads) if place != primary]
        await asyncio.to_thread(_first_write, survivors, 0.0)
        killed = sandbox.nodes[primary]
        processes = Node(loads[primary].address, killed.pid, killed.ledger).processes()
        start = time.perf_counter()
        for pid in processes:
            os.kill(pid, signal.SIGKILL)
        return await asyncio.to_thread(_first_write, survivors, start) - start


def _primary(nodes: "list[NodeProcess]", load: Load) -> int:
    """Return the place of the primary among the nodes, as one of them sees it."""
    caller = Caller(load.address, client_context(load))
    _, _, body = caller.call(workloads.get("/node/network", load.address))
    caller.close()
    primary = json.loads(body)["primary_id"]
    return [node.node_id for node in nodes].index(primary)


def _first_write(loads: list[Load], since: float) -> float:
    """Write to all nodes until one accepts a write that was sent after ``since``; return when."""
    accepted: list[float] = []
    deadline = time.perf_counter() + _OUTAGE_SECONDS_MAX

    def attempt(load: Load) -> None:
        while not accepted and time.perf_counter() < deadline:
            try:
                caller = Caller(load.address, client_context(load), _PATIENCE_S)
                while not accepted and time.perf_counter() < deadline:
                    request = workloads.write("private", 1, load.address)
                    sent = time.perf_counter()
                    status, _, _ = caller.call(request)
                    if status == 200 and sent >= since:
                        accepted.append(time.perf_counter())
                    time.sleep(0.005)
            except OSError:
                time.sleep(0.01)

    attempts = [threading.Thread(target=attempt, args=(load,)) for load in loads]
    for thread in attempts:
        thread.start()
    for thread in attempts:
        thread.join()
    if not accepted:
        raise OSError(f"got no accepted write in {_OUTAGE_SECONDS_MAX:.0f} s")
    return min(accepted)
