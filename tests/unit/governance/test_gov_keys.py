"""JSON Web Keys, issuers, points in time: values from outside."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from governance.issuers import remove_keys, set_keys
from governance.jwk import JwkError, public_key_of_jwk, public_key_pem
from governance.moments import parse_moment
from governance.scripting import HostError
from ledger.base.errors import FormatError
from ledger.codec.canonical import b64decode
from ledger.kv.store import Store
from ledger.tables.service import JWT_ISSUERS, JWT_SIGNING_KEYS, JwtIssuer
from tests.unit.governance.gov_kit import encryption_key, person

# RFC 7517, appendix A.1.
EC_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    "kid": "1",
}


def base64url(number: int) -> str:
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def rsa_jwk(kid: str = "rsa") -> dict[str, str]:
    numbers = encryption_key().public.library_key.public_numbers()
    return {"kty": "RSA", "kid": kid, "n": base64url(numbers.n), "e": base64url(numbers.e)}


def chain_jwk(kid: str = "chain") -> dict[str, Any]:
    der = base64.b64encode(person("alice").certificate.der).decode()
    return {"kid": kid, "x5c": [der]}


def test_numbers_of_an_rsa_key_become_the_key() -> None:
    kid, der = public_key_of_jwk(rsa_jwk())
    assert kid == "rsa"
    assert public_key_pem(der) == encryption_key().public.pem


def test_numbers_of_an_elliptic_key_become_the_key() -> None:
    _, der = public_key_of_jwk(EC_KEY)
    x = int.from_bytes(base64.urlsafe_b64decode(EC_KEY["x"] + "="), "big")
    assert x.to_bytes(32, "big") in der


def test_the_first_certificate_of_a_chain_counts() -> None:
    _, der = public_key_of_jwk(chain_jwk())
    assert der == person("alice").key.public.der


@pytest.mark.parametrize(
    "jwk",
    [
        3,
        {},
        {"kid": ""},
        {"kid": "k"},
        {"kid": "k", "kty": "oct", "k": "AA"},
        EC_KEY | {"kid": 3},
        EC_KEY | {"x": "AA"},
        EC_KEY | {"y": "?"},
        EC_KEY | {"x": EC_KEY["x"] + "AAAA"},
        EC_KEY | {"crv": "P-999"},
        EC_KEY | {"crv": ["P-256"]},
        rsa_jwk() | {"n": "AQAB"},
        rsa_jwk() | {"n": ""},
        rsa_jwk() | {"n": "A" * 4097},
        rsa_jwk() | {"n": "_" * 4000},
        rsa_jwk() | {"e": "A" * 4_000_000},
        {"kid": "k", "x5c": ["A" * 4_000_000]},
        rsa_jwk() | {"e": "AA"},
        {"kid": "k", "x5c": []},
        {"kid": "k", "x5c": "AAAA"},
        {"kid": "k", "x5c": ["AAAA"]},
        {"kid": "k", "x5c": ["?"]},
    ],
)
def test_what_is_no_key(jwk: object) -> None:
    with pytest.raises(JwkError):
        public_key_of_jwk(jwk)


def test_a_small_rsa_key_is_refused() -> None:
    numbers = rsa.generate_private_key(65537, 1024).public_key().public_numbers()
    jwk = {"kty": "RSA", "kid": "k", "n": base64url(numbers.n), "e": base64url(numbers.e)}
    with pytest.raises(JwkError, match="1024 bits"):
        public_key_of_jwk(jwk)


class TestIssuers:
    def test_keys_of_an_issuer_replace_its_own_and_leave_those_of_others(self) -> None:
        tx = Store().begin()
        for issuer in ("https://a.example", "https://b.example"):
            tx.table(JWT_ISSUERS).put(issuer, JwtIssuer())
        set_keys(tx, "https://a.example", {"keys": [rsa_jwk("k1"), rsa_jwk("k2")]})
        set_keys(tx, "https://b.example", {"keys": [EC_KEY | {"kid": "k1"}]})
        table = tx.table(JWT_SIGNING_KEYS)
        assert [row["issuer"] for row in table.get("k1") or []] == [
            "https://a.example",
            "https://b.example",
        ]
        set_keys(tx, "https://a.example", {"keys": [rsa_jwk("k3")]})
        assert [(kid, len(rows)) for kid, rows in table.items()] == [("k1", 1), ("k3", 1)]
        remove_keys(tx, "https://a.example")
        assert [kid for kid, _ in table.items()] == ["k1"]
        assert json.loads(tx.map(JWT_SIGNING_KEYS.name).get(b"k1") or b"")[0]["issuer"] == (
            "https://b.example"
        )
        assert b64decode((table.get("k1") or [])[0]["public_key"])

    @pytest.mark.parametrize(
        ("constraint", "allowed"),
        [
            ("https://login.example.com/{tenantid}/v2.0", True),
            ("https://sub.login.example.com/x", True),
            ("https://login.example.com.evil.org", False),
            ("https://evil-login.example.com", False),
            ("https://example.com", False),
            (3, False),
        ],
    )
    def test_a_constraint_only_narrows(self, constraint: object, allowed: bool) -> None:
        tx = Store().begin()
        tx.table(JWT_ISSUERS).put("https://login.example.com", JwtIssuer())
        jwks = {"keys": [rsa_jwk() | {"issuer": constraint}]}
        if allowed:
            set_keys(tx, "https://login.example.com", jwks)
            [row] = tx.table(JWT_SIGNING_KEYS).get("rsa") or []
            assert row["constraint"] == constraint
        else:
            with pytest.raises(HostError):
                set_keys(tx, "https://login.example.com", jwks)

    @pytest.mark.parametrize("jwks", [None, {}, {"keys": []}, {"keys": [3]}, []])
    def test_what_is_no_key_set(self, jwks: object) -> None:
        tx = Store().begin()
        tx.table(JWT_ISSUERS).put("i", JwtIssuer())
        with pytest.raises(HostError):
            set_keys(tx, "i", jwks)

    def test_an_unknown_issuer(self) -> None:
        with pytest.raises(HostError, match="not registered"):
            set_keys(Store().begin(), "i", {"keys": [rsa_jwk()]})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("700101000000Z", 0),
        ("19700101000001Z", 1),
        ("251231235959Z", 1767225599),
        ("20251231235959Z", 1767225599),
        ("2025-12-31T23:59:59Z", 1767225599),
        ("2025-12-31T23:59:59.123456+00:00", 1767225599),
        ("2025-12-31 23:59:59", 1767225599),
        ("491231235959Z", 2524607999),
    ],
)
def test_points_in_time(text: str, seconds: int) -> None:
    assert parse_moment(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "20251331000000Z",
        "20250230000000Z",
        "2025-12-31",
        "1767225599",
        "२५1231235959Z",
        "20251231235960Z",
    ],
)
def test_what_is_no_point_in_time(text: str) -> None:
    with pytest.raises(FormatError):
        parse_moment(text)
