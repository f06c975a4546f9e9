"""The order of checks, and what each answers."""

import msgspec
import pytest

from ledger.app import App
from ledger.base.ids import TxId
from ledger.base.limits import COMMIT_ATTEMPTS_MAX
from ledger.codec.entry import EntrySizeError
from ledger.endpoints.auth import AuthPolicy, no_auth, user_cert
from ledger.endpoints.context import CallContext
from ledger.endpoints.endpoint import Endpoint, Mode
from ledger.endpoints.errors import HttpError
from ledger.endpoints.forwarding import Passed
from ledger.endpoints.interfaces import Interface
from ledger.endpoints.pipeline import Frontend
from ledger.endpoints.registry import Registry
from ledger.endpoints.request import Request
from ledger.endpoints.response import JSON, Response
from ledger.kv.tx import Tx
from ledger.tables.members import USER_CERTS
from ledger.testing.app_client import AppClient, Caller
from tests.unit.endpoints.pipeline_kit import NOW, Kit, answer, reading, writing


def count(kit: Kit) -> int:
    return int.from_bytes(kit.log.begin().map("counts").get(b"runs") or b"", "big")


# Routing to frontends


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/app/x", b"app"),
        ("/x", b"app"),
        ("/node/x", b"node"),
        ("/gov/x", b"gov"),
        ("/app", b"app root"),
        ("/app/", b"app root"),
        ("/", b"app root"),
        ("/app/t/7", b"app template"),
        ("/t/7", b"app template"),
        ("/node/t/7", b"node template"),
    ],
)
def test_prefix_selects_the_frontend_and_no_prefix_is_the_application(
    path: str, body: bytes
) -> None:
    kit = Kit()
    kit.add("GET", "/", answer(body=b"app root"))
    kit.add("GET", "/t/{x}", answer(body=b"app template"))
    kit.add("GET", "/t/{x}", answer(body=b"node template"), prefix="/node")
    for prefix in kit.registries:
        kit.add("GET", "/x", answer(body=prefix[1:].encode()), prefix=prefix)
    assert kit.caller().get(path).body == body


def test_application_path_that_begins_like_a_prefix_needs_its_own() -> None:
    kit = Kit()
    kit.add("GET", "/node/x", answer(body=b"app"))
    kit.add("GET", "/nodes/x", answer(body=b"nodes"))
    caller = kit.caller()
    assert caller.get("/node/x").status == 404
    assert caller.get("/app/node/x").body == b"app"
    assert caller.get("/nodes/x").body == b"nodes"


@pytest.mark.parametrize("path", ["/nope", "/app/nope", "/gov/x/y", "/node", "/application/x"])
def test_unknown_path(path: str) -> None:
    kit = Kit()
    kit.add("GET", "/x", answer())
    reply = kit.caller().get(path)
    assert (reply.status, reply.error_code) == (404, "ResourceNotFound")
    assert f"Unknown path: {path}" in reply.json()["error"]["message"]


def test_unknown_path_without_an_application() -> None:
    kit = Kit()
    del kit.registries["/app"]
    assert kit.caller().get("/x").error_code == "ResourceNotFound"


def test_wrong_verb_and_options() -> None:
    kit = Kit()
    kit.add("POST", "/x", answer())
    kit.add("GET", "/x", answer())
    caller = kit.caller()
    reply = caller.put("/app/x")
    assert (reply.status, reply.error_code) == (405, "UnsupportedHttpVerb")
    assert reply.headers["allow"] == "OPTIONS, GET, POST"
    reply = caller.request("OPTIONS", "/app/x")
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["allow"] == "OPTIONS, GET, POST"
    assert "content-type" not in reply.headers
    assert caller.request("OPTIONS", "/app/nope").status == 404


