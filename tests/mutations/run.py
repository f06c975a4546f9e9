"""Applies mistakes to a copy of the package, one at a time, and asks whether the tests notice."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mutations.mutants import Mutant

ROOT = Path(__file__).parents[2]
COPIED = ("ledger", "tests/scenarios", "tests/unit/consensus", "tests/property", "tests/reference")
TESTS = ("tests/scenarios", "tests/unit/consensus", "tests/property")
FIRST_SEED = 1_000_000
TEST_SECONDS_MAX = 300

SIMULATE = """
import sys
from itertools import count
from ledger.testing.sim_main import run_seeds
totals = run_seeds(count(int(sys.argv[1])), float(sys.argv[2]))
for seed, error in totals.failed:
    print(f"seed {seed} after {totals.seconds:.0f} s: {type(error).__name__}: {error}")
sys.exit(1 if totals.failed else 0)
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant.

    Attributes:
        mutant: The mistake.
        simulation: How the simulation noticed it; empty if it did not.
        tests: Which test noticed it; empty if none did, or none was asked.
    """

    mutant: Mutant
    simulation: str
    tests: str

    @property
    def is_noticed(self) -> bool:
        """Whether anything noticed it."""
        return bool(self.simulation or self.tests)


def apply(mutant: Mutant, text: str) -> str:
    """Return the text of the mutant's module with the mistake in it.

    Raises:
        ValueError: the text to replace is not there exactly once.
    """
    found = text.count(mutant.old)
    if found != 1:
        raise ValueError(f"{mutant.name}: got its text {found} times in {mutant.module}, want once")
    return text.replace(mutant.old, mutant.new)


def module_path(root: Path, mutant: Mutant) -> Path:
    """Return the file that a mutant changes, under a copy or the original."""
    return root / "ledger" / "consensus" / f"{mutant.module}.py"


@contextmanager
def mutated_copy(mutant: Mutant | None) -> Iterator[Path]:
    """Make a copy of what is needed to test consensus, with a mistake in it or without."""
    with TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder)
        ignored = shutil.ignore_patterns("__pycache__")
        for name in COPIED:
            source = ROOT / name
            if source.exists():
                shutil.copytree(source, copy / name, ignore=ignored)
        for test in (copy / "tests" / "property").glob("test_*.py"):
            if not test.name.startswith("test_consensus"):
                test.unlink()
        if mutant is not None:
            path = module_path(copy, mutant)
            path.write_text(apply(mutant, path.read_text()))
        yield copy


def _run(copy: Path, arguments: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": str(copy),
        "PYTHONDONTWRITEBYTECODE": "1",
        # The copy lies elsewhere, and the usual place is beside the repository.
        "QUORATE_TESTDATA": os.environ.get(
            "QUORATE_TESTDATA", str(ROOT.parent / "shared/testdata")
        ),
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds + TEST_SECONDS_MAX,
        check=False,
    )


def simulate(copy: Path, seconds: float) -> str:
    """Run seeds on a copy; returns how it failed, or nothing."""
    done = _run(copy, ["-c", SIMULATE, str(FIRST_SEED), str(seconds)], seconds)
    if done.returncode == 0:
        return ""
    return (done.stdout.strip() or done.stderr.strip().splitlines()[-1])[:160]


def run_tests(copy: Path) -> str:
    """Run the tests of consensus on a copy until one fails; returns its name, or nothing."""
    tests = [name for name in TESTS if (copy / name).exists()]
    arguments = ["-m", "pytest", "-q", "-x", "--import-mode=importlib", "-p", "no:cacheprovider"]
    done = _run(copy, [*arguments, "--no-header", "--tb=no", *tests], 0)
    if done.returncode == 0:
        return ""
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return (failed[0] if failed else done.stdout.strip()[-160:])[:160]


def judge(mutant: Mutant, seconds: float, *, with_tests: bool) -> Verdict:
    """Find out whether a mistake is noticed.

    Args:
        mutant: The mistake.
        seconds: Longest time to simulate.
        with_tests: Whether to run the scenarios, unit and property tests too.
    """
    with mutated_copy(mutant) as copy:
        by_simulation = simulate(copy, seconds) if seconds else ""
        return Verdict(mutant, by_simulation, run_tests(copy) if with_tests else "")
