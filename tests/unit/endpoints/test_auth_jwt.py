"""Bearer tokens: form, keys, signature, time, issuer; and what is remembered of them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from ledger.base.errors import FormatError
from ledger.codec import canonical
from ledger.codec.canonical import b64encode
from ledger.crypto.certs import self_signed_caller
from ledger.crypto.jws import TokenKey
from ledger.crypto.keys import Curve, SigningKey
from ledger.endpoints import auth_jwt
from ledger.endpoints.auth import Denied, Identity
from ledger.endpoints.auth_jwt import (
    OLD_KEYS,
    OLDEST_ISSUERS,
    OLDEST_KEYS,
    WWW_AUTHENTICATE,
    JwtPolicy,
    TokenClaims,
    issuer_matches,
    jwt,
)
from ledger.endpoints.request import Request
from ledger.endpoints.response import Response
from ledger.kv.store import Store
from ledger.kv.tx import Tx
from ledger.tables.service import JWT_SIGNING_KEYS
from tests.unit.endpoints.tokens import (
    ISSUER,
    NOW,
    PrivateKey,
    b64url,
    ec_key,
    row,
    rsa_key,
    token,
)

MICROSOFT = "https://login.microsoftonline.com/{tenantid}/v2.0"


class Nobody:
    interface = "test"
    pinned_view = 0
    forwarded = False

    def peer_certificate(self) -> bytes | None:
        return None

    def complete(self, request: Request, response: Response) -> None:
        raise AssertionError(f"nothing is late here: {request} {response}")

    def close_after_response(self) -> None:
        raise AssertionError("nothing is closed here")


def request(header: str | bytes | None, now: float = NOW) -> Request:
    value = header.encode() if isinstance(header, str) else header
    headers = {} if value is None else {b"authorization": value}
    made = Request("GET", "/x", "", headers, b"", Nobody())
    made.now = now
    return made


def with_keys(*rows: dict[str, str], kid: str = "kid") -> Tx:
    store = Store()
    tx = store.begin()
    if rows:
        tx.table(JWT_SIGNING_KEYS).put(kid, list(rows))
        store.commit(tx, 1)
    return store.begin()


def judged(
    text: str, *rows: dict[str, str], now: float = NOW, policy: JwtPolicy | None = None
) -> Identity | Denied:
    return (policy or JwtPolicy()).authenticate(request(f"Bearer {text}", now), with_keys(*rows))


def refusal(outcome: Identity | Denied) -> str:
    assert isinstance(outcome, Denied), outcome
    assert outcome.www_authenticate == WWW_AUTHENTICATE
    return outcome.message


@pytest.mark.parametrize(
    "key",
    [rsa_key(), ec_key(), ec_key(ec.SECP384R1), ec_key(ec.SECP521R1)],
    ids=["rsa", "p256", "p384", "p521"],
)
@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_the_key_decides_how_a_signature_is_read(key: PrivateKey, algorithm: str) -> None:
    made = token(key, {"alg": algorithm})
    identity = judged(made, row(key))
    assert isinstance(identity, Identity)
    assert (identity.policy, identity.id, identity.certificate) == ("jwt", None, None)
    claims = identity.claims
    assert isinstance(claims, TokenClaims)
    assert claims.key_issuer == ISSUER
    assert claims.header == {"alg": algorithm, "kid": "kid", "typ": "JWT"}
    assert claims.payload["sub"] == "me"


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (None, "Missing authorization header."),
        ("", "Bearer scheme"),
        ("Basic YTpi", "Bearer scheme"),
        ("Bearer", "got 1 parts, want 3"),
        ("Bearer a.b", "got 2 parts, want 3"),
        ("Bearer a.b.c.d", "got 4 parts, want 3"),
        ("Bearer ..", "the header is no base64url"),
        ("Bearer e30=.e30.AA", "the header is no base64url"),
        ("Bearer e30.e30.AA", "missing required field"),
        (b"Bearer \xff.\xff.\xff", "the header is no base64url"),
        ("Bearer " + "a" * (64 * 1024 + 1), "longer than"),
    ],
)
def test_other_headers_are_refused(header: str | bytes | None, words: str) -> None:
    outcome = JwtPolicy().authenticate(request(header), with_keys(row(rsa_key())))
    assert words in refusal(outcome)


def test_the_scheme_has_no_case_and_space_around_the_token_does_not_count() -> None:
    for scheme in ("bearer", "BEARER"):
        header = request(f"{scheme}   {token(rsa_key())}  ")
        assert isinstance(JwtPolicy().authenticate(header, with_keys(row(rsa_key()))), Identity)


@pytest.mark.parametrize(
    ("header", "payload", "without", "words"),
    [
        ({}, {}, ("alg",), "alg"),
        ({}, {}, ("kid",), "kid"),
        ({}, {}, ("exp",), "exp"),
        ({}, {}, ("iss",), "iss"),
        ({"alg": "none"}, {}, (), "want RS256 or ES256"),
        ({"alg": "HS256"}, {}, (), "want RS256 or ES256"),
        ({"alg": "RS512"}, {}, (), "want RS256 or ES256"),
        ({"alg": 3}, {}, (), "alg"),
        ({"kid": None}, {}, (), "kid"),
        ({"crit": ["exp"]}, {}, (), "critical"),
        ({}, {"exp": "tomorrow"}, (), "exp"),
        ({}, {"exp": True}, (), "exp"),
        ({}, {"exp": None}, (), "exp"),
        ({}, {"iss": 3}, (), "iss"),
        ({}, {"tid": 3}, (), "tid"),
        ({}, {"nbf": []}, (), "nbf"),
    ],
)
def test_tokens_of_another_form_are_refused(
    header: dict[str, Any], payload: dict[str, Any], without: tuple[str, ...], words: str
) -> None:
    made = token(rsa_key(), header, payload, without=without)
    message = refusal(judged(made, row(rsa_key())))
    assert message.startswith("Malformed JWT: ")
    assert words in message


@pytest.mark.parametrize("part", ["header", "payload"])
@pytest.mark.parametrize("data", [b"", b"[]", b"3", b"{", b"\xff", b"[" * 500 + b"]" * 500])
def test_parts_that_are_no_objects_are_refused(part: str, data: bytes) -> None:
    parts = token(rsa_key()).split(".")
    parts[0 if part == "header" else 1] = b64url(data)
    assert refusal(judged(".".join(parts), row(rsa_key()))).startswith("Malformed JWT: ")


def test_optional_claims_may_be_missing() -> None:
    made = token(rsa_key(), without=("nbf", "sub", "typ"))
    assert isinstance(judged(made, row(rsa_key())), Identity)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (NOW - 100, None),
        (NOW - 100.01, "before token's Not Before"),
        (NOW + 100, None),
        (NOW + 100.9, None),
        (NOW + 101, "after token's Expiration Time"),
    ],
)
def test_time_counts_in_whole_seconds_without_leeway(now: float, words: str | None) -> None:
    policy = JwtPolicy()
    tx = with_keys(row(rsa_key()))
    for _ in range(2):  # the second time it is remembered
        outcome = policy.authenticate(request(f"Bearer {token(rsa_key())}", now), tx)
        if words is None:
            assert isinstance(outcome, Identity)
        else:
            assert words in refusal(outcome)


def test_a_token_that_is_remembered_expires() -> None:
    policy, tx = JwtPolicy(), with_keys(row(rsa_key()))
    made = f"Bearer {token(rsa_key())}"
    first = policy.authenticate(request(made), tx)
    assert policy.authenticate(request(made), tx) is first
    assert "after token's Expiration" in refusal(policy.authenticate(request(made, NOW + 200), tx))


def test_a_token_that_is_remembered_dies_with_its_key() -> None:
    policy = JwtPolicy()
    made = token(rsa_key())
    assert isinstance(judged(made, row(rsa_key()), policy=policy), Identity)
    assert "not found for kid" in refusal(judged(made, policy=policy))
    assert "verification failed" in refusal(judged(made, row(rsa_key(1)), policy=policy))
    bound = row(rsa_key(), constraint="https://other")
    assert "issuer constraint" in refusal(judged(made, bound, policy=policy))


def test_few_tokens_are_remembered_and_no_large_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth_jwt, "TOKENS_CACHED_MAX", 2)
    policy = JwtPolicy()
    for number in range(5):
        made = token(rsa_key(), payload={"sub": str(number)})
        assert isinstance(judged(made, row(rsa_key()), policy=policy), Identity)
        assert len(policy._verified) <= 2
    large = token(rsa_key(), payload={"sub": "x" * 9000})
    before = dict(policy._verified)
    assert isinstance(judged(large, row(rsa_key()), policy=policy), Identity)
    assert policy._verified == before


def test_what_is_remembered_is_not_verified_again(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, tx = JwtPolicy(), with_keys(row(rsa_key()))
    call = request(f"Bearer {token(rsa_key())}")
    first = policy.authenticate(call, tx)
    monkeypatch.delattr(TokenKey, "verify")
    assert policy.authenticate(call, tx) is first


def test_other_signatures_are_refused() -> None:
    made = token(rsa_key())
    head, body, signature = made.split(".")
    swapped = b64url(json.dumps({"iss": ISSUER, "exp": NOW + 10**9}).encode())
    cases = [
        f"{head}.{swapped}.{signature}",
        f"{head}.{body}.{b64url(b'x' * 256)}",
        f"{head}.{body}.AA",
        token(rsa_key(1)),
        token(ec_key()),
    ]
    for case in cases:
        assert refusal(judged(case, row(rsa_key()))) == "Signature verification failed."
    assert "verification failed" in refusal(judged(made, row(ec_key())))
    short = ".".join(token(ec_key()).split(".")[:2]) + "." + b64url(b"\0" * 63)
    assert "verification failed" in refusal(judged(short, row(ec_key())))
    zero = ".".join(token(ec_key()).split(".")[:2]) + "." + b64url(b"\0" * 64)
    assert "verification failed" in refusal(judged(zero, row(ec_key())))


def test_every_issuer_of_a_name_is_tried() -> None:
    rows = [row(rsa_key(1), "https://first"), row(ec_key(), "https://second"), row(rsa_key())]
    identity = judged(token(rsa_key()), *rows)
    assert isinstance(identity, Identity)
    assert identity.claims.key_issuer == ISSUER
    both = [row(rsa_key(), "https://a", "https://a"), row(rsa_key(), "https://b", ISSUER)]
    identity = judged(token(rsa_key()), *both)
    assert isinstance(identity, Identity)
    assert identity.claims.key_issuer == "https://b"
    crowd = [row(rsa_key(1)) for _ in range(auth_jwt.KEYS_TRIED_MAX)]
    assert "verification failed" in refusal(judged(token(rsa_key()), *crowd, row(rsa_key())))


@pytest.mark.parametrize(
    ("issuer", "tenant", "constraint", "matches"),
    [
        (ISSUER, None, ISSUER, True),
        (ISSUER, "t", ISSUER, False),
        (ISSUER + "/", None, ISSUER, False),
        ("https://other", None, ISSUER, False),
        ("https://login.microsoftonline.com/t1/v2.0", "t1", MICROSOFT, True),
        ("https://login.microsoftonline.com/t1/v2.0", "t2", MICROSOFT, False),
        ("https://login.microsoftonline.com/t1/v2.0", None, MICROSOFT, False),
        ("https://login.microsoftonline.com/t1/v2.0", "", MICROSOFT, False),
        ("https://login.microsoftonline.com/{tenantid}/v2.0", "{tenantid}", MICROSOFT, True),
        ("https://login.microsoftonline.com//v2.0", "", MICROSOFT, False),
        ("https://login.microsoftonline.com/a/b/v2.0", "a/b", MICROSOFT, False),
        ("https://evil.example.com/t1/v2.0", "t1", MICROSOFT, False),
        (
            "https://login.microsoftonline.com/t1/v2.0",
            "t1",
            "https://login.microsoftonline.com/t1/v2.0",
            True,
        ),
        (
            "https://login.microsoftonline.com/t1/v2.0",
            "t2",
            "https://login.microsoftonline.com/t1/v2.0",
            False,
        ),
        ("https://[", None, "https://[", True),
    ],
)
def test_issuers_are_bound_to_keys(
    issuer: str, tenant: str | None, constraint: str, matches: bool
) -> None:
    assert issuer_matches(issuer, tenant, constraint) is matches
    payload: dict[str, Any] = {"iss": issuer}
    if tenant is not None:
        payload["tid"] = tenant
    outcome = judged(token(rsa_key(), payload=payload), row(rsa_key(), constraint=constraint))
    assert isinstance(outcome, Identity) is matches


def test_without_a_constraint_any_issuer_passes() -> None:
    made = token(rsa_key(), payload={"iss": "https://somebody", "tid": "t"})
    assert isinstance(judged(made, row(rsa_key())), Identity)


def legacy(write: Callable[[Tx], None]) -> Tx:
    store = Store()
    tx = store.begin()
    write(tx)
    store.commit(tx, 1)
    return store.begin()


SIGNER = SigningKey.generate(Curve.P256)
CERTIFICATE = self_signed_caller(SIGNER, "CN=issuer", 10, NOW)


def signed_by_certificate(**payload: object) -> str:
    head = b64url(json.dumps({"alg": "ES256", "kid": "kid"}).encode())
    body = b64url(json.dumps({"iss": ISSUER, "exp": NOW} | payload).encode())
    signed = f"{head}.{body}"
    return f"{signed}.{b64url(SIGNER.sign_raw(signed.encode()))}"


def test_certificates_of_older_services_are_looked_up_after_keys() -> None:
    made = request(f"Bearer {signed_by_certificate()}")

    def old(tx: Tx) -> None:
        rows = [{"cert": b64encode(CERTIFICATE.der), "issuer": ISSUER, "constraint": ISSUER}]
        tx.table(OLD_KEYS).put("kid", rows)

    def oldest(tx: Tx) -> None:
        tx.table(OLDEST_KEYS).put("kid", CERTIFICATE.der)
        tx.table(OLDEST_ISSUERS).put("kid", ISSUER)

    def none(tx: Tx) -> None:
        tx.table(OLDEST_KEYS).put("kid", CERTIFICATE.der)

    def both(tx: Tx) -> None:
        old(tx)
        tx.table(JWT_SIGNING_KEYS).put("kid", [row(rsa_key())])

    for write in (old, oldest):
        identity = JwtPolicy().authenticate(made, legacy(write))
        assert isinstance(identity, Identity)
        assert identity.claims.key_issuer == ISSUER
    assert "not found for kid" in refusal(JwtPolicy().authenticate(made, legacy(none)))
    assert "verification failed" in refusal(JwtPolicy().authenticate(made, legacy(both)))
    bound = request(f"Bearer {signed_by_certificate(iss='https://other')}")
    assert "issuer constraint" in refusal(JwtPolicy().authenticate(bound, legacy(old)))


@pytest.mark.parametrize(
    "value",
    [b"{", b"{}", b'[{"issuer":"i"}]', b'[{"issuer":"i","public_key":"AAAA"}]', b"[3]"],
)
def test_rows_that_do_not_parse_let_nobody_in(value: bytes) -> None:
    def write(tx: Tx) -> None:
        tx.map(JWT_SIGNING_KEYS.name).put(b"kid", value)

    made = request(f"Bearer {token(rsa_key())}")
    assert "do not parse" in refusal(JwtPolicy().authenticate(made, legacy(write)))


def test_an_empty_row_is_no_key() -> None:
    def write(tx: Tx) -> None:
        tx.map(JWT_SIGNING_KEYS.name).put(b"kid", b"[]")

    made = request(f"Bearer {token(rsa_key())}")
    assert "not found for kid" in refusal(JwtPolicy().authenticate(made, legacy(write)))


def test_a_change_of_the_keys_is_a_conflict() -> None:
    store = Store()
    tx = store.begin()
    tx.table(JWT_SIGNING_KEYS).put("kid", [row(rsa_key())])
    store.commit(tx, 1)
    policy = JwtPolicy()
    for _ in range(2):
        call = store.begin()
        assert isinstance(
            policy.authenticate(request(f"Bearer {token(rsa_key())}"), call), Identity
        )
        call.map("records").put(b"key", b"value")
        other = store.begin()
        other.table(JWT_SIGNING_KEYS).put("kid", [row(rsa_key()), row(ec_key())])
        store.commit(other, store.version + 1)
        assert not store.check(call)


def test_the_scheme_of_openapi() -> None:
    assert jwt.openapi_security() == (
        "jwt",
        {"bearerFormat": "JWT", "scheme": "bearer", "type": "http"},
    )


def test_small_keys_and_other_kinds_are_no_token_keys() -> None:
    for der in (b"", b"x" * 5000, canonical.dumps("key")):
        with pytest.raises(FormatError):
            TokenKey.from_der(der)