def test_head_never_carries_a_body() -> None:
    kit = Kit()
    kit.add("HEAD", "/x", answer(body=b"body"))
    kit.add("GET", "/only-get", answer())
    caller = kit.caller()
    assert (caller.request("HEAD", "/x").status, caller.request("HEAD", "/x").body) == (200, b"")
    for path, status in [("/only-get", 405), ("/nope", 404)]:
        reply = caller.request("HEAD", path)
        assert (reply.status, reply.body) == (status, b"")


def test_two_templates_that_match_are_500() -> None:
    kit = Kit()
    kit.add("GET", "/{a}/x", answer())
    kit.add("GET", "/y/{b}", answer())
    assert kit.caller().get("/y/x").error_code == "InternalError"


def test_path_parameter_that_is_not_utf8() -> None:
    kit = Kit()
    kit.add("GET", "/{a}", answer())
    assert kit.caller().get("/%ff").error_code == "InvalidResourceName"


def test_installing_replaces_a_frontend() -> None:
    kit = Kit()
    kit.add("GET", "/x", answer(body=b"old"))
    pipeline = kit.build()
    caller = kit.caller(pipeline)
    assert caller.get("/x").body == b"old"
    registry = Registry("/app")
    registry.add(Endpoint(method="GET", path="/y", handler=answer(body=b"new"), auth=(user_cert,)))
    pipeline.install(Frontend(registry, lambda: True, back_pressured=True))
    assert caller.get("/x").status == 404
    assert caller.get("/y").status == 401


# The order of checks: each line fails this check and all later ones, and none before


class Elsewhere:
    def elsewhere(self, request: Request, endpoint: Endpoint) -> Response:
        del endpoint
        return Response(307, headers=[(b"location", b"https://other" + request.path.encode())])


CHECKS = [
    ("back-pressure", 503, "TooManyPendingTransactions"),
    ("open", 404, "FrontendNotOpen"),
    ("dispatch", 405, "UnsupportedHttpVerb"),
    ("interface", 503, None),
    ("placement", 307, None),
    ("authentication", 401, "InvalidAuthenticationInfo"),
    ("handler", 500, "InternalError"),
]


@pytest.mark.parametrize("first", range(len(CHECKS)))
def test_order_of_checks(first: int) -> None:
    failing = {name for name, _, _ in CHECKS[first:]}
    kit = Kit(
        interfaces=(Interface("app_client", [] if "interface" in failing else None),),
        placement=Elsewhere() if "placement" in failing else None,
    )

    def handler(_context: CallContext) -> Response:
        raise RuntimeError

    auth: AuthPolicy = user_cert if "authentication" in failing else no_auth
    kit.add("GET", "/x", handler, auth=(auth,))
    kit.log.at_capacity = "back-pressure" in failing
    kit.open["/app"] = "open" not in failing
    reply = kit.caller().request("PUT" if "dispatch" in failing else "GET", "/app/x")
    _, status, code = CHECKS[first]
    assert reply.status == status
    assert reply.error_code == code if code else reply.body == b""


def test_back_pressure_spares_the_node_frontend() -> None:
    kit = Kit()
    for prefix in kit.registries:
        kit.add("GET", "/x", answer(), prefix=prefix)
    kit.log.at_capacity = True
    caller = kit.caller()
    assert [caller.get(f"{prefix}/x").status for prefix in kit.registries] == [503, 200, 503]


def test_doors_are_asked_at_every_request() -> None:
    kit = Kit()
    kit.add("GET", "/x", answer(), prefix="/gov")
    caller = kit.caller()
    kit.open["/gov"] = False
    assert caller.get("/gov/x").error_code == "FrontendNotOpen"
    kit.open["/gov"] = True
    assert caller.get("/gov/x").status == 200


def test_interface_sees_the_whole_path_with_its_prefix() -> None:
    kit = Kit(interfaces=(Interface("app_client", ["/app/log/[0-9]+"]),))
    kit.add("GET", "/log/{x}", answer())
    caller = kit.caller()
    assert caller.get("/app/log/7").status == 200
    assert caller.get("/log/7").status == 200
    refused = caller.get("/app/log/seven")
    assert (refused.status, refused.body, refused.headers) == (503, b"", {})


