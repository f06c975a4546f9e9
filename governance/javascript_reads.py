"""What CCF's clients ask of a JavaScript application: endpoints and modules.

Applications here are written in Python, so a service of ours has none of these, and says so in the
form that those clients read. The tables are the ones that a constitution made for CCF would write.
"""

from typing import Any

from governance.parts import GovernanceParts, answer, answer_text, not_found
from ledger.codec.tables import STR, Table
from ledger.endpoints import query
from ledger.endpoints.context import CallContext
from ledger.endpoints.response import Response

MODULES = Table("public:ccf.gov.modules", STR, STR)
"""Path of a module to its source."""
ENDPOINTS = Table("public:ccf.gov.endpoints", STR, dict[str, Any])
"""Verb, a space and a path to how the endpoint is served."""

_NAMES = {
    "js_module": "jsModule",
    "js_function": "jsFunction",
    "forwarding_required": "forwardingRequired",
    "redirection_strategy": "redirectionStrategy",
    "authn_policies": "authnPolicies",
    "mode": "mode",
    "openapi": "openApi",
}
"""Stored names to those of answers."""


def get_app(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Answer with all endpoints by path and verb; ``case=original`` as they are stored."""
    del parts
    case = query.parse(ctx.request.query).get("case")
    if case not in {None, "original"}:
        raise query.invalid("Invalid value for case: want original, or no such parameter.")
    found: dict[str, dict[str, Any]] = {}
    for key, stored in ctx.tx.table(ENDPOINTS).items():
        verb, _, path = key.partition(" ")
        found.setdefault(path, {})[verb] = stored if case == "original" else _renamed(stored)
    return answer({"endpoints": found})


def list_modules(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Answer with the paths of all modules."""
    del parts
    return answer({"value": [{"moduleName": name} for name, _ in ctx.tx.table(MODULES).items()]})


def get_module(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Answer with the source of a module."""
    del parts
    name = ctx.params["moduleName"]
    source = ctx.tx.table(MODULES).get(name)
    if source is None:
        raise not_found("Module", name[:200])
    return answer_text(source)


def _renamed(stored: dict[str, Any]) -> dict[str, Any]:
    return {shown: stored[name] for name, shown in _NAMES.items() if name in stored}
