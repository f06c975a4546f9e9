"""Requests of any shape: always one answer, never a failure of the node, and errors in one form.

Model: the logging sample is a dictionary behind HTTP.
"""

import os

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app_samples.logging.app import ID_MAX, app
from ledger.testing.app_client import AppClient, Caller

EXAMPLES = int(os.environ.get("QUORATE_EXAMPLES", "60"))
CLIENT = AppClient(app)
USER = CLIENT.user()
CALLERS = [USER, CLIENT.member(), CLIENT.stranger(), CLIENT.anonymous()]

PATHS = st.one_of(
    st.sampled_from(
        [
            "/log/private",
            "/app/log/public",
            "/log/private/all",
            "/log/public/count",
            "/commit",
            "/tx",
            "/api",
            "/app",
            "/gov/x",
            "/",
            "",
            "//",
        ]
    ),
    st.text(max_size=20).map(lambda text: "/" + text.replace("?", "")),
)
VALUES = st.text(max_size=8) | st.integers().map(str) | st.sampled_from(["%", "%ff", "%zz", "+"])
QUERIES = st.lists(
    st.tuples(
        st.sampled_from(
            ["id", "scope", "transaction_id", "view_history", "view_history_since", "", "x"]
        ),
        VALUES,
    ),
    max_size=4,
).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs))
BODIES = st.one_of(
    st.binary(max_size=40),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["id", "msg", "record_claim"]), inner, max_size=3)
        ),
        max_leaves=6,
    ).map(msgspec.json.encode),
    st.sampled_from([b"[" * 50_000, b'{"id":1,"msg":"' + b"x" * 100_000 + b'"}']),
)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["content-type", "accept", "prefer", "if-match", "if-none-match", "authorization"]
    ),
    st.sampled_from(
        [
            "",
            "*",
            "*/*",
            "application/json",
            "application/msgpack",
            "text/html;q=x",
            '"ab"',
            "wait-for-commit; wait=0",
            ",;=",
            "\xff",
        ]
    ),
    max_size=4,
)
METHODS = st.sampled_from(["GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS", "PATCH", "BREW", ""])


@settings(max_examples=EXAMPLES * 5, deadline=None)
@given(METHODS, PATHS, QUERIES, BODIES, HEADERS, st.sampled_from(CALLERS))
@example("GET", "/\udc80", "id=\udc80", b"", {}, USER)
@example("GET", "/log/private", "id=1&scope=\udc80", b"", {}, CALLERS[3])
def test_every_request_has_one_answer(
    method: str, path: str, query: str, body: bytes, headers: dict[str, str], caller: Caller
) -> None:
    before = len(CLIENT.failures)
    reply = caller.request(method, f"{path}?{query}", body=body, headers=headers)
    assert 200 <= reply.status < 500, (reply, CLIENT.failures[before:])
    assert len(CLIENT.failures) == before
    if reply.status >= 400 and method != "HEAD":
        problem = reply.json()["error"]
        assert set(problem) <= {"code", "message", "details"}
        assert problem["code"].isalnum()
        assert reply.headers["content-type"] == "application/json"
    if method == "HEAD" or reply.status in {204, 304}:
        assert reply.body == b""
    assert reply.tx_id is None or reply.status < 300


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["write", "read", "delete", "count", "clear"]),
        st.sampled_from(["private", "public"]),
        st.sampled_from(["", "?scope=s", "?scope=%C3%A9%2F"]),
        st.integers(0, 3) | st.just(ID_MAX),
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5),
    ),
    max_size=30,
)


@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(OPERATIONS)
def test_sample_is_a_dictionary(operations: list[tuple[str, str, str, int, str]]) -> None:
    client = AppClient(app)
    user = client.user()
    model: dict[tuple[str, str], dict[int, str]] = {}
    last = client.log.current()
    for operation, kind, scope, number, message in operations:
        records = model.setdefault((kind, scope), {})
        path = f"/log/{kind}"
        one = f"{path}{scope}{'&' if scope else '?'}id={number}"
        if operation == "write":
            reply = user.post(path + scope, json={"id": number, "msg": message})
            records[number] = message
            assert reply.json() is True
        elif operation == "read":
            reply = user.get(one)
            expected = (200, {"msg": records[number]}) if number in records else (404, None)
            assert reply.status == expected[0]
            assert expected[1] in (None, reply.json())
        elif operation == "delete":
            reply = user.delete(one)
            assert reply.json() is (records.pop(number, None) is not None)
        elif operation == "count":
            reply = user.get(f"{path}/count{scope}")
            assert reply.json() == len(records)
        else:
            reply = user.delete(f"{path}/all{scope}")
            records.clear()
        if reply.tx_id is not None:
            assert reply.tx_id >= last
            last = reply.tx_id
    assert client.failures == []
