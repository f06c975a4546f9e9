"""The logging sample, as clients of CCF's sample call it."""

import hashlib

import pytest

from app_samples.logging.app import ID_MAX, app
from ledger.base.ids import TxId
from ledger.testing.app_client import AppClient, Caller


@pytest.fixture
def client() -> AppClient:
    return AppClient(app)


@pytest.fixture
def user(client: AppClient) -> Caller:
    return client.user()


def tag(message: str) -> str:
    return f'"{hashlib.sha256(message.encode()).hexdigest()}"'


@pytest.mark.parametrize("prefix", ["/log/private", "/app/log/private", "/log/public"])
def test_write_read_delete(user: Caller, prefix: str) -> None:
    reply = user.post(prefix, json={"id": 42, "msg": "hi"})
    assert (reply.status, reply.body) == (200, b"true")
    assert reply.tx_id is not None
    reply = user.get(f"{prefix}?id=42")
    assert (reply.status, reply.body) == (200, b'{"msg":"hi"}')
    assert user.get(f"{prefix}/backup?id=42").body == b'{"msg":"hi"}'
    assert user.get(f"{prefix}/count").body == b"1"
    assert user.delete(f"{prefix}?id=42").body == b"true"
    assert user.delete(f"{prefix}?id=42").body == b"false"
    reply = user.get(f"{prefix}?id=42")
    assert (reply.status, reply.error_code) == (404, "ResourceNotFound")
    assert reply.json()["error"]["message"] == "No such record: 42."


@pytest.mark.parametrize("prefix", ["/log/private", "/log/public"])
def test_count_and_delete_all(user: Caller, prefix: str) -> None:
    for number in range(5):
        user.post(prefix, json={"id": number, "msg": "m"})
    assert user.get(f"{prefix}/count").json() == 5
    assert user.delete(f"{prefix}/all").json() is True
    assert user.get(f"{prefix}/count").json() == 0


def test_private_and_public_and_scopes_are_apart(client: AppClient, user: Caller) -> None:
    paths = [f"/log/{kind}{scope}" for kind in ("private", "public") for scope in ("", "?scope=s")]
    for path in paths:
        user.post(path, json={"id": 1, "msg": path})
    for path in paths:
        both = "&" if "?" in path else "?"
        assert user.get(f"{path}{both}id=1").json() == {"msg": path}
    names = client.log.store.map_names()
    assert {"records", "records-s", "public:records", "public:records-s"} <= set(names)
    assert user.delete("/log/private/all?scope=s").json() is True
    assert user.get("/log/private/count").json() == 1
    assert user.get("/log/private/count?scope=s").json() == 0


def test_keys_are_those_of_ccf(client: AppClient, user: Caller) -> None:
    user.post("/log/public", json={"id": 258, "msg": "m"})
    entries = list(client.log.begin().map("public:records").items())
    assert entries == [(b"\x02\x01" + bytes(6), b"m")]


@pytest.mark.parametrize("prefix", ["/log/private", "/log/public"])
@pytest.mark.parametrize(
    "body",
    [
        {"id": 42, "msg": ""},
        {"id": -1, "msg": "m"},
        {"id": ID_MAX + 1, "msg": "m"},
        {"id": "42", "msg": "m"},
        {"id": 42},
        {"msg": "m"},
        [],
        None,
    ],
)
def test_bad_records_are_400(client: AppClient, user: Caller, prefix: str, body: object) -> None:
    reply = user.post(prefix, json=body)
    assert (reply.status, reply.error_code) == (400, "InvalidInput")
    assert client.failures == []


@pytest.mark.parametrize("prefix", ["/log/private", "/log/public"])
def test_largest_id(user: Caller, prefix: str) -> None:
    assert user.post(prefix, json={"id": ID_MAX, "msg": "m"}).status == 200
    assert user.get(f"{prefix}?id={ID_MAX}").json() == {"msg": "m"}


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "InvalidQueryParameterValue"),
        ("?id=", 400, "InvalidQueryParameterValue"),
        ("?id=x", 400, "InvalidQueryParameterValue"),
        ("?id=-1", 400, "InvalidInput"),
        (f"?id={ID_MAX + 1}", 400, "InvalidInput"),
        (f"?id={ID_MAX}", 404, "ResourceNotFound"),
    ],
)
@pytest.mark.parametrize("prefix", ["/log/private", "/log/public"])
def test_bad_ids(user: Caller, prefix: str, query: str, status: int, code: str) -> None:
    reply = user.get(prefix + query)
    assert (reply.status, reply.error_code) == (status, code)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("prefix", ["/log/private", "/log/public"])
