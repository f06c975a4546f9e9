"""What authors of applications import: the façade over endpoints, tables and callers.

``App`` declares endpoints, ``Context`` is what they work with, ``Table`` and its kin define data.
Signatures are read once, at registration, where everything that is wrong with them is said.
Applications are plain synchronous functions: they may run twice, so they keep no state of their
own. Test them with ``ledger.testing.app_client``.
"""

from ledger.app.application import App
from ledger.app.context import Context
from ledger.base.errors import MisuseError
from ledger.base.ids import TxId
from ledger.codec.tables import (
    BOOL,
    BYTES,
    INT,
    JSON,
    JSON_TEXT,
    STR,
    U64LE,
    Codec,
    SetTable,
    Singleton,
    Table,
)
from ledger.endpoints.auth import (
    AuthPolicy,
    Denied,
    Identity,
    any_cert,
    member_cert,
    no_auth,
    user_cert,
)
from ledger.endpoints.auth_all_of import AllOf, all_of
from ledger.endpoints.auth_cose import CosePolicy, SignedBody, member_cose_sign1, user_cose_sign1
from ledger.endpoints.auth_jwt import TokenClaims, jwt
from ledger.endpoints.endpoint import Forwarding, Redirection
from ledger.endpoints.errors import Code, HttpError
from ledger.endpoints.request import Request
from ledger.endpoints.response import Response

__all__ = [
    "BOOL",
    "BYTES",
    "INT",
    "JSON",
    "JSON_TEXT",
    "STR",
    "U64LE",
    "AllOf",
    "App",
    "AuthPolicy",
    "Code",
    "Codec",
    "Context",
    "CosePolicy",
    "Denied",
    "Forwarding",
    "HttpError",
    "Identity",
    "MisuseError",
    "Redirection",
    "Request",
    "Response",
    "SetTable",
    "SignedBody",
    "Singleton",
    "Table",
    "TokenClaims",
    "TxId",
    "all_of",
    "any_cert",
    "jwt",
    "member_cert",
    "member_cose_sign1",
    "no_auth",
    "user_cert",
    "user_cose_sign1",
]
