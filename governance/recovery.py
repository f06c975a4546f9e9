"""Recovery shares that members submit after a disaster."""

import msgspec

from governance.operations import OperationRefused, ShareProgress
from governance.parts import GovernanceParts, answer, path_id, payload_reader
from governance.signed import signed_request
from ledger.base.errors import FormatError
from ledger.codec import canonical
from ledger.endpoints.context import CallContext
from ledger.endpoints.errors import Code, HttpError
from ledger.endpoints.response import Response
from ledger.tables.service import SERVICE_INFO, ServiceStatus

SHARE_SIZE = 44
"""Bytes of a recovery share."""


class _ShareBody(msgspec.Struct):
    share: str


_decode_share = payload_reader(_ShareBody)


def submit_share(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Take a member's decrypted share. The signed message is not kept: it holds the share."""
    member_id = path_id(ctx, "memberId")
    request = signed_request(ctx)
    if member_id != request.member:
        raise HttpError(
            400, Code.INVALID_AUTHENTICATION_INFO, "Authenticated member id does not match URL."
        )
    service = ctx.tx.singleton(SERVICE_INFO).get()
    if service is None or service.status is not ServiceStatus.WAITING_FOR_RECOVERY_SHARES:
        raise HttpError(
            403,
            Code.SERVICE_NOT_WAITING_FOR_RECOVERY_SHARES,
            "Service is not waiting for recovery shares.",
        )
    share = _share_of(request.payload)
    try:
        progress = parts.operations.submit_recovery_share(ctx.tx, member_id, share)
    except OperationRefused as refusal:
        raise HttpError(
            500, Code.INTERNAL_ERROR, f"Failed to take the recovery share: {refusal}."
        ) from refusal
    return answer(
        {
            "message": _message(progress),
            "submittedCount": progress.submitted,
            "recoveryThreshold": progress.threshold,
            "fullKeySubmitted": progress.full_key_submitted,
        }
    )


def _share_of(payload: bytes) -> bytes:
    try:
        share = canonical.b64decode(_decode_share(payload).share)
    except FormatError as problem:
        raise HttpError(400, Code.INVALID_INPUT, "Invalid body: share is no base64.") from problem
    if len(share) != SHARE_SIZE:
        raise HttpError(
            400,
            Code.INVALID_INPUT,
            f"Invalid body: got a share of {len(share)} bytes, want {SHARE_SIZE}.",
        )
    return share


def _message(progress: ShareProgress) -> str:
    if progress.full_key_submitted:
        counted = "Full recovery key successfully submitted."
    else:
        counted = (
            f"{progress.submitted}/{progress.threshold} recovery shares successfully submitted."
        )
    return f"{counted} End of recovery procedure initiated." if progress.recovered else counted
