"""What a function gets, and what becomes of what it returns."""

import enum
from typing import Annotated, Any, Literal

import msgspec
import pytest

from ledger.app import App, Context, HttpError, Response, no_auth
from ledger.testing.app_client import AppClient


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Number(enum.IntEnum):
    ONE = 1


class Pair(msgspec.Struct):
    a: int
    b: str = "b"


def app() -> App:
    made = App("a", auth=[no_auth])

    @made.get("/str/{x}")
    def get_str(x: str) -> str:
        return x

    @made.get("/int/{x}")
    def get_int(x: int) -> int:
        return x

    @made.get("/bounded")
    def bounded(x: Annotated[int, msgspec.Meta(ge=1, le=9)]) -> int:
        return x

    @made.get("/many")
    def many(
        ctx: Context,
        flag: bool,
        colour: Colour,
        word: Literal["up", "down"] = "up",
        ratio: float = 0.5,
        number: Number | None = None,
    ) -> list[Any]:
        del ctx
        return [flag, colour.value, word, ratio, number]

    @made.get("/optional")
    def optional(x: int | None, y: str | None = "y") -> list[Any]:
        return [x, y]

    @made.post("/pair/{x}")
    def pair(x: int, body: Pair, ctx: Context, y: int = 0) -> Pair:
        del ctx
        return Pair(body.a + x + y, body.b)

    @made.post("/text")
    def text(body: str) -> str:
        return body[::-1]

    @made.post("/bytes")
    def octets(body: bytes) -> bytes:
        return body[::-1]

    @made.post("/any")
    def anything(body: Any) -> Any:  # noqa: ANN401
        return body

    return made


CLIENT = AppClient(app())
CALLER = CLIENT.anonymous()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/int/42", 42),
        ("/int/-42", -42),
        ("/int/007", 7),
        ("/int/18446744073709551615", 18446744073709551615),
        ("/int/%34%32", 42),
        ("/bounded?x=9", 9),
        ("/many?flag=true&colour=red", [True, "red", "up", 0.5, None]),
        (
            "/many?number=1&ratio=1e3&word=down&colour=blue&flag=false",
            [False, "blue", "down", 1000.0, 1],
        ),
        ("/optional", [None, "y"]),
        ("/optional?x=1&y=", [1, ""]),
        ("/optional?x=1&x=2", [1, "y"]),
        ("/optional?y=null&other=1", [None, "null"]),
    ],
)
def test_parameters(path: str, value: object) -> None:
    reply = CALLER.get(path)
    assert reply.status == 200, reply
    assert reply.json() == value


@pytest.mark.parametrize(
    ("path", "code", "says"),
    [
        ("/int/x", "InvalidResourceName", "'x': Expected decimal digits"),
        ("/int/1.0", "InvalidResourceName", "decimal digits"),
        ("/int/%D9%A1", "InvalidResourceName", "decimal digits"),
        ("/int/1_0", "InvalidResourceName", "decimal digits"),
        ("/int/+1", "InvalidResourceName", "decimal digits"),
        ("/int/" + "9" * 5000, "InvalidResourceName", "decimal digits"),
        ("/bounded", "InvalidQueryParameterValue", "must contain a 'x' parameter"),
        ("/bounded?x=", "InvalidQueryParameterValue", "decimal digits"),
        ("/bounded?x=0", "InvalidQueryParameterValue", "Expected `int` >= 1"),
        ("/bounded?x=%ff", "InvalidQueryParameterValue", "not UTF-8"),
        ("/many?flag=1&colour=red", "InvalidQueryParameterValue", "Expected true or false"),
        ("/many?flag=true&colour=green", "InvalidQueryParameterValue", "green"),
        ("/many?flag=true&colour=red&word=left", "InvalidQueryParameterValue", "left"),
        ("/many?flag=true&colour=red&ratio=nan", "InvalidQueryParameterValue", "finite"),
        ("/many?flag=true&colour=red&ratio=x", "InvalidQueryParameterValue", "Expected `float`"),
        ("/many?flag=true&colour=red&number=2", "InvalidQueryParameterValue", "2"),
    ],
)
def test_bad_parameters_are_400(path: str, code: str, says: str) -> None:
    reply = CALLER.get(path)
    assert (reply.status, reply.error_code) == (400, code)
    assert says in reply.json()["error"]["message"]


def test_text_parameter_is_taken_as_it_is() -> None:
    assert CALLER.get("/str/a%20b+c").text == "a b+c"


