"""The error body and the codes."""

import msgspec
import pytest

from ledger.base.errors import MisuseError
from ledger.endpoints.errors import Code, HttpError, error
from ledger.endpoints.response import JSON

# The names that CCF's clients compare with.
CODES = """
AuthorizationFailed BackupNotFound CSRPublicKeyInvalid ConsensusTypeMismatch FrontendNotOpen
InternalError InvalidAuthenticationInfo InvalidCreatedAt InvalidHeaderValue InvalidInput
InvalidNodeState InvalidQueryParameterValue InvalidQuote InvalidResourceName KeyNotFound
MissingApiVersionParameter MissingRequiredHeader NodeAlreadyExists NodeAlreadyRecovering
NodeCannotHandleRequest NodeNotRetiredCommitted NotImplemented PreconditionFailed PrimaryNotFound
ProposalCreatedTooLongAgo ProposalFailedToValidate ProposalNotFound ProposalNotOpen ProposalReplay
RequestAlreadyForwarded RequestBodyTooLarge RequestHeaderTooLarge ResourceNotFound
ServiceNotWaitingForRecoveryShares SessionCapExhausted SessionConsistencyLost StartupSeqnoIsOld
StateDigestMismatch TooManyPendingTransactions TransactionCommitAttemptsExceedLimit
TransactionInvalid TransactionNotFound TransactionPendingOrUnknown TransactionReplicationFailed
UnknownCertificate UnsupportedApiVersionValue UnsupportedContentType UnsupportedHttpVerb
VoteAlreadyExists VoteNotFound
"""


def test_codes() -> None:
    assert sorted(code.value for code in Code) == CODES.split()


def test_body() -> None:
    response = error(404, Code.KEY_NOT_FOUND, "No such key.")
    assert response.status == 404
    assert response.content_type == JSON
    assert response.body == b'{"error":{"code":"KeyNotFound","message":"No such key."}}'
    assert response.tx_id is None


@pytest.mark.parametrize("details", [None, [], ()])
def test_empty_details_are_left_out(details: list[dict[str, str]] | None) -> None:
    assert b"details" not in error(400, "Own", "m", details).body


def test_details_and_headers() -> None:
    response = error(401, "Own", "m", [{"a": 1}], [(b"x", b"y")])
    assert msgspec.json.decode(response.body)["error"]["details"] == [{"a": 1}]
    assert response.headers == [(b"x", b"y")]


def test_message_that_repeats_lone_surrogates() -> None:
    body = msgspec.json.decode(error(404, Code.RESOURCE_NOT_FOUND, "Unknown \udc80.").body)
    assert body["error"]["message"] == "Unknown \\udc80."


def test_http_error_is_its_response() -> None:
    problem = HttpError(409, "Own", "m", [{"a": 1}])
    assert problem.response().body == error(409, "Own", "m", [{"a": 1}]).body
    assert str(problem) == "409 Own: m"


@pytest.mark.parametrize("status", [200, 304, 399, 600])
def test_http_error_refuses_other_statuses(status: int) -> None:
    with pytest.raises(MisuseError):
        HttpError(status, "Own", "m")
