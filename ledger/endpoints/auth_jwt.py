"""``jwt``: callers who show a token of an issuer that the members registered.

A token (RFC 7519) is three texts in base64url with dots between them: header, payload, signature.
Its header names a key (``kid``), and the table of signing keys says whose keys have that name;
each of them is tried. Audience and scope are for the application to judge.

What a token says does not change, so a token that was verified under a row of keys is not verified
again as long as that row stays the same; time is looked at every time.
"""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ledger.base.errors import FormatError, VerificationError
from ledger.codec import canonical
from ledger.codec.tables import BYTES, JSON, STR, Table
from ledger.crypto.jws import TokenKey
from ledger.endpoints.auth import Denied, Identity
from ledger.endpoints.request import Request
from ledger.kv.tx import Tx
from ledger.tables.service import JWT_SIGNING_KEYS, JwtKey

TOKEN_SIZE_MAX = 64 * 1024
"""Longest token that is read; the interface's limit of headers is usually far below."""
TOKENS_CACHED_MAX = 1024
"""Verified tokens that are remembered."""
TOKEN_CACHED_SIZE_MAX = 8 * 1024
"""Larger tokens are verified at every call."""
KEYS_TRIED_MAX = 16
"""Most keys of one name that are tried, so that no row of keys makes a request expensive."""
WWW_AUTHENTICATE = b'Bearer realm="JWT bearer token access", error="invalid_token"'

OLD_KEYS = Table("public:ccf.gov.jwt.public_signing_keys_metadata", STR, JSON)
"""Where services of CCF before 5.0 had certificates, issuers and constraints."""
OLDEST_KEYS = Table("public:ccf.gov.jwt.public_signing_key", STR, BYTES)
"""Where services of CCF before 4.0 had certificates."""
OLDEST_ISSUERS = Table("public:ccf.gov.jwt.public_signing_key_issuer", STR, STR)
"""Their issuers."""

_ALGORITHMS = frozenset({"RS256", "ES256"})
_MICROSOFT = "login.microsoftonline.com"
"""The one issuer whose tokens name a tenant: its constraint holds ``{tenantid}``."""
_BASE64URL = re.compile(rb"[A-Za-z0-9_\-]+")
_Number = int | float


_MISSING = Denied("Missing authorization header.", WWW_AUTHENTICATE)


class _Header(msgspec.Struct):
    alg: str
    kid: str


