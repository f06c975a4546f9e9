"""The endpoints of one frontend, and what its OpenAPI document says of the whole."""

import re
from typing import Any

from ledger.base.errors import MisuseError
from ledger.endpoints.endpoint import Endpoint

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
"""Verbs an endpoint may have. OPTIONS is answered by the dispatch itself."""

_PARAMETER = re.compile(r"\{([^{}/]*)\}")


class Registry:
    """Endpoints by path and verb, in order of registration.

    Attributes:
        prefix: Path prefix of the frontend: ``/app``, ``/node`` or ``/gov``.
        title: Title of the OpenAPI document.
        description: Its description.
        version: Version of the documented interface.
        schemas: OpenAPI component schemas that operations refer to, by name.
    """

    def __init__(
        self,
        prefix: str,
        *,
        title: str = "",
        description: str = "",
        version: str = "1.0.0",
    ) -> None:
        if not re.fullmatch(r"/[a-z]+", prefix):
            raise MisuseError(f"got prefix {prefix!r}, want a slash and lower-case letters")
        self.prefix = prefix
        self.title = title or f"Quorate {prefix[1:]}"
        self.description = description
        self.version = version
        self.schemas: dict[str, Any] = {}
        self._endpoints: dict[tuple[str, str], Endpoint] = {}

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """All endpoints, oldest first."""
        return tuple(self._endpoints.values())

    def has(self, method: str, path: str) -> bool:
        """Say whether the verb of exactly this path template is taken."""
        return (method, path) in self._endpoints

    def add(self, endpoint: Endpoint) -> None:
        """Take an endpoint in.

        Raises:
            MisuseError: unknown verb, malformed path template, no auth policy, or the verb of
                this path is taken.
        """
        method, path = endpoint.method, endpoint.path
        if method not in METHODS:
            raise MisuseError(f"got verb {method!r} for {path}, want one of {', '.join(METHODS)}")
        check_template(path)
        if not endpoint.auth:
            raise MisuseError(f"got no auth policy for {method} {path}, want at least no_auth")
        names = [policy.name for policy in endpoint.auth]
        if len(set(names)) != len(names):
            raise MisuseError(f"got auth policies {names} for {method} {path}, want each once")
        if self.has(method, path):
            raise MisuseError(f"got a second endpoint for {method} {self.prefix}{path}")
        self._endpoints[method, path] = endpoint


def check_template(path: str) -> tuple[str, ...]:
    """Return the parameter names of a path template, in order.

    Args:
        path: ``/log/{id}``; a parameter reaches to the next slash or to the literal character
            after its brace, as in ``/members/{memberId}:update``.

    Raises:
        MisuseError: no leading slash, a query, other than ASCII, unbalanced braces, a name that is
            no identifier or is there twice, or two parameters with nothing between them.
    """
    if not path.startswith("/") or "?" in path or "#" in path:
        raise MisuseError(f"got path {path!r}, want a leading slash and no query")
    if not path.isascii():
        raise MisuseError(f"got path {path!r}, want it as clients send it, percent-encoded")
    names = tuple(_PARAMETER.findall(path))
    literal = _PARAMETER.sub("", path)
    if "{" in literal or "}" in literal or "}{" in path:
        raise MisuseError(f"got path {path!r}, want parameters as {{name}} with text between them")
    for name in names:
        if not name.isidentifier():
            raise MisuseError(f"got parameter {name!r} in path {path}, want an identifier")
    if len(set(names)) != len(names):
        raise MisuseError(f"got path {path!r}, want each parameter name once")
    return names
