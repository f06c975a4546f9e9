"""Runs one script in this process: Starlark, counted steps, bounded depth, no clock, no files.

Steps, depth, source size and calls back are bounded here and are the same on every machine.
Memory, and builtins that run long without a step (``"a" * n``, sorting, big integers), are not:
whoever runs scripts of others does so in a process with limits of its own. Deep data
(a million nested lists) can end this process. There is no way to run a script without limits.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import starlark

from governance.script_api import PRELUDE, PRELUDE_NAME
from governance.script_source import source_problem
from governance.scripting import (
    CHECK_ONLY,
    REASON_SIZE_MAX,
    FailureKind,
    HostCall,
    HostError,
    ScriptCall,
    ScriptFailure,
    ScriptLimits,
    ScriptOutcome,
)

STEPS_PER_TICK = 1000
"""The interpreter reports every so many loop iterations and calls."""

_EMPTY: dict[str, list[object]] = {"actions": []}
CONSTITUTION_CALLS: dict[str, tuple[object, ...]] = {
    "validate": (_EMPTY,),
    "resolve": (_EMPTY, "", [], ""),
    "apply": (_EMPTY, ""),
}
"""What a constitution must define, with arguments to try it with."""
DEFINITIONS: dict[str, Mapping[str, tuple[object, ...]]] = {
    "constitution": CONSTITUTION_CALLS,
    "ballot": {"vote": (_EMPTY, "")},
}
"""What each kind of script must define."""

TRACE_LINES_MAX = 16
"""Innermost lines of a trace that are kept; each call takes two."""

PASSING_PARTS_MAX = 100_000
"""Most values in one call to the node: it takes a microsecond to read one, while all wait."""
PASSING_CHARACTERS_MAX = 4 * 1024 * 1024 + 4096
"""Most characters in one call to the node: the longest source that may be set, and its table."""
ANSWER_SIZE_MAX = 64 * 1024
"""Most that a script answers: a bool or a word is all that anybody asks for."""

_ERROR = re.compile(r"^error: ", re.MULTILINE)
_PLACE = re.compile(r"^ +--> \S+:\d+:\d+$", re.MULTILINE)
_FAIL = "fail: "
_HOST_ERROR = "HostError: "
_REFUSED_CALL = "for call to"
_DEPTH_ERROR = "Starlark call stack overflow"

_DIALECT = starlark.Dialect.standard()
_GLOBALS = starlark.Globals.extended_by(
    [starlark.LibraryExtension.StructType, starlark.LibraryExtension.Json]
)


class _LimitError(Exception):
    """A deterministic limit was met; the text says which."""


class _Meter:
    """Counts steps and calls back of one run.

    Attributes:
        loaded: The source is evaluated; only then may it call the node.
    """

    __slots__ = ("_host", "_host_calls", "_limits", "exceeded", "loaded", "steps")

    def __init__(self, limits: ScriptLimits, host: HostCall) -> None:
        self._limits = limits
        self._host = host
        self._host_calls = 0
        self.steps = 0
        self.exceeded: str | None = None
        self.loaded = False

    def tick(self) -> bool:
        """Count a thousand steps; True stops the run."""
        return self._count(STEPS_PER_TICK)

    def call_host(self, name: object, arguments: object) -> Any:  # noqa: ANN401 - JSON of any shape
        """Answer a call of the script to the node; what passes costs a step a character."""
        if not self.loaded:
            _no_host(name, arguments)
        self._host_calls += 1
        if self._host_calls > self._limits.host_calls_max:
            self.exceeded = (
                f"the script made more than {self._limits.host_calls_max} calls to the node"
            )
        parts, characters = passing_size(arguments)
        if parts > PASSING_PARTS_MAX or characters > PASSING_CHARACTERS_MAX:
            self.exceeded = (
                f"the script passed {parts} values of {characters} characters to the node, "
                f"want at most {PASSING_PARTS_MAX} of {PASSING_CHARACTERS_MAX}"
            )
        if self._count(STEPS_PER_TICK + parts + characters):
            raise _LimitError(self.exceeded)
        if not isinstance(name, str) or not isinstance(arguments, list):
            raise HostError("got a host call of another shape, want a name and a list")
        if name == "script.constitution_problem":
            return self._constitution_problem(arguments)
        answer = self._host(name, arguments)
        if self._count(sum(passing_size(answer))):
            raise _LimitError(self.exceeded)
        return answer

    def _count(self, steps: int) -> bool:
        self.steps += steps
        if self.steps > self._limits.steps_max:
            self.exceeded = f"the script took more than {self._limits.steps_max} steps"
        return self.exceeded is not None

    def options(self) -> starlark.EvalOptions:
        return starlark.EvalOptions(
            check_cancelled=self.tick, max_callstack_size=self._limits.call_depth_max
        )

    def _constitution_problem(self, arguments: list[Any]) -> str | None:
        if len(arguments) != 1 or not isinstance(arguments[0], str):
            raise HostError("got another argument, want the source of a constitution")
        return _definition_problem(
            "constitution", arguments[0], self._limits.source_bytes_max, self
        )


def passing_size(value: object) -> tuple[int, int]:
    """Return how much of the node's time a value takes to pass: its parts and its characters."""
    parts = characters = 0
    waiting = [value]
    while waiting:
        each = waiting.pop()
        parts += 1
        if isinstance(each, str):
            characters += len(each)
        elif isinstance(each, list):
            waiting.extend(each)
        elif isinstance(each, dict):
            waiting.extend(each.values())
            characters += sum(map(len, each))
    return parts, characters


