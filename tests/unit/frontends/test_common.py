"""Commit, status, receipts and API of every frontend."""

from collections.abc import Callable

import msgspec
import pytest

from ledger.base.ids import TxId
from ledger.endpoints.context import CallContext
from ledger.endpoints.endpoint import Suspension
from ledger.endpoints.response import COSE, JSON, Response
from ledger.frontends.common import add_common
from ledger.testing.app_client import Caller
from tests.unit.endpoints.pipeline_kit import Hold, Kit, answer, writing


class Receipts:
    """Hands out what the test put in."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, TxId]] = []
        self.outcome: Response | Suspension = Response(200, b"{}", JSON)

    def receipt(self, tx_id: TxId) -> Response | Suspension:
        self.asked.append(("json", tx_id))
        return self.outcome

    def cose_receipt(self, tx_id: TxId) -> Response | Suspension:
        self.asked.append(("cose", tx_id))
        return self.outcome


def service(
    change: Callable[[Kit], None] | None = None, *, with_receipts: bool = True
) -> tuple[Kit, Caller, Receipts]:
    kit, receipts = Kit(), Receipts()
    kit.add("POST", "/x", writing())
    if change is not None:
        change(kit)
    for registry in kit.registries.values():
        add_common(registry, kit.log, receipts if with_receipts else None)
    return kit, kit.caller(), receipts


def test_before_the_first_commit() -> None:
    _, caller, _ = service()
    for prefix in ("/app", "/node", "/gov", ""):
        reply = caller.get(f"{prefix}/commit")
        assert (reply.status, reply.json()) == (200, {"transaction_id": "0.0"})
        assert reply.tx_id is None


def test_commit_and_view_history() -> None:
    kit, caller, _ = service()
    caller.post("/x")
    caller.post("/x")
    kit.log.commit_all()
    caller.post("/x")
    kit.log.lose_uncommitted()
    kit.caller().post("/x")
    assert caller.get("/commit").json() == {"transaction_id": "2.2"}
    assert caller.get("/commit?view_history=false").json() == {"transaction_id": "2.2"}
    history = {"transaction_id": "2.2", "view_history": ["2.1", "3.3"]}
    for query in ("view_history=true", "view_history_since=1", "view_history_since=2"):
        assert caller.get(f"/commit?{query}").json() == history
    since = caller.get("/commit?view_history_since=3").json()
    assert since["view_history"] == ["3.3"]
    both = caller.get("/commit?view_history_since=3&view_history=true").json()
    assert both["view_history"] == ["2.1", "3.3"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("view_history=yes", 400),
        ("view_history=", 400),
        ("view_history=True", 400),
        ("view_history_since=0", 400),
        ("view_history_since=-1", 400),
        ("view_history_since=x", 400),
        ("view_history_since=", 400),
        ("view_history_since=%D9%A1", 400),
        ("view_history_since=99999999999999999999999", 400),
        ("view_history_since=3", 404),
        ("view_history_since=4&view_history=true", 404),
    ],
)
def test_commit_refuses(query: str, status: int) -> None:
    _, caller, _ = service()
    reply = caller.get(f"/commit?{query}")
    assert (reply.status, reply.error_code) == (status, "InvalidQueryParameterValue")


def test_status() -> None:
    kit, caller, _ = service()
    caller.post("/x")
    assert caller.get("/tx?transaction_id=2.1").json() == {
        "transaction_id": "2.1",
        "status": "Pending",
    }
    kit.log.commit_all()
    assert caller.get("/node/tx?transaction_id=2.1").json()["status"] == "Committed"
    assert caller.get("/tx?transaction_id=3.1").json()["status"] == "Invalid"
    assert caller.get("/gov/tx?transaction_id=2.7").json()["status"] == "Unknown"
    assert caller.get("/tx?transaction_id=2.1").tx_id is None


@pytest.mark.parametrize("path", ["/tx", "/receipt", "/receipt/cose"])
@pytest.mark.parametrize(
    "query",
    [
        "",
        "?transaction_id=",
        "?transaction_id=1",
        "?transaction_id=0.1",
        "?transaction_id=2.0",
        "?transaction_id=2.-1",
        "?transaction_id=2.1.",
        "?transaction_id=2.1%20",
        "?transaction_id=2.%D9%A1",
        "?transaction_id=" + "9" * 5000,
        "?Transaction_id=2.1",
    ],
)
def test_transaction_id_that_cannot_be(path: str, query: str) -> None:
    _, caller, receipts = service()
    reply = caller.get(path + query)
    assert (reply.status, reply.error_code) == (400, "InvalidQueryParameterValue")
    assert not receipts.asked


@pytest.mark.parametrize(("path", "form"), [("/receipt", "json"), ("/receipt/cose", "cose")])
def test_receipts_are_of_committed_transactions(path: str, form: str) -> None:
    kit, caller, receipts = service()
    caller.post("/x")
    for tx_id in ("2.1", "2.9"):
        reply = caller.get(f"{path}?transaction_id={tx_id}")
        assert (reply.status, reply.error_code) == (404, "TransactionPendingOrUnknown")
        assert reply.headers["cache-control"] == "no-cache", "a later answer is another"
    kit.log.commit_all()
    reply = caller.get(f"{path}?transaction_id=3.1")
    assert (reply.status, reply.error_code) == (404, "TransactionInvalid")
    assert "cache-control" not in reply.headers
    assert not receipts.asked
    assert caller.get(f"{path}?transaction_id=2.1").body == b"{}"
    assert receipts.asked == [(form, TxId(2, 1))]


def test_receipt_that_takes_time() -> None:
    kit, caller, receipts = service()
    caller.post("/x")
    kit.log.commit_all()
    receipts.outcome = hold = Hold()
    call = caller.start("GET", "/node/receipt/cose?transaction_id=2.1")
    assert not call.done()
    assert caller.get("/commit").status == 200
    hold.end(Response(200, b"\xd2", COSE))
    assert (call.result().body, call.result().tx_id) == (b"\xd2", None)
    assert call.result().headers["content-type"] == "application/cose"


def test_answer_that_says_try_later() -> None:
    kit, caller, receipts = service()
    caller.post("/x")
    kit.log.commit_all()
    receipts.outcome = Response(202, b"later", b"text/plain", [(b"retry-after", b"3")])
    reply = caller.get("/receipt?transaction_id=2.1")
    assert (reply.status, reply.headers["retry-after"]) == (202, "3")


def test_application_keeps_its_own_paths() -> None:
    def own(kit: Kit) -> None:
        kit.add("GET", "/receipt", answer(body=b'"mine"'))

    _, caller, receipts = service(own)
    assert caller.get("/app/receipt").body == b'"mine"'
    assert caller.get("/node/receipt").status == 400
    assert not receipts.asked


def test_without_receipts() -> None:
    _, caller, _ = service(with_receipts=False)
    assert caller.get("/receipt?transaction_id=2.1").status == 404
    assert caller.get("/commit").status == 200


def test_api_of_each_frontend() -> None:
    _, caller, _ = service()
    for prefix in ("/app", "/node", "/gov"):
        reply = caller.get(f"{prefix}/api")
        page = reply.json()
        assert reply.headers["content-type"] == "application/json"
        assert page["openapi"] == "3.0.0"
        assert page["servers"] == [{"url": prefix}]
        assert set(page["paths"]) >= {"/commit", "/tx", "/receipt", "/receipt/cose", "/api"}
        assert ("/x" in page["paths"]) == (prefix == "/app")
        operation = page["paths"]["/commit"]["get"]
        assert operation["x-ccf-forwarding"]["$ref"].endswith("/sometimes")
    assert caller.get("/app/api").body == caller.get("/api").body


def test_handlers_need_no_transaction() -> None:
    kit, _, _ = service()
    for endpoint in kit.registries["/node"].endpoints:
        assert endpoint.mode.value == "command"
        assert [policy.name for policy in endpoint.auth] == ["no_auth"]


def test_documents_are_deterministic() -> None:
    first, second = service()[1], service()[1]
    assert first.get("/api").body == second.get("/api").body
    assert msgspec.json.decode(first.get("/api").body)


def test_a_get_reads_no_body() -> None:
    def own(kit: Kit) -> None:
        def handler(context: CallContext) -> Response:
            return Response(200, context.request.body, JSON)

        kit.add("GET", "/echo", handler)

    _, caller, _ = service(own)
    assert caller.get("/commit", body=b"{not json").status == 200
