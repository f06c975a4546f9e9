"""Deciding a proposal: run the ballots, let the constitution resolve, apply what was accepted.

All of it happens in the transaction of the message that caused it. ``apply`` writes behind a
savepoint: when it fails its writes are dropped, and the proposal is Failed with the reason. A
ballot that fails is no vote, and its reason is kept; one that ran out of memory or time is not run
again for this proposal, so a slow ballot costs its time once and not with every vote. The same
becomes of a ballot that reads what users change faster than it runs. When scripts
cannot be run at all nothing was decided: the request fails and may be sent again.
"""

from collections.abc import Generator
from typing import Any

import msgspec

from governance.limits import limits_in_force
from governance.parts import GovernanceParts
from governance.proposal_store import RESOLUTIONS, archive_closed
from governance.script_access import Phase
from governance.script_host import ScriptHost
from governance.scripting import (
    RESOURCE_PREFIX,
    FailureKind,
    RunScript,
    ScriptCall,
    ScriptFailure,
    ScriptOutcome,
)
from governance.signed import signed_request
from governance.verdict import Verdict, actions_of
from ledger.endpoints.context import CallContext
from ledger.endpoints.endpoint import Suspension
from ledger.endpoints.errors import Code, HttpError
from ledger.kv.tx import Tx
from ledger.tables.members import PROPOSALS_INFO, Failure, ProposalInfo, ProposalState
from ledger.tables.nodes import NODES_ENDORSED_CERTIFICATES, NODES_INFO, NodeStatus
from ledger.tables.service import CONSTITUTION

OVERTAKEN_MAX = 3
"""How often a decision is made again because something that it read has changed, before ballots may
no longer read tables that change with every signature."""


class Decision:
    """Runs the scripts that one message about one proposal calls for.

    Attributes:
        proposal: The parsed proposal.
    """

    __slots__ = ("_created_at", "_ctx", "_limits", "_parts", "proposal")

    def __init__(self, parts: GovernanceParts, ctx: CallContext, proposal: object) -> None:
        self._parts = parts
        self._ctx = ctx
        self._created_at = signed_request(ctx).created_at
        self._limits = limits_in_force(ctx.tx)
        self.proposal = proposal

    def validate(self) -> Generator[Suspension, Any, ScriptOutcome]:
        """Let the constitution look at the proposal; it refuses with ``fail()``."""
        return (yield from self._constitution("validate", Phase.VALIDATE, self.proposal))

    def decide(
        self, proposal_id: str, info: ProposalInfo
    ) -> Generator[Suspension, Any, ProposalInfo]:
        """Evaluate an Open proposal, write what became of it, and tell it when it is closed.

        Returns:
            What the table holds now.
        """
        info = yield from self._decide(proposal_id, info)
        if info.state is not ProposalState.OPEN:
            self._parts.decided(Verdict(proposal_id, info.state, actions_of(self.proposal)))
        return info

    def _decide(
        self, proposal_id: str, info: ProposalInfo
    ) -> Generator[Suspension, Any, ProposalInfo]:
        votes, vote_failures = yield from self._votes(info)
        info = msgspec.structs.replace(info, vote_failures=vote_failures or None)
        outcome = yield from self._constitution(
            "resolve",
            Phase.RESOLVE,
            self.proposal,
            info.proposer_id,
            [{"member_id": member_id, "vote": vote} for member_id, vote in votes.items()],
            proposal_id,
        )
        state, failure = _resolution(outcome)
        if state is ProposalState.OPEN:
            return self._write(proposal_id, info)
        archive_closed(self._ctx.tx, but=proposal_id)
        info = msgspec.structs.replace(info, state=state, final_votes=votes, failure=failure)
        if state is not ProposalState.ACCEPTED:
            return self._write(proposal_id, info)
        return (yield from self._apply(proposal_id, info))

    def _apply(
        self, proposal_id: str, info: ProposalInfo
    ) -> Generator[Suspension, Any, ProposalInfo]:
        tx = self._ctx.tx
        self._write(proposal_id, info)
        savepoint = tx.savepoint()
        outcome = yield from self._constitution("apply", Phase.APPLY, self.proposal, proposal_id)
        failure = None if outcome.failure is None else recorded_failure(outcome.failure)
        unworkable = None if failure is not None else _unworkable(tx)
        if unworkable is not None:
            failure = Failure(reason=unworkable)
        if failure is None:
            return tx.table(PROPOSALS_INFO).get(proposal_id) or info
        tx.restore(savepoint)
        info = msgspec.structs.replace(info, state=ProposalState.FAILED, failure=failure)
        return self._write(proposal_id, info)

    def _votes(
        self, info: ProposalInfo
    ) -> Generator[Suspension, Any, tuple[dict[str, bool], dict[str, Failure]]]:
        votes: dict[str, bool] = {}
        failures: dict[str, Failure] = {}
        for member_id, source in sorted(info.ballots.items()):
            before = (info.vote_failures or {}).get(member_id)
            if before is not None and before.reason.startswith(RESOURCE_PREFIX):
                failures[member_id] = before
                continue
            outcome = yield from self._ballot(member_id, source, info.proposer_id)
            if outcome.failure is None:
                votes[member_id] = outcome.value is True
            else:
                failures[member_id] = recorded_failure(outcome.failure)
        return votes, failures

    def _ballot(
        self, member_id: str, source: str, proposer_id: str
    ) -> Generator[Suspension, Any, ScriptOutcome]:
        arguments = (self.proposal, proposer_id)
        call = ScriptCall("ballot", source, "vote", arguments, self._limits, voter=member_id)
        return (yield from self._run(call, Phase.BALLOT))

    def _constitution(
        self, function: str, phase: Phase, *arguments: object
    ) -> Generator[Suspension, Any, ScriptOutcome]:
        source = self._ctx.tx.singleton(CONSTITUTION).get()
        if source is None:
            raise HttpError(500, Code.INTERNAL_ERROR, "The service has no constitution.")
        call = ScriptCall("constitution", source, function, arguments, self._limits)
        return (yield from self._run(call, phase))

    def _run(self, call: ScriptCall, phase: Phase) -> Generator[Suspension, Any, ScriptOutcome]:
        operations = self._parts.operations if phase is Phase.APPLY else None
        overtaken = phase is Phase.BALLOT and self._ctx.attempt > OVERTAKEN_MAX
        host = ScriptHost(
            self._ctx.tx, phase, self._created_at, operations, refuse_volatile=overtaken
        )
        outcome = yield RunScript(self._parts.runner, call, host)
        assert isinstance(outcome, ScriptOutcome), "a runner reports how the script ended"
        if host.refused_table is not None:
            outcome = _overtaken(host.refused_table)
        failure = outcome.failure
        if failure is not None and failure.kind is FailureKind.UNAVAILABLE:
            raise HttpError(
                503, Code.INTERNAL_ERROR, f"Scripts cannot run now: {failure.reason}. Try again."
            )
        return outcome

    def _write(self, proposal_id: str, info: ProposalInfo) -> ProposalInfo:
        self._ctx.tx.table(PROPOSALS_INFO).put(proposal_id, info)
        return info