def run(call: ScriptCall, host: HostCall) -> ScriptOutcome:
    """Run a script to its end in this process.

    Args:
        call: What to run.
        host: Answers the script's calls; may raise ``HostError`` and nothing else.
    """
    if call.function == CHECK_ONLY:
        return _check(call)
    problem = source_problem(call.source, call.limits.source_bytes_max)
    if problem is not None:
        return ScriptOutcome(failure=ScriptFailure(FailureKind.LIMIT, problem))
    meter = _Meter(call.limits, host)
    try:
        module = _load(call.name, call.source, meter.options(), meter.call_host).freeze()
        meter.loaded = True
        result = module.call_with(meter.options(), call.function, *call.arguments)
        return _answered(result.value, meter.steps)
    except starlark.StarlarkError as error:
        return ScriptOutcome(failure=_failure_of(str(error), meter), steps=meter.steps)
    except (TypeError, ValueError, RecursionError) as error:
        reason = f"the script's values cannot be passed on: {error}"
        failure = ScriptFailure(FailureKind.ERROR, reason[:REASON_SIZE_MAX])
        return ScriptOutcome(failure=failure, steps=meter.steps)


def _answered(value: object, steps: int) -> ScriptOutcome:
    size = sum(passing_size(value))
    if size > ANSWER_SIZE_MAX:
        reason = f"the script answers a value of size {size}, want at most {ANSWER_SIZE_MAX}"
        return ScriptOutcome(failure=ScriptFailure(FailureKind.ERROR, reason), steps=steps)
    return ScriptOutcome(value=value, steps=steps)


def _check(call: ScriptCall) -> ScriptOutcome:
    """Say why a source is no script of its kind: it must parse, load and define its functions.

    The functions have to take what they are called with, and within the limits. A constitution
    with one that does not could never be voted out again, because every decision would fail.
    """
    meter = _Meter(call.limits, _no_host)
    problem = _definition_problem(call.name, call.source, call.limits.source_bytes_max, meter)
    return ScriptOutcome(value=problem, steps=meter.steps)


