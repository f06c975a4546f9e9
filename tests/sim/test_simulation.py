"""The simulation itself: a slice of it, that it repeats, and that it finds and shrinks mistakes."""

import os
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from ledger.consensus import elections
from ledger.testing.checkers import InvariantError
from ledger.testing.scenario_driver import Driver
from ledger.testing.scenario_language import parse
from ledger.testing.shrink import failure_of, shrink, signature_of
from ledger.testing.sim_main import exit_code_of, main, run_seeds
from ledger.testing.sim_probes import EXPECTED
from ledger.testing.sim_replay import record
from ledger.testing.sim_scenario import to_scenario
from ledger.testing.sim_walk import Walk, simulate
from ledger.testing.simulation import LivenessError, Schedule

pytestmark = pytest.mark.sim

ROOT = Path(__file__).parents[2]
SECONDS = float(os.environ.get("QUORATE_SIM_SECONDS", "20"))
TRACES = """
from ledger.testing.sim_walk import simulate
for seed in range(12):
    outcome = simulate(seed)
    print(seed, outcome.trace, outcome.steps, outcome.committed, sorted(outcome.counters.items()))
"""


def test_no_seed_fails() -> None:
    totals = run_seeds(count(), SECONDS)
    for seed, error in totals.failed:
        pytest.fail(f"scripts/simulate --seed {seed}: {type(error).__name__}: {error}")
    assert totals.demanded > 0
    assert totals.committed > 0
    if totals.schedules > 3000:
        assert totals.unreached == []


def test_clocked_schedules_and_walks_reach_what_they_should() -> None:
    totals = run_seeds(iter(range(10_000, 10_000 + 150)), 60)
    assert not totals.failed
    missed = {name for name in EXPECTED if not totals.counters[name]}
    assert len(missed) <= 3, f"most states are common, these were not reached: {missed}"


def test_same_seed_same_trace_whatever_the_hash_seed() -> None:
    outputs = set()
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", TRACES],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        outputs.add(done.stdout)
    assert len(outputs) == 1
    assert len(outputs.pop().splitlines()) == 12


@pytest.mark.parametrize("make", [Schedule, Walk])
def test_fast_and_slow_checks_agree(make: type[Schedule]) -> None:
    for seed in range(3):
        schedule = make(seed)
        cluster = schedule.cluster
        after = cluster.after_step = Thorough(schedule, every=25)
        schedule.run()
        assert after.checks > 3


class Thorough:
    """Checks everything slowly now and then.

    Attributes:
        checks: How often it did.
    """

    def __init__(self, schedule: Schedule, every: int) -> None:
        self.checks = 0
        self._schedule = schedule
        self._every = every

    def __call__(self) -> None:
        if self._schedule.cluster.steps % self._every == 0:
            self.checks += 1
            self._schedule.check_everything()


def test_mistake_is_found_shrunk_and_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elections, "has_quorum", lambda sets, votes: bool(sets and votes))
    totals = run_seeds(count(), 30)
    ((seed, error),) = totals.failed
    assert exit_code_of(error) in (2, 3)
    recording = record(seed)
    assert signature_of(recording.error) == signature_of(error)
    replayed = failure_of(recording)
    assert replayed is not None
    assert str(replayed) == str(error), "a recording repeats the failure exactly"
    small = shrink(recording, 20)
    assert len(small.events) <= min(60, len(recording.events))
    scenario = to_scenario(small)
    with pytest.raises((InvariantError, AssertionError)):
        Driver(jitter=lambda limit: limit).run(parse(scenario))


def test_missing_progress_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        elections, "has_quorum", lambda sets, votes: len(votes) > 100 and bool(sets)
    )
    totals = run_seeds(iter(range(0, 100, 5)), 30)
    ((_, error),) = totals.failed
    assert isinstance(error, LivenessError)
    assert exit_code_of(error) == 4


def test_command_runs_one_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "3"]) == 0
    assert "1 schedules" in capsys.readouterr().out
    assert simulate(3).steps > 100
