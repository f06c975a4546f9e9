"""The OpenAPI document."""

from typing import Any

import pytest

from ledger.endpoints.auth import any_cert, no_auth, user_cert
from ledger.endpoints.endpoint import Endpoint, Forwarding
from ledger.endpoints.openapi import document, schema_30
from ledger.endpoints.registry import Registry
from tests.unit.endpoints.pipeline_kit import answer


def registry() -> Registry:
    made = Registry("/app", title="T", description="D", version="1.2.3")
    made.schemas = {"Thing": {"type": "object"}}
    made.add(
        Endpoint(
            method="POST",
            path="/b/{x}/{y}",
            handler=answer(),
            auth=(user_cert, any_cert),
            openapi={"summary": "S", "responses": {"204": {"description": "Done."}}},
        )
    )
    made.add(
        Endpoint(
            method="GET",
            path="/a",
            handler=answer(),
            auth=(no_auth,),
            forwarding=Forwarding.SOMETIMES,
        )
    )
    made.add(Endpoint(method="PUT", path="/a", handler=answer(), auth=(user_cert, no_auth)))
    made.add(Endpoint(method="GET", path="/h", handler=answer(), auth=(no_auth,), hidden=True))
    return made


def test_document() -> None:
    page = document(registry())
    assert page["openapi"] == "3.0.0"
    assert page["info"] == {"title": "T", "description": "D", "version": "1.2.3"}
    assert page["servers"] == [{"url": "/app"}]
    assert list(page["paths"]) == ["/a", "/b/{x}/{y}"]
    assert page["components"]["schemas"] == {"Thing": {"type": "object"}}
    assert set(page["components"]["securitySchemes"]) == {"any_cert", "user_cert"}
    assert set(page["components"]["x-ccf-forwarding"]) == {"always", "sometimes", "never"}


def test_operations() -> None:
    paths = document(registry())["paths"]
    default = {"$ref": "#/components/responses/default"}
    assert paths["/a"]["get"] == {
        "responses": {"200": {"description": "Success."}, "default": default},
        "x-ccf-forwarding": {"$ref": "#/components/x-ccf-forwarding/sometimes"},
    }
    assert paths["/a"]["put"]["security"] == [{"user_cert": []}, {}]
    post = paths["/b/{x}/{y}"]["post"]
    assert post["summary"] == "S"
    assert post["responses"] == {"204": {"description": "Done."}, "default": default}
    assert post["security"] == [{"user_cert": []}, {"any_cert": []}]
    assert post["x-ccf-forwarding"] == {"$ref": "#/components/x-ccf-forwarding/always"}
    parameters = paths["/b/{x}/{y}"]["parameters"]
    assert [(each["name"], each["in"], each["required"]) for each in parameters] == [
        ("x", "path", True),
        ("y", "path", True),
    ]


def test_references_lead_somewhere() -> None:
    page = document(registry())

    def follow(value: object) -> None:
        if isinstance(value, dict):
            reference = value.get("$ref")
            if reference is not None:
                target: Any = page
                for part in reference.removeprefix("#/").split("/"):
                    target = target[part]
            for inner in value.values():
                follow(inner)
        elif isinstance(value, list):
            for inner in value:
                follow(inner)

    follow(page)


@pytest.mark.parametrize(
    ("schema", "turned"),
    [
        ({"type": "integer"}, {"type": "integer"}),
        (
            {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            {"type": "string", "nullable": True, "default": None},
        ),
        (
            {"anyOf": [{"$ref": "#/x"}, {"type": "null"}]},
            {"anyOf": [{"$ref": "#/x"}], "nullable": True},
        ),
        (
            {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]},
            {"anyOf": [{"type": "string"}, {"type": "integer"}], "nullable": True},
        ),
        (
            {"type": "integer", "exclusiveMinimum": 0, "maximum": 9},
            {"type": "integer", "minimum": 0, "exclusiveMinimum": True, "maximum": 9},
        ),
        ({"const": "a"}, {"enum": ["a"]}),
        (
            {"type": "array", "prefixItems": [{"type": "string"}, {"type": "null"}]},
            {"type": "array", "items": {"anyOf": [{"type": "string"}, {"nullable": True}]}},
        ),
        (
            {"properties": {"a": {"exclusiveMaximum": 2.5}}},
            {"properties": {"a": {"maximum": 2.5, "exclusiveMaximum": True}}},
        ),
        ({"enum": [{"const": 1}]}, {"enum": [{"const": 1}]}),
        (
            {"properties": {"const": {"type": "null"}, "title": {"const": 1}}},
            {"properties": {"const": {"nullable": True}, "title": {"enum": [1]}}},
        ),
        ({"type": "object", "required": []}, {"type": "object"}),
        (
            {"type": "object", "required": ["a"]},
            {"type": "object", "required": ["a"]},
        ),
    ],
)
def test_schema_30(schema: dict[str, Any], turned: dict[str, Any]) -> None:
    assert schema_30(schema) == turned