def _unworkable(tx: Tx) -> str | None:
    """Say why no node could go on after the transaction; None when one can."""
    changes = tx.changes
    if not (changes.get(NODES_INFO.name) or changes.get(NODES_ENDORSED_CERTIFICATES.name)):
        return None
    nodes = tx.table(NODES_INFO).items()
    trusted = [node for node, info in nodes if info.status is NodeStatus.TRUSTED]
    if not trusted:
        return "got no Trusted node left, want at least one"
    if changes.get(NODES_ENDORSED_CERTIFICATES.name):
        certificates = tx.table(NODES_ENDORSED_CERTIFICATES)
        for node in trusted:
            if not certificates.has(node):
                return f"got no certificate left of Trusted node {node}, want one"
    return None


def _overtaken(table: str) -> ScriptOutcome:
    """Return the end of a ballot that the node did not let read on."""
    reason = f"{RESOURCE_PREFIX}table {table} changed {OVERTAKEN_MAX} times while the ballot ran"
    return ScriptOutcome(failure=ScriptFailure(FailureKind.RESOURCE, reason))


def recorded_failure(failure: ScriptFailure) -> Failure:
    """Return a script's failure as the ledger keeps it."""
    return Failure(reason=failure.reason, trace=failure.trace)


def _resolution(outcome: ScriptOutcome) -> tuple[ProposalState, Failure | None]:
    if outcome.failure is not None:
        reason = f"Failed to resolve: {outcome.failure.reason}"
        return ProposalState.FAILED, Failure(reason=reason, trace=outcome.failure.trace)
    value = outcome.value
    state = RESOLUTIONS.get(value) if isinstance(value, str) else None
    if state is None:
        wanted = ", ".join(RESOLUTIONS)
        return ProposalState.FAILED, Failure(
            reason=f"Failed to resolve: resolve answered {str(value)[:60]!r}, want {wanted}"
        )
    return state, None
