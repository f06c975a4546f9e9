"""Query strings, decoded part by part."""

import pytest

from ledger.endpoints import query
from ledger.endpoints.errors import HttpError


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", []),
        ("a=1", [("a", "1")]),
        ("a=1&b=2", [("a", "1"), ("b", "2")]),
        ("a", [("a", "")]),
        ("a=", [("a", "")]),
        ("=a", [("", "a")]),
        ("a=1&a=2", [("a", "1"), ("a", "2")]),
        ("&&a=1&", [("a", "1")]),
        ("a=b=c", [("a", "b=c")]),
        # An escaped separator is part of its value.
        ("a=b%26c%3Dd&e=f", [("a", "b&c=d"), ("e", "f")]),
        ("a%3Db=c", [("a=b", "c")]),
        # Once, not twice.
        ("a=%2526", [("a", "%26")]),
        ("a=b+c%2Bd", [("a", "b c+d")]),
        ("a=%C3%A9", [("a", "é")]),
        ("a=%zz&b=%", [("a", "%zz"), ("b", "%")]),
    ],
)
def test_pairs_and_parse(text: str, pairs: list[tuple[str, str]]) -> None:
    assert query.pairs(text) == pairs
    first: dict[str, str] = {}
    for name, value in pairs:
        first.setdefault(name, value)
    assert query.parse(text) == first


@pytest.mark.parametrize("text", ["a=%ff", "%C3=1", "a=1&b=%ed%a0%80"])
def test_refuses_what_is_not_utf8(text: str) -> None:
    with pytest.raises(HttpError) as caught:
        query.parse(text)
    assert (caught.value.status, caught.value.code) == (400, "InvalidQueryParameterValue")


def test_required() -> None:
    assert query.required({"a": ""}, "a") == ""
    with pytest.raises(HttpError, match="must contain a 'b' parameter"):
        query.required({"a": ""}, "b")


@pytest.mark.parametrize(
    ("parameters", "value"), [({}, False), ({"x": "true"}, True), ({"x": "false"}, False)]
)
def test_boolean(parameters: dict[str, str], value: bool) -> None:
    assert query.boolean(parameters, "x") is value


@pytest.mark.parametrize("text", ["", "True", "1", "yes", "true "])
def test_boolean_refuses(text: str) -> None:
    with pytest.raises(HttpError, match=r"must be one of \[true, false\]"):
        query.boolean({"x": text}, "x")
