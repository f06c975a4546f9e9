"""From a path and a verb to an endpoint.

Literal paths win over templates. A template's parameter matches one or more characters up to the
next ``/``, or up to the literal character after its brace, so ``{memberId}:update`` works. When
the literal path has no endpoint of the verb, templates are tried all the same; two templates that
match one request are the author's mistake and answered as one.

Dispatch reads the path as it was sent; parameters are percent-decoded once, after the match, and
``+`` stays ``+``. A path may come with or without an escape for the same character: both are
different paths here, as everywhere in this surface.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote

from ledger.endpoints.endpoint import Endpoint
from ledger.endpoints.registry import check_template


class Match(NamedTuple):
    """The endpoint of a request, its parameters decoded and as sent."""

    endpoint: Endpoint
    params: dict[str, str]
    raw_params: dict[str, str]


@dataclass(frozen=True, slots=True)
class UnknownPath:
    """Nothing answers this path."""


@dataclass(frozen=True, slots=True)
class WrongVerb:
    """The path exists; ``allow`` lists its verbs, sorted."""

    allow: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Several templates answer this path and verb."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A path parameter is not UTF-8 once percent-decoded."""

    name: str


Miss = UnknownPath | WrongVerb | Ambiguous | Undecodable

_BRACED = re.compile(r"\{([^{}/]*)\}(.?)", re.DOTALL)
_NO_PARAMS: dict[str, str] = {}


class _Template:
    __slots__ = ("methods", "names", "path", "pattern")

    def __init__(self, path: str) -> None:
        self.path = path
        self.names = check_template(path)
        self.pattern = template_pattern(path)
        self.methods: dict[str, Endpoint] = {}


class Router:
    """The dispatch table of one frontend; paths are below the frontend's prefix."""

    __slots__ = ("_literals", "_templates")

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._literals: dict[str, dict[str, Endpoint]] = {}
        self._templates: dict[str, _Template] = {}
        for endpoint in endpoints:
            if "{" in endpoint.path:
                template = self._templates.get(endpoint.path)
                if template is None:
                    template = self._templates[endpoint.path] = _Template(endpoint.path)
                template.methods[endpoint.method] = endpoint
            else:
                self._literals.setdefault(endpoint.path, {})[endpoint.method] = endpoint

    @property
    def literals(self) -> dict[str, dict[str, Endpoint]]:
        """Endpoints of literal paths, path → verb → endpoint."""
        return self._literals

    def find(self, method: str, path: str) -> Match | Miss:
        """Look up a request.

        Args:
            method: Verb in capitals.
            path: Path below the prefix, as sent.
        """
        methods = self._literals.get(path)
        if methods is not None:
            endpoint = methods.get(method)
            if endpoint is not None:
                return Match(endpoint, _NO_PARAMS, _NO_PARAMS)
        hits = self._matching(path)
        fitting = [(template, match) for template, match in hits if method in template.methods]
        if len(fitting) > 1:
            return Ambiguous(tuple(template.path for template, _ in fitting))
        if fitting:
            return _decoded(*fitting[0], method)
        allow = {verb for template, _ in hits for verb in template.methods}
        if methods is not None:
            allow |= methods.keys()
        return WrongVerb(tuple(sorted(allow))) if allow else UnknownPath()

    def _matching(self, path: str) -> "list[tuple[_Template, re.Match[str]]]":
        hits = []
        for template in self._templates.values():
            match = template.pattern.fullmatch(path)
            if match is not None:
                hits.append((template, match))
        return hits


def template_pattern(path: str) -> re.Pattern[str]:
    """Compile a path template to the pattern that matches whole paths, one group per parameter."""
    parts = []
    position = 0
    for braced in _BRACED.finditer(path):
        parts.append(re.escape(path[position : braced.start()]))
        follower = braced[2]
        stop = "" if follower in {"", "/"} else re.escape(follower)
        parts.append(f"([^/{stop}]+)")
        position = braced.end() - len(follower)
    parts.append(re.escape(path[position:]))
    return re.compile("".join(parts))


def _decoded(template: _Template, match: re.Match[str], method: str) -> Match | Undecodable:
    raw = dict(zip(template.names, match.groups(), strict=True))
    params = raw
    if "%" in match.string:
        params = {}
        for name, text in raw.items():
            try:
                params[name] = unquote(text, errors="strict")
            except UnicodeDecodeError:
                return Undecodable(name)
    return Match(template.methods[method], params, raw)
