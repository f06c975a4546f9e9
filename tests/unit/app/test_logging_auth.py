"""The ways to call the logging sample: certificate, token, signed body, several at once."""

import json

import pytest

from app_samples.logging.app import app
from ledger.crypto import cose
from ledger.crypto.certs import self_signed_caller
from ledger.crypto.keys import Curve, SigningKey
from ledger.kv.tx import Tx
from ledger.tables.members import MEMBER_CERTS, USER_CERTS
from ledger.tables.service import JWT_SIGNING_KEYS
from ledger.testing.app_client import Answer, AppClient, Caller
from tests.unit.endpoints.tokens import ISSUER, row, rsa_key, token

KEY = SigningKey.generate(Curve.P256)
CERTIFICATE = self_signed_caller(KEY, "CN=signer", 10, 1_750_000_000)
COSE_TYPE = {"content-type": "application/cose"}
BEARER = {"authorization": f"Bearer {token(rsa_key(), payload={'exp': 10**10, 'nbf': 0})}"}


def write(client: AppClient, tx: Tx) -> None:
    assert client.log.commit(tx, None) is not None


@pytest.fixture
def client() -> AppClient:
    made = AppClient(app)
    tx = made.log.begin()
    tx.table(USER_CERTS).put(CERTIFICATE.id, CERTIFICATE.pem)
    tx.table(MEMBER_CERTS).put(CERTIFICATE.id, CERTIFICATE.pem)
    tx.table(JWT_SIGNING_KEYS).put("kid", [row(rsa_key())])
    write(made, tx)
    return made


def signed(payload: object) -> bytes:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return cose.sign1(KEY, [(cose.KID, CERTIFICATE.id.encode())], body)


def post(caller: Caller, path: str, body: bytes, headers: dict[str, str]) -> Answer:
    return caller.start("POST", path, body=body, headers=headers).result()


def test_a_token_reads_and_writes(client: AppClient) -> None:
    caller = client.anonymous()
    record = json.dumps({"id": 1, "msg": "by token"}).encode()
    assert post(caller, "/log/private", record, BEARER).status == 200
    assert caller.get("/log/private?id=1", headers=BEARER).json() == {"msg": "by token"}
    refused = caller.get("/log/private?id=1")
    assert refused.status == 401
    assert [each["auth_policy"] for each in refused.json()["error"]["details"]] == [
        "jwt",
        "user_cert",
        "user_cose_sign1",
    ]


def test_a_signed_record_is_read_from_what_was_signed(client: AppClient) -> None:
    caller = client.anonymous()
    body = signed({"id": 2, "msg": "signed"})
    assert post(caller, "/log/private", body, COSE_TYPE).status == 200
    assert caller.get("/log/private?id=2", headers=BEARER).json() == {"msg": "signed"}
    assert post(caller, "/log/private", signed({"id": 2}), COSE_TYPE).status == 400
    assert post(caller, "/log/private", signed(b"{"), COSE_TYPE).status == 400
    assert post(caller, "/log/private", body[:-1] + b"\0", COSE_TYPE).status == 401


def test_a_signed_body_that_is_none_is_refused_whoever_calls(client: AppClient) -> None:
    user = client.user()
    for body in (b"", b"{}", cose.sign1(KEY, [], b"{}", detached=True)):
        assert post(user, "/log/private", body, COSE_TYPE).status == 400


def test_what_members_sign_is_echoed(client: AppClient) -> None:
    answer = post(client.anonymous(), "/log/cose_signed_content", signed(b"\x00hi"), COSE_TYPE)
    assert (answer.status, answer.body) == (200, b"\x00hi")
    assert post(client.user(), "/log/cose_signed_content", b"hi", {}).status == 401


def test_multi_auth_says_who_calls(client: AppClient) -> None:
    user, nobody = client.user({"isAdmin": True}), client.anonymous()
    cases = [
        (post(user, "/multi_auth", b"", BEARER), "Conjoined auth policy: user_cert+jwt\n"),
        (post(user, "/multi_auth", b"", {}), "User TLS cert\nThe caller is a user with ID: "),
        (post(client.member(), "/multi_auth", b"", {}), "Member TLS cert\n"),
        (post(nobody, "/multi_auth", b"", BEARER), "JWT\nThe caller is identified by a JWT"),
        (post(nobody, "/multi_auth", signed(b"x"), COSE_TYPE), "User COSE Sign1\n"),
        (post(client.stranger(), "/multi_auth", b"", {}), "Any TLS cert\n"),
        (post(nobody, "/multi_auth", b"", {}), "Unauthenticated\n"),
    ]
    for answer, begins in cases:
        assert answer.status == 200
        assert answer.text.startswith(begins)
    assert '{"isAdmin":true}' in cases[1][0].text
    assert f"issued by: {ISSUER}\n" in cases[3][0].text
