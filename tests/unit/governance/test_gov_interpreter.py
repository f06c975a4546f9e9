"""The interpreter in this process: values, failures, deterministic limits."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from governance.interpreter import passing_size, run
from governance.replay.offline import check_constitution
from governance.script_source import source_problem
from governance.scripting import FailureKind, HostError, ScriptCall, ScriptLimits, ScriptOutcome

ROOT = Path(__file__).parents[3]
BURN = "def burn():\n  for x in range(2147483647):\n    pass"


def echo(name: str, arguments: list[Any]) -> object:
    if arguments == ["refuse", None]:
        raise HostError("not this one")
    return {"name": name, "arguments": arguments}


def call(source: str, *arguments: object, **limits: int) -> ScriptOutcome:
    return run(ScriptCall("script", source, "f", arguments, ScriptLimits(**limits)), echo)


def problem_of(constitution: str, **limits: int) -> str | None:
    return check_constitution(constitution, ScriptLimits(**limits), run)


@pytest.mark.parametrize(
    "value",
    [None, True, 0, -7, 2**40, 1.5, "", "zürich", [], [1, [2, "x"]], {}, {"a": {"b": [None]}}],
)
def test_values_go_in_and_come_out(value: object) -> None:
    assert call("def f(x): return x", value).value == value


def test_arguments_may_be_changed_by_the_script() -> None:
    outcome = call("def f(x):\n  x['b'] = x.pop('a')\n  return x", {"a": [1]})
    assert outcome.value == {"b": [1]}


def test_host_functions_get_name_and_arguments() -> None:
    outcome = call("def f(): return kv.put('table', 'key', {'v': [1]})")
    assert outcome.value == {"name": "kv.put", "arguments": ["table", "key", {"v": [1]}]}
    # A thousand for the call; then each value that passes, its characters and those of keys.
    assert outcome.steps == 1000 + 15 + 36


@pytest.mark.parametrize(
    ("source", "kind", "reason"),
    [
        ("def f(): fail('no', 3)", FailureKind.REFUSED, "no 3"),
        ("def f(): fail('a\\nerror: b\\n --> c')", FailureKind.REFUSED, "a\nerror: b\n --> c"),
        ("def f(): return [][1]", FailureKind.ERROR, "Index `1` is out of bound"),
        ("def f(): return kv.get('refuse')", FailureKind.ERROR, "not this one"),
        ("size = kv.size('t')\ndef f(): pass", FailureKind.ERROR, "no calls to the node while it"),
        ("def f(): return kv.gett('x')", FailureKind.ERROR, "has no attribute `gett`"),
        ("def f(): return unknown", FailureKind.ERROR, "`unknown` not found"),
        ("def f(", FailureKind.ERROR, "Parse error"),
        ("def g(): pass", FailureKind.ERROR, "no symbol `f`"),
        ("def f(a): pass", FailureKind.ERROR, "Missing"),
        ("def f(): return f", FailureKind.ERROR, "not supported"),
        ("x = 1\nx = fail('early')\ndef f(): pass", FailureKind.REFUSED, "early"),
        ("load('other', 'x')\ndef f(): pass", FailureKind.ERROR, "No imports are available"),
        ("def f(): print(1)", FailureKind.ERROR, "`print` not found"),
        ("def f():\n  while True: pass", FailureKind.ERROR, "Parse error"),
        ("def f(): return f()", FailureKind.LIMIT, "nest too deep"),
        ("def f():\n  for x in range(1000000000): pass", FailureKind.LIMIT, "5000000 steps"),
        ("def f(): return [x for x in range(1000000000)]", FailureKind.LIMIT, "steps"),
        ("x = [y for y in range(1000000000)]\ndef f(): pass", FailureKind.LIMIT, "steps"),
        (
            "def g(n): return n and [g(n - 1), g(n - 1)]\ndef f(): g(40)",
            FailureKind.LIMIT,
            "steps",
        ),
        (
            "def f():\n  for x in range(1000): kv.get('x')",
            FailureKind.LIMIT,
            "more than 100 calls to the node",
        ),
    ],
)
def test_failures_say_whose_word_they_are(source: str, kind: FailureKind, reason: str) -> None:
    outcome = call(source, steps_max=5_000_000, host_calls_max=100, call_depth_max=50)
    assert outcome.failure is not None
    assert outcome.failure.kind is kind
    assert reason in outcome.failure.reason
    assert outcome.value is None


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (None, (1, 0)),
        (7, (1, 0)),
        ("abc", (1, 3)),
        ([], (1, 0)),
        ([1, "a"], (3, 1)),
        ({"ab": "c"}, (2, 3)),
        ([[["x"]]], (4, 1)),
    ],
)
def test_what_passes_has_a_size(value: object, size: tuple[int, int]) -> None:
    assert passing_size(value) == size


def test_passing_much_to_and_fro_takes_steps() -> None:
    for source in (
        "def f():\n  for x in range(100): kv.get('a' * 100000)",
        "def f():\n  for x in range(100): kv.get(x)",
    ):
        call = ScriptCall("script", source, "f", (), ScriptLimits(steps_max=5_000_000))
        outcome = run(call, lambda *_: ["a" * 50_000] * 2)
        assert outcome.failure is not None
        assert outcome.failure.reason == "the script took more than 5000000 steps"


@pytest.mark.parametrize(
    "source",
    [
        "def f(): kv.get([[]] * 100001)",
        "def f(): kv.get(['a'] * 100001)",
        "def f(): kv.get({x: x for x in [str(i) for i in range(100001)]})",
        "def f(): kv.get('a' * 4200000)",
    ],
)
def test_one_call_passes_only_so_much(source: str) -> None:
    called: list[str] = []
    outcome = run(ScriptCall("script", source, "f", ()), lambda name, _: called.append(name))
    assert outcome.failure is not None
    assert outcome.failure.kind is FailureKind.LIMIT
    assert "values of" in outcome.failure.reason
    assert not called


@pytest.mark.parametrize("value", ["[[]] * 70000", "'a' * 70000", "{'a': [0] * 70000}"])
def test_an_answer_is_short(value: str) -> None:
    outcome = call(f"def f(): return {value}")
    assert outcome.failure is not None
    assert outcome.failure.kind is FailureKind.ERROR
    assert "answers a value of size" in outcome.failure.reason


def test_a_trace_names_places_innermost_last() -> None:
    outcome = call("def g():\n  fail('x')\ndef f():\n  g()")
    assert outcome.failure is not None
    trace = (outcome.failure.trace or "").splitlines()
    assert trace == [
        "  * script:4, in f",
        "      g()",
        "  * script:2, in g",
        "      fail('x')",
        trace[-1],
    ]
    assert "script:2:3" in trace[-1]


def test_a_limit_is_not_softened_by_the_script_own_words() -> None:
    source = "def f():\n  for x in range(1000000000):\n    if x == 4990000: fail('fine')"
    outcome = call(source, steps_max=1_000_000)
    assert outcome.failure is not None
    assert outcome.failure.kind is FailureKind.LIMIT


class TestSource:
    @pytest.mark.parametrize(
        "source",
        [
            "",
            "x = 1\n" * 10_000,
            "x = [" + "1, " * 10_000 + "]",
            "x = {" + "'a': 1 + 2 - 3, " * 5_000 + "}",
            "x = '" + "(" * 1000 + "'",
            'x = """\n' + "((\n" * 1000 + '"""',
            "# " + "(" * 1000,
            "x = 'it\\'s ((((' + '(('",
            "def f(x):\n" + "  if x:\n    pass\n" * 500,
            "x = 'a' + \\\n  'b'\n" * 300,
        ],
    )
    def test_what_people_write_passes(self, source: str) -> None:
        assert source_problem(source, 1 << 20) is None

    @pytest.mark.parametrize(
        "source",
        [
            "x = " + "(" * 201 + ")" * 201,
            "x = " + "[" * 201 + "]" * 201,
            "x = " + "{1: " * 201 + "}" * 201,
            "x = " + "not " * 201 + "1",
            "x = " + "-" * 201 + "1",
            "x = " + "1 + " * 201 + "1",
            "x = " + "1 +\\\n" * 201 + "1",
            "x = " + "'a' + " * 201 + "'a'",
            "x = a" + ".b" * 201,
            "x = f" + "()" * 201,
            "x = " + "1 if 1 else " * 201 + "1",
            "x = " + "lambda a, b: " * 201 + "1",
            "x = [x " + "for x, y in z " * 201 + "]",
            "x = " + "(1, [2, {3: 4 + " * 60 + "1" + "}])" * 60,
            "def f(x):\n" + "".join(" " * n + "if x:\n" for n in range(1, 50)),
            "def f(x):\n  if x:\n    pass\n" + "  elif x:\n    pass\n" * 201,
        ],
    )
    def test_what_could_overflow_a_stack_does_not(self, source: str) -> None:
        problem = source_problem(source, 1 << 20)
        assert problem is not None
        assert "nest" in problem or "branch" in problem

    def test_size_is_counted_in_bytes(self) -> None:
        assert source_problem("ü" * 50, 100) is None
        assert source_problem("ü" * 51, 100) == "the source has 102 bytes, want at most 100"


class TestConstitution:
    GOOD = "def validate(p): pass\ndef resolve(p, by, votes, id): pass\ndef apply(p, id): pass\n"

    def test_one_that_defines_its_functions(self) -> None:
        assert problem_of(self.GOOD) is None

    @pytest.mark.parametrize("name", ["validate", "resolve", "apply"])
    def test_one_that_lacks_a_function(self, name: str) -> None:
        for source in (
            self.GOOD.replace(f"def {name}", f"def not_{name}"),
            self.GOOD + f"{name} = 3\n",
        ):
            problem = problem_of(source)
            assert problem is not None
            assert name in problem

    @pytest.mark.parametrize(
        ("bad", "problem"),
        [
            ("def validate(): pass", "validate does not take 1 arguments: Found 1 extra"),
            ("def resolve(a, b, c): pass", "resolve does not take 4 arguments: Found 1 extra"),
            ("def apply(a, b, c): pass", "apply does not take 2 arguments: Missing parameter `c`"),
        ],
    )
    def test_its_functions_take_what_they_are_called_with(self, bad: str, problem: str) -> None:
        found = problem_of(self.GOOD + bad)
        assert found is not None
        assert problem in found

    @pytest.mark.parametrize(
        "fine",
        [
            "def apply(*all): pass",
            "def apply(a, b, c = 1): pass",
            "def apply(a, b): fail('no')",
            "def apply(a, b): return kv.get('a')",
            "def apply(a, b): return [][1]",
            "def apply(a, b): return apply",
            "def g(x): pass\ndef apply(a, b): g()",
            "def apply(a, b): return apply(a, b)",
        ],
    )
    def test_what_its_functions_do_then_is_its_own_matter(self, fine: str) -> None:
        assert problem_of(self.GOOD + fine) is None

    def test_it_is_loaded_without_a_node(self) -> None:
        problem = problem_of(self.GOOD + "x = kv.get('a')")
        assert problem is not None
        assert "no calls to the node while it loads" in problem

    @pytest.mark.parametrize(
        ("heavy", "problem"),
        [
            (f"{BURN}\nburn()", "the constitution does not load: the script took more than 5000"),
            (f"{BURN}\n[burn() for x in range(2147483647)]", "does not load: the script took"),
            ("def f(): f()\nf()", "the constitution does not load: the script's calls nest too"),
            ("fail('not\\ntoday')", "the constitution does not load: not\ntoday"),
            (
                f"{BURN}\ndef apply(a, b): burn()",
                "the constitution's apply does not end: the script took more than 5000 steps",
            ),
            ("#" * 600_000, "bytes, want at most"),
            ("[[[[]]]]", None),
        ],
    )
    def test_it_has_to_load_within_the_limits(self, heavy: str, problem: str | None) -> None:
        found = problem_of(f"{self.GOOD}{heavy}\n", steps_max=5000)
        assert found == problem or (found is not None and problem is not None and problem in found)

    def test_one_within_another_takes_the_steps_of_the_other(self) -> None:
        source = "def f(x):\n  return script.constitution_problem(x)"
        problem = call(source, f"{self.GOOD}{BURN}\nburn()", steps_max=10_000).value
        assert problem == ("the constitution does not load: the script took more than 10000 steps")


SAME_STEPS = """
import sys
sys.path.insert(0, {root!r})
from tests.unit.governance.gov_kit import *
from governance.defaults import Variant
for variant in Variant:
    service = Consortium(variant=variant)
    service.open()
    service.pass_actions(action("set_user", cert=person("user0").pem))
    print(variant.value, [(each.steps, each.failure) for each in service.queue.outcomes])
    print(service.log.begin().map("public:ccf.gov.proposals_info").size())
"""


def test_default_scripts_take_the_same_steps_under_any_hash_seed() -> None:
    printed = []
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", SAME_STEPS.format(root=str(ROOT))],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=60,
        )
        printed.append(done.stdout.decode())
    assert printed[0] == printed[1]
    assert "operator-provisioner [(" in printed[0]
