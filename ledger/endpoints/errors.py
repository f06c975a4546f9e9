"""Error answers: the codes of the HTTP surface and the one JSON body they all share.

Every failure is answered with ``{"error": {"code": …, "message": …, "details"?: […]}}``.
``details`` is left out when empty. Messages repeat what the client sent, never what the service
knows: nothing of a table, a key or an exception reaches them.
"""

import enum
from collections.abc import Sequence
from typing import Any

import msgspec

from ledger.base.errors import LedgerError, MisuseError
from ledger.endpoints.response import JSON, Response


class Code(enum.StrEnum):
    """Error codes that clients and tools of CCF know. Applications may use others of their own."""

    AUTHORIZATION_FAILED = "AuthorizationFailed"
    BACKUP_NOT_FOUND = "BackupNotFound"
    CONSENSUS_TYPE_MISMATCH = "ConsensusTypeMismatch"
    CSR_PUBLIC_KEY_INVALID = "CSRPublicKeyInvalid"
    FRONTEND_NOT_OPEN = "FrontendNotOpen"
    INTERNAL_ERROR = "InternalError"
    INVALID_AUTHENTICATION_INFO = "InvalidAuthenticationInfo"
    INVALID_CREATED_AT = "InvalidCreatedAt"
    INVALID_HEADER_VALUE = "InvalidHeaderValue"
    INVALID_INPUT = "InvalidInput"
    INVALID_NODE_STATE = "InvalidNodeState"
    INVALID_QUERY_PARAMETER_VALUE = "InvalidQueryParameterValue"
    INVALID_QUOTE = "InvalidQuote"
    INVALID_RESOURCE_NAME = "InvalidResourceName"
    KEY_NOT_FOUND = "KeyNotFound"
    MISSING_API_VERSION_PARAMETER = "MissingApiVersionParameter"
    MISSING_REQUIRED_HEADER = "MissingRequiredHeader"
    NODE_ALREADY_EXISTS = "NodeAlreadyExists"
    NODE_ALREADY_RECOVERING = "NodeAlreadyRecovering"
    NODE_CANNOT_HANDLE_REQUEST = "NodeCannotHandleRequest"
    NODE_NOT_RETIRED_COMMITTED = "NodeNotRetiredCommitted"
    NOT_IMPLEMENTED = "NotImplemented"
    PRECONDITION_FAILED = "PreconditionFailed"
    PRIMARY_NOT_FOUND = "PrimaryNotFound"
    PROPOSAL_CREATED_TOO_LONG_AGO = "ProposalCreatedTooLongAgo"
    PROPOSAL_FAILED_TO_VALIDATE = "ProposalFailedToValidate"
    PROPOSAL_NOT_FOUND = "ProposalNotFound"
    PROPOSAL_NOT_OPEN = "ProposalNotOpen"
    PROPOSAL_REPLAY = "ProposalReplay"
    REQUEST_ALREADY_FORWARDED = "RequestAlreadyForwarded"
    REQUEST_BODY_TOO_LARGE = "RequestBodyTooLarge"
    REQUEST_HEADER_TOO_LARGE = "RequestHeaderTooLarge"
    RESOURCE_NOT_FOUND = "ResourceNotFound"
    SERVICE_NOT_WAITING_FOR_RECOVERY_SHARES = "ServiceNotWaitingForRecoveryShares"
    SESSION_CAP_EXHAUSTED = "SessionCapExhausted"
    SESSION_CONSISTENCY_LOST = "SessionConsistencyLost"
    STARTUP_SEQNO_IS_OLD = "StartupSeqnoIsOld"
    STATE_DIGEST_MISMATCH = "StateDigestMismatch"
    TOO_MANY_PENDING_TRANSACTIONS = "TooManyPendingTransactions"
    TRANSACTION_COMMIT_ATTEMPTS_EXCEED_LIMIT = "TransactionCommitAttemptsExceedLimit"
    TRANSACTION_INVALID = "TransactionInvalid"
    TRANSACTION_NOT_FOUND = "TransactionNotFound"
    TRANSACTION_PENDING_OR_UNKNOWN = "TransactionPendingOrUnknown"
    TRANSACTION_REPLICATION_FAILED = "TransactionReplicationFailed"
    UNKNOWN_CERTIFICATE = "UnknownCertificate"
    UNSUPPORTED_API_VERSION_VALUE = "UnsupportedApiVersionValue"
    UNSUPPORTED_CONTENT_TYPE = "UnsupportedContentType"
    UNSUPPORTED_HTTP_VERB = "UnsupportedHttpVerb"
    VOTE_ALREADY_EXISTS = "VoteAlreadyExists"
    VOTE_NOT_FOUND = "VoteNotFound"


class HttpError(LedgerError):
    """A handler's way to answer with an error from anywhere below it; its writes are dropped.

    Attributes:
        status: HTTP status in ``[400, 599]``.
        code: Error code, one of ``Code`` or the application's own.
        message: One sentence for the client.
        details: Further objects for the client.

    Raises:
        MisuseError: another status.
    """

    def __init__(
        self, status: int, code: str, message: str, details: Sequence[dict[str, Any]] = ()
    ) -> None:
        if not 400 <= status <= 599:
            raise MisuseError(f"got status {status} for an error, want one in [400, 599]")
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.details = details

    def response(self) -> Response:
        """Return the answer that this error stands for."""
        return error(self.status, self.code, self.message, self.details)


_encode = msgspec.json.Encoder().encode


def error(
    status: int,
    code: str,
    message: str,
    details: Sequence[dict[str, Any]] | None = None,
    headers: list[tuple[bytes, bytes]] | None = None,
) -> Response:
    """Return an error answer with the common JSON body.

    Args:
        status: HTTP status.
        code: Error code.
        message: One sentence for the client.
        details: Further objects; left out when there are none.
        headers: Further headers, names in lower case.
    """
    body: dict[str, Any] = {"code": str(code), "message": message}
    if details:
        body["details"] = list(details)
    try:
        data = _encode({"error": body})
    except UnicodeEncodeError:
        # What the client sent, and the message repeats, held lone surrogates.
        body["message"] = message.encode("ascii", "backslashreplace").decode()
        data = _encode({"error": body})
    return Response(status, data, JSON, headers)
