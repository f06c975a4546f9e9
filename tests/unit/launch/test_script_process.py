"""Scripts in another process, for those who wait for them, and the checks that run there."""

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from governance.defaults import constitution
from governance.replay.offline import check_ballot, check_constitution, try_ballot
from governance.scripting import (
    DEFAULT_LIMITS,
    FailureKind,
    HostError,
    ScriptCall,
    ScriptFailure,
    ScriptLimits,
)
from ledger.base.errors import UnavailableError
from ledger.launch.script_process import ScriptProcess, script_process
from tests.unit.governance.test_gov_worker import ATTACKS

RUN_MAX_S = 60.0
"""Far above what a run may take, 3 s of processor time: other tests run at the same time."""


@pytest.fixture(scope="module")
def process() -> Iterator[ScriptProcess]:
    with script_process() as it:
        yield it


def echo(name: str, arguments: list[object]) -> object:
    if name == "kv.clear":
        raise HostError("no clearing today")
    if name == "kv.size":
        return "a" * 20_000_000
    return [name, arguments]


def call(source: str, *arguments: object, limits: ScriptLimits = DEFAULT_LIMITS) -> ScriptCall:
    return ScriptCall("ballot", source, "f", arguments, limits)


def test_values_calls_and_failures_cross_the_processes(process: ScriptProcess) -> None:
    value = {"a": [1, 2.5, None, True, "ü"]}
    assert process.run(call("def f(x): return x", value), echo).value == value
    called = process.run(call("def f(): return kv.put('t', 'k', 1)"), echo)
    assert called.value == ["kv.put", ["t", "k", 1]]
    for source, kind, words in (
        ("def f(): fail('no')", FailureKind.REFUSED, "no"),
        ("def f(): kv.clear('t')", FailureKind.ERROR, "no clearing today"),
        ("def f(): return 1 << 70", FailureKind.ERROR, "cannot be passed on"),
        ("def f(): return kv.size('t')", FailureKind.ERROR, "want at most"),
    ):
        failure = process.run(call(source), echo).failure
        assert failure is not None
        assert failure.kind is kind
        assert words in failure.reason
    huge = process.run(call("def f(x): pass", "a" * 20_000_000), echo).failure
    assert huge is not None
    assert huge.kind is FailureKind.ERROR


@pytest.mark.parametrize(
    "name", ["list doubled", "deep data returned", "squaring", "recursion", "brackets"]
)
def test_an_attack_costs_nothing_but_its_process(process: ScriptProcess, name: str) -> None:
    limits = ScriptLimits(cpu_seconds_max=1)
    failure = process.run(call(ATTACKS[name], limits=limits), echo).failure
    assert failure is not None
    assert process.run(call("def f(): return 7"), echo).value == 7


def test_a_script_that_takes_too_long_is_stopped(process: ScriptProcess) -> None:
    limits = ScriptLimits(wall_ms_max=200, cpu_seconds_max=60)
    failure = process.run(call(ATTACKS["squaring"], limits=limits), echo).failure
    assert failure is not None
    assert failure.kind is FailureKind.RESOURCE
    assert failure.reason == "resources ran out: the script took more than 200 ms"
    assert process.run(call("def f(): return 7"), echo).value == 7


def test_without_a_keeper_nothing_runs() -> None:
    with script_process() as it:
        it._keeper.process.kill()
        it._keeper.process.wait()
        with pytest.raises(UnavailableError, match="the process that runs scripts is gone"):
            it.run(call("def f(): return 7"), echo)


# -- checks ------------------------------------------------------------------------------

LOOP = "def burn(count):\n  for x in range(count):\n    pass\n"
HOSTILE = {
    "nested loops": (
        "[None for x in range(2147483647) for y in range(2147483647) if x < 0]",
        "the script took more than 50000000 steps",
    ),
    "more steps than any script may take": (
        f"{LOOP}burn(60000000)",
        "the script took more than 50000000 steps",
    ),
    "a long list": (
        "x = [0] * 1000000000",
        "resources ran out: the script used more than 268435456 bytes of memory",
    ),
    "a number that squares": (
        "x = [x for x in [3] for k in range(60) for x in [x * x]]",
        "resources ran out: ",
    ),
    "calls without end": ("def f(): f()\nf()", "the script's calls nest too deep"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_loads_beyond_the_limits_is_refused(process: ScriptProcess, name: str) -> None:
    hostile, reason = HOSTILE[name]
    begin = time.monotonic()
    problem = check_constitution(f"{hostile}\n{constitution()}", DEFAULT_LIMITS, process.run)
    assert problem is not None
    assert problem.startswith(f"the constitution does not load: {reason}")
    problem = check_ballot(f"{hostile}\ndef vote(p, i): pass", DEFAULT_LIMITS, process.run)
    assert problem is not None
    assert problem.startswith(f"the ballot does not load: {reason}")
    failure = try_ballot(hostile, {"actions": []}, DEFAULT_LIMITS, process.run)
    assert isinstance(failure, ScriptFailure)
    assert failure.reason.startswith(reason)
    assert time.monotonic() - begin < RUN_MAX_S
    assert check_constitution(constitution(), DEFAULT_LIMITS, process.run) is None


def test_what_loads_within_the_limits_is_taken(process: ScriptProcess) -> None:
    source = f"{LOOP}burn(1000000)\n{constitution()}"
    assert check_constitution(source, DEFAULT_LIMITS, process.run) is None
    problem = check_constitution(source, ScriptLimits(steps_max=900_000), process.run)
    assert problem == "the constitution does not load: the script took more than 900000 steps"


def test_the_enclave_does_not_load_the_interpreter() -> None:
    program = "import sys, ledger.launch.enclave_main; sys.exit('starlark' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=RUN_MAX_S)
