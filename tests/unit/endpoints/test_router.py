"""From path and verb to endpoint."""

import pytest

from ledger.endpoints.auth import no_auth
from ledger.endpoints.endpoint import Endpoint
from ledger.endpoints.router import (
    Ambiguous,
    Match,
    Router,
    Undecodable,
    UnknownPath,
    WrongVerb,
)
from tests.unit.endpoints.pipeline_kit import answer

PATHS = [
    ("GET", "/"),
    ("GET", "/log/private"),
    ("POST", "/log/private"),
    ("GET", "/log/{id}"),
    ("DELETE", "/log/{id}"),
    ("GET", "/log/special"),
    ("POST", "/members/state-digests/{memberId}:update"),
    ("POST", "/members/state-digests/{memberId}:ack"),
    ("GET", "/members/state-digests/{memberId}"),
    ("GET", "/a/{x}/b/{y}"),
    ("GET", "/a.b/{x}-{y}"),
    ("GET", "/twice/{x}/end"),
    ("GET", "/twice/{x}/{y}"),
    ("POST", "/twice/{x}/{y}"),
]
ROUTER = Router(
    Endpoint(method=method, path=path, handler=answer(), auth=(no_auth,)) for method, path in PATHS
)

MATCHES: list[tuple[str, str, str, dict[str, str]]] = [
    ("GET", "/", "/", {}),
    ("GET", "/log/private", "/log/private", {}),
    ("POST", "/log/private", "/log/private", {}),
    # The exact path wins over the template, but only for its own verbs.
    ("GET", "/log/special", "/log/special", {}),
    ("DELETE", "/log/special", "/log/{id}", {"id": "special"}),
    ("DELETE", "/log/private", "/log/{id}", {"id": "private"}),
    ("GET", "/log/7", "/log/{id}", {"id": "7"}),
    # Percent-decoded once, after the match; plus stays plus.
    ("GET", "/log/a%2Fb", "/log/{id}", {"id": "a/b"}),
    ("GET", "/log/a%252Fb", "/log/{id}", {"id": "a%2Fb"}),
    ("GET", "/log/a+b", "/log/{id}", {"id": "a+b"}),
    ("GET", "/log/%zz", "/log/{id}", {"id": "%zz"}),
    ("GET", "/log/%C3%A9", "/log/{id}", {"id": "é"}),
    # A parameter ends at the literal character after its brace.
    (
        "POST",
        "/members/state-digests/ab12:update",
        "/members/state-digests/{memberId}:update",
        {"memberId": "ab12"},
    ),
    (
        "POST",
        "/members/state-digests/ab12:ack",
        "/members/state-digests/{memberId}:ack",
        {"memberId": "ab12"},
    ),
    ("GET", "/members/state-digests/ab", "/members/state-digests/{memberId}", {"memberId": "ab"}),
    (
        "GET",
        "/members/state-digests/ab:ack",
        "/members/state-digests/{memberId}",
        {"memberId": "ab:ack"},
    ),
    ("GET", "/a/1/b/2", "/a/{x}/b/{y}", {"x": "1", "y": "2"}),
    ("GET", "/a.b/1-2-3", "/a.b/{x}-{y}", {"x": "1", "y": "2-3"}),
    ("POST", "/twice/1/end", "/twice/{x}/{y}", {"x": "1", "y": "end"}),
]


@pytest.mark.parametrize(("method", "path", "template", "params"), MATCHES)
def test_match(method: str, path: str, template: str, params: dict[str, str]) -> None:
    found = ROUTER.find(method, path)
    assert isinstance(found, Match)
    assert (found.endpoint.method, found.endpoint.path) == (method, template)
    assert found.params == params


def test_raw_parameters_are_as_sent() -> None:
    found = ROUTER.find("GET", "/log/a%2Fb")
    assert isinstance(found, Match)
    assert found.raw_params == {"id": "a%2Fb"}


@pytest.mark.parametrize(
    "path",
    [
        "",
        "//",
        "/log",
        "/log/",
        "/log/a/b",
        "/LOG/private",
        "/log/private/",
        "/aXb/1-2",
        "/log/%2F/",
        "/members/state-digests/:update:x/",
        "/a//b/2",
    ],
)
def test_unknown_path(path: str) -> None:
    assert ROUTER.find("GET", path) == UnknownPath()


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/log/private", ("DELETE", "GET", "POST")),
        ("POST", "/log/7", ("DELETE", "GET")),
        ("HEAD", "/", ("GET",)),
        ("OPTIONS", "/a/1/b/2", ("GET",)),
        ("get", "/", ("GET",)),
    ],
)
def test_wrong_verb_lists_those_of_exact_path_and_templates(
    method: str, path: str, allow: tuple[str, ...]
) -> None:
    assert ROUTER.find(method, path) == WrongVerb(allow)


def test_two_templates_that_match_are_ambiguous() -> None:
    assert ROUTER.find("GET", "/twice/1/end") == Ambiguous(("/twice/{x}/end", "/twice/{x}/{y}"))


def test_parameter_that_is_not_utf8() -> None:
    assert ROUTER.find("GET", "/log/%ff") == Undecodable("id")
