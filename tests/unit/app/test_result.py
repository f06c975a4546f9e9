"""An endpoint's ``Response`` is checked and copied before its transaction is ordered."""

import pytest

from ledger.app import App, Context, Response, Table, no_auth
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
