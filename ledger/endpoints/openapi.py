"""The OpenAPI 3.0.0 document of a frontend, from what its endpoints declare.

Schemas describe; they do not validate. JSON Schema as ``msgspec`` writes it (2020-12) is turned
into the dialect of OpenAPI 3.0: ``nullable`` for a null type, boolean exclusive bounds, ``enum``
for ``const``, no empty ``required``. Every operation carries ``x-ccf-forwarding``, which CCF's
tools read.
"""

from collections.abc import Sequence
from typing import Any

from ledger.endpoints.auth import AuthPolicy, no_auth
from ledger.endpoints.auth_all_of import AllOf
from ledger.endpoints.endpoint import Endpoint, Forwarding
from ledger.endpoints.registry import Registry, check_template

_FORWARDING_TEXT = {
    Forwarding.ALWAYS: "A backup hands the request to the primary, which runs it.",
    Forwarding.SOMETIMES: "A backup runs the request itself, unless an earlier request of the "
    "same session was handed to the primary: then this one is too.",
    Forwarding.NEVER: "Always runs on the node that received it, whatever other requests of the "
    "session did. A write fails on a backup.",
}

_ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "description": "Stable name of the error."},
                "message": {"type": "string", "description": "What is wrong, for people."},
                "details": {"type": "array", "items": {"type": "object"}},
            },
        }
    },
}


def document(registry: Registry) -> dict[str, Any]:
    """Return the document of a frontend, a JSON value. Hidden endpoints are left out."""
    paths: dict[str, dict[str, Any]] = {}
    schemes: dict[str, Any] = {}
    visible = [endpoint for endpoint in registry.endpoints if not endpoint.hidden]
    for endpoint in sorted(visible, key=lambda each: (each.path, each.method)):
        path = paths.setdefault(endpoint.path, {})
        names = check_template(endpoint.path)
        if names and "parameters" not in path:
            path["parameters"] = [_path_parameter(name) for name in names]
        path[endpoint.method.lower()] = _operation(endpoint, schemes)
    return {
        "openapi": "3.0.0",
        "info": {
            "title": registry.title,
            "description": registry.description,
            "version": registry.version,
        },
        "servers": [{"url": registry.prefix}],
        "paths": paths,
        "components": _components(registry, schemes),
    }


def schema_30(schema: Any) -> Any:  # noqa: ANN401 - JSON Schema is free JSON
    """Turn a JSON Schema of ``msgspec`` into the dialect of OpenAPI 3.0."""
    if isinstance(schema, list):
        return [schema_30(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    turned: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":  # its keys are names, not words of JSON Schema
            turned[key] = {name: schema_30(each) for name, each in value.items()}
        else:
            turned[key] = value if key in _VERBATIM else schema_30(value)
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if type(turned.get(exclusive)) in {int, float}:
            turned[bound] = turned[exclusive]
            turned[exclusive] = True
    if "const" in turned:
        turned["enum"] = [turned.pop("const")]
    if not turned.get("required", True):  # OpenAPI 3.0 has no empty list of them
        del turned["required"]
    if "prefixItems" in turned:
        turned["items"] = {"anyOf": turned.pop("prefixItems")}
    return _nullable(turned)


_VERBATIM = frozenset({"default", "const", "enum", "examples", "title", "description", "required"})


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """Turn "or null" into ``nullable``."""
    if schema.get("type") == "null":
        return {"nullable": True}
    choices = schema.get("anyOf")
    if choices is None or {"nullable": True} not in choices:
        return schema
    rest = [each for each in choices if each != {"nullable": True}]
    others = {key: value for key, value in schema.items() if key != "anyOf"}
    if len(rest) == 1 and "$ref" not in rest[0]:
        return {**rest[0], **others, "nullable": True}
    return {"anyOf": rest, **others, "nullable": True}


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _operation(endpoint: Endpoint, schemes: dict[str, Any]) -> dict[str, Any]:
    operation = dict(endpoint.openapi)
    responses = dict(operation.get("responses") or {"200": {"description": "Success."}})
    responses.setdefault("default", {"$ref": "#/components/responses/default"})
    operation["responses"] = responses
    security: list[dict[str, Any]] = []
    for policy in endpoint.auth:
        together = policy.policies if isinstance(policy, AllOf) else (policy,)
        requirement = _requirement(together, schemes)
        if requirement or policy is no_auth:
            security.append(requirement)
    if security and security != [{}]:
        operation["security"] = security
    operation["x-ccf-forwarding"] = {
        "$ref": f"#/components/x-ccf-forwarding/{endpoint.forwarding.value}"
    }
    return operation


def _requirement(policies: Sequence[AuthPolicy], schemes: dict[str, Any]) -> dict[str, Any]:
    """Return what a caller has to satisfy at once; notes the schemes."""
    declared = [each for each in (policy.openapi_security() for policy in policies) if each]
    schemes.update(declared)
    return {name: [] for name, _ in declared}


def _components(registry: Registry, schemes: dict[str, Any]) -> dict[str, Any]:
    components: dict[str, Any] = {
        "responses": {
            "default": {
                "description": "An error.",
                "content": {"application/json": {"schema": _ERROR_SCHEMA}},
            }
        },
        "x-ccf-forwarding": {
            kind.value: {"value": kind.value, "description": text}
            for kind, text in _FORWARDING_TEXT.items()
        },
    }
    if registry.schemas:
        components["schemas"] = dict(registry.schemas)
    if schemes:
        components["securitySchemes"] = dict(sorted(schemes.items()))
    return components
