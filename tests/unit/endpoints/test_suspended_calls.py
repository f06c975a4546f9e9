"""Handlers that wait: generators whose transaction stays open."""

from collections.abc import Generator
from typing import Any

import pytest

from ledger.base.ids import TxId
from ledger.base.limits import COMMIT_ATTEMPTS_MAX
from ledger.endpoints.context import CallContext
from ledger.endpoints.endpoint import Handler, Mode, Suspension
from ledger.endpoints.errors import HttpError
from ledger.endpoints.response import JSON, Response
from tests.unit.endpoints.pipeline_kit import Hold, Kit, answer, reading, writing

Waiting = Generator[Suspension, Any, Response]


def waiting(holds: list[Hold], waits: int = 1, status: int = 200) -> Handler:
    """Return a handler that adds what it waits for to a count."""

    def handler(context: CallContext) -> Waiting:
        counts = context.tx.map("counts")
        total = int.from_bytes(counts.get(b"runs") or b"", "big")
        for _ in range(waits):
            hold = Hold()
            holds.append(hold)
            total += yield hold
        counts.put(b"runs", total.to_bytes(4, "big"))
        return Response(status, str(total).encode(), JSON)

    return handler


def test_answer_comes_when_the_wait_ends() -> None:
    kit, holds = Kit(), list[Hold]()
    kit.add("POST", "/x", waiting(holds, waits=2))
    kit.add("GET", "/other", answer())
    caller = kit.caller()
    call = caller.start("POST", "/x")
    assert not call.done()
    assert caller.get("/other").status == 200
    holds[0].end(5)
    assert not call.done()
    holds[1].end(7)
    assert (call.result().status, call.result().body) == (200, b"12")
    assert call.result().tx_id == TxId(2, 1)


def test_unrelated_writes_meanwhile_do_not_matter() -> None:
    kit, holds = Kit(), list[Hold]()
    kit.add("POST", "/x", waiting(holds))

    def unrelated(context: CallContext) -> Response:
        context.tx.map("else").put(b"k", b"v")
        return Response(200)

    kit.add("POST", "/other", unrelated)
    pipeline = kit.build()
    caller = kit.caller(pipeline)
    call = caller.start("POST", "/x")
    assert kit.caller(pipeline).post("/other").tx_id == TxId(2, 1)
    holds[0].end(1)
    assert (call.result().body, call.result().tx_id) == (b"1", TxId(2, 2))


def test_conflict_meanwhile_runs_the_whole_call_again() -> None:
    kit, holds = Kit(), list[Hold]()
    kit.add("POST", "/x", waiting(holds))
    kit.add("POST", "/other", writing())
    pipeline = kit.build()
    call = kit.caller(pipeline).start("POST", "/x")
    kit.caller(pipeline).post("/other")
    holds[0].end(10)
    assert not call.done()
    assert len(holds) == 2
    holds[1].end(20)
    assert call.result().body == b"21"


def test_conflicts_without_end_are_503() -> None:
    kit, holds = Kit(), list[Hold]()
    kit.add("POST", "/x", waiting(holds))
    kit.add("POST", "/other", writing())
    pipeline = kit.build()
    call = kit.caller(pipeline).start("POST", "/x")
    for attempt in range(COMMIT_ATTEMPTS_MAX):
        assert not call.done()
        kit.caller(pipeline).post("/other")
        holds[attempt].end(1)
    assert call.result().error_code == "TransactionCommitAttemptsExceedLimit"
    assert len(holds) == COMMIT_ATTEMPTS_MAX


def test_read_that_waited_tells_the_state_it_read() -> None:
    kit, holds = Kit(), list[Hold]()

    def handler(context: CallContext) -> Waiting:
        before = reading(context)
        holds.append(Hold())
        yield holds[-1]
        after = reading(context)
        return Response(200, before.body + after.body, JSON)

    kit.add("GET", "/x", handler, mode=Mode.READONLY)
    kit.add("POST", "/other", writing())
    pipeline = kit.build()
    kit.caller(pipeline).post("/other")
    call = kit.caller(pipeline).start("GET", "/x")
    kit.caller(pipeline).post("/other")
    holds[0].end()
    assert (call.result().body, call.result().tx_id) == (b"11", TxId(2, 1))


def test_view_change_meanwhile_ends_the_session() -> None:
    kit, holds = Kit(), list[Hold]()
    kit.add("POST", "/x", waiting(holds))
    caller = kit.caller()
    call = caller.start("POST", "/x")
    kit.log.lose_uncommitted()
    holds[0].end(1)
    assert len(holds) == 2
    holds[1].end(1)
    assert call.result().error_code == "SessionConsistencyLost"
    assert caller.closed


def test_command_that_waits_does_not_care_for_views() -> None:
    kit, holds = Kit(), list[Hold]()

    def handler(context: CallContext) -> Waiting:
        del context
        holds.append(Hold())
        answer = yield holds[-1]
        assert isinstance(answer, Response)
        return answer

    kit.add("GET", "/x", handler, mode=Mode.COMMAND)
    call = kit.caller().start("GET", "/x")
    kit.log.lose_uncommitted()
    holds[0].end(Response(200, b"late"))
    assert (call.result().body, call.result().tx_id) == (b"late", None)


def test_head_that_waits_carries_no_body() -> None:
    kit, holds = Kit(), list[Hold]()
    kit.add("HEAD", "/x", waiting(holds))
    call = kit.caller().start("HEAD", "/x")
    holds[0].end(1)
    assert call.result().body == b""


@pytest.mark.parametrize("waits", [0, 1])
@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (HttpError(409, "Own", "m"), "Own"),
        (KeyError("secret"), "InternalError"),
        (SystemExit(1), "InternalError"),
        (GeneratorExit(), "InternalError"),
    ],
)
def test_exceptions_before_and_after_the_wait(
    waits: int, problem: BaseException, code: str
) -> None:
    kit, holds = Kit(), list[Hold]()

    def handler(context: CallContext) -> Waiting:
        context.tx.map("counts").put(b"runs", b"\x01")
        for _ in range(waits):
            holds.append(Hold())
            yield holds[-1]
        raise problem

    kit.add("POST", "/x", handler)
    call = kit.caller().start("POST", "/x")
    for hold in holds:
        hold.end()
    assert call.result().error_code == code
    assert kit.log.begin().map("counts").get(b"runs") is None


def test_status_other_than_2xx_drops_the_writes() -> None:
    kit, holds = Kit(), list[Hold]()
    kit.add("POST", "/x", waiting(holds, status=400))
    call = kit.caller().start("POST", "/x")
    holds[0].end(3)
    assert call.result().tx_id is None
    assert kit.log.store.version == 0


def test_wait_that_cannot_start_is_500() -> None:
    kit = Kit()

    class Broken:
        def start(self, resume: object) -> None:
            del resume
            raise RuntimeError

    def handler(context: CallContext) -> Waiting:
        del context
        yield Broken()
        return Response(200)

    kit.add("POST", "/x", handler)
    assert kit.caller().post("/x").error_code == "InternalError"
