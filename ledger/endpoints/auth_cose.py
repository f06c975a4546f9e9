"""Callers who sign the body: COSE_Sign1 messages of users and members.

The body is the message (``application/cose``, CBOR tag 18) with its payload attached, and the key
ID in its protected header is the ID of a registered user or member. Other headers that are read,
all protected: for users ``ccf.msg.type`` and ``ccf.msg.created_at``, for members
``ccf.gov.msg.type`` and ``ccf.gov.msg.created_at``, none of them required. Nothing keeps a message
from being sent twice: an application that minds compares times or numbers of its own.
"""

from dataclasses import dataclass, field
from typing import Any

from ledger.base.errors import FormatError, VerificationError
from ledger.codec.tables import Table
from ledger.crypto import cose
from ledger.crypto.certs import Certificate
from ledger.crypto.cose_governance import UserRequest, parse_user_request
from ledger.endpoints.adapters import media_type
from ledger.endpoints.auth import Denied, Identity
from ledger.endpoints.request import Request
from ledger.endpoints.response import COSE
from ledger.kv.tx import Tx
from ledger.tables.members import MEMBER_CERTS, USER_CERTS

WWW_AUTHENTICATE = b'COSE-SIGN1 realm="Signed request access"'
_TYPED = "typed_"
MESSAGE_SIZE_MAX = 8 << 20
"""Longest message that is read; the interface's limit of bodies is usually below."""


@dataclass(frozen=True, slots=True)
class SignedBody:
    """What an accepted message says; ``Identity.claims`` of a call with a signed body.

    Attributes:
        payload: What was signed.
        type: What the signer says the message is, None when nothing is said.
        created_at: When the signer says it was made, seconds since 1970; None when nothing is said.
        message: The message itself, with all its headers.
    """

    payload: bytes = field(repr=False)
    type: str | None
    created_at: int | None
    message: cose.Sign1 = field(repr=False)


class CosePolicy:
    """Accepts bodies signed by somebody whom a table lists.

    Args:
        name: Scheme name.
        noun: Who signs, for messages.
        table: Certificates by ID.
        prefix: What the names of its headers begin with: ``ccf.`` or ``ccf.gov.``.
        kind: The one type of message that is accepted; None accepts any, and none.
    """

    def __init__(
        self, name: str, noun: str, table: Table[str, str], prefix: str, kind: str | None = None
    ) -> None:
        self.name = name
        self._noun = noun
        self._table = table
        self._type_label = f"{prefix}msg.type"
        self._time_label = f"{prefix}msg.created_at"
        self._kind = kind

    def of_type(self, kind: str) -> "CosePolicy":
        """Return the same policy for one type of message only; its name says ``typed``."""
        prefix = self._type_label.removesuffix("msg.type")
        return CosePolicy(f"{_TYPED}{self.name}", self._noun, self._table, prefix, kind)

    def authenticate(self, request: Request, tx: Tx) -> Identity | Denied:
        """Judge the body."""
        if media_type(request.headers.get(b"content-type", b"")) != COSE:
            return _denied("Missing or invalid content-type: want application/cose.")
        try:
            signed = parse_user_request(request.body, size_max=MESSAGE_SIZE_MAX)
            body = self._body_of(signed)
        except (FormatError, VerificationError) as error:
            return _denied(f"Invalid COSE request: {error}.")
        if self._kind is not None and body.type != self._kind:
            return _denied(f"Unexpected message type: {body.type}, expected: {self._kind}.")
        pem = tx.table(self._table).get(signed.kid)
        if pem is None:
            return _denied(f"Signer is not a known {self._noun}.")
        try:
            certificate = Certificate.parse(pem)
            cose.verify(signed.message, certificate.public_key)
        except (FormatError, VerificationError) as error:
            return _denied(f"Failed to validate COSE signature: {error}.")
        # The data of a caller is found by the name of the policy that is not typed.
        return Identity(self.name.removeprefix(_TYPED), signed.kid, certificate.der, body)

    def openapi_security(self) -> tuple[str, dict[str, Any]]:
        """Return the scheme: OpenAPI 3.0 has no word for COSE."""
        kind = "" if self._kind is None else f", of type {self._kind}"
        return self.name, {
            "description": f"Request body must be a COSE_Sign1 message of a {self._noun}{kind}.",
            "scheme": "cose_sign1",
            "type": "http",
        }

    def _body_of(self, signed: UserRequest) -> SignedBody:
        headers = signed.message.protected
        kind, created_at = headers.get(self._type_label), headers.get(self._time_label)
        if kind is not None and not isinstance(kind, str):
            raise FormatError(f"got header {self._type_label} that is no tstr")
        if created_at is not None and (type(created_at) is not int or created_at < 0):
            raise FormatError(f"got header {self._time_label} that is no time")
        return SignedBody(
            signed.payload,
            kind,
            created_at if isinstance(created_at, int) else None,
            signed.message,
        )


user_cose_sign1 = CosePolicy("user_cose_sign1", "user", USER_CERTS, "ccf.")
"""Users who sign the body."""
member_cose_sign1 = CosePolicy("member_cose_sign1", "member", MEMBER_CERTS, "ccf.gov.")
"""Members who sign the body, active or not."""


def _denied(message: str) -> Denied:
    return Denied(message, WWW_AUTHENTICATE)
