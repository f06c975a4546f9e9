"""Running the scripts of the past, and what the primary said of those that its machine ended.

A script that went beyond memory or time on the primary need not do so here, and the other way
round. So such a failure is taken from the ledger when it is there, and the bounds of a replay
that depend on the machine are far wider than the primary's.
"""

import dataclasses
from collections.abc import Callable

import msgspec

from governance.scripting import (
    RESOURCE_PREFIX,
    FailureKind,
    HostCall,
    ScriptCall,
    ScriptFailure,
    ScriptLimits,
    ScriptOutcome,
)
from ledger.base.errors import LedgerError
from ledger.tables.members import Failure, ProposalInfo

RunScript = Callable[[ScriptCall, HostCall], ScriptOutcome]
"""Runs a script to its end and returns how it ended."""

GENEROSITY = 8
"""How many times the primary's memory and time a replay allows."""
RESOLVE_PREFIX = "Failed to resolve: "
"""What a decision puts before the reason of a failed ``resolve``."""


class CannotRunError(LedgerError):
    """This machine could not finish a script that the primary finished."""


def depends_on_machine(failure: Failure) -> bool:
    """Say whether a recorded failure is one that another machine need not have."""
    # A script can word its own reason, but only a failure inside of it has a trace.
    return failure.trace is None and failure.reason.startswith(RESOURCE_PREFIX)


class RecordedScripts:
    """Implements ``ScriptRunner`` for one message after the other.

    Attributes:
        taken: What was taken on the primary's word for the message at hand, in words.
    """

    def __init__(self, run: RunScript) -> None:
        self.taken: list[str] = []
        self._run = run
        self._info: ProposalInfo | None = None

    def expect(self, info: ProposalInfo | None) -> None:
        """Turn to another message.

        Args:
            info: What the ledger says came of its proposal; None when it says nothing.
        """
        self.taken = []
        self._info = info

    def start(
        self, call: ScriptCall, host: HostCall, resume: Callable[[ScriptOutcome], None]
    ) -> None:
        """Run a script at once; ``resume`` is called before this returns.

        Raises:
            CannotRunError: it went beyond memory or time here, and did not on the primary.
        """
        what, failure = self._recorded_failure(call)
        if failure is not None and depends_on_machine(failure):
            self.taken.append(f"{what} failed on the primary: {failure.reason}")
            resume(ScriptOutcome(failure=ScriptFailure(FailureKind.RESOURCE, failure.reason)))
            return
        generous = dataclasses.replace(call, limits=_generous(call.limits))
        outcome = self._run(generous, host)
        kinds = (FailureKind.RESOURCE, FailureKind.UNAVAILABLE)
        if outcome.failure is not None and outcome.failure.kind in kinds:
            raise CannotRunError(f"{what} cannot be run here: {outcome.failure.reason}")
        resume(outcome)

    def _recorded_failure(self, call: ScriptCall) -> tuple[str, Failure | None]:
        """Return what a script is, and how the ledger says it failed."""
        info = self._info
        if call.function == "vote":
            failures = info.vote_failures if info is not None else None
            return f"the ballot of member {call.voter}", (failures or {}).get(call.voter)
        failure = None if info is None else info.failure
        if call.function == "resolve" and failure is not None:
            resolved = failure.reason.startswith(RESOLVE_PREFIX)
            reason = failure.reason.removeprefix(RESOLVE_PREFIX)
            failure = Failure(reason=reason, trace=failure.trace) if resolved else None
        elif call.function != "apply":
            failure = None
        return f"the constitution's {call.function}", failure


def _generous(limits: ScriptLimits) -> ScriptLimits:
    return msgspec.structs.replace(
        limits,
        memory_bytes_max=limits.memory_bytes_max * GENEROSITY,
        cpu_seconds_max=limits.cpu_seconds_max * GENEROSITY,
        wall_ms_max=limits.wall_ms_max * GENEROSITY,
    )
