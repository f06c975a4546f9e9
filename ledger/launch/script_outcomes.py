"""What both runners of script processes say: the answer to a call, and how a run ended."""

import signal

from governance.scripting import (
    RESOURCE_PREFIX,
    FailureKind,
    HostCall,
    HostError,
    ScriptCall,
    ScriptFailure,
    ScriptLimits,
    ScriptOutcome,
)
from ledger.launch.script_worker_wire import BROKEN_EXIT_STATUS, Answer, Call, End, Run


def run_of(call: ScriptCall) -> Run:
    """Return the message that has a script run."""
    return Run(call.name, call.source, call.function, list(call.arguments), call.limits)


def answer(host: HostCall, call: Call) -> Answer:
    """Answer a call of the script, in the transaction of the request that waits for it."""
    try:
        return Answer(host(call.name, call.arguments))
    except HostError as error:
        return Answer(refusal=str(error))


def outcome_of(end: End) -> ScriptOutcome:
    """Return how a run ended whose process says so itself."""
    if end.kind is None:
        return ScriptOutcome(value=end.value, steps=end.steps)
    prefix = RESOURCE_PREFIX if end.kind is FailureKind.RESOURCE else ""
    failure = ScriptFailure(end.kind, prefix + end.reason, end.trace)
    return ScriptOutcome(failure=failure, steps=end.steps)


def resources_ran_out(reason: str) -> ScriptOutcome:
    """Return how a run ended that cost its process."""
    return ScriptOutcome(failure=ScriptFailure(FailureKind.RESOURCE, RESOURCE_PREFIX + reason))


def overdue(limits: ScriptLimits) -> str:
    """Say that a script was stopped for the time it took."""
    return f"the script took more than {limits.wall_ms_max} ms"


def reason_of(status: int, limits: ScriptLimits) -> str:
    """Say what a script did whose process ended by itself.

    Args:
        status: How it ended: its exit status, or the negative number of a signal.
        limits: What the script ran under.
    """
    if status == -signal.SIGXCPU:
        return f"the script took more than {limits.cpu_seconds_max} s of processor time"
    if status in {-signal.SIGABRT, -signal.SIGBUS, BROKEN_EXIT_STATUS}:
        return f"the script used more than {limits.memory_bytes_max} bytes of memory"
    if status == -signal.SIGSEGV:
        most = limits.memory_bytes_max
        return f"the script nested deeper than the stack, or used more than {most} bytes of memory"
    return f"the script ended its process (status {status})"
