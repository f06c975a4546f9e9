"""Declaring endpoints, and what declaring refuses."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any, Literal

import msgspec
import pytest

from ledger.app import (
    App,
    Context,
    Forwarding,
    MisuseError,
    Redirection,
    Response,
    no_auth,
    user_cert,
)
from ledger.endpoints.endpoint import Endpoint, Mode


class Thing(msgspec.Struct):
    """A thing."""

    size: Annotated[int, msgspec.Meta(gt=0)]
    parent: "Thing | None" = None


def declared(app: App, method: str, path: str) -> Endpoint:
    return next(
        each for each in app.build().endpoints if (each.method, each.path) == (method, path)
    )


def test_decorators_leave_the_function_and_set_the_verb() -> None:
    app = App("a", auth=[no_auth])

    def function(ctx: Context) -> None:
        del ctx

    for declare in (app.get, app.post, app.put, app.patch, app.delete):
        assert declare("/x")(function) is function
    methods = [endpoint.method for endpoint in app.build().endpoints]
    assert methods == ["GET", "POST", "PUT", "PATCH", "DELETE"]


@pytest.mark.parametrize(
    ("method", "mode", "kind", "forwarding", "redirection"),
    [
        ("GET", None, Mode.READONLY, Forwarding.SOMETIMES, Redirection.NONE),
        ("GET", "readwrite", Mode.READWRITE, Forwarding.ALWAYS, Redirection.TO_PRIMARY),
        ("POST", None, Mode.READWRITE, Forwarding.ALWAYS, Redirection.TO_PRIMARY),
        ("POST", "readonly", Mode.READONLY, Forwarding.SOMETIMES, Redirection.NONE),
    ],
)
def test_mode_decides_where_it_runs(
    method: str,
    mode: Literal["readwrite", "readonly"] | None,
    kind: Mode,
    forwarding: Forwarding,
    redirection: Redirection,
) -> None:
    app = App("a", auth=[no_auth])
    declare = app.endpoint(method, "/x") if mode is None else app.endpoint(method, "/x", mode=mode)

    @declare
    def function() -> None:
        """Do nothing."""

    endpoint = declared(app, method, "/x")
    assert (endpoint.mode, endpoint.forwarding, endpoint.redirection) == (
        kind,
        forwarding,
        redirection,
    )


def test_options_are_taken_over() -> None:
    app = App("a")

    @app.post(
        "/x",
        auth=[user_cert, no_auth],
        forwarding=Forwarding.NEVER,
        redirection=Redirection.TO_BACKUP,
        respond_after_commit=True,
        openapi={"deprecated": True},
        hidden=True,
    )
    def function() -> None:
        """Do nothing."""

    endpoint = declared(app, "POST", "/x")
    assert endpoint.auth == (user_cert, no_auth)
    assert endpoint.forwarding is Forwarding.NEVER
    assert endpoint.redirection is Redirection.TO_BACKUP
    assert endpoint.respond_after_commit
    assert endpoint.hidden
    assert endpoint.openapi["deprecated"] is True
    assert endpoint.openapi["summary"] == "Do nothing."


def test_default_policies_and_their_absence() -> None:
    app = App("a", auth=[user_cert])
    app.get("/default")(_nothing)
    app.get("/own", auth=[no_auth])(_nothing)
    assert declared(app, "GET", "/default").auth == (user_cert,)
    assert declared(app, "GET", "/own").auth == (no_auth,)
    with pytest.raises(MisuseError, match=r"no auth for GET /x, want auth=\[…\]"):
        App("a").get("/x")
    with pytest.raises(MisuseError, match="no auth"):
        app.get("/x", auth=[])


def _nothing() -> None:
    return None


def test_path_and_options_are_checked() -> None:
    app = App("a", auth=[no_auth])
    app.get("/x")(_nothing)
    with pytest.raises(MisuseError, match="second endpoint for GET /app/x"):
        app.get("/x")(_nothing)
    with pytest.raises(MisuseError, match="leading slash"):
        app.get("x")(_nothing)
    with pytest.raises(MisuseError, match="verb 'TRACE'"):
        app.endpoint("TRACE", "/y")(_nothing)
    with pytest.raises(MisuseError, match="mode 'rw' for GET /y"):
        app.get("/y", mode="rw")  # type: ignore[arg-type]
    with pytest.raises(MisuseError, match=r"options \['atuh'\] for GET /y"):
        app.get("/y", atuh=[user_cert])  # type: ignore[call-arg]
    with pytest.raises(MisuseError, match=r"want a string: @app.get\('/path', …\)"):
        app.get(_nothing)  # type: ignore[arg-type]
    with pytest.raises(MisuseError, match="percent-encoded"):
        app.get("/ünï")
    with pytest.raises(MisuseError, match="for GET /y, want a list of policies"):
        app.get("/y", auth=user_cert)  # type: ignore[arg-type]
    with pytest.raises(MisuseError, match="got 'user_cert' in the auth of GET /y, want a policy"):
        app.get("/y", auth=["user_cert"])  # type: ignore[list-item]
    assert len(app.build().endpoints) == 1


# Signatures that cannot be


async def coroutine(ctx: Context) -> None:
    del ctx


async def async_generator(ctx: Context) -> AsyncIterator[int]:
    del ctx
    yield 1


def generator(ctx: Context) -> Iterator[int]:
    del ctx
    yield 1


def untyped(ctx: Context, x) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    del ctx, x


def variadic(ctx: Context, *names: str) -> None:
    del ctx, names


def keywords(ctx: Context, **names: str) -> None:
    del ctx, names


def keyword_only(ctx: Context, *, name: str) -> None:
    del ctx, name


def two_contexts(ctx: Context, other: Context) -> None:
    del ctx, other


def context_of_another_type(context: int) -> None:
    del context


def unknown_name(x: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821
    del x


def parameter_of_a_type_that_texts_do_not_have(x: list[int]) -> None:
    del x


def parameter_of_two_types(x: int | str) -> None:
    del x


def parameter_with_bounds_that_do_not_fit(
    x: Annotated[int, msgspec.Meta(min_length=1)],
) -> None:
    del x


def body_that_no_decoder_makes(body: Callable[[], int]) -> None:
    del body


class Instance:
    def __call__(self, ctx: Context) -> None:
        del ctx


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (coroutine, "async or generator"),
        (async_generator, "async or generator"),
        (generator, "async or generator"),
        (untyped, "parameter x: got no type hint"),
        (variadic, "parameter names: got a variadic positional one"),
        (keywords, "parameter names: got a variadic keyword one"),
        (keyword_only, "parameter name: got a keyword-only one"),
        (two_contexts, "parameter other: got a second Context"),
        (context_of_another_type, "parameter context: got type"),
        (unknown_name, "cannot resolve its type hints: name 'Nowhere'"),
        (parameter_of_a_type_that_texts_do_not_have, "parameter x: got type list[int]"),
        (parameter_of_two_types, "parameter x: got type int | str"),
        (parameter_with_bounds_that_do_not_fit, "parameter x: got type"),
        (body_that_no_decoder_makes, "parameter body: got type"),
        (Instance(), "want a function"),
        (len, "want a function"),
    ],
)
def test_bad_signatures_are_refused_at_registration(
    function: Callable[..., Any], says: str
) -> None:
    app = App("a", auth=[no_auth])
    with pytest.raises(MisuseError) as caught:
        app.post("/x")(function)
    assert says in str(caught.value)
    assert app.build().endpoints == ()


def test_get_has_no_body() -> None:
    def with_body(body: int) -> None:
        del body

    with pytest.raises(MisuseError, match="body for GET, whose bodies are ignored"):
        App("a", auth=[no_auth]).get("/x")(with_body)


# Documents


def documented() -> App:
    app = App("Things", description="About things.", version="2.0.0", auth=[user_cert])

    @app.put("/things/{number}")
    def put_thing(ctx: Context, number: int, body: Thing, note: str | None = None) -> bool:
        """Put a thing.

        It replaces
        the other.
        """
        del ctx, number, body, note
        return True

    @app.get("/text")
    def text(limit: Annotated[int, msgspec.Meta(ge=1)] = 5) -> str:
        return str(limit)

    @app.get("/none")
    def none(must: str, may: str | None) -> None:
        del must, may

    @app.post("/raw")
    def raw(body: bytes) -> bytes:
        return body

    @app.post("/own", hidden=True)
    def own(body: str) -> Response:
        return Response(200, body.encode())

    return app


def test_a_function_of_several_paths_has_a_name_for_each() -> None:
    app = App("twice", auth=[no_auth])

    @app.get("/a")
    @app.get("/b")
    def read() -> int:
        return 1

    names = [endpoint.openapi["operationId"] for endpoint in app.build().endpoints]
    assert names == ["read", "read_2"]


def test_operations_follow_the_signature() -> None:
    registry = documented().build()
    operations = {endpoint.path: endpoint.openapi for endpoint in registry.endpoints}
    thing = {"$ref": "#/components/schemas/Thing"}
    assert operations["/things/{number}"] == {
        "operationId": "put_thing",
        "summary": "Put a thing.",
        "description": "It replaces\nthe other.",
        "parameters": [
            {"name": "number", "in": "path", "required": True, "schema": {"type": "integer"}},
            {
                "name": "note",
                "in": "query",
                "required": False,
                "schema": {"type": "string", "nullable": True},
            },
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": thing},
                "application/msgpack": {"schema": thing},
            },
        },
        "responses": {
            "200": {
                "description": "Success.",
                "content": {
                    "application/json": {"schema": {"type": "boolean"}},
                    "application/msgpack": {"schema": {"type": "boolean"}},
                },
            }
        },
    }
    assert operations["/text"]["parameters"][0]["schema"] == {"type": "integer", "minimum": 1}
    assert operations["/text"]["parameters"][0]["required"] is False
    required = {each["name"]: each["required"] for each in operations["/none"]["parameters"]}
    assert required == {"must": True, "may": False}
    assert list(operations["/text"]["responses"]["200"]["content"]) == ["text/plain"]
    assert operations["/none"]["responses"] == {"204": {"description": "Done."}}
    assert list(operations["/raw"]["requestBody"]["content"]) == ["application/octet-stream"]
    assert operations["/own"]["responses"] == {"200": {"description": "Success."}}


def test_schemas_are_those_of_openapi_3_0() -> None:
    schema = documented().build().schemas["Thing"]
    assert schema["properties"]["size"] == {
        "type": "integer",
        "minimum": 0,
        "exclusiveMinimum": True,
    }
    assert schema["properties"]["parent"] == {
        "anyOf": [{"$ref": "#/components/schemas/Thing"}],
        "nullable": True,
        "default": None,
    }


def test_types_of_one_name_are_told_apart() -> None:
    def make(field: str) -> Any:  # noqa: ANN401
        return msgspec.defstruct("Same", [(field, int)], module=f"module_{field}")

    first, second = make("a"), make("b")

    def one(body: first) -> None:  # type: ignore[valid-type]
        del body

    def two(body: second) -> None:  # type: ignore[valid-type]
        del body

    app = App("a", auth=[no_auth])
    app.post("/one")(one)
    app.post("/two")(two)
    assert len(app.build().schemas) == 2


def test_building_twice_gives_equal_registries() -> None:
    app = documented()
    assert app.build().endpoints == app.build().endpoints
    assert (app.build().title, app.build().version) == ("Things", "2.0.0")
