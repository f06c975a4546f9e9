"""Certificate policies, lists of policies, and the 401."""

from typing import Any

import msgspec
import pytest

from ledger.crypto.certs import SECONDS_PER_DAY, self_signed_caller
from ledger.crypto.keys import Curve, SigningKey
from ledger.endpoints import auth
from ledger.endpoints.auth import (
    NOBODY,
    AuthPolicy,
    CertificatePolicy,
    Denied,
    Identity,
    any_cert,
    authenticate,
    caller_data,
    member_cert,
    no_auth,
    user_cert,
)
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

NOW = 1_750_000_000
KEY = SigningKey.generate(Curve.P256)
CERTIFICATE = self_signed_caller(KEY, "CN=alice", 10, NOW)
END = NOW + 10 * SECONDS_PER_DAY


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


def request(der: bytes | None, now: float = NOW) -> Request:
    made = Request("GET", "/x", "", {}, b"", Peer(der))
    made.now = now
    return made


@pytest.fixture
def tx() -> Tx:
    store = Store()
    tx = store.begin()
    tx.table(USER_CERTS).put(CERTIFICATE.id, CERTIFICATE.pem)
    tx.table(USER_INFO).put(CERTIFICATE.id, UserInfo(user_data={"isAdmin": True}))
    tx.table(MEMBER_CERTS).put(CERTIFICATE.id, CERTIFICATE.pem)
    info = MemberInfo(status=MemberStatus.ACCEPTED, member_data=["data"])
    tx.table(MEMBER_INFO).put(CERTIFICATE.id, info)
    store.commit(tx, 1)
    return store.begin()


def fresh(policy: CertificatePolicy) -> CertificatePolicy:
    """Return a policy like the given one with an empty cache."""
    tables: dict[str, Any] = {"user_cert": USER_CERTS, "member_cert": MEMBER_CERTS}
    return CertificatePolicy(policy.name, "some", tables.get(policy.name))


@pytest.mark.parametrize("policy", [user_cert, member_cert, any_cert])
def test_accepts_a_known_certificate(policy: CertificatePolicy, tx: Tx) -> None:
    for _ in range(2):  # first sight, then from the cache
        identity = policy.authenticate(request(CERTIFICATE.der), tx)
        assert identity == Identity(policy.name, CERTIFICATE.id, CERTIFICATE.der)


@pytest.mark.parametrize("policy", [user_cert, member_cert, any_cert])
@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (NOW - 1, "not valid yet"),
        (NOW - 0.001, "not valid yet"),
        (NOW, None),
        (END - 1, None),
        (END - 0.001, None),
        (END, "expired"),
        (END + 10_000_000, "expired"),
    ],
)
def test_dates_are_checked(
    policy: CertificatePolicy, cached: bool, now: float, reason: str | None, tx: Tx
) -> None:
    policy = fresh(policy)
    if cached:
        assert isinstance(policy.authenticate(request(CERTIFICATE.der), tx), Identity)
    outcome = policy.authenticate(request(CERTIFICATE.der, now), tx)
    if reason is None:
        assert isinstance(outcome, Identity)
    else:
        assert isinstance(outcome, Denied)
        assert reason in outcome.message


@pytest.mark.parametrize("policy", [user_cert, member_cert])
def test_unknown_certificate(policy: CertificatePolicy, tx: Tx) -> None:
    stranger = self_signed_caller(KEY, "CN=alice", 10, NOW)  # another serial, another id
    outcome = policy.authenticate(request(stranger.der), tx)
    assert outcome == Denied(f"Could not find matching {policy.name[:-5]} certificate.")


@pytest.mark.parametrize("policy", [user_cert, member_cert, any_cert])
def test_no_certificate(policy: CertificatePolicy, tx: Tx) -> None:
    outcome = policy.authenticate(request(None), tx)
    assert isinstance(outcome, Denied)
    assert outcome.message.startswith("No caller")


def test_removed_user_is_refused_though_cached(tx: Tx) -> None:
    assert isinstance(user_cert.authenticate(request(CERTIFICATE.der), tx), Identity)
    tx.table(USER_CERTS).remove(CERTIFICATE.id)
    assert isinstance(user_cert.authenticate(request(CERTIFICATE.der), tx), Denied)