def test_only_users(client: AppClient, method: str, prefix: str) -> None:
    for caller in (client.anonymous(), client.stranger(), client.member()):
        reply = caller.request(method, f"{prefix}?id=1")
        assert (reply.status, reply.error_code) == (401, "InvalidAuthenticationInfo")


@pytest.mark.parametrize("prefix", ["/log/private", "/log/public"])
def test_record_claim_binds_the_digest_of_the_message(
    client: AppClient, user: Caller, prefix: str
) -> None:
    reply = user.post(prefix, json={"id": 1, "msg": "claimed", "record_claim": True})
    assert reply.tx_id == TxId(2, 2)
    assert client.log.claims == {2: hashlib.sha256(b"claimed").digest()}


def test_public_records_have_tags(user: Caller) -> None:
    assert user.post("/log/public", json={"id": 1, "msg": "a"}).headers["etag"] == tag("a")
    assert user.get("/log/public?id=1").headers["etag"] == tag("a")


@pytest.mark.parametrize(
    ("headers", "post", "get", "delete"),
    [
        ({"if-match": tag("a")}, 200, 200, 200),
        ({"if-match": tag("b")}, 412, 412, 412),
        ({"if-match": "*"}, 200, 200, 200),
        ({"if-none-match": tag("a")}, 412, 304, 304),
        ({"if-none-match": tag("b")}, 200, 200, 200),
        ({"if-none-match": "*"}, 412, 304, 304),
        ({"if-match": "*", "if-none-match": "*"}, 400, 400, 400),
        ({"if-match": 'W/"aa"'}, 400, 400, 400),
    ],
)
def test_conditions_on_public_records(
    user: Caller, headers: dict[str, str], post: int, get: int, delete: int
) -> None:
    user.post("/log/public", json={"id": 1, "msg": "a"})
    assert user.get("/log/public?id=1", headers=headers).status == get
    assert user.delete("/log/public?id=1", headers=headers).status == delete
    assert user.get("/log/public?id=1").status == (404 if delete == 200 else 200)
    user.post("/log/public", json={"id": 1, "msg": "a"})
    reply = user.post("/log/public", json={"id": 1, "msg": "new"}, headers=headers)
    assert reply.status == post
    assert user.get("/log/public?id=1").json() == {"msg": "new" if post == 200 else "a"}
    if post == 412:
        assert reply.error_code == "PreconditionFailed"


def test_conditions_on_a_record_that_is_not_there(user: Caller) -> None:
    body = {"id": 1, "msg": "a"}
    assert user.post("/log/public", json=body, headers={"if-match": "*"}).status == 412
    assert user.get("/log/public?id=1", headers={"if-none-match": "*"}).status == 404
    assert user.delete("/log/public?id=1", headers={"if-match": tag("a")}).body == b"false"
    assert user.post("/log/public", json=body, headers={"if-none-match": "*"}).status == 200
    assert user.post("/log/public", json=body, headers={"if-none-match": "*"}).status == 412


def test_not_modified_has_no_body_and_keeps_its_tag(user: Caller) -> None:
    user.post("/log/public", json={"id": 1, "msg": "a"})
    reply = user.get("/log/public?id=1", headers={"if-none-match": tag("a")})
    assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", tag("a"))
    assert "content-type" not in reply.headers


def test_text_of_any_script_survives(user: Caller) -> None:
    message = 'ünï 漢字 "\\\n\u0000 𝄞'
    user.post("/log/private", json={"id": 1, "msg": message})
    assert user.get("/log/private?id=1").json() == {"msg": message}


def test_api_names_every_path(user: Caller) -> None:
    paths = user.get("/app/api").json()["paths"]
    assert set(paths["/log/private"]) == {"get", "post", "delete"}
    assert {"/log/public/count", "/log/private/all", "/commit", "/tx", "/api"} <= set(paths)
