"""Refreshing token keys, without a network: addresses, documents, and who is asked when."""

import json

import pytest

from ledger.base.errors import FormatError
from ledger.endpoints.context import CallContext
from ledger.endpoints.registry import Registry
from ledger.frontends.jwt_metrics import add_jwt_metrics
from ledger.lifecycle.jwt_refresh import (
    ERROR_SIZE_MAX,
    REFRESHES_MAX,
    RefreshMetrics,
    Schedule,
    Target,
    metadata_target,
    parse_target,
    read_keys,
    read_metadata,
)

WELL_KNOWN = "/.well-known/openid-configuration"


@pytest.mark.parametrize(
    ("issuer", "address", "authority", "path"),
    [
        ("https://a.example.com", "a.example.com:443", "a.example.com", WELL_KNOWN),
        ("https://a.example.com/", "a.example.com:443", "a.example.com", WELL_KNOWN),
        (
            "https://a.example.com/t/v2.0",
            "a.example.com:443",
            "a.example.com",
            "/t/v2.0" + WELL_KNOWN,
        ),
        ("https://a.example.com:8443", "a.example.com:8443", "a.example.com:8443", WELL_KNOWN),
        ("https://127.0.0.1:1", "127.0.0.1:1", "127.0.0.1:1", WELL_KNOWN),
        ("https://[::1]:8443", "[::1]:8443", "[::1]:8443", WELL_KNOWN),
        ("https://[::1]", "[::1]:443", "[::1]", WELL_KNOWN),
    ],
)
def test_where_a_document_is(issuer: str, address: str, authority: str, path: str) -> None:
    target = metadata_target(issuer)
    assert (target.address, target.authority, target.path) == (address, authority, path)
    assert "[" not in target.host


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example.com",
        "a.example.com",
        "",
        "https://",
        "https:///keys",
        "https://user@a.example.com",
        "https://a.example.com#part",
        "https://a.example.com:0",
        "https://a.example.com:65536",
        "https://a.example.com:x",
        "https://a.example.com/ a",
        "https://a.example.com/\r\nx: y",
        "https://ä.example.com",
        "https://a.example.com\n",
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(FormatError, match="want an https address"):
        parse_target(url)


def test_an_issuer_has_no_query_but_its_keys_may_have_one() -> None:
    with pytest.raises(FormatError, match="without a query"):
        metadata_target("https://a.example.com?x=y")
    assert parse_target("https://a.example.com/k?p=1").path == "/k?p=1"
    assert parse_target("https://a.example.com?p=1").path == "/?p=1"


def test_a_document_says_where_keys_are() -> None:
    body = json.dumps({"jwks_uri": "https://keys.example.com/k", "issuer": "https://i"}).encode()
    metadata = read_metadata(200, body)
    assert metadata.keys == Target("keys.example.com", 443, "/k")
    assert metadata.issuer == "https://i"
    assert read_metadata(200, b'{"jwks_uri":"https://k"}').issuer is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_refused(status: int) -> None:
    for read in (lambda: read_metadata(status, b""), lambda: read_keys(status, b"", None)):
        with pytest.raises(FormatError, match="redirects are not followed"):
            read()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, b"{}", "got status 404, want 200"),
        (500, b"{}", "got status 500, want 200"),
        (204, b"", "got status 204, want 200"),
        (200, b"", "not JSON"),
        (200, b"<html>", "not JSON"),
        (200, b"[]", "no JSON object"),
        (200, b"{}", "no jwks_uri"),
        (200, b'{"jwks_uri":3}', "no jwks_uri"),
        (200, b'{"jwks_uri":"http://k"}', "want an https address"),
        (200, b'{"jwks_uri":"https://k","issuer":3}', "issuer that is no text"),
        (200, b'{"a":' * 500 + b"1" + b"}" * 500, "nested"),
    ],
)
def test_other_documents_are_refused(status: int, body: bytes, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        read_metadata(status, body)


def test_keys_without_an_issuer_get_that_of_the_document() -> None:
    body = json.dumps({"keys": [{"kid": "a"}, {"kid": "b", "issuer": "https://own"}]}).encode()
    assert read_keys(200, body, "https://i") == {
        "keys": [{"kid": "a", "issuer": "https://i"}, {"kid": "b", "issuer": "https://own"}]
    }
    assert read_keys(200, body, None)["keys"][0] == {"kid": "a"}


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"keys":{}}', b'{"keys":[3]}'])
def test_other_key_sets_are_refused(body: bytes) -> None:
    with pytest.raises(FormatError, match="the key set"):
        read_keys(200, body, None)


