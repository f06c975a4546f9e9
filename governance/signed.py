"""Signed requests of members: COSE_Sign1 bodies checked against the tables of the call.

The checks, in order, each with its own reason in the 401: content type, form of the message,
algorithm, signer is a member, signature, type of message, and, where the endpoint asks for it,
that the member is active. A body that does not parse is the caller's fault (401), unlike CCF,
which answers 500.
"""

from typing import Any

from ledger.base.errors import FormatError, VerificationError
from ledger.codec.canonical import b64encode
from ledger.crypto import cose
from ledger.crypto.certificate import Certificate
from ledger.crypto.cose_governance import (
    CREATED_AT_MAX,
    MemberRequest,
    MessageType,
    parse_request,
    verify_request,
)
from ledger.endpoints.adapters import media_type
from ledger.endpoints.auth import Denied, Identity
from ledger.endpoints.context import CallContext
from ledger.endpoints.errors import Code, HttpError
from ledger.endpoints.request import Request
from ledger.endpoints.response import COSE
from ledger.kv.tx import Tx
from ledger.tables.members import COSE_HISTORY, MEMBER_CERTS, MEMBER_INFO, MemberStatus

WWW_AUTHENTICATE = b'COSE-SIGN1 realm="Signed request access"'
MESSAGE_SIZE_MAX = 8 << 20
"""Longest message that is read; the interface's own limit of bodies is usually far below."""


class MemberSignature:
    """Accepts a body signed by a member, of one message type.

    The identity's ``claims`` are the ``MemberRequest``.

    Args:
        kind: The type that the endpoint expects.
        active: Whether the member has to be Active.
    """

    __slots__ = ("_active", "kind", "name")

    def __init__(self, kind: MessageType, *, active: bool) -> None:
        self.kind = kind
        self._active = active
        self.name = "active_member_cose_sign1" if active else "member_cose_sign1"

    def authenticate(self, request: Request, tx: Tx) -> Identity | Denied:
        """Judge the request's body."""
        if media_type(request.headers.get(b"content-type", b"")) != COSE:
            return _denied("Missing or invalid content-type: want application/cose.")
        try:
            message = parse_request(request.body, size_max=MESSAGE_SIZE_MAX)
        except (FormatError, VerificationError) as error:
            _refuse_late_creation(request.body)
            return _denied(f"Invalid COSE request: {error}.")
        return self._judge(message, tx)

    def _judge(self, message: MemberRequest, tx: Tx) -> Identity | Denied:
        pem = tx.table(MEMBER_CERTS).get(message.member)
        if pem is None:
            return _denied("Signer is not a known member.")
        certificate = Certificate.parse(pem)
        try:
            verify_request(message, certificate.public_key)
        except VerificationError as error:
            return _denied(f"Failed to validate COSE signature: {error}.")
        if message.type is not self.kind:
            return _denied(
                f"Unexpected message type: {message.type.value}, expected: {self.kind.value}."
            )
        if self._active:
            info = tx.table(MEMBER_INFO).get(message.member)
            if info is None or info.status is not MemberStatus.ACTIVE:
                return _denied("Signer is not an active member.")
        return Identity(self.name, message.member, certificate.der, message)

    def openapi_security(self) -> tuple[str, dict[str, Any]]:
        """Return the scheme: OpenAPI 3.0 has no word for COSE."""
        return self.name, {
            "description": "Request body must be a COSE_Sign1 message of a member, "
            f"of type {self.kind.value}.",
            "scheme": "cose_sign1",
            "type": "http",
        }


def signed_request(ctx: CallContext) -> MemberRequest:
    """Return the message that authenticated the call."""
    assert ctx.identity is not None, "the endpoint asks for a member's signature"
    message = ctx.identity.claims
    assert isinstance(message, MemberRequest), "MemberSignature hands its message on"
    return message


def record_history(ctx: CallContext) -> None:
    """Keep the signed message as its member's last; the ledger keeps the ones before."""
    member = signed_request(ctx).member
    ctx.tx.table(COSE_HISTORY).put(member, b64encode(ctx.request.body))


def _refuse_late_creation(body: bytes) -> None:
    """Answer with CCF's own code when all that is wrong is a time beyond ten digits."""
    try:
        message = cose.parse_sign1(body, size_max=MESSAGE_SIZE_MAX)
    except FormatError:
        return
    created_at = message.protected.get("ccf.gov.msg.created_at")
    if type(created_at) is int and created_at > CREATED_AT_MAX:
        raise HttpError(
            400,
            Code.INVALID_CREATED_AT,
            f"Header parameter created_at must be at most {CREATED_AT_MAX}.",
        )


def _denied(message: str) -> Denied:
    return Denied(message, WWW_AUTHENTICATE)
