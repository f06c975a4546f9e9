"""Who may call: policies that turn credentials into an identity, or say why not."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ledger.endpoints.request import Request
from ledger.kv.tx import Tx


@dataclass(frozen=True, slots=True)
class Identity:
    """Who called, as the accepting policy saw it.

    Attributes:
        policy: Scheme name of the policy, e.g. ``user_cert``.
        id: Caller's ID (64 hex characters for certificates and COSE kids), or None for nobody.
        certificate: Certificate of the caller as DER, when there is one.
        data: ``user_data`` or ``member_data`` of the caller, JSON value, or None.
        claims: What else the policy read: JWT header and payload, COSE headers and payload.
    """

    policy: str
    id: str | None = None
    certificate: bytes | None = None
    data: Any = None
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


UnixSeconds = Callable[[], float]