def test_body_path_query_and_context_in_any_order() -> None:
    assert CALLER.post("/pair/10?y=5", json={"a": 1}).json() == {"a": 16, "b": "b"}
    reply = CALLER.post("/pair/10", json={"a": "1"})
    assert (reply.status, reply.error_code) == (400, "InvalidInput")


@pytest.mark.parametrize(
    "headers",
    [{"content-type": "application/msgpack"}, {"content-type": "application/x-msgpack"}],
)
def test_messagepack_both_ways(headers: dict[str, str]) -> None:
    body = msgspec.msgpack.encode({"a": 1, "b": "x"})
    reply = CALLER.post("/pair/1", body=body, headers=headers)
    assert reply.headers["content-type"] == "application/msgpack"
    assert msgspec.msgpack.decode(reply.body) == {"a": 2, "b": "x"}


@pytest.mark.parametrize(
    ("path", "body", "headers", "reply_body", "content_type"),
    [
        ("/text", b"abc", {}, b"cba", "text/plain"),
        ("/text", b"abc", {"content-type": "text/plain"}, b"cba", "text/plain"),
        ("/bytes", b"\x00\x01", {"content-type": "image/png"}, b"\x01\x00", "application/octet-"),
        ("/any", b'{"a":[null]}', {}, b'{"a":[null]}', "application/json"),
        ("/any", b'"text"', {}, b"text", "text/plain"),
    ],
)
def test_text_bytes_and_anything(
    path: str, body: bytes, headers: dict[str, str], reply_body: bytes, content_type: str
) -> None:
    reply = CALLER.post(path, body=body, headers=headers)
    assert reply.body == reply_body
    assert reply.headers["content-type"].startswith(content_type)


def test_text_wants_text() -> None:
    reply = CALLER.post("/text", json={"a": 1})
    assert (reply.status, reply.error_code) == (415, "UnsupportedContentType")


def test_accept_is_checked_before_the_function_runs() -> None:
    runs = []
    made = App("a", auth=[no_auth])

    @made.post("/x")
    def run(ctx: Context) -> dict[str, int]:
        runs.append(ctx)
        return {}

    reply = AppClient(made).anonymous().post("/x", headers={"accept": "text/html"})
    assert (reply.status, reply.error_code) == (406, "UnsupportedContentType")
    assert not runs


@pytest.mark.parametrize("path", ["/text", "/bytes"])
def test_accept_has_no_say_in_text_and_bytes(path: str) -> None:
    assert CALLER.post(path, body=b"a", headers={"accept": "text/html"}).status == 200


@pytest.mark.parametrize(
    ("value", "status", "body", "content_type"),
    [
        (None, 204, b"", None),
        (True, 200, b"true", "application/json"),
        (False, 200, b"false", "application/json"),
        (0, 200, b"0", "application/json"),
        ("", 200, b"", "text/plain"),
        (b"", 200, b"", "application/octet-stream"),
        ([1, {"a": None}], 200, b'[1,{"a":null}]', "application/json"),
        (Pair(1), 200, b'{"a":1,"b":"b"}', "application/json"),
        (Colour.RED, 200, b'"red"', "application/json"),
        (Response(418, b"tea", b"x/y"), 418, b"tea", "x/y"),
    ],
)
def test_results(value: object, status: int, body: bytes, content_type: str | None) -> None:
    made = App("a", auth=[no_auth])

    @made.get("/x")
    def result() -> Any:  # noqa: ANN401
        return value

    reply = AppClient(made).anonymous().get("/x")
    assert (reply.status, reply.body) == (status, body)
    assert reply.headers.get("content-type") == content_type


def test_result_that_has_no_json_form_is_500() -> None:
    made = App("a", auth=[no_auth])

    @made.get("/x")
    def result() -> Any:  # noqa: ANN401
        return object()

    client = AppClient(made)
    assert client.anonymous().get("/x").error_code == "InternalError"
    assert len(client.failures) == 1


def test_http_error_is_the_answer() -> None:
    made = App("a", auth=[no_auth])

    @made.get("/x")
    def result() -> bool:
        raise HttpError(418, "Teapot", "Short and stout.", [{"spout": True}])

    reply = AppClient(made).anonymous().get("/x")
    assert reply.status == 418
    assert reply.json() == {
        "error": {"code": "Teapot", "message": "Short and stout.", "details": [{"spout": True}]}
    }
