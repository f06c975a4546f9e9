"""Trying a proposal or a constitution without a service, with the code that a service runs.

Tables are empty but for what is given, so whatever depends on the state of a service
(``assert_service_identity``, ``resolve``, ``apply``) can only be tried there.
"""

from typing import Any

from governance.interpreter import constitution_problem, run
from governance.script_access import Phase
from governance.script_host import ScriptHost
from governance.scripting import DEFAULT_LIMITS, ScriptCall, ScriptLimits
from ledger.kv.store import Store
from ledger.tables.service import SERVICE_INFO, ServiceInfo, ServiceStatus


def check_constitution(source: str, limits: ScriptLimits = DEFAULT_LIMITS) -> str | None:
    """Say why a service would refuse a constitution, or None."""
    return constitution_problem(source, limits.source_bytes_max)


def check_ballot(
    source: str, proposal: dict[str, Any], limits: ScriptLimits = DEFAULT_LIMITS
) -> str:
    """Say how a ballot would vote on a proposal: ``for``, ``against``, or why it would fail."""
    call = ScriptCall("ballot", source, "vote", (proposal, "0" * 64), limits)
    outcome = run(call, ScriptHost(Store().begin(), Phase.BALLOT, 0))
    if outcome.failure is not None:
        return outcome.failure.reason
    return "for" if outcome.value is True else "against"


def check_proposal(
    proposal: dict[str, Any],
    constitution: str,
    *,
    service_certificate: str | None = None,
    limits: ScriptLimits = DEFAULT_LIMITS,
) -> str | None:
    """Say why a constitution's ``validate`` would refuse a proposal, or None.

    Args:
        proposal: The parsed proposal.
        constitution: Source that judges it.
        service_certificate: PEM of the service it is meant for, when that matters.
        limits: Limits of the run.
    """
    tx = Store().begin()
    if service_certificate is not None:
        info = ServiceInfo(cert=service_certificate, status=ServiceStatus.OPEN)
        tx.singleton(SERVICE_INFO).put(info)
    call = ScriptCall("constitution", constitution, "validate", (proposal,), limits)
    outcome = run(call, ScriptHost(tx, Phase.VALIDATE, 0))
    return None if outcome.failure is None else outcome.failure.reason
