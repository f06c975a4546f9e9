"""Scripts as values: what to run, within which limits, and how it ended.

A *script* is Starlark source sent by a member: the constitution or a ballot. Only the primary
runs scripts; the others apply what they wrote. A run never blocks the node: a handler yields a
``RunScript`` and goes on when the runner reports how the script ended. While it runs, it reads
and writes tables only by calling back through a ``HostCall``.

How a run ends is a value, not an error. ``FailureKind`` says which ends repeat: the same source,
arguments and tables give the same steps and the same REFUSED, ERROR or LIMIT everywhere, while
RESOURCE depends on the machine, so it is recorded and a replay accepts it.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from ledger.base.errors import LedgerError

API_VERSION = 1
"""Version of the functions that scripts may call; grows when one is added or changed."""

CHECK_ONLY = ""
"""In place of a function's name: call none. The run's value is why the source is no such script as
its name says, or None."""

REASON_SIZE_MAX = 2048
"""Longest kept reason or trace, in characters: it ends up in the ledger."""


RESOURCE_PREFIX = "resources ran out: "
"""Begins every reason of kind RESOURCE, so that the ledger tells which ends do not repeat."""


class ScriptLimits(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True):
    """Bounds of one run.

    The first four are deterministic. The defaults leave the default constitution a hundredfold
    room for a proposal of one action in a consortium of ten; the bounds that ``set_script_limits``
    keeps are in ``LIMIT_RANGES``.

    Attributes:
        steps_max: Loop iterations and calls, counted in thousands; a call back into the node is
            a thousand, and one more for each character that passes.
        call_depth_max: Nested calls.
        source_bytes_max: Bytes of UTF-8 source.
        host_calls_max: Calls back into the node.
        memory_bytes_max: Address space beyond what the idle interpreter has.
        cpu_seconds_max: Processor time of the run.
        wall_ms_max: Time from start to end of the run, waiting for the node included.
    """

    steps_max: int = 50_000_000
    call_depth_max: int = 100
    source_bytes_max: int = 512 * 1024
    host_calls_max: int = 20_000
    memory_bytes_max: int = 256 * 1024 * 1024
    cpu_seconds_max: int = 3
    wall_ms_max: int = 10_000


DEFAULT_LIMITS = ScriptLimits()

LIMIT_RANGES: dict[str, tuple[int, int]] = {
    "steps_max": (5_000_000, 1_000_000_000),
    "call_depth_max": (50, 200),
    "source_bytes_max": (128 * 1024, 4 * 1024 * 1024),
    "host_calls_max": (2_000, 1_000_000),
    "memory_bytes_max": (64 * 1024 * 1024, 4 * 1024 * 1024 * 1024),
    "cpu_seconds_max": (1, 60),
    "wall_ms_max": (2_000, 120_000),
}
"""Smallest and largest value of each limit, both allowed.

No minimum is below what the default constitution needs, so a consortium cannot vote itself into
a state that it cannot vote itself out of. Call depth stops at 200 because the interpreter
recurses on the machine's stack.
"""


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """One run: evaluate the source, then call one of its functions.

    Attributes:
        name: File name in messages: ``constitution`` or ``ballot``; with ``CHECK_ONLY`` what the
            source has to be.
        source: Starlark source.
        function: Name of the function to call, whose answer is the run's value; or ``CHECK_ONLY``.
        arguments: Positional arguments: None, bool, int, float, str, list, dict of these.
        limits: Bounds of the run.
        voter: ID of the member whose ballot it is; empty for the constitution.
    """

    name: str
    source: str
    function: str
    arguments: tuple[Any, ...]
    limits: ScriptLimits = DEFAULT_LIMITS
    voter: str = ""


class FailureKind(enum.Enum):
    """Whose word a failure is."""

    REFUSED = "refused"
    """The script called ``fail()``."""
    ERROR = "error"
    """The script does not parse, or broke a rule of the language or of a host function."""
    LIMIT = "limit"
    """The script went beyond a deterministic limit."""
    RESOURCE = "resource"
    """The script went beyond memory or time, or took its process down."""
    UNAVAILABLE = "unavailable"
    """The script did not run: too many are waiting, or no process can be had."""


@dataclass(frozen=True, slots=True)
class ScriptFailure:
    """Why a run gave no value.

    Attributes:
        kind: Whose word it is.
        reason: One or more sentences for people.
        trace: Where in the script, innermost last; None when it never began.
    """

    kind: FailureKind
    reason: str
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class ScriptOutcome:
    """How a run ended.

    Attributes:
        value: What the function returned (JSON shapes); None when it failed.
        failure: Why it gave no value, or None.
        steps: Steps counted, see ``ScriptLimits.steps_max``.
    """

    value: Any = None
    failure: ScriptFailure | None = None
    steps: int = 0


class HostError(LedgerError):
    """A host function says no; the sentence becomes the script's error."""


HostCall = Callable[[str, list[Any]], Any]
"""Name and arguments of a host function to its answer, JSON shapes; raises ``HostError``."""


class ScriptRunner(Protocol):
    """Runs scripts, one after the other, away from the event loop."""

    def start(
        self, call: ScriptCall, host: HostCall, resume: Callable[[ScriptOutcome], None]
    ) -> None:
        """Queue a run.

        Args:
            call: What to run.
            host: Called in the caller's own thread, zero or more times, before ``resume``.
            resume: Called exactly once, never from within ``start``.
        """
        ...


class RunScript:
    """A handler's wait for a script: ``outcome = yield RunScript(runner, call, host)``."""

    __slots__ = ("call", "host", "runner")

    def __init__(self, runner: ScriptRunner, call: ScriptCall, host: HostCall) -> None:
        self.runner = runner
        self.call = call
        self.host = host

    def start(self, resume: Callable[[ScriptOutcome], None]) -> None:
        """Hand the script to the runner; ``resume`` gets a ``ScriptOutcome``."""
        self.runner.start(self.call, self.host, resume)
