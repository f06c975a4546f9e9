"""What a registry refuses."""

import pytest

from ledger.base.errors import MisuseError
from ledger.endpoints.auth import AuthPolicy, any_cert, no_auth, user_cert
from ledger.endpoints.endpoint import Endpoint
from ledger.endpoints.registry import Registry, check_template
from tests.unit.endpoints.pipeline_kit import answer


def endpoint(
    method: str = "GET", path: str = "/x", auth: tuple[AuthPolicy, ...] = (no_auth,)
) -> Endpoint:
    return Endpoint(method=method, path=path, handler=answer(), auth=auth)


def test_keeps_order_and_knows_what_is_taken() -> None:
    registry = Registry("/app")
    for method, path in [("POST", "/b"), ("GET", "/b"), ("GET", "/a/{id}")]:
        registry.add(endpoint(method, path))
    assert [(each.method, each.path) for each in registry.endpoints] == [
        ("POST", "/b"),
        ("GET", "/b"),
        ("GET", "/a/{id}"),
    ]
    assert registry.has("GET", "/a/{id}")
    assert not registry.has("GET", "/a/{other}")


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (endpoint(method="get"), "verb 'get'"),
        (endpoint(method="OPTIONS"), "verb 'OPTIONS'"),
        (endpoint(path="x"), "leading slash"),
        (endpoint(path="/x?y=1"), "no query"),
        (endpoint(path="/{x"), "parameters as {name}"),
        (endpoint(path="/x}"), "parameters as {name}"),
        (endpoint(path="/{a}{b}"), "with text between"),
        (endpoint(path="/{a-b}"), "identifier"),
        (endpoint(path="/{}"), "identifier"),
        (endpoint(path="/{a}/{a}"), "each parameter name once"),
        (endpoint(auth=()), "at least no_auth"),
        (endpoint(auth=(user_cert, any_cert, user_cert)), "want each once"),
        (endpoint(path="/taken"), "second endpoint for GET /app/taken"),
    ],
)
def test_refuses(bad: Endpoint, says: str) -> None:
    registry = Registry("/app")
    registry.add(endpoint(path="/taken"))
    with pytest.raises(MisuseError) as caught:
        registry.add(bad)
    assert says in str(caught.value)
    assert len(registry.endpoints) == 1


@pytest.mark.parametrize("prefix", ["", "app", "/", "/App", "/app/", "/a/b"])
def test_refuses_prefix(prefix: str) -> None:
    with pytest.raises(MisuseError):
        Registry(prefix)


def test_names_of_a_template() -> None:
    assert check_template("/a/{x}:do/{y_2}") == ("x", "y_2")
