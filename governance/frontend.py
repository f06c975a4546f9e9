"""The ``/gov`` frontend: which handler answers what, who may call, which versions there are."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from governance import (
    ballots,
    javascript_reads,
    members,
    proposals,
    recovery,
    service_reads,
    trust_reads,
)
from governance.parts import GovernanceParts, Steps
from governance.signed import MemberSignature
from ledger.crypto.cose_governance import MessageType
from ledger.endpoints import query
from ledger.endpoints.auth import no_auth
from ledger.endpoints.context import CallContext
from ledger.endpoints.endpoint import Endpoint, Forwarding, Mode, Redirection
from ledger.endpoints.errors import Code, HttpError
from ledger.endpoints.registry import Registry
from ledger.endpoints.response import Response
from ledger.endpoints.turns import Turns

API_VERSIONS = ("2023-06-01-preview", "2024-07-01")
"""Versions of this interface that are answered, oldest first."""

GovHandler = Callable[[GovernanceParts, CallContext], Response | Steps]

_READS: tuple[tuple[str, GovHandler, str], ...] = (
    ("/members/proposals", proposals.list_proposals, "List proposals"),
    ("/members/proposals/{proposalId}", proposals.get_proposal, "Get a proposal"),
    ("/members/proposals/{proposalId}/actions", proposals.get_actions, "Get what is proposed"),
    ("/members/proposals/{proposalId}/ballots/{memberId}", ballots.get_ballot, "Get a ballot"),
    ("/members/state-digests/{memberId}", members.get_state_digest, "Get a state digest"),
    (
        "/recovery/encrypted-shares/{memberId}",
        service_reads.get_encrypted_share,
        "Get an encrypted recovery share",
    ),
    ("/service/constitution", service_reads.get_constitution, "Get the constitution"),
    ("/service/info", service_reads.get_service_info, "Get service information"),
    ("/service/members", service_reads.list_members, "List members"),
    ("/service/members/{memberId}", service_reads.get_member, "Get a member"),
    ("/service/users", service_reads.list_users, "List users"),
    ("/service/users/{userId}", service_reads.get_user, "Get a user"),
    ("/service/nodes", trust_reads.list_nodes, "List nodes"),
    ("/service/nodes/{nodeId}", trust_reads.get_node, "Get a node"),
    ("/service/join-policy", trust_reads.get_join_policy, "Get the join policy"),
    ("/service/jwk", trust_reads.get_jwk, "Get token issuers and keys"),
)
_LATER_READS: tuple[tuple[str, GovHandler, str], ...] = (
    ("/service/javascript-app", javascript_reads.get_app, "Get JavaScript endpoints"),
    ("/service/javascript-modules", javascript_reads.list_modules, "List JavaScript modules"),
    (
        "/service/javascript-modules/{moduleName}",
        javascript_reads.get_module,
        "Get a JavaScript module",
    ),
)
"""Reads that the older version does not have."""
_COMMANDS: tuple[tuple[str, GovHandler, str], ...] = (
    ("/service/transactions/commit", service_reads.get_committed, "Get the last commit"),
    ("/service/transactions/{transactionId}", service_reads.get_transaction, "Get a status"),
)
_WRITES: tuple[tuple[str, GovHandler, MessageType, bool, str], ...] = (
    (
        "/members/state-digests/{memberId}:update",
        members.update_state_digest,
        MessageType.STATE_DIGEST,
        False,
        "Ask for a state digest",
    ),
    (
        "/members/state-digests/{memberId}:ack",
        members.acknowledge,
        MessageType.ACK,
        False,
        "Acknowledge a state digest",
    ),
    (
        "/members/proposals:create",
        proposals.create,
        MessageType.PROPOSAL,
        True,
        "Create a proposal",
    ),
    (
        "/members/proposals/{proposalId}:withdraw",
        proposals.withdraw,
        MessageType.WITHDRAWAL,
        True,
        "Withdraw a proposal",
    ),
    (
        "/members/proposals/{proposalId}/ballots/{memberId}:submit",
        ballots.submit,
        MessageType.BALLOT,
        True,
        "Submit a ballot",
    ),
    (
        "/recovery/members/{memberId}:recover",
        recovery.submit_share,
        MessageType.RECOVERY_SHARE,
        True,
        "Submit a recovery share",
    ),
)


def build(parts: GovernanceParts) -> Registry:
    """Return all endpoints of the ``/gov`` frontend.

    Args:
        parts: What governance is connected to.
    """
    registry = Registry(
        "/gov",
        title="Quorate governance",
        description="Members govern the service by signed proposals and ballots.",
        version=API_VERSIONS[-1],
    )
    for path, handler, summary in _READS:
        registry.add(_read(path, partial(handler, parts), summary, Mode.READONLY))
    for path, handler, summary in _LATER_READS:
        read = _read(path, partial(handler, parts), summary, Mode.READONLY, API_VERSIONS[1:])
        registry.add(read)
    for path, handler, summary in _COMMANDS:
        registry.add(_read(path, partial(handler, parts), summary, Mode.COMMAND))
    for path, handler, kind, active, summary in _WRITES:
        policy = MemberSignature(kind, active=active)
        registry.add(_write(path, partial(handler, parts), policy, parts.turns, summary))
    return registry


def _read(
    path: str,
    handler: Callable[[CallContext], Response | Steps],
    summary: str,
    mode: Mode,
    versions: Sequence[str] = API_VERSIONS,
) -> Endpoint:
    return Endpoint(
        method="GET",
        path=path,
        handler=_with_version(handler, versions),
        auth=(no_auth,),
        mode=mode,
        forwarding=Forwarding.SOMETIMES,
        redirection=Redirection.NONE,
        openapi=_operation(summary, versions),
    )


def _write(
    path: str,
    handler: Callable[[CallContext], Response | Steps],
    policy: MemberSignature,
    turns: Turns,
    summary: str,
) -> Endpoint:
    operation = _operation(summary)
    content = {"application/cose": {"schema": {"type": "string", "format": "binary"}}}
    operation["requestBody"] = {"required": True, "content": content}
    return Endpoint(
        method="POST",
        path=path,
        handler=_with_version(handler),
        auth=(policy,),
        openapi=operation,
        turns=turns,
    )


def _operation(summary: str, versions: Sequence[str] = API_VERSIONS) -> dict[str, Any]:
    version = {
        "name": "api-version",
        "in": "query",
        "required": True,
        "schema": {"type": "string", "enum": list(versions)},
    }
    return {
        "summary": summary,
        "parameters": [version],
        "responses": {"default": {"description": "An answer, or an error with its code."}},
    }


def _with_version(
    handler: Callable[[CallContext], Response | Steps], versions: Sequence[str] = API_VERSIONS
) -> Callable[[CallContext], Response | Steps]:
    """Let only calls with a known ``api-version`` through to the handler."""

    def handle(ctx: CallContext) -> Response | Steps:
        version = query.parse(ctx.request.query).get("api-version")
        if version is None:
            raise HttpError(
                400,
                Code.MISSING_API_VERSION_PARAMETER,
                "The api-version query parameter (?api-version=) is required for all requests.",
            )
        if version not in versions:
            raise HttpError(
                400,
                Code.UNSUPPORTED_API_VERSION_VALUE,
                f"Unsupported api-version '{version[:60]}'. "
                f"The supported api-versions are: {', '.join(versions)}.",
            )
        return handler(ctx)

    return handle
