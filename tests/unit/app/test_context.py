"""The context: tables and their rules, caller, clock, claims, headers, transaction IDs."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from ledger.app import (
    App,
    Context,
    MisuseError,
    SetTable,
    Singleton,
    Table,
    any_cert,
    member_cert,
    no_auth,
    user_cert,
)
from ledger.app.access import Access, access_to
from ledger.base.ids import TxId
from ledger.tables.members import USER_CERTS, USER_INFO
from ledger.testing.app_client import START_OF_TIME, Answer, AppClient, Caller


def call(
    run: Callable[[Context], Any], *, client: AppClient | None = None, method: str = "POST"
) -> tuple[Answer, AppClient]:
    """Run a function as an endpoint that lets everybody in."""
    app = App("a", auth=[no_auth])

    @app.endpoint(method, "/x")
    def endpoint(ctx: Context) -> Any:  # noqa: ANN401
        return run(ctx)

    used = client or AppClient(app)
    return used.anonymous().request(method, "/x"), used


@pytest.mark.parametrize(
    ("name", "access"),
    [
        ("records", Access.READ_WRITE),
        ("public:records", Access.READ_WRITE),
        ("gov", Access.READ_WRITE),
        ("public:ccfgov", Access.READ_WRITE),
        ("PUBLIC:ccf.gov.x", Access.READ_WRITE),
        ("public:CCF.gov.x", Access.READ_WRITE),
        ("public:public:ccf.gov.x", Access.READ_WRITE),
        ("public:ccf.gov.users.certs", Access.READ),
        ("public:ccf.internal.signatures", Access.READ),
        ("ccf.gov.users.certs", Access.NONE),
        ("ccf.internal.x", Access.NONE),
        ("ccf.other", Access.NONE),
        ("public:ccf.other", Access.NONE),
        ("public:quorate.gov.x", Access.NONE),
        ("public:quorate.internal.x", Access.NONE),
        ("public:quorate.x", Access.NONE),
        ("quorate.x", Access.NONE),
    ],
)
def test_access(name: str, access: Access) -> None:
    for _ in range(2):
        assert access_to(name) is access

    def read(ctx: Context) -> bool:
        return ctx.map(name).get(b"k") is None and not ctx.table(Table(name, str, str)).has("k")

    def write(ctx: Context) -> bool:
        ctx.table(Table(name, str, str)).put("k", "v")
        return True

    reply, client = call(read)
    assert reply.status == (500 if access is Access.NONE else 200)
    reply, client = call(write)
    assert reply.status == (200 if access is Access.READ_WRITE else 500)
    if access is not Access.READ_WRITE:
        assert f"table {name} is " in client.failures[0]
        assert f"an application may {access.value} it" in client.failures[0]


def test_names_of_tables_are_not_kept_for_ever() -> None:
    for number in range(5000):
        assert access_to(f"records-{number}") is Access.READ_WRITE
    assert access_to("public:ccf.gov.x") is Access.READ


def test_read_only_map_reads_and_never_writes() -> None:
    client = AppClient(App("a"))
    user = client.user({"a": 1})
    assert user.id is not None
    key = user.id
    seen: dict[str, Any] = {}

    def run(ctx: Context) -> None:
        info = ctx.table(USER_INFO)
        value = info.get(key)
        assert value is not None
        seen["data"] = value.user_data
        seen["has"] = (info.has(key), info.size(), info.version_of(key))
        seen["items"] = [each for each, _ in info.items()]
        seen["prefix"] = [each for each, _ in info.prefix(key[:3].encode())]
        seen["committed"] = info.get_committed(key) == value
        writes: list[Callable[[], None]] = [
            lambda: info.put(key, value),
            lambda: info.remove(key),
            info.clear,
            lambda: ctx.map(USER_CERTS.name).put(b"a", b"b"),
            lambda: ctx.set(SetTable("public:ccf.gov.set", str)).add("x"),
            lambda: ctx.singleton(Singleton("public:ccf.gov.one", str)).put("x"),
        ]
        for write in writes:
            with pytest.raises(MisuseError, match="may only read"):
                write()

    app = App("b", auth=[no_auth])

    @app.post("/x")
    def endpoint(ctx: Context) -> bool:
        run(ctx)
        return True

    other = AppClient(app)
    tx = other.log.begin()
    for name in (USER_INFO.name, USER_CERTS.name):
        for each, data in client.log.begin().map(name).items():
            tx.map(name).put(each, data)
    other.log.commit(tx, None)
    reply = other.anonymous().post("/x")
    assert reply.status == 200, other.failures
    assert seen == {
        "data": {"a": 1},
        "has": (True, 1, 1),
        "items": [key],
        "prefix": [key],
        "committed": True,
    }
    assert other.log.store.version == 1


def test_reads_of_guarded_tables_conflict_like_any_other() -> None:
    app = App("a", auth=[no_auth])
    runs = []
    client: AppClient

    @app.post("/x")
    def endpoint(ctx: Context) -> bool:
        runs.append(ctx.map(USER_CERTS.name).size())
        ctx.table(Table("mine", str, int)).put("users", runs[-1])
        if len(runs) == 1:
            client.user()
        return True

    client = AppClient(app)
    assert client.anonymous().post("/x").status == 200
    assert runs == [0, 1]


def test_typed_handles() -> None:
    def run(ctx: Context) -> list[Any]:
        ctx.table(Table("t", str, int)).put("k", 1)
        ctx.singleton(Singleton("s", str)).put("v")
        ctx.set(SetTable("public:set", int)).add(7)
        ctx.map("m").put(b"a", b"b")
        return [
            ctx.table(Table("t", str, int)).get("k"),
            ctx.singleton(Singleton("s", str)).get(),
            list(ctx.set(SetTable("public:set", int)).keys()),
            ctx.map("m").size(),
        ]

    reply, client = call(run)
    assert reply.json() == [1, "v", [7], 1]
    assert client.log.store.map_names() == ["m", "public:set", "s", "t"]


def test_readonly_endpoint_does_not_write() -> None:
    def run(ctx: Context) -> bool:
        ctx.table(Table("t", str, int)).put("k", 1)
        return True

    reply, client = call(run, method="GET")
    assert reply.error_code == "InternalError"
    assert "read-only transaction" in client.failures[0]


def test_caller() -> None:
    app = App("a")

    @app.get("/x", auth=[user_cert, member_cert, any_cert, no_auth])
    def who(ctx: Context) -> list[Any]:
        certificate = ctx.caller.certificate
        size = None if certificate is None else len(certificate)
        return [ctx.caller.policy, ctx.caller.id, size, ctx.caller_data()]

    client = AppClient(app)
    user, member = client.user({"n": 1}), client.member([2])
    plain, stranger = client.user(), client.stranger()

    def told(caller: Caller, policy: str, data: object) -> None:
        size = None if caller.certificate is None else len(caller.certificate)
        assert caller.get("/x").json() == [policy, caller.id, size, data]

    told(user, "user_cert", {"n": 1})
    told(member, "member_cert", [2])
    told(plain, "user_cert", None)
    told(stranger, "any_cert", None)
    told(client.anonymous(), "no_auth", None)
    client.advance(91 * 86_400)
    told(client.user(), "user_cert", None)
    assert user.get("/x").json()[0] == "no_auth"  # every certificate policy says expired


def test_request_and_clock() -> None:
    app = App("a", auth=[no_auth])

    @app.post("/x/{a}/{b}")
    def echo(ctx: Context) -> list[Any]:
        request = ctx.request
        return [
            [request.method, request.path, request.query, request.body.decode()],
            ctx.path_params,
            ctx.raw_path_params,
            [ctx.header("X-Thing"), ctx.header("x-none")],
            ctx.now,
        ]

    client = AppClient(app)
    client.advance(1.5)
    reply = client.anonymous().post("/x/1%202/3?q=%20", body=b"hi", headers={"X-Thing": "é"})
    assert reply.json() == [
        ["POST", "/x/1%202/3", "q=%20", "hi"],
        {"a": "1 2", "b": "3"},
        {"a": "1%202", "b": "3"},
        ["é", None],
        START_OF_TIME + 1.5,
    ]


def test_status_and_headers() -> None:
    def run(ctx: Context) -> dict[str, int]:
        ctx.set_status(201)
        ctx.set_header("ETag", '"ab"')
        ctx.set_header("x-two", "b")
        return {}

    reply, _ = call(run)
    assert reply.status == 201
    assert (reply.headers["etag"], reply.headers["x-two"]) == ('"ab"', "b")


def test_status_that_is_no_success_drops_the_writes_unless_told() -> None:
    def run(ctx: Context) -> None:
        ctx.table(Table("t", str, int)).put("k", 1)
        ctx.set_status(409)

    def insist(ctx: Context) -> None:
        run(ctx)
        ctx.apply_writes(True)

    def decline(ctx: Context) -> None:
        ctx.table(Table("t", str, int)).put("k", 1)
        ctx.apply_writes(False)

    for function, version in [(run, 0), (insist, 1), (decline, 0)]:
        reply, client = call(function)
        assert client.log.store.version == version
        assert reply.tx_id == (TxId(2, 1) if version else None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bad name", "x"),
        ("", "x"),
        ("x\r\n", "x"),
        ("é", "x"),
        ("x", "a\r\nset-cookie: b"),
        ("x", "a\x00"),
        ("x", "\u2028"),
        ("Content-Length", "1"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("X-MS-CCF-Transaction-Id", "2.1"),
    ],
)
def test_headers_that_cannot_be(name: str, value: str) -> None:
    def run(ctx: Context) -> None:
        with pytest.raises(MisuseError):
            ctx.set_header(name, value)

    assert call(run)[0].status == 204


@pytest.mark.parametrize("status", [200, 599])
def test_status_at_the_bounds(status: int) -> None:
    def run(ctx: Context) -> list[int]:
        ctx.set_status(status)
        return []

    assert call(run)[0].status == status


@pytest.mark.parametrize("status", [0, 100, 199, 600])
def test_status_that_cannot_be(status: int) -> None:
    def run(ctx: Context) -> None:
        with pytest.raises(MisuseError):
            ctx.set_status(status)

    assert call(run)[0].status == 204


def test_claims_digest() -> None:
    def run(ctx: Context) -> None:
        ctx.table(Table("t", str, int)).put("k", 1)
        for wrong in (b"", bytes(31), bytes(33), bytearray(32)):
            with contextlib.suppress(MisuseError):
                ctx.set_claims_digest(wrong)  # type: ignore[arg-type]
                raise AssertionError
        ctx.set_claims_digest(bytes(range(32)))

    _, client = call(run)
    assert client.log.claims == {1: bytes(range(32))}


def test_transaction_ids() -> None:
    app = App("a", auth=[no_auth])

    @app.post("/x")
    def write(ctx: Context) -> list[Any]:
        ctx.table(Table("t", str, int)).put("k", 1)
        return [
            ctx.read_version,
            str(ctx.last_committed()),
            ctx.tx_status(TxId(2, 1)),
            ctx.tx_status(TxId(2, 9)),
        ]

    client = AppClient(app, commits_at_once=False)
    caller = client.anonymous()
    assert caller.post("/x").json() == [0, "0.0", "Unknown", "Unknown"]
    assert caller.post("/x").json() == [1, "0.0", "Pending", "Unknown"]
    client.commit()
    assert caller.post("/x").json() == [2, "2.2", "Committed", "Unknown"]
