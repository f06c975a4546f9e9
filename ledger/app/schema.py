"""OpenAPI operations of an application's endpoints, from their signatures."""

import inspect
from collections.abc import Sequence
from typing import Any

import msgspec

from ledger.app.parameters import is_optional
from ledger.app.signature import MISSING, Parameter, Signature
from ledger.endpoints.openapi import schema_30
from ledger.endpoints.response import Response

_REFERENCE = "#/components/schemas/{name}"


class Schemas:
    """Schemas of all types that an application's endpoints mention.

    Types of one name from different modules get different names, so all are collected first.

    Attributes:
        components: Schemas that others refer to, by name.
    """

    def __init__(self, signatures: Sequence[Signature]) -> None:
        kinds: list[Any] = []
        for signature in signatures:
            for kind in _kinds_of(signature):
                if kind not in kinds and _describable(kind):
                    kinds.append(kind)
        schemas, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
        self.components = {name: schema_30(each) for name, each in components.items()}
        self._known = list(zip(kinds, map(schema_30, schemas), strict=True))

    def of(self, kind: Any) -> dict[str, Any]:  # noqa: ANN401 - a type hint
        """Return the schema of a type; empty, which allows everything, when there is none."""
        for known, schema in self._known:
            if known == kind:
                assert isinstance(schema, dict), "a schema is an object"
                return schema
        return {}


def operation(signature: Signature, schemas: Schemas) -> dict[str, Any]:
    """Return the OpenAPI operation of an endpoint."""
    document = inspect.getdoc(signature.function) or ""
    summary, _, description = document.partition("\n\n")
    result: dict[str, Any] = {"operationId": signature.function.__name__}
    if summary:
        result["summary"] = " ".join(summary.split())
    if description:
        result["description"] = description
    parameters = [_parameter(each, "path", schemas) for each in signature.path]
    parameters += [_parameter(each, "query", schemas) for each in signature.query]
    if parameters:
        result["parameters"] = parameters
    if signature.body is not MISSING:
        result["requestBody"] = {"required": True, "content": _content(signature.body, schemas)}
    result["responses"] = _responses(signature.result, schemas)
    return result


def _kinds_of(signature: Signature) -> list[Any]:
    kinds = [each.hint for each in (*signature.path, *signature.query)]
    return [*kinds, *(kind for kind in (signature.body, signature.result) if kind is not MISSING)]


def _describable(kind: Any) -> bool:  # noqa: ANN401
    try:
        msgspec.json.schema(kind)
    except (TypeError, ValueError):
        return False
    return True


def _parameter(parameter: Parameter, place: str, schemas: Schemas) -> dict[str, Any]:
    required = parameter.default is MISSING and not is_optional(parameter.hint)
    return {
        "name": parameter.name,
        "in": place,
        "required": place == "path" or required,
        "schema": schemas.of(parameter.hint),
    }


def _content(kind: Any, schemas: Schemas) -> dict[str, Any]:  # noqa: ANN401
    if kind is str:
        return {"text/plain": {"schema": {"type": "string"}}}
    if kind is bytes:
        schema = {"type": "string", "format": "binary"}
        return {"application/octet-stream": {"schema": schema}}
    schema = schemas.of(kind)
    return {"application/json": {"schema": schema}, "application/msgpack": {"schema": schema}}


def _responses(kind: Any, schemas: Schemas) -> dict[str, Any]:  # noqa: ANN401
    if kind is None or kind is type(None):
        return {"204": {"description": "Done."}}
    success: dict[str, Any] = {"description": "Success."}
    if kind is not MISSING and kind is not Response:
        success["content"] = _content(kind, schemas)
    return {"200": success}
