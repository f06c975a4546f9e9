"""Who may call: policies that turn credentials into an identity, or say why not.

A certificate proves nothing by its issuer here: TLS accepts any, and a policy decides per request
by looking the certificate's SHA-256 up in the tables of users or members. Policies hold no state
but a cache of parsed certificates; time is ``request.now``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ledger.base.errors import FormatError
from ledger.codec.tables import Table
from ledger.crypto.certs import Certificate
from ledger.crypto.hashing import sha256
from ledger.endpoints.errors import Code, error
from ledger.endpoints.request import Request
from ledger.endpoints.response import Response
from ledger.endpoints.sendable import sendable
from ledger.kv.tx import Tx
from ledger.tables.members import MEMBER_CERTS, MEMBER_INFO, USER_CERTS, USER_INFO

UnixSeconds = Callable[[], float]
"""Reads the wall clock."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who called, as the accepting policy saw it. One object may serve many calls.

    Attributes:
        policy: Scheme name of the policy, e.g. ``user_cert``.
        id: Caller's ID (64 hex characters for certificates and COSE kids), or None for nobody.
        certificate: Certificate of the caller as DER, when there is one.
        claims: What else the policy read: JWT header and payload, COSE headers and payload, one
            identity for each part of a composite.
    """

    policy: str
    id: str | None = None
    certificate: bytes | None = None
    claims: Any = None


@dataclass(frozen=True, slots=True)
class Denied:
    """Why a policy did not accept; shown in the ``details`` of the 401."""

    message: str
    www_authenticate: bytes | None = None


class AuthPolicy(Protocol):
    """One way to authenticate."""

    @property
    def name(self) -> str:
        """Scheme name shown in errors and OpenAPI."""
        ...

    def authenticate(self, request: Request, tx: Tx) -> Identity | Denied:
        """Judge the request against the tables in ``tx``; reads become part of the call."""
        ...

    def openapi_security(self) -> tuple[str, dict[str, Any]] | None:
        """Return name and definition of the OpenAPI security scheme, or None."""
        ...


def authenticate(policies: Sequence[AuthPolicy], request: Request, tx: Tx) -> Identity | Response:
    """Try the policies in order; the first that accepts wins.

    Returns:
        The identity, or a 401 whose details give each policy's reason.
    """
    denials: list[Denied] = []
    for policy in policies:
        outcome = policy.authenticate(request, tx)
        if isinstance(outcome, Identity):
            return outcome
        denials.append(outcome)
    return _unauthorized(policies, denials)


def caller_data(identity: Identity | None, tx: Tx) -> Any:  # noqa: ANN401 - free JSON
    """Return ``user_data`` or ``member_data`` of the caller, None when there is none."""
    if identity is None or identity.id is None:
        return None
    if identity.policy.startswith("user_"):
        user = tx.table(USER_INFO).get(identity.id)
        return None if user is None else user.user_data
    if identity.policy.startswith("member_"):
        member = tx.table(MEMBER_INFO).get(identity.id)
        return None if member is None else member.member_data
    return None


NOBODY = Identity("no_auth")
"""The caller of an endpoint that asks for nothing."""


class NoAuth:
    """Accepts everybody as nobody."""

    name = "no_auth"

    def authenticate(self, request: Request, tx: Tx) -> Identity | Denied:
        """Accept."""
        del request, tx
        return NOBODY

    def openapi_security(self) -> None:
        """Return None: there is no scheme to declare."""


CALLERS_CACHED_MAX = 4096
"""Parsed certificates kept by one policy: some MB at most, and only of accepted callers."""
CERTIFICATE_CACHED_SIZE_MAX = 8192
"""Larger certificates are parsed at every call; ordinary ones are below 2 KiB."""


class _Caller:
    __slots__ = ("identity", "key", "not_after", "not_before")

    def __init__(self, identity: Identity, key: bytes, certificate: Certificate) -> None:
        self.identity = identity
        self.key = key
        self.not_before = certificate.not_before
        self.not_after = certificate.not_after + 1  # its last second belongs to it


class CertificatePolicy:
    """Accepts TLS client certificates that a table lists and whose dates include now.

    Args:
        name: Scheme name.
        noun: Whose certificate it is, for messages.
        table: Table keyed by the hex SHA-256 of the certificate; None accepts any certificate.
    """

    def __init__(self, name: str, noun: str, table: Table[str, str] | None) -> None:
        self.name = name
        self._table_name = None if table is None else table.name
        self._callers: dict[bytes, _Caller] = {}
        self._missing = Denied(f"No caller {noun} certificate.")
        self._unknown = Denied(f"Could not find matching {noun} certificate.")

    def authenticate(self, request: Request, tx: Tx) -> Identity | Denied:
        """Judge the certificate of the request's session."""
        der = request.session.peer_certificate()
        if der is None:
            return self._missing
        caller = self._callers.get(der)
        key = _key_of(der) if caller is None else caller.key
        if self._table_name is not None and not tx.map(self._table_name).has(key):
            return self._unknown
        if caller is None:
            parsed = self._parse(der, key)
            if isinstance(parsed, Denied):
                return parsed
            caller = parsed
        if caller.not_before <= request.now < caller.not_after:
            return caller.identity
        return _out_of_dates(caller, request.now)

    def openapi_security(self) -> tuple[str, dict[str, Any]]:
        """Return the scheme: OpenAPI 3.0 has no word for mutual TLS, CCF's documents use this."""
        return self.name, {
            "description": f"Request must be sent over TLS with a client certificate "
            f"accepted by the {self.name} policy.",
            "scheme": "mutual",
            "type": "http",
        }

    def _parse(self, der: bytes, key: bytes) -> "_Caller | Denied":
        try:
            certificate = Certificate.parse(der)
        except FormatError:
            return Denied("The client certificate does not parse.")
        caller = _Caller(Identity(self.name, key.decode(), der), key, certificate)
        if len(der) <= CERTIFICATE_CACHED_SIZE_MAX:
            if len(self._callers) >= CALLERS_CACHED_MAX:
                self._callers.clear()
            self._callers[der] = caller
        return caller


user_cert = CertificatePolicy("user_cert", "user", USER_CERTS)
"""Registered users."""
member_cert = CertificatePolicy("member_cert", "member", MEMBER_CERTS)
"""Members. Unlike CCF's policy of this name it checks the certificate's dates."""
any_cert = CertificatePolicy("any_cert", "client", None)
"""Whoever holds the key of any certificate: for applications with a register of their own."""
no_auth = NoAuth()
"""Everybody."""


def _key_of(der: bytes) -> bytes:
    return sha256(der).hex().encode()


def _out_of_dates(caller: _Caller, now: float) -> Denied:
    if now < caller.not_before:
        return Denied("The client certificate is not valid yet.")
    return Denied("The client certificate has expired.")


def _unauthorized(policies: Sequence[AuthPolicy], denials: list[Denied]) -> Response:
    headers = [
        (b"www-authenticate", denied.www_authenticate)
        for denied in denials
        if denied.www_authenticate is not None
    ]
    details = [
        {
            "auth_policy": policy.name,
            "code": str(Code.INVALID_AUTHENTICATION_INFO),
            "message": denied.message,
        }
        for policy, denied in zip(policies, denials, strict=True)
    ]
    denial = error(
        401,
        Code.INVALID_AUTHENTICATION_INFO,
        "Invalid authentication credentials.",
        details,
        headers or None,
    )
    return sendable(denial)  # policies may be an application's own
