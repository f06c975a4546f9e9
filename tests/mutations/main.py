"""``scripts/simulate --mutations``: how many of the known mistakes the tests notice."""

import argparse
import sys

from tests.mutations.mutants import MUTANTS
from tests.mutations.run import judge, mutated_copy, run_tests, simulate

WANTED = 0.9


def main() -> int:
    """Judge all mutants, or some.

    Returns:
        0 when enough of them are noticed, 1 otherwise.
    """
    parser = argparse.ArgumentParser(prog="scripts/simulate --mutations", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="simulate each so long [20]")
    parser.add_argument("--only", default="", help="only mutants whose name contains this")
    options = parser.parse_args()
    write = sys.stdout.write
    with mutated_copy(None) as copy:
        found = simulate(copy, options.seconds) or run_tests(copy)
    if found:
        write(f"fails without a mistake: {found}\n")
        return 1
    chosen = [mutant for mutant in MUTANTS if options.only in mutant.name]
    noticed = simulated = 0
    for mutant in chosen:
        verdict = judge(mutant, options.seconds, with_tests=True)
        noticed += verdict.is_noticed
        simulated += bool(verdict.simulation)
        write(f"{'noticed ' if verdict.is_noticed else 'SURVIVED'} {mutant.name}\n")
        write(f"    simulation: {verdict.simulation or '-'}\n    tests: {verdict.tests or '-'}\n")
        sys.stdout.flush()
    write(f"{noticed} of {len(chosen)} noticed, {simulated} by simulation alone\n")
    return 0 if noticed >= WANTED * len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