def test_other_interfaces_are_not_restricted() -> None:
    kit = Kit(interfaces=(Interface("other", []), Interface("app_client")))
    kit.add("GET", "/x", answer())
    assert kit.caller().get("/x").status == 200


def test_placement_runs_here_or_passes_on() -> None:
    class RunHere:
        def elsewhere(self, request: Request, endpoint: Endpoint) -> None:
            del request, endpoint

    kit = Kit(placement=RunHere())
    kit.add("GET", "/x", answer())
    assert kit.caller().get("/x").status == 200

    class PassOn:
        def elsewhere(self, request: Request, endpoint: Endpoint) -> Passed:
            del request, endpoint
            return Passed.ON

    kit = Kit(placement=PassOn())
    kit.add("GET", "/x", answer())
    assert not kit.caller().start("GET", "/x").done()


# Transactions


@pytest.mark.parametrize(
    ("status", "apply_writes", "applied"),
    [
        (200, None, True),
        (204, None, True),
        (299, None, True),
        (300, None, False),
        (302, None, False),
        (400, None, False),
        (500, None, False),
        (200, False, False),
        (404, True, True),
    ],
)
def test_writes_apply_on_2xx_unless_the_handler_says_otherwise(
    status: int, apply_writes: bool | None, applied: bool
) -> None:
    kit = Kit()
    kit.add("POST", "/x", writing(status, apply_writes))
    reply = kit.caller().post("/x")
    assert reply.status == status
    assert count(kit) == int(applied)
    assert reply.tx_id == (TxId(2, 1) if applied else None)


def test_read_tells_the_id_of_the_state_it_read() -> None:
    kit = Kit()
    kit.add("POST", "/x", writing())
    kit.add("GET", "/x", reading, mode=Mode.READONLY)
    kit.add("PUT", "/x", reading)
    caller = kit.caller()
    caller.post("/x")
    assert caller.post("/x").tx_id == TxId(2, 2)
    assert caller.get("/x").tx_id == TxId(2, 2)
    assert caller.put("/x").tx_id == TxId(2, 2)


def test_no_id_without_a_table_touched() -> None:
    kit = Kit()
    kit.add("POST", "/x", writing())
    kit.add("GET", "/rw", answer())
    kit.add("GET", "/ro", answer(), mode=Mode.READONLY)
    kit.add("GET", "/command", answer(), mode=Mode.COMMAND)
    caller = kit.caller()
    caller.post("/x")
    assert [caller.get(path).tx_id for path in ("/rw", "/ro", "/command")] == [None] * 3


def test_no_id_before_the_first_transaction() -> None:
    kit = Kit()
    kit.add("GET", "/x", reading, mode=Mode.READONLY)
    assert kit.caller().get("/x").tx_id is None


def test_readonly_refuses_writes_and_command_has_no_transaction() -> None:
    kit = Kit()
    kit.add("GET", "/ro", writing(), mode=Mode.READONLY)
    kit.add("GET", "/command", writing(), mode=Mode.COMMAND)
    caller = kit.caller()
    for path in ("/ro", "/command"):
        reply = caller.get(path)
        assert (reply.status, reply.error_code) == (500, "InternalError")
    assert "read-only transaction" in kit.failures[0]
    assert "has no transaction" in kit.failures[1]
    assert count(kit) == 0


def test_command_with_a_policy_is_authenticated() -> None:
    kit = Kit()
    kit.add("GET", "/x", answer(), mode=Mode.COMMAND, auth=(user_cert,))
    assert kit.caller().get("/x").status == 401


def test_claims_digest_goes_to_the_log() -> None:
    kit = Kit()

    def handler(context: CallContext) -> Response:
        context.claims_digest = bytes(range(32))
        return writing()(context)

    kit.add("POST", "/x", handler)
    kit.caller().post("/x")
    assert kit.log.claims == {1: bytes(range(32))}


