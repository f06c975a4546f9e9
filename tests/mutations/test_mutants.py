"""Whether the tests of consensus would notice a mistake: a sample, and all of them on demand.

``scripts/simulate --mutations`` judges every mutant and says what noticed it.
"""

import os

import pytest

from tests.mutations.mutants import MUTANTS, Mutant
from tests.mutations.run import ROOT, apply, judge, module_path

SAMPLE = ("B2-old-view-commit", "count-denied-votes", "commit-at-a-minority", "accept-older-view")
BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
EXPLAINED = (ROOT / "tests" / "mutations" / "README.md").read_text()


def test_there_are_enough_mutants() -> None:
    assert len(BY_NAME) == len(MUTANTS) >= 40


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_can_be_applied(mutant: Mutant) -> None:
    text = module_path(ROOT, mutant).read_text()
    changed = apply(mutant, text)
    assert changed != text
    compile(changed, mutant.module, "exec")


@pytest.mark.parametrize("name", SAMPLE)
def test_simulation_notices(name: str) -> None:
    verdict = judge(BY_NAME[name], seconds=10, with_tests=False)
    assert verdict.simulation


@pytest.mark.skipif(
    "QUORATE_FULL" not in os.environ, reason="judging all mutants takes half an hour: QUORATE_FULL"
)
def test_mutants_are_noticed_or_explained() -> None:
    verdicts = [judge(mutant, seconds=20, with_tests=True) for mutant in MUTANTS]
    survivors = [verdict.mutant.name for verdict in verdicts if not verdict.is_noticed]
    unexplained = [name for name in survivors if f"`{name}`" not in EXPLAINED]
    assert not unexplained
    assert len(survivors) <= len(MUTANTS) // 10