@pytest.mark.parametrize("der", [b"", b"\x30", b"\x00" * 100, CERTIFICATE.der[:-1]])
def test_certificate_that_does_not_parse(der: bytes, tx: Tx) -> None:
    outcome = any_cert.authenticate(request(der), tx)
    assert outcome == Denied("The client certificate does not parse.")


def test_cache_is_bounded_and_holds_accepted_callers_only(
    monkeypatch: pytest.MonkeyPatch, tx: Tx
) -> None:
    monkeypatch.setattr(auth, "CALLERS_CACHED_MAX", 2)
    policy = fresh(any_cert)
    for number in range(5):
        other = self_signed_caller(KEY, f"CN={number}", 10, NOW)
        assert isinstance(policy.authenticate(request(other.der), tx), Identity)
        assert len(policy._callers) <= 2
    users = fresh(user_cert)
    users.authenticate(request(self_signed_caller(KEY, "CN=x", 10, NOW).der), tx)
    assert not users._callers
    monkeypatch.setattr(auth, "CERTIFICATE_CACHED_SIZE_MAX", len(CERTIFICATE.der) - 1)
    assert isinstance(users.authenticate(request(CERTIFICATE.der), tx), Identity)
    assert not users._callers


def test_reads_of_authentication_are_reads_of_the_call() -> None:
    store = Store()
    first = store.begin()
    first.table(USER_CERTS).put(CERTIFICATE.id, CERTIFICATE.pem)
    store.commit(first, 1)
    tx = store.begin()
    assert isinstance(user_cert.authenticate(request(CERTIFICATE.der), tx), Identity)
    removal = store.begin()
    removal.table(USER_CERTS).remove(CERTIFICATE.id)
    store.commit(removal, 2)
    assert not store.check(tx)


def test_list_takes_the_first_that_accepts(tx: Tx) -> None:
    sent = request(CERTIFICATE.der)
    cases: list[tuple[tuple[AuthPolicy, ...], str]] = [
        ((user_cert, member_cert), "user_cert"),
        ((member_cert, user_cert), "member_cert"),
        ((no_auth, user_cert), "no_auth"),
    ]
    for policies, name in cases:
        identity = authenticate(policies, sent, tx)
        assert isinstance(identity, Identity)
        assert identity.policy == name
    assert authenticate((user_cert, no_auth), request(None), tx) is NOBODY


class Bearer:
    name = "bearer"

    def authenticate(self, request: Request, tx: Tx) -> Identity | Denied:
        del request, tx
        return Denied("No token.", b'Bearer realm="x"')

    def openapi_security(self) -> None:
        return None


def test_401_gives_each_reason(tx: Tx) -> None:
    response = authenticate((user_cert, Bearer(), member_cert), request(None), tx)
    assert isinstance(response, Response)
    assert response.status == 401
    assert response.headers == [(b"www-authenticate", b'Bearer realm="x"')]
    assert msgspec.json.decode(response.body) == {
        "error": {
            "code": "InvalidAuthenticationInfo",
            "message": "Invalid authentication credentials.",
            "details": [
                {"auth_policy": name, "code": "InvalidAuthenticationInfo", "message": message}
                for name, message in [
                    ("user_cert", "No caller user certificate."),
                    ("bearer", "No token."),
                    ("member_cert", "No caller member certificate."),
                ]
            ],
        }
    }


def test_certificate_policies_alone_send_no_www_authenticate(tx: Tx) -> None:
    response = authenticate((user_cert,), request(None), tx)
    assert isinstance(response, Response)
    assert response.headers is None


def test_caller_data(tx: Tx) -> None:
    assert caller_data(Identity("user_cert", CERTIFICATE.id), tx) == {"isAdmin": True}
    assert caller_data(Identity("member_cert", CERTIFICATE.id), tx) == ["data"]
    assert caller_data(Identity("user_cert", "0" * 64), tx) is None
    assert caller_data(Identity("member_cert", "0" * 64), tx) is None
    assert caller_data(Identity("any_cert", CERTIFICATE.id), tx) is None
    assert caller_data(NOBODY, tx) is None
    assert caller_data(None, tx) is None
