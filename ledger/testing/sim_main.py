"""The command behind ``scripts/simulate``: many seeds, figures, and what to do with a failure.

Exit codes: 0 nothing found, 2 a node crashed (an assertion of ours), 3 an invariant is broken,
4 progress is missing, 5 a long run did not reach some state that it should.
"""

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ledger.testing.checkers import InvariantError
from ledger.testing.shrink import shrink
from ledger.testing.sim_probes import EXPECTED
from ledger.testing.sim_replay import record
from ledger.testing.sim_replica import ReplicaSchedule
from ledger.testing.sim_replica_replay import shrink_replicas, to_text
from ledger.testing.sim_scenario import to_scenario
from ledger.testing.sim_walk import make_schedule
from ledger.testing.simulation import LivenessError, Schedule

CRASH, SAFETY, LIVENESS, UNREACHED = 2, 3, 4, 5
EXPECTED_AFTER_SCHEDULES = 5000
SHRINK_SECONDS = 60.0
REPORT_SECONDS = 60.0


@dataclass(slots=True)
class Totals:
    """What many schedules came to.

    Attributes:
        schedules: Number of seeds run.
        steps: Steps of nodes.
        committed: Entries committed.
        demanded: Schedules whose nodes were asked to get on, and did.
        seconds: Processor time spent, summed over processes.
        counters: States reached.
        failed: Seeds that failed, with what they raised.
    """

    schedules: int = 0
    steps: int = 0
    committed: int = 0
    demanded: int = 0
    seconds: float = 0.0
    counters: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[int, Exception]] = field(default_factory=list)

    def add(self, other: "Totals") -> None:
        """Add another's figures."""
        self.schedules += other.schedules
        self.steps += other.steps
        self.committed += other.committed
        self.demanded += other.demanded
        self.seconds += other.seconds
        self.counters += other.counters
        self.failed += other.failed

    @property
    def steps_per_minute(self) -> float:
        """Steps per minute of one core's time."""
        return 60 * self.steps / self.seconds if self.seconds else 0.0

    @property
    def unreached(self) -> list[str]:
        """The states that every long run should reach and this one did not."""
        return [name for name in EXPECTED if not self.counters[name]]


def run_seeds(
    seeds: Iterator[int], seconds: float, make: Callable[[int], Schedule] = make_schedule
) -> Totals:
    """Run seeds for some time, or until one fails."""
    totals = Totals()
    begin, processor_begin = time.monotonic(), time.process_time()
    while time.monotonic() - begin < seconds and not totals.failed:
        seed = next(seeds, None)
        if seed is None:
            break
        schedule = make(seed)
        try:
            outcome = schedule.run()
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
            totals.failed.append((seed, error))
        else:
            totals.committed += outcome.committed
            totals.demanded += outcome.demanded
        totals.schedules += 1
        totals.steps += schedule.cluster.steps
        totals.counters += schedule.cluster.counters
    totals.seconds = time.process_time() - processor_begin
    return totals


def exit_code_of(error: Exception) -> int:
    """Return the exit code for a failure."""
    if isinstance(error, InvariantError):
        return SAFETY
    return LIVENESS if isinstance(error, LivenessError) else CRASH


def explain(seed: int, *, replicas: bool = False) -> str:
    """Return a failing seed as a small scenario file; one of replicas as a list of events."""
    if replicas:
        return to_text(shrink_replicas(record(seed, ReplicaSchedule), SHRINK_SECONDS))
    return to_scenario(shrink(record(seed), SHRINK_SECONDS))


def _run_part(part: tuple[int, int, float, bool]) -> Totals:
    """Run every ``step``-th seed from ``first``; what a worker process does."""
    first, step, seconds, replicas = part
    make = ReplicaSchedule if replicas else make_schedule
    return run_seeds(iter(range(first, sys.maxsize, step)), seconds, make)


def run_parallel(first: int, minutes: float, processes: int, *, replicas: bool = False) -> Totals:
    """Run seeds on several processes, reporting now and then."""
    totals = Totals()
    left = minutes * 60
    nexts = [first + worker for worker in range(processes)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        while left > 0 and not totals.failed:
            slice_seconds = min(left, REPORT_SECONDS)
            parts = [(begin, processes, slice_seconds, replicas) for begin in nexts]
            for worker, done in enumerate(pool.imap(_run_part, parts)):
                totals.add(done)
                nexts[worker] += done.schedules * processes
            left -= slice_seconds
            sys.stdout.write(_summary(totals) + "\n")
            sys.stdout.flush()
    return totals


def _summary(totals: Totals) -> str:
    return (
        f"{totals.schedules} schedules, {totals.steps} node steps, {totals.committed} entries "
        f"committed, progress demanded {totals.demanded} times, "
        f"{totals.steps_per_minute / 1e6:.2f} million steps per minute and core"
    )


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/simulate", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this seed only, and explain it if it fails")
    parser.add_argument("--first", type=int, default=0, help="first seed of a run [0]")
    parser.add_argument("--minutes", type=float, default=1.0, help="length of a run [1]")
    parser.add_argument("--processes", type=int, default=1, help="cores to use [1]")
    parser.add_argument("--replica", action="store_true", help="simulate whole replicas")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Returns:
        Its exit code.
    """
    options = _parse(sys.argv[1:] if arguments is None else arguments)
    if options.seed is not None:
        make = ReplicaSchedule if options.replica else make_schedule
        totals = run_seeds(iter([options.seed]), float("inf"), make)
    else:
        totals = run_parallel(
            options.first, options.minutes, options.processes, replicas=options.replica
        )
    write = sys.stdout.write
    write(_summary(totals) + "\n")
    for name in sorted(totals.counters.keys() | set(EXPECTED)):
        write(f"  {totals.counters[name]:>10}  {name}\n")
    if totals.failed:
        seed, error = totals.failed[0]
        why = explain(seed, replicas=options.replica)
        write(f"seed {seed} fails: {type(error).__name__}: {error}\n\n{why}")
        return exit_code_of(error)
    if not options.replica and totals.schedules >= EXPECTED_AFTER_SCHEDULES and totals.unreached:
        write(f"never reached: {', '.join(totals.unreached)}\n")
        return UNREACHED
    return 0


if __name__ == "__main__":
    sys.exit(main())