def test_handler_sees_one_clock() -> None:
    kit = Kit()
    seen = []

    def handler(context: CallContext) -> Response:
        seen.append(context.now)
        kit.now += 1
        return Response(200)

    kit.add("GET", "/x", handler)
    caller = kit.caller()
    caller.get("/x")
    caller.get("/x")
    assert seen == [NOW, NOW + 1]


def conflicting(kit: Kit, times: int) -> list[int]:
    """Add a POST that others get in the way of for its first ``times`` runs."""
    runs: list[int] = []

    def handler(context: CallContext) -> Response:
        response = writing()(context)
        runs.append(int(response.body))
        if len(runs) <= times:
            other = kit.log.begin()
            other.map("counts").put(b"runs", (100 * len(runs)).to_bytes(4, "big"))
            kit.log.commit(other, None)
        return response

    kit.add("POST", "/x", handler)
    return runs


@pytest.mark.parametrize("times", [1, 2, COMMIT_ATTEMPTS_MAX - 1])
def test_conflict_runs_again_on_the_new_state(times: int) -> None:
    kit = Kit()
    runs = conflicting(kit, times)
    reply = kit.caller().post("/x")
    assert reply.status == 200
    assert runs == [1, *(100 * each + 1 for each in range(1, times + 1))]
    assert reply.tx_id == TxId(2, times + 1)


def test_caller_who_is_removed_meanwhile_is_a_conflict() -> None:
    client = AppClient(App("empty"))
    kit = Kit()
    kit.log = client.log

    def handler(context: CallContext) -> Response:
        removal = kit.log.begin()
        removal.table(USER_CERTS).remove(context.identity.id)  # type: ignore[union-attr, arg-type]
        kit.log.commit(removal, None)
        return writing()(context)

    kit.add("POST", "/x", handler, auth=(user_cert,))
    user = Caller(kit.build(), client.user_certificate())
    assert user.post("/x").status == 401
    assert count(kit) == 0


def test_conflicts_without_end_are_503() -> None:
    kit = Kit()
    runs = conflicting(kit, COMMIT_ATTEMPTS_MAX)
    reply = kit.caller().post("/x")
    assert len(runs) == COMMIT_ATTEMPTS_MAX
    assert (reply.status, reply.error_code) == (503, "TransactionCommitAttemptsExceedLimit")
    assert reply.headers["retry-after"] == "3"
    assert reply.tx_id is None


def test_write_away_from_the_primary_is_503_and_reads_go_on() -> None:
    kit = Kit()
    kit.add("POST", "/x", writing())
    kit.add("GET", "/x", reading, mode=Mode.READONLY)
    kit.log.is_primary = False
    caller = kit.caller()
    assert caller.post("/x").error_code == "TransactionReplicationFailed"
    assert count(kit) == 0
    assert caller.get("/x").status == 200


# Session consistency


def test_session_ends_when_the_view_changes() -> None:
    kit = Kit()
    kit.add("POST", "/x", writing())
    kit.add("GET", "/command", answer(), mode=Mode.COMMAND)
    caller, other = kit.caller(), kit.caller()
    assert caller.post("/x").status == 200
    assert caller.pinned_view == 2
    kit.log.lose_uncommitted()
    # What touches no table belongs to no view.
    assert caller.get("/command").status == 200
    reply = caller.post("/x")
    assert (reply.status, reply.error_code) == (500, "SessionConsistencyLost")
    assert reply.tx_id is None
    assert caller.closed
    assert count(kit) == 0
    assert other.post("/x").tx_id == TxId(3, 1)
    assert caller.post("/x").tx_id == TxId(3, 2)  # on a new session


