"""Answers after commit."""

import pytest

from ledger.base.ids import TxId
from ledger.endpoints import waiting
from ledger.endpoints.endpoint import Mode
from ledger.endpoints.log import Status
from ledger.endpoints.waiting import parse_preference
from ledger.testing.app_client import Call, Caller
from tests.unit.endpoints.pipeline_kit import Kit, reading, writing

PREFER = {"prefer": "wait-for-commit"}


def kit_with_endpoints() -> Kit:
    kit = Kit()
    kit.add("POST", "/x", writing())
    kit.add("GET", "/x", reading, mode=Mode.READONLY)
    kit.add("POST", "/bad", writing(400))
    kit.add("POST", "/slow", writing(), respond_after_commit=True)
    return kit


@pytest.mark.parametrize(
    ("value", "wait_ms"),
    [
        (b"", None),
        (b"respond-async", None),
        (b"wait=3", None),
        (b"wait-for-commit", 10_000),
        (b"wait-for-commit; wait=3", 3_000),
        (b"wait-for-commit;wait=0", 0),
        (b"Wait-For-Commit ; wait = 3", 3_000),
        (b"wait=3, wait-for-commit", 3_000),
        (b'respond-async, wait-for-commit; wait="4"', 4_000),
        (b"wait-for-commit; wait=61", 60_000),
        (b"wait-for-commit; wait=99999999999999999999999", 60_000),
        (b"wait-for-commit; wait=-1", 10_000),
        (b"wait-for-commit; wait=soon", 10_000),
        (b"wait-for-commit; wait=\xd9\xa3", 10_000),
        (b"no-wait-for-commit", None),
    ],
)
def test_preference(value: bytes, wait_ms: int | None) -> None:
    preference = parse_preference(value)
    assert (None if preference is None else preference.wait_ms) == wait_ms


@pytest.mark.parametrize(
    ("path", "headers", "applied"),
    [
        ("/x", PREFER, "wait-for-commit"),
        ("/slow", {}, None),
        ("/slow", PREFER, "wait-for-commit"),
    ],
)
def test_answer_comes_at_commit(path: str, headers: dict[str, str], applied: str | None) -> None:
    kit = kit_with_endpoints()
    call = kit.caller().start("POST", path, headers=headers)
    assert not call.done()
    kit.log.commit_all()
    assert (call.result().status, call.result().body) == (200, b"1")
    assert call.result().tx_id == TxId(2, 1)
    assert call.result().headers.get("preference-applied") == applied


def test_without_preference_it_comes_at_once() -> None:
    kit = kit_with_endpoints()
    reply = kit.caller().post("/x", headers={"prefer": "respond-async"})
    assert reply.status == 200
    assert "preference-applied" not in reply.headers


@pytest.mark.parametrize("path", ["/x", "/slow"])
def test_lost_transaction_is_503(path: str) -> None:
    kit = kit_with_endpoints()
    call = kit.caller().start("POST", path, headers=PREFER)
    kit.log.lose_uncommitted()
    assert (call.result().status, call.result().error_code) == (503, "TransactionInvalid")
    assert call.result().tx_id is None


@pytest.mark.parametrize(("wait", "wait_ms"), [("", 10_000), ("; wait=2", 2_000)])
def test_time_that_is_up_is_202_with_the_id(wait: str, wait_ms: int) -> None:
    kit = kit_with_endpoints()
    pipeline = kit.build()
    pipeline.tick(50_000.0)
    headers = {"prefer": f"wait-for-commit{wait}"}
    call = kit.caller(pipeline).start("POST", "/x", headers=headers)
    pipeline.tick(50_000.0 + wait_ms)
    assert not call.done()  # never early
    pipeline.tick(50_000.0 + wait_ms + 200)
    assert call.result().status == 202
    assert call.result().tx_id == TxId(2, 1)
    assert call.result().json() == {"status": "Pending", "transaction_id": "2.1"}
    assert "preference-applied" not in call.result().headers
    kit.log.commit_all()  # too late to matter
    assert call.result().status == 202


def test_endpoint_that_insists_waits_for_a_bounded_time_too() -> None:
    kit = kit_with_endpoints()
    pipeline = kit.build()
    call = kit.caller(pipeline).start("POST", "/slow")
    pipeline.tick(10_200.0)
    assert call.result().status == 202


def test_no_wait_at_all() -> None:
    kit = kit_with_endpoints()
    headers = {"prefer": "wait-for-commit; wait=0"}
    caller = kit.caller()
    assert caller.post("/x", headers=headers).status == 202
    kit.log.commit_all()
    assert caller.get("/x", headers=headers).status == 200


def test_read_waits_for_what_it_read() -> None:
    kit = kit_with_endpoints()
    caller = kit.caller()
    caller.post("/x")
    call = caller.start("GET", "/x", headers=PREFER)
    assert not call.done()
    kit.log.commit_all()
    assert call.result().tx_id == TxId(2, 1)
    again = caller.get("/x", headers=PREFER)  # committed already
    assert again.headers["preference-applied"] == "wait-for-commit"


def test_dropped_writes_have_nothing_to_wait_for() -> None:
    kit = kit_with_endpoints()
    reply = kit.caller().post("/bad", headers=PREFER)
    assert reply.status == 400
    assert "preference-applied" not in reply.headers


def test_log_that_decides_at_once() -> None:
    kit = kit_with_endpoints()
    first: list[Status] = ["Pending"]
    real = kit.log.status

    def status(view: int, seqno: int) -> Status:
        return first.pop() if first else real(view, seqno)

    kit.log.status = status  # type: ignore[method-assign]
    kit.log.commits_at_once = True
    reply = kit.caller().post("/x", headers=PREFER)
    assert (reply.status, reply.headers["preference-applied"]) == (200, "wait-for-commit")


def fill(caller: Caller) -> list[Call]:
    return [caller.start("POST", "/x", headers=PREFER) for _ in range(3)]


def test_waiters_are_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "WAITERS_MAX", 3)
    kit = kit_with_endpoints()
    caller = kit.caller()
    calls = fill(caller)
    assert not any(call.done() for call in calls)
    # A preference is ignored, an endpoint that insists is refused before it runs.
    ignored = caller.post("/x", headers=PREFER)
    assert (ignored.status, ignored.headers.get("preference-applied")) == (200, None)
    version = kit.log.store.version
    assert caller.post("/slow").error_code == "TooManyPendingTransactions"
    assert kit.log.store.version == version
    kit.log.commit_all()
    assert all(call.done() for call in calls)
    assert not caller.start("POST", "/slow").done()  # there is room again


def test_many_waits_end_each_in_their_time() -> None:
    kit = kit_with_endpoints()
    pipeline = kit.build()
    caller = kit.caller(pipeline)
    calls = {
        seconds: caller.start("POST", "/x", headers={"prefer": f"wait-for-commit; wait={seconds}"})
        for seconds in (5, 1, 3, 60, 2)
    }
    for now_ms in range(0, 62_000, 50):
        pipeline.tick(float(now_ms))
        for seconds, call in calls.items():
            assert call.done() == (now_ms >= seconds * 1000 + 100)
