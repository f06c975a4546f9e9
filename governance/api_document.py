"""The OpenAPI document of ``/gov``: one for each version of the interface."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from governance.parts import answer
from ledger.endpoints import openapi
from ledger.endpoints.context import CallContext
from ledger.endpoints.registry import Registry
from ledger.endpoints.response import Response

_VERSION_NAME = "api-version"


class Documented:
    """What endpoints answer, by type, as OpenAPI says it.

    Args:
        kinds: Every type that an endpoint answers with; ``str`` is plain text.

    Attributes:
        components: Schemas that others refer to, by name.
    """

    def __init__(self, kinds: Sequence[type]) -> None:
        schemas, components = msgspec.json.schema_components(
            kinds, ref_template="#/components/schemas/{name}"
        )
        self.components = {name: openapi.schema_30(each) for name, each in components.items()}
        self._schemas = dict(zip(kinds, map(openapi.schema_30, schemas), strict=True))

    def operation(
        self,
        summary: str,
        kind: type | None,
        versions: Sequence[str],
        parameters: Sequence[dict[str, Any]] = (),
    ) -> dict[str, Any]:
        """Return the operation of an endpoint.

        Args:
            summary: What it does.
            kind: What it answers with; None for nothing.
            versions: Versions of the interface that have it.
            parameters: Query parameters beside the version.
        """
        version = query_parameter(_VERSION_NAME, list(versions), required=True)
        return {
            "summary": summary,
            "parameters": [version, *parameters],
            "responses": self._responses(kind),
        }

    def _responses(self, kind: type | None) -> dict[str, Any]:
        if kind is None:
            return {"204": {"description": "Done."}}
        media = "text/plain" if kind is str else "application/json"
        content = {media: {"schema": self._schemas[kind]}}
        return {"200": {"description": "Success.", "content": content}}


def query_parameter(name: str, values: Sequence[str], *, required: bool) -> dict[str, Any]:
    """Return a query parameter that takes one of some values."""
    schema = {"type": "string", "enum": list(values)}
    return {"name": name, "in": "query", "required": required, "schema": schema}


def api_handler(
    registry: Registry, version_of: Callable[[CallContext], str]
) -> Callable[[CallContext], Response]:
    """Return the handler of ``/api``.

    Args:
        registry: All endpoints, also those that are added before the first call.
        version_of: Returns the version that a call asks for; raises ``HttpError``.
    """
    pages: dict[str, Response] = {}

    def handle(ctx: CallContext) -> Response:
        version = version_of(ctx)
        if version not in pages:
            pages[version] = answer(openapi.document(_of_version(registry, version)))
        return pages[version]

    return handle


def _of_version(registry: Registry, version: str) -> Registry:
    """Return the endpoints that one version has, each with that version alone."""
    found = Registry(
        registry.prefix, title=registry.title, description=registry.description, version=version
    )
    found.schemas = registry.schemas
    for endpoint in registry.endpoints:
        operation = _operation_of_version(endpoint.openapi, version)
        if operation is not None:
            found.add(replace(endpoint, openapi=operation))
    return found


def _operation_of_version(operation: dict[str, Any], version: str) -> dict[str, Any] | None:
    parameters = []
    for parameter in operation.get("parameters", ()):
        if parameter["name"] != _VERSION_NAME:
            parameters.append(parameter)
        elif version in parameter["schema"]["enum"]:
            required = parameter["required"]
            parameters.append(query_parameter(_VERSION_NAME, [version], required=required))
        else:
            return None
    return {**operation, "parameters": parameters} if parameters else operation