# -- schedule ----------------------------------------------------------------------------


def test_an_issuer_is_asked_when_it_is_set_and_then_every_interval() -> None:
    schedule = Schedule(1000)
    schedule.see({"a": 5})
    assert schedule.take(set()) == ["a"]
    assert schedule.take(set()) == []
    schedule.see({"a": 5})
    assert schedule.take(set()) == []
    schedule.see({"a": 7})
    assert schedule.take(set()) == ["a"]
    schedule.wait(999)
    assert schedule.take(set()) == []
    schedule.wait(1)
    assert schedule.take(set()) == ["a"]
    schedule.wait(999)
    assert schedule.take(set()) == []


def test_an_issuer_that_is_gone_is_not_asked() -> None:
    schedule = Schedule(1000)
    schedule.see({"a": 5, "b": 6})
    schedule.see({"b": 6})
    assert schedule.take(set()) == ["b"]
    schedule.see({})
    schedule.wait(1000)
    assert schedule.take(set()) == []


def test_the_next_primary_asks_everybody_at_once() -> None:
    schedule = Schedule(1000)
    schedule.see({"a": 5})
    schedule.take(set())
    schedule.wait(900)
    schedule.forget()
    assert schedule.take(set()) == []
    schedule.see({"a": 5})
    assert schedule.take(set()) == ["a"]
    schedule.wait(900)
    assert schedule.take(set()) == []


def test_few_are_asked_at_a_time_and_nobody_twice() -> None:
    schedule = Schedule(1000)
    names = [f"i{number:02}" for number in range(20)]
    schedule.see(dict.fromkeys(names, 1))
    running = set(schedule.take(set()))
    assert len(running) == REFRESHES_MAX
    assert schedule.take(running) == []
    done = running.pop()
    assert len(schedule.take(running)) == 1
    running.add(done)
    schedule.wait(1000)
    rest = []
    while chosen := schedule.take(set()):
        rest += chosen
    assert sorted(rest) == names


def test_one_that_is_being_asked_waits_for_its_turn() -> None:
    schedule = Schedule(1000)
    schedule.see({"a": 1})
    assert schedule.take({"a"}) == []
    assert schedule.take(set()) == ["a"]


# -- metrics -----------------------------------------------------------------------------


def test_metrics_are_answered_as_they_stand() -> None:
    metrics = RefreshMetrics()
    registry = Registry("/node")
    add_jwt_metrics(registry, metrics)
    (endpoint,) = registry.endpoints
    assert (endpoint.method, endpoint.path) == ("GET", "/jwt_keys/refresh/metrics")

    def asked() -> object:
        answer = endpoint.handler(CallContext(None, endpoint, {}, {}, None, None))  # type: ignore[arg-type]
        return json.loads(answer.body)  # type: ignore[union-attr]

    assert asked() == {"attempts": 0, "successes": 0, "failures": 0, "last_error": None}
    metrics.begun()
    metrics.succeeded()
    metrics.begun()
    metrics.failed("https://i", "x" * 1000)
    told = asked()
    assert isinstance(told, dict)
    assert (told["attempts"], told["successes"], told["failures"]) == (2, 1, 1)
    assert told["last_error"].startswith("https://i: xxx")
    assert len(told["last_error"]) == ERROR_SIZE_MAX