class _Payload(msgspec.Struct):
    exp: _Number
    iss: str
    nbf: _Number | None = None
    tid: str | None = None


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What an accepted token says; ``Identity.claims`` of a call with a token.

    Attributes:
        key_issuer: Registered issuer whose key signed it.
        header: Its header.
        payload: Its payload: ``sub``, ``aud``, ``roles`` and whatever the issuer puts there.
    """

    key_issuer: str
    header: dict[str, Any]
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Token:
    """A token of the right form."""

    kid: str
    times: tuple[_Number | None, _Number]
    issuer: str
    tenant: str | None
    header: dict[str, Any]
    payload: dict[str, Any]
    signed: bytes
    signature: bytes


class _Verified:
    """A token that was verified, and the row of keys under which it was."""

    __slots__ = ("identity", "key", "row", "times")

    def __init__(
        self, key: bytes, row: bytes, times: tuple[_Number | None, _Number], identity: Identity
    ) -> None:
        self.key = key
        self.row = row
        self.times = times
        self.identity = identity


class JwtPolicy:
    """Accepts bearer tokens."""

    name = "jwt"

    def __init__(self) -> None:
        self._verified: dict[bytes, _Verified] = {}

    def authenticate(self, request: Request, tx: Tx) -> Identity | Denied:
        """Judge the token of the request."""
        token = _bearer(request.headers.get(b"authorization"))
        if isinstance(token, Denied):
            return token
        known = self._verified.get(token)
        if known is not None and tx.map(JWT_SIGNING_KEYS.name).get(known.key) == known.row:
            late = _time_problem(known.times, request.now)
            return known.identity if late is None else _denied(late)
        return self._judge(token, request.now, tx)

    def openapi_security(self) -> tuple[str, dict[str, Any]]:
        """Return the scheme."""
        return self.name, {"bearerFormat": "JWT", "scheme": "bearer", "type": "http"}

    def _judge(self, data: bytes, now: float, tx: Tx) -> Identity | Denied:
        try:
            token = _parse(data)
        except FormatError as error:
            return _denied(f"Malformed JWT: {error}.")
        row = tx.table(JWT_SIGNING_KEYS).map.get(token.kid.encode())
        try:
            keys = _keys(row, token.kid, tx)
        except FormatError:
            return _denied(f"The signing keys of kid {token.kid[:80]!r} do not parse.")
        if not keys:
            return _denied(f"JWT signing key not found for kid {token.kid[:80]!r}.")
        problem = ""
        for key, issued_by in keys[:KEYS_TRIED_MAX]:
            found = _try(token, key, issued_by)
            if isinstance(found, str):
                problem = found
                continue
            late = _time_problem(token.times, now)
            if late is not None:
                return _denied(late)
            if row is not None:
                self._remember(data, _Verified(token.kid.encode(), row, token.times, found))
            return found
        return _denied(problem)

    def _remember(self, data: bytes, verified: _Verified) -> None:
        if len(data) > TOKEN_CACHED_SIZE_MAX:
            return
        if len(self._verified) >= TOKENS_CACHED_MAX:
            self._verified.clear()
        self._verified[data] = verified


jwt = JwtPolicy()
"""Bearer tokens of registered issuers."""


def issuer_matches(issuer: str, tenant: str | None, constraint: str) -> bool:
    """Say whether a token's issuer is the one that its key is bound to.

    Args:
        issuer: Claim ``iss``.
        tenant: Claim ``tid``, None without one.
        constraint: The key's issuer, where ``{tenantid}`` stands for the tenant of Microsoft's.
    """
    if _host(constraint) != _MICROSOFT:
        return issuer == constraint and tenant is None
    if tenant is None or issuer != constraint.replace("{tenantid}", tenant):
        return False
    return _first_segment(issuer) == tenant


def _bearer(header: bytes | None) -> bytes | Denied:
    if header is None:
        return _MISSING
    scheme, _, token = header.partition(b" ")
    if scheme.lower() != b"bearer":
        return _denied("Authorization header does not have the Bearer scheme.")
    token = token.strip()
    if len(token) > TOKEN_SIZE_MAX:
        return _denied(f"Malformed JWT: longer than {TOKEN_SIZE_MAX} bytes.")
    return token


def _parse(data: bytes) -> _Token:
    """Read a token.

    Raises:
        FormatError: it has another form, or lacks a claim that it has to have.
    """
    parts = data.split(b".")
    if len(parts) != 3:
        raise FormatError(f"got {len(parts)} parts, want 3")
    header, payload = _object(parts[0], "header"), _object(parts[1], "payload")
    try:
        named = msgspec.convert(header, _Header)
        said = msgspec.convert(payload, _Payload)
    except msgspec.ValidationError as error:
        raise FormatError(str(error)) from error
    if named.alg not in _ALGORITHMS:
        raise FormatError(f"got algorithm {named.alg[:40]!r}, want RS256 or ES256")
    if "crit" in header:
        raise FormatError("got headers marked as critical, and none of them is known")
    return _Token(
        kid=named.kid,
        times=(said.nbf, said.exp),
        issuer=said.iss,
        tenant=said.tid,
        header=header,
        payload=payload,
        signed=parts[0] + b"." + parts[1],
        signature=_decoded(parts[2], "signature"),
    )


def _object(part: bytes, what: str) -> dict[str, Any]:
    try:
        value = canonical.loads(_decoded(part, what))
    except FormatError as error:
        raise FormatError(f"{what}: {error}") from error
    if not isinstance(value, dict):
        raise FormatError(f"the {what} is no JSON object")
    return value


def _decoded(part: bytes, what: str) -> bytes:
    if _BASE64URL.fullmatch(part) is None:
        raise FormatError(f"the {what} is no base64url")
    text = part.decode("ascii").replace("-", "+").replace("_", "/")
    return canonical.b64decode(text + "=" * (-len(text) % 4))


def _keys(row: bytes | None, kid: str, tx: Tx) -> list[tuple[TokenKey, JwtKey]]:
    """Return the keys of a name with what is known of them.

    Raises:
        FormatError: what the ledger holds does not parse.
    """
    if row is not None:
        return [
            (TokenKey.from_der(canonical.b64decode(each.public_key)), each)
            for each in _decode_row(row)
        ]
    return _old_keys(kid, tx)


_row_decoder = msgspec.json.Decoder(list[JwtKey])


def _decode_row(row: bytes) -> list[JwtKey]:
    try:
        return _row_decoder.decode(row)
    except msgspec.MsgspecError as error:
        raise FormatError("got a row of signing keys of another shape") from error


class _OldKey(msgspec.Struct):
    cert: str
    issuer: str
    constraint: str | None = None


def _old_keys(kid: str, tx: Tx) -> list[tuple[TokenKey, JwtKey]]:
    """Look a name up where services of older versions of CCF kept certificates."""
    rows = tx.table(OLD_KEYS).get(kid)
    if rows is not None:
        try:
            old = msgspec.convert(rows, list[_OldKey])
        except msgspec.ValidationError as error:
            raise FormatError("got a row of signing keys of another shape") from error
        return [
            (
                TokenKey.from_certificate(canonical.b64decode(each.cert)),
                JwtKey(public_key="", issuer=each.issuer, constraint=each.constraint),
            )
            for each in old
        ]
    certificate, issuer = tx.table(OLDEST_KEYS).get(kid), tx.table(OLDEST_ISSUERS).get(kid)
    if certificate is None or issuer is None:
        return []
    return [(TokenKey.from_certificate(certificate), JwtKey(public_key="", issuer=issuer))]


def _try(token: _Token, key: TokenKey, known: JwtKey) -> Identity | str:
    """Return who a token says the caller is by one key, or why it does not count."""
    try:
        key.verify(token.signature, token.signed)
    except VerificationError:
        return "Signature verification failed."
    constraint = known.constraint
    if constraint is not None and not issuer_matches(token.issuer, token.tenant, constraint):
        return (
            f"Kid {token.kid[:80]!r} failed issuer constraint validation: "
            f"{constraint[:200]} is wanted."
        )
    claims = TokenClaims(known.issuer, token.header, token.payload)
    return Identity("jwt", None, None, claims)


def _time_problem(times: tuple[_Number | None, _Number], now: float) -> str | None:
    """Say why a token does not count now, in whole seconds as tokens do."""
    not_before, expiry = times
    second = int(now)
    if not_before is not None and second < not_before:
        return f"Current time {second} is before token's Not Before (nbf) claim {not_before}."
    if second > expiry:
        return f"Current time {second} is after token's Expiration Time (exp) claim {expiry}."
    return None


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _first_segment(url: str) -> str:
    try:
        path = urlsplit(url).path
    except ValueError:
        return ""
    return next((part for part in path.split("/") if part), "")


def _denied(message: str) -> Denied:
    return Denied(message, WWW_AUTHENTICATE)
