"""The ``/gov`` frontend: which handler answers what, who may call, which versions there are."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from governance import (
    answers,
    ballots,
    javascript_reads,
    members,
    proposals,
    recovery,
    service_reads,
    trust_reads,
)
from governance.api_document import Documented, api_handler, query_parameter
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

READS: tuple[tuple[str, GovHandler, str, type], ...] = (
    ("/members/proposals", proposals.list_proposals, "List proposals", answers.Proposals),
    (
        "/members/proposals/{proposalId}",
        proposals.get_proposal,
        "Get a proposal",
        answers.Proposal,
    ),
    (
        "/members/proposals/{proposalId}/actions",
        proposals.get_actions,
        "Get what is proposed, as it was sent",
        dict,
    ),
    (
        "/members/proposals/{proposalId}/ballots/{memberId}",
        ballots.get_ballot,
        "Get a ballot",
        str,
    ),
    (
        "/members/state-digests/{memberId}",
        members.get_state_digest,
        "Get a state digest",
        answers.StateDigest,
    ),
    (
        "/recovery/encrypted-shares/{memberId}",
        service_reads.get_encrypted_share,
        "Get an encrypted recovery share",
        answers.EncryptedShare,
    ),
    ("/service/constitution", service_reads.get_constitution, "Get the constitution", str),
    ("/service/info", service_reads.get_service_info, "Get the service", answers.Service),
    ("/service/members", service_reads.list_members, "List members", answers.Members),
    ("/service/members/{memberId}", service_reads.get_member, "Get a member", answers.Member),
    ("/service/users", service_reads.list_users, "List users", answers.Users),
    ("/service/users/{userId}", service_reads.get_user, "Get a user", answers.User),
    ("/service/nodes", trust_reads.list_nodes, "List nodes", answers.Nodes),
    ("/service/nodes/{nodeId}", trust_reads.get_node, "Get a node", answers.Node),
    (
        "/service/join-policy",
        trust_reads.get_join_policy,
        "Get the join policy",
        answers.JoinPolicy,
    ),
    ("/service/jwk", trust_reads.get_jwk, "Get token issuers and keys", answers.Tokens),
)
LATER_READS: tuple[tuple[str, GovHandler, str, type], ...] = (
    (
        "/service/javascript-app",
        javascript_reads.get_app,
        "Get JavaScript endpoints",
        answers.JavascriptApp,
    ),
    (
        "/service/javascript-modules",
        javascript_reads.list_modules,
        "List JavaScript modules",
        answers.JavascriptModules,
    ),
    (
        "/service/javascript-modules/{moduleName}",
        javascript_reads.get_module,
        "Get a JavaScript module",
        str,
    ),
)
"""Reads that the older version does not have."""
COMMANDS: tuple[tuple[str, GovHandler, str, type], ...] = (
    (
        "/service/transactions/commit",
        service_reads.get_committed,
        "Get the last commit",
        answers.Transaction,
    ),
    (
        "/service/transactions/{transactionId}",
        service_reads.get_transaction,
        "Get a status",
        answers.Transaction,
    ),
)
_WRITES: tuple[tuple[str, GovHandler, MessageType, bool, str, type | None], ...] = (
    (
        "/members/state-digests/{memberId}:update",
        members.update_state_digest,
        MessageType.STATE_DIGEST,
        False,
        "Ask for a state digest",
        answers.StateDigest,
    ),
    (
        "/members/state-digests/{memberId}:ack",
        members.acknowledge,
        MessageType.ACK,
        False,
        "Acknowledge a state digest",
        None,
    ),
    (
        "/members/proposals:create",
        proposals.create,
        MessageType.PROPOSAL,
        True,
        "Create a proposal",
        answers.Proposal,
    ),
    (
        "/members/proposals/{proposalId}:withdraw",
        proposals.withdraw,
        MessageType.WITHDRAWAL,
        True,
        "Withdraw a proposal",
        answers.Proposal,
    ),
    (
        "/members/proposals/{proposalId}/ballots/{memberId}:submit",
        ballots.submit,
        MessageType.BALLOT,
        True,
        "Submit a ballot",
        answers.Proposal,
    ),
    (
        "/recovery/members/{memberId}:recover",
        recovery.submit_share,
        MessageType.RECOVERY_SHARE,
        True,
        "Submit a recovery share",
        answers.ShareProgress,
    ),
)


_KINDS = {row[3] for row in (*READS, *LATER_READS, *COMMANDS)} | {
    row[5] for row in _WRITES if row[5] is not None
}
_GETS = (
    (READS, API_VERSIONS, Mode.READONLY),
    (LATER_READS, API_VERSIONS[1:], Mode.READONLY),
    (COMMANDS, API_VERSIONS, Mode.COMMAND),
)
_DOCUMENTED = Documented(sorted(_KINDS, key=lambda kind: kind.__name__))
_QUERIES = {
    "/members/proposals": (query_parameter("include", ["closed"], required=False),),
    "/service/javascript-app": (query_parameter("case", ["original"], required=False),),
}
_API: dict[str, Any] = {
    "summary": "This document",
    "parameters": [query_parameter("api-version", API_VERSIONS, required=False)],
}


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
    registry.schemas = _DOCUMENTED.components
    for rows, versions, mode in _GETS:
        for path, handler, summary, kind in rows:
            operation = _DOCUMENTED.operation(summary, kind, versions, _QUERIES.get(path, ()))
            handle = _with_version(partial(handler, parts), versions)
            registry.add(_read(path, handle, operation, mode))
    for path, handler, message, active, summary, answered in _WRITES:
        policy = MemberSignature(message, active=active)
        operation = _DOCUMENTED.operation(summary, answered, API_VERSIONS)
        registry.add(_write(path, partial(handler, parts), policy, parts.turns, operation))
    registry.add(_read("/api", api_handler(registry, _document_version), _API, Mode.COMMAND))
    return registry


def _read(
    path: str,
    handler: Callable[[CallContext], Response | Steps],
    operation: dict[str, Any],
    mode: Mode,
) -> Endpoint:
    return Endpoint(
        method="GET",
        path=path,
        handler=handler,
        auth=(no_auth,),
        mode=mode,
        forwarding=Forwarding.SOMETIMES,
        redirection=Redirection.NONE,
        openapi=operation,
    )


def _write(
    path: str,
    handler: Callable[[CallContext], Response | Steps],
    policy: MemberSignature,
    turns: Turns,
    operation: dict[str, Any],
) -> Endpoint:
    content = {"application/cose": {"schema": {"type": "string", "format": "binary"}}}
    return Endpoint(
        method="POST",
        path=path,
        handler=_with_version(handler),
        auth=(policy,),
        openapi={**operation, "requestBody": {"required": True, "content": content}},
        turns=turns,
    )


def _with_version(
    handler: Callable[[CallContext], Response | Steps], versions: Sequence[str] = API_VERSIONS
) -> Callable[[CallContext], Response | Steps]:
    """Let only calls with a known ``api-version`` through to the handler."""

    def handle(ctx: CallContext) -> Response | Steps:
        if _version(ctx, versions) is None:
            raise HttpError(
                400,
                Code.MISSING_API_VERSION_PARAMETER,
                "The api-version query parameter (?api-version=) is required for all requests.",
            )
        return handler(ctx)

    return handle


def _document_version(ctx: CallContext) -> str:
    """Return the version whose document is asked for, the newest by default."""
    return _version(ctx, API_VERSIONS) or API_VERSIONS[-1]


def _version(ctx: CallContext, versions: Sequence[str]) -> str | None:
    """Return the call's ``api-version``, None without one.

    Raises:
        HttpError: 400, it is not among the versions.
    """
    version = query.parse(ctx.request.query).get("api-version")
    if version is not None and version not in versions:
        raise HttpError(
            400,
            Code.UNSUPPORTED_API_VERSION_VALUE,
            f"Unsupported api-version '{version[:60]}'. "
            f"The supported api-versions are: {', '.join(versions)}.",
        )
    return version
