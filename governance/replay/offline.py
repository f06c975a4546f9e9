"""Trying a proposal or a constitution without a service, with the code that a service runs.

Tables are empty but for what is given, so whatever depends on the state of a service
(``assert_service_identity``, ``resolve``, ``apply``) can only be tried there.

Scripts are of others, so everything here is told the limits of a run and who runs it: in
production a process of its own, which a script may take down.
"""

from typing import Any

import msgspec

from governance.ballots import BALLOT_SIZE_MAX
from governance.replay.scripts import RunScript
from governance.script_access import Phase
from governance.script_host import ScriptHost
from governance.scripting import CHECK_ONLY, HostError, ScriptCall, ScriptFailure, ScriptLimits
from ledger.kv.store import Store
from ledger.tables.service import SERVICE_INFO, ServiceInfo, ServiceStatus


def check_constitution(source: str, limits: ScriptLimits, run: RunScript) -> str | None:
    """Say why a service would refuse a constitution, or None.

    Args:
        source: Starlark source.
        limits: Limits of the check: those that it would run under.
        run: Runs it.
    """
    return _check("constitution", source, limits, run)


def check_ballot(source: str, limits: ScriptLimits, run: RunScript) -> str | None:
    """Say why a source could never vote on anything, or None; arguments as above."""
    return _check("ballot", source, _ballot_limits(limits), run)


def try_ballot(
    source: str, proposal: dict[str, Any], limits: ScriptLimits, run: RunScript
) -> bool | ScriptFailure:
    """Say whether a ballot would vote for a proposal, or why it would not count."""
    call = ScriptCall("ballot", source, "vote", (proposal, "0" * 64), _ballot_limits(limits))
    outcome = run(call, ScriptHost(Store().begin(), Phase.BALLOT, 0))
    return outcome.value is True if outcome.failure is None else outcome.failure


def check_proposal(
    proposal: dict[str, Any],
    constitution: str,
    limits: ScriptLimits,
    run: RunScript,
    *,
    service_certificate: str | None = None,
) -> str | None:
    """Say why a constitution's ``validate`` would refuse a proposal, or None.

    Args:
        proposal: The parsed proposal.
        constitution: Source that judges it.
        limits: Limits of the run.
        run: Runs it.
        service_certificate: PEM of the service it is meant for, when that matters.
    """
    tx = Store().begin()
    if service_certificate is not None:
        info = ServiceInfo(cert=service_certificate, status=ServiceStatus.OPEN)
        tx.singleton(SERVICE_INFO).put(info)
    call = ScriptCall("constitution", constitution, "validate", (proposal,), limits)
    outcome = run(call, ScriptHost(tx, Phase.VALIDATE, 0))
    return None if outcome.failure is None else outcome.failure.reason


def _check(name: str, source: str, limits: ScriptLimits, run: RunScript) -> str | None:
    outcome = run(ScriptCall(name, source, CHECK_ONLY, (), limits), _no_host)
    if outcome.failure is not None:
        return f"the {name} does not load: {outcome.failure.reason}"
    problem: str | None = outcome.value
    return problem


def _ballot_limits(limits: ScriptLimits) -> ScriptLimits:
    """Return the limits of a ballot, which is never longer than one may be submitted."""
    size_max = min(limits.source_bytes_max, BALLOT_SIZE_MAX)
    return msgspec.structs.replace(limits, source_bytes_max=size_max)


def _no_host(name: str, arguments: list[Any]) -> Any:  # noqa: ANN401 - same shape as the real one
    raise HostError(f"a check makes no calls: {name} with {len(arguments)} arguments")
