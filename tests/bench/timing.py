"""Time a piece of code, read the memory and CPU of processes: shared by the benchmarks."""

import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Figure(NamedTuple):
    """One measured number.

    Attributes:
        name: What was measured.
        value: The number.
        unit: Its unit.
        bar: The number to reach, None where there is none.
        at_most: Whether bar and goal are upper bounds; else they are lower ones.
        goal: The number hoped for.
        reference: What another system reached, in words; empty where nobody said.
    """

    name: str
    value: float
    unit: str
    bar: float | None = None
    at_most: bool = True
    goal: float | None = None
    reference: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the bar is reached; None without a bar."""
        if self.bar is None:
            return None
        return self.value <= self.bar if self.at_most else self.value >= self.bar


def per_call_us(work: Callable[[int], object], count: int, rounds: int = 5) -> float:
    """Return microseconds of processor time per call: the best of some ``work(count)``."""
    best = float("inf")
    for _ in range(rounds):
        gc.collect()
        start = time.process_time()
        work(count)
        best = min(best, time.process_time() - start)
    return best / count * 1e6


def resident_bytes(pid: int | str = "self") -> int:
    """Return the resident memory of a process.

    Raises:
        OSError: there is no such process.
    """
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"process {pid} reports no resident memory")


def cpu_seconds(pid: int) -> float:
    """Return user and system time a process has used, in seconds, to 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