def _definition_problem(what: str, source: str, size_max: int, meter: _Meter) -> str | None:
    problem = source_problem(source, size_max)
    if problem is not None:
        return problem
    calls = DEFINITIONS[what]
    try:
        module = _load(what, source, meter.options(), _no_host)
        for name in calls:
            kind = _evaluate(module, "check", f"type({name})", meter.options())
            if kind != "function":
                return f"the {what}'s {name} is of type {kind}, want a function"
    except starlark.StarlarkError as error:
        return f"the {what} does not load: {_failure_of(str(error), meter).reason}"
    except (TypeError, ValueError, RecursionError) as error:
        return f"the {what} does not load: {error}"[:REASON_SIZE_MAX]
    frozen = module.freeze()
    for name, arguments in calls.items():
        problem = _call_problem(frozen, name, arguments, meter.options())
        if problem is not None:
            return f"the {what}'s {name} does not take {len(arguments)} arguments: {problem}"
        if meter.exceeded is not None:
            return f"the {what}'s {name} does not end: {meter.exceeded}"
    return None


def _call_problem(
    module: starlark.FrozenModule,
    name: str,
    arguments: tuple[object, ...],
    options: starlark.EvalOptions,
) -> str | None:
    """Say why a function cannot be called; what becomes of it once it runs does not matter."""
    try:
        module.call_with(options, name, *arguments)
    except starlark.StarlarkError as error:
        reason = _reason_of(str(error))
        refused = _trace_of(str(error)) is None and _REFUSED_CALL in reason
        return reason if refused else None
    except (TypeError, ValueError, RecursionError):
        return None  # it has run: its answer cannot be passed on
    return None


def _no_host(name: object, arguments: object) -> Any:  # noqa: ANN401, ARG001 - same shape as the real one
    raise HostError("a script makes no calls to the node while it loads")


def _load(
    name: str,
    source: str,
    options: starlark.EvalOptions,
    host: Callable[[object, object], Any],
) -> starlark.Module:
    """Evaluate prelude and source in a fresh module."""
    module = starlark.Module()
    module.add_callable("_host", host)
    _evaluate(module, PRELUDE_NAME, PRELUDE, options)
    _evaluate(module, name, source, options)
    return module


def _evaluate(
    module: starlark.Module, name: str, source: str, options: starlark.EvalOptions
) -> object:
    """Evaluate a source; the answer is the value of its last expression."""
    tree = starlark.parse(name, source, _DIALECT)
    return starlark.eval_with(options, module, tree, _GLOBALS).value


def _failure_of(text: str, meter: _Meter) -> ScriptFailure:
    reason, trace = _reason_of(text), _trace_of(text)
    if meter.exceeded is not None:
        return ScriptFailure(FailureKind.LIMIT, meter.exceeded, trace)
    if reason.startswith(_DEPTH_ERROR):
        return ScriptFailure(FailureKind.LIMIT, "the script's calls nest too deep", trace)
    if reason.startswith(_FAIL):
        return ScriptFailure(FailureKind.REFUSED, reason.removeprefix(_FAIL), trace)
    return ScriptFailure(FailureKind.ERROR, reason.removeprefix(_HOST_ERROR), trace)


def _reason_of(text: str) -> str:
    """Return what the interpreter's message says went wrong, without places."""
    begin = _ERROR.search(text)
    body = text if begin is None else text[begin.end() :]
    places = list(_PLACE.finditer(body))
    if places:
        body = body[: places[-1].start()]
    return body.strip()[:REASON_SIZE_MAX]


def _trace_of(text: str) -> str | None:
    """Return the calls that led to the error, outermost first, each with its line of source."""
    begin = _ERROR.search(text)
    places = list(_PLACE.finditer(text))
    calls = text[: begin.start()] if begin is not None else ""
    lines = [line for line in calls.split("\n")[2:] if line]
    if places:
        lines.append(places[-1].group())
    return "\n".join(lines[-TRACE_LINES_MAX:])[-REASON_SIZE_MAX:] or None
