"""Signed bodies of users and members, and several policies at once."""

from typing import Any

import pytest

from ledger.base.errors import MisuseError
from ledger.base.ids import MemberId
from ledger.crypto import cose
from ledger.crypto.certs import self_signed_caller
from ledger.crypto.cose_governance import MessageType, sign_request
from ledger.crypto.keys import Curve, SigningKey
from ledger.endpoints.auth import AuthPolicy, Denied, Identity, caller_data, no_auth, user_cert
from ledger.endpoints.auth_all_of import AllOf, all_of
from ledger.endpoints.auth_cose import (
    WWW_AUTHENTICATE,
    CosePolicy,
    SignedBody,
    member_cose_sign1,
    user_cose_sign1,
)
from ledger.endpoints.auth_jwt import JwtPolicy
from ledger.endpoints.endpoint import Endpoint
from ledger.endpoints.openapi import document
from ledger.endpoints.registry import Registry
from ledger.endpoints.request import Request
from ledger.endpoints.response import Response
from ledger.kv.store import Store
from ledger.kv.tx import Tx
from ledger.tables.members import (
    MEMBER_CERTS,
    MEMBER_INFO,
    USER_CERTS,
    USER_INFO,
    MemberInfo,
    MemberStatus,
    UserInfo,
)
from ledger.tables.service import JWT_SIGNING_KEYS
from tests.unit.endpoints.tokens import NOW, row, rsa_key, token

KEY = SigningKey.generate(Curve.P384)
CERTIFICATE = self_signed_caller(KEY, "CN=alice", 10, NOW)
OTHER = SigningKey.generate(Curve.P384)
JSON_TYPE = b"application/json"


class Peer:
    interface = "test"
    pinned_view = 0
    forwarded = False

    def __init__(self, der: bytes | None) -> None:
        self.der = der

    def peer_certificate(self) -> bytes | None:
        return self.der

    def complete(self, request: Request, response: Response) -> None:
        raise AssertionError(f"nothing is late here: {request} {response}")

    def close_after_response(self) -> None:
        raise AssertionError("nothing is closed here")


@pytest.fixture
def tx() -> Tx:
    store = Store()
    tx = store.begin()
    tx.table(USER_CERTS).put(CERTIFICATE.id, CERTIFICATE.pem)
    tx.table(USER_INFO).put(CERTIFICATE.id, UserInfo(user_data="user"))
    tx.table(MEMBER_CERTS).put(CERTIFICATE.id, CERTIFICATE.pem)
    info = MemberInfo(status=MemberStatus.ACCEPTED, member_data="member")
    tx.table(MEMBER_INFO).put(CERTIFICATE.id, info)
    tx.table(JWT_SIGNING_KEYS).put("kid", [row(rsa_key())])
    store.commit(tx, 1)
    return store.begin()


def request(
    body: bytes,
    content_type: bytes | None = b"application/cose",
    der: bytes | None = None,
    bearer: str | None = None,
) -> Request:
    headers = {} if content_type is None else {b"content-type": content_type}
    if bearer is not None:
        headers[b"authorization"] = f"Bearer {bearer}".encode()
    made = Request("POST", "/x", "", headers, body, Peer(der))
    made.now = NOW + 1
    return made


def signed(payload: bytes = b"{}", key: SigningKey = KEY) -> bytes:
    return cose.sign1(key, [(cose.KID, CERTIFICATE.id.encode())], payload)


def headers(prefix: str, kind: object = None, created_at: object = None) -> dict[str, object]:
    named = {f"{prefix}msg.type": kind, f"{prefix}msg.created_at": created_at}
    return {name: value for name, value in named.items() if value is not None}


def message(payload: bytes, named: dict[str, object], key: SigningKey = KEY) -> bytes:
    pairs: list[tuple[Any, Any]] = [(cose.KID, CERTIFICATE.id.encode()), *named.items()]
    return cose.sign1(key, pairs, payload)


POLICIES = [(user_cose_sign1, "ccf.", "user"), (member_cose_sign1, "ccf.gov.", "member")]


@pytest.mark.parametrize(("policy", "prefix", "noun"), POLICIES)
def test_a_signed_body_names_its_signer(policy: AuthPolicy, prefix: str, noun: str, tx: Tx) -> None:
    body = message(b"content", headers(prefix, "greeting", 1234))
    identity = policy.authenticate(request(body), tx)
    assert isinstance(identity, Identity)
    assert (identity.policy, identity.id) == (f"{noun}_cose_sign1", CERTIFICATE.id)
    assert identity.certificate == CERTIFICATE.der
    claims = identity.claims
    assert isinstance(claims, SignedBody)
    assert (claims.payload, claims.type, claims.created_at) == (b"content", "greeting", 1234)
    assert caller_data(identity, tx) == noun


