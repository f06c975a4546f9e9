"""An endpoint's ``Response`` is checked and copied before its transaction is ordered."""

from collections.abc import Callable

import pytest
from typing_extensions import override

from ledger.app import App, Context, HttpError, Response, Table, no_auth
from ledger.base.errors import MisuseError
from ledger.endpoints.auth import Denied
from ledger.endpoints.request import Request
from ledger.kv.tx import Tx
from ledger.testing.app_client import AppClient

written = Table("written", str, str)
SHARED = Response(200, b"ok", b"text/plain", [(b"x-from", b"module")])


def client_of(result: Response) -> AppClient:
    app = App("a", auth=[no_auth])

    @app.post("/x")
    def endpoint(ctx: Context) -> Response:
        ctx.table(written).put("k", "v")
        return result

    return AppClient(app)


@pytest.mark.parametrize(
    "response",
    [
        Response(200, "text"),  # type: ignore[arg-type]
        Response(200, None),  # type: ignore[arg-type]
        Response(200, bytearray(b"x")),  # type: ignore[arg-type]
        Response(200, b"x", "text/plain"),  # type: ignore[arg-type]
        Response(200, b"x", b"text/plain\r\nset-cookie: a"),
        Response(200, b"x", None, {"a": "b"}),  # type: ignore[arg-type]
        Response(200, b"x", None, [("a", "b")]),  # type: ignore[list-item]
        Response(200, b"x", None, [(b"a",)]),  # type: ignore[list-item]
        Response(200, b"x", None, [(b"a", b"b\r\nc: d")]),
        Response(200, b"x", None, [(b"a b", b"c")]),
        Response(200, b"x", None, [(b"Content-Length", b"7")]),
        Response(200, b"x", tx_id=b"9.9"),
        Response("200", b"x"),  # type: ignore[arg-type]
        Response(100, b"x"),
        Response(0),
        Response(999),
        Response(True),
    ],
)
def test_what_cannot_be_sent_is_an_exception_and_nothing_is_written(response: Response) -> None:
    client = client_of(response)
    answer = client.anonymous().post("/x")
    assert (answer.status, answer.error_code) == (500, "InternalError")
    assert answer.tx_id is None
    assert len(client.failures) == 1
    assert "MisuseError" in client.failures[0]
    assert client.log.begin().table(written).get("k") is None


def test_one_object_may_answer_many_calls() -> None:
    caller = client_of(SHARED).anonymous()
    calls = [caller.start("POST", "/x", headers={"prefer": "wait-for-commit"}) for _ in range(2)]
    ids = {call.result().tx_id for call in calls}
    assert len(ids) == 2
    assert [call.result().headers["preference-applied"] for call in calls] == [
        "wait-for-commit"
    ] * 2
    assert SHARED.tx_id is None
    assert SHARED.headers == [(b"x-from", b"module")]


def test_status_and_headers_of_a_call_stay_with_it() -> None:
    app = App("a", auth=[no_auth])

    @app.get("/x")
    def endpoint(ctx: Context, mark: bool = False) -> Response:
        if mark:
            ctx.set_status(201)
            ctx.set_header("x-mark", "yes")
            ctx.set_header("content-type", "text/html")
        return SHARED

    client = AppClient(app).anonymous()
    marked, plain = client.get("/x?mark=true"), client.get("/x")
    assert (marked.status, marked.headers["x-mark"], marked.headers["x-from"]) == (
        201, "yes", "module",
    )  # fmt: skip
    assert marked.headers["content-type"] == "text/html"
    assert (plain.status, plain.headers) == (
        200, {"content-type": "text/plain", "x-from": "module"},
    )  # fmt: skip


def test_content_type_replaces_that_of_a_value() -> None:
    app = App("a", auth=[no_auth])

    @app.get("/x")
    def endpoint(ctx: Context) -> str:
        ctx.set_header("Content-Type", "text/html")
        return "<p>hi</p>"

    answer = AppClient(app).anonymous().get("/x")
    assert answer.headers["content-type"] == "text/html"


class OddError(Exception):
    @override
    def __str__(self) -> str:
        raise ValueError("no text")


def _raise(problem: BaseException) -> None:
    raise problem


def _with(error: HttpError, **attributes: object) -> HttpError:
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


MISUSES: dict[str, Callable[[Context], object]] = {
    "details of no JSON": lambda _: _raise(HttpError(400, "X", "m", [{"a": object()}])),
    "message of no JSON": lambda _: _raise(HttpError(400, "X", object())),  # type: ignore[arg-type]
    "details that are no list": lambda _: _raise(_with(HttpError(400, "X", "m"), details=5)),
    "status of an error": lambda _: _raise(_with(HttpError(400, "X", "m"), status=99)),
    "status": lambda ctx: setattr(ctx, "status", "abc"),
    "status out of range": lambda ctx: setattr(ctx, "status", 99),
    "content type": lambda ctx: setattr(ctx, "content_type", "text"),
    "headers": lambda ctx: setattr(ctx, "extra_headers", ["abc"]),
    "an exception without text": lambda _: _raise(OddError()),
}


@pytest.mark.parametrize("name", MISUSES)
def test_no_misuse_reaches_the_wire(name: str) -> None:
    app = App("a", auth=[no_auth])

    @app.post("/x")
    def endpoint(ctx: Context) -> str:
        ctx.table(written).put("k", "v")
        MISUSES[name](ctx)
        return "done"

    client = AppClient(app)
    answer = client.anonymous().post("/x")
    assert (answer.status, answer.error_code) == (500, "InternalError")
    assert len(client.failures) == 1
    assert client.log.begin().table(written).get("k") is None


def test_a_policy_of_ones_own_may_be_wrong() -> None:
    class Policy:
        name = "own"

        def authenticate(self, request: Request, tx: Tx) -> Denied:
            del request, tx
            return Denied("no", "Bearer x")  # type: ignore[arg-type]

        def openapi_security(self) -> None:
            return None

    app = App("a", auth=[Policy()])

    @app.get("/x")
    def endpoint() -> str:
        return "done"

    client = AppClient(app)
    answer = client.anonymous().get("/x")
    assert (answer.status, answer.error_code) == (500, "InternalError")
    assert len(client.failures) == 1
    with pytest.raises(MisuseError, match="want a policy"):
        app.get("/y", auth=[Policy])  # type: ignore[list-item]
