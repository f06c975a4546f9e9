"""Stories in the scenario language: published ones, and ours with recorded traces."""

import os
from pathlib import Path
from random import Random

import pytest

from ledger.consensus.types import Jitter
from ledger.testing.scenario_driver import Driver
from ledger.testing.scenario_language import parse, split_trace

HERE = Path(__file__).parent
OURS = sorted(HERE.glob("*.txt"))
PUBLISHED_NAMES = (
    "append",
    "check_quorum",
    "election",
    "pre_vote",
    "reconfig_0_1",
    "reconfiguration",
    "reconnect",
    "replicate",
    "retire_one",
    "startup",
    "startup_2nodes",
    "suffix_collision.1",
)


def least(limit: int) -> int:
    del limit
    return 0


def greatest(limit: int) -> int:
    return limit


def at_random(seed: int) -> Jitter:
    chance = Random(seed)
    return lambda limit: chance.randint(0, limit)


JITTERS = {
    "least": least,
    "greatest": greatest,
    **{f"seed{seed}": at_random(seed) for seed in range(5)},
}


def published() -> Path:
    data = os.environ.get("QUORATE_TESTDATA")
    root = Path(data) if data else Path(__file__).parents[3] / "shared" / "testdata"
    return root / "raft-scenarios"


@pytest.mark.parametrize("jitter", JITTERS.values(), ids=JITTERS)
@pytest.mark.parametrize("name", PUBLISHED_NAMES)
def test_published_scenario(name: str, jitter: Jitter) -> None:
    path = published() / name
    if not path.exists():
        pytest.skip(f"no published scenarios at {path.parent} (see QUORATE_TESTDATA)")
    Driver(jitter=jitter).run(parse(path.read_text()))


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
def test_trace_of_our_scenario(path: Path, request: pytest.FixtureRequest) -> None:
    commands, recorded = split_trace(path.read_text())
    driver = Driver(jitter=least)
    driver.run(parse(commands))
    if request.config.getoption("--rewrite", default=False):
        if "\n====" not in commands:
            commands += "==== trace\n"
        path.write_text(commands + driver.trace.text)
        recorded = driver.trace.text
    assert driver.trace.text == recorded


@pytest.mark.parametrize("jitter", JITTERS.values(), ids=JITTERS)
@pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
def test_our_scenario_holds_whatever_the_jitter(path: Path, jitter: Jitter) -> None:
    commands, _ = split_trace(path.read_text())
    Driver(jitter=jitter).run(parse(commands))