@pytest.mark.parametrize(("policy", "prefix", "noun"), POLICIES)
def test_headers_are_optional_and_of_ones_own_kind(
    policy: AuthPolicy, prefix: str, noun: str, tx: Tx
) -> None:
    del prefix
    other = "ccf.gov." if noun == "user" else "ccf."
    for named in ({}, headers(other, "x", 5)):
        identity = policy.authenticate(request(message(b"", named)), tx)
        assert isinstance(identity, Identity)
        assert (identity.claims.type, identity.claims.created_at) == (None, None)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (request(signed(), None), "content-type"),
        (request(signed(), JSON_TYPE), "content-type"),
        (request(b""), "Invalid COSE request"),
        (request(b"{}"), "Invalid COSE request"),
        (request(signed()[1:]), "Invalid COSE request"),
        (request(cose.sign1(KEY, [(cose.KID, b"x" * 64)], b"", detached=True)), "Invalid COSE"),
        (request(cose.sign1(KEY, [], b"")), "Invalid COSE request"),
        (request(message(b"", {"ccf.msg.type": 3})), "Invalid COSE request"),
        (request(message(b"", {"ccf.msg.created_at": "now"})), "Invalid COSE request"),
        (request(message(b"", {"ccf.msg.created_at": -1})), "Invalid COSE request"),
        (request(cose.sign1(KEY, [(cose.KID, b"0" * 64)], b"")), "not a known user"),
        (request(signed(key=OTHER)), "Failed to validate COSE signature"),
        (request(signed().replace(b"{}", b"[]")), "Failed to validate COSE signature"),
    ],
)
def test_other_bodies_are_refused_with_a_reason(made: Request, words: str, tx: Tx) -> None:
    outcome = user_cose_sign1.authenticate(made, tx)
    assert isinstance(outcome, Denied)
    assert words in outcome.message
    assert outcome.www_authenticate == WWW_AUTHENTICATE


def test_a_content_type_may_have_parameters(tx: Tx) -> None:
    made = request(signed(), b"Application/COSE; cose-type=cose-sign1")
    assert isinstance(user_cose_sign1.authenticate(made, tx), Identity)


@pytest.mark.parametrize(("policy", "prefix", "noun"), POLICIES)
def test_a_typed_policy_wants_its_type(policy: CosePolicy, prefix: str, noun: str, tx: Tx) -> None:
    typed = policy.of_type("order")
    assert typed.name == f"typed_{noun}_cose_sign1"
    accepted = typed.authenticate(request(message(b"", headers(prefix, "order"))), tx)
    assert isinstance(accepted, Identity)
    assert caller_data(accepted, tx) == noun
    for named in (headers(prefix, "other"), {}):
        refused = typed.authenticate(request(message(b"", named)), tx)
        assert isinstance(refused, Denied)
        assert "Unexpected message type" in refused.message


def test_messages_of_governance_are_signed_bodies_of_members(tx: Tx) -> None:
    body = sign_request(KEY, MemberId(CERTIFICATE.id), MessageType.PROPOSAL, b"{}", created_at=NOW)
    identity = member_cose_sign1.authenticate(request(body), tx)
    assert isinstance(identity, Identity)
    assert (identity.claims.type, identity.claims.created_at) == ("proposal", NOW)


# -- several at once ---------------------------------------------------------------------


def test_all_policies_have_to_accept(tx: Tx) -> None:
    both = all_of(user_cert, JwtPolicy())
    assert both.name == "user_cert+jwt"
    made = request(b"", None, CERTIFICATE.der, token(rsa_key()))
    identity = both.authenticate(made, tx)
    assert isinstance(identity, Identity)
    assert (identity.policy, identity.id) == ("user_cert+jwt", CERTIFICATE.id)
    assert identity.certificate == CERTIFICATE.der
    assert list(identity.claims) == ["user_cert", "jwt"]
    assert identity.claims["jwt"].claims.payload["sub"] == "me"
    assert caller_data(identity, tx) == "user"


@pytest.mark.parametrize(
    ("der", "bearer", "words"),
    [
        (None, token(rsa_key()), "user_cert: No caller user certificate."),
        (CERTIFICATE.der, None, "jwt: Missing authorization header."),
        (CERTIFICATE.der, "x.y.z", "jwt: Malformed JWT"),
        (None, None, "user_cert: No caller"),
    ],
)
def test_the_first_that_does_not_accept_decides(
    der: bytes | None, bearer: str | None, words: str, tx: Tx
) -> None:
    outcome = all_of(user_cert, JwtPolicy()).authenticate(request(b"", None, der, bearer), tx)
    assert isinstance(outcome, Denied)
    assert outcome.message.startswith(words)


@pytest.mark.parametrize("policies", [[], [user_cert, user_cert]])
def test_none_and_twice_are_misuse(policies: list[AuthPolicy]) -> None:
    with pytest.raises(MisuseError, match="each once"):
        AllOf(policies)


def test_openapi_lists_them_side_by_side() -> None:
    registry = Registry("/app")
    registry.add(
        Endpoint(
            method="POST",
            path="/x",
            handler=lambda _: Response(200),
            auth=(all_of(user_cert, JwtPolicy()), user_cose_sign1, no_auth),
        )
    )
    page = document(registry)
    operation = page["paths"]["/x"]["post"]
    assert operation["security"] == [{"user_cert": [], "jwt": []}, {"user_cose_sign1": []}, {}]
    assert set(page["components"]["securitySchemes"]) == {"user_cert", "jwt", "user_cose_sign1"}