def test_session_is_pinned_by_reads_and_failures_alike() -> None:
    kit = Kit()
    kit.add("GET", "/x", reading, mode=Mode.READONLY)
    kit.add("POST", "/fail", writing(400))
    for method, path in [("GET", "/x"), ("POST", "/fail")]:
        caller = kit.caller()
        caller.request(method, path)
        assert caller.pinned_view == 2


# Failures of handlers


@pytest.mark.parametrize(
    ("problem", "status", "code", "told"),
    [
        (HttpError(409, "Own", "Taken."), 409, "Own", False),
        (msgspec.ValidationError("bad shape"), 400, "InvalidInput", False),
        (msgspec.DecodeError("bad JSON"), 400, "InvalidInput", False),
        (KeyError("secret"), 500, "InternalError", True),
        (RecursionError(), 500, "InternalError", True),
        (MemoryError(), 500, "InternalError", True),
        (AssertionError("secret"), 500, "InternalError", True),
        (StopIteration(), 500, "InternalError", True),
        (SystemExit("secret"), 500, "InternalError", True),
        (KeyboardInterrupt(), 500, "InternalError", True),
        (GeneratorExit(), 500, "InternalError", True),
        (BaseException("secret"), 500, "InternalError", True),
    ],
)
def test_exceptions(problem: BaseException, status: int, code: str, told: bool) -> None:
    kit = Kit()

    def handler(context: CallContext) -> Response:
        context.tx.map("counts").put(b"runs", b"\x09")
        raise problem

    kit.add("POST", "/x", handler)
    reply = kit.caller().post("/x")
    assert (reply.status, reply.error_code) == (status, code)
    assert b"secret" not in reply.body
    assert len(kit.failures) == int(told)
    assert "secret" not in "".join(kit.failures)
    assert count(kit) == 0


def test_a_transaction_that_is_too_large_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    kit = Kit()

    def too_large(_tx: Tx, _claims_digest: bytes | None) -> TxId | None:
        raise EntrySizeError(1 << 30)

    kit.add("POST", "/x", writing())
    monkeypatch.setattr(kit.log, "commit", too_large)
    reply = kit.caller().post("/x")
    assert (reply.status, reply.error_code) == (500, "InternalError")
    assert "got a transaction of 1073741824 bytes" in kit.failures[0]


def test_failure_is_told_with_its_text_where_asked() -> None:
    kit = Kit(tell_messages=True)

    def handler(_context: CallContext) -> Response:
        raise KeyError("shown")

    kit.add("POST", "/x/{y}", handler)
    assert b"shown" not in kit.caller().post("/x/1").body
    assert kit.failures[0].startswith("POST /x/{y} failed: builtins.KeyError: 'shown'")


def test_handler_that_returns_something_else_is_500() -> None:
    kit = Kit()
    kit.add("POST", "/x", lambda _context: None)  # type: ignore[arg-type, return-value]
    assert kit.caller().post("/x").error_code == "InternalError"
    assert "TypeError" in kit.failures[0]


def test_policy_that_raises_is_500() -> None:
    class Broken:
        name = "broken"

        def authenticate(self, request: Request, tx: object) -> object:
            del request, tx
            raise ValueError("secret")

        def openapi_security(self) -> None:
            return None

    kit = Kit()
    kit.add("POST", "/x", answer(), auth=(Broken(),))  # type: ignore[arg-type]
    assert kit.caller().post("/x").error_code == "InternalError"
    assert len(kit.failures) == 1


def test_error_in_ordering_stops_the_node() -> None:
    kit = Kit()
    kit.add("POST", "/x", writing())

    def commit(_tx: object, _claims_digest: bytes | None) -> TxId:
        raise AssertionError("broken")

    kit.log.commit = commit  # type: ignore[method-assign, assignment]
    with pytest.raises(AssertionError, match="broken"):
        kit.caller().post("/x")


def test_content_type_of_errors_is_json() -> None:
    kit = Kit()
    assert kit.caller().get("/nope").headers["content-type"] == JSON.decode()
