"""Calls that run one at a time: who is next, what they see, who is turned away."""

from collections import deque
from collections.abc import Callable, Generator
from typing import Any

import pytest

from ledger.base.ids import TxId
from ledger.base.limits import COMMIT_ATTEMPTS_MAX
from ledger.endpoints.auth import Denied, Identity
from ledger.endpoints.context import CallContext
from ledger.endpoints.endpoint import Handler, Suspension
from ledger.endpoints.request import Request
from ledger.endpoints.response import JSON, Response
from ledger.endpoints.turns import WAITING_MAX, Turns
from ledger.kv.tx import Tx
from ledger.testing.app_client import Call
from tests.unit.endpoints.pipeline_kit import Hold, Kit, writing


class Named:
    """Takes the caller's word for who it is."""

    name = "named"

    def authenticate(self, request: Request, tx: Tx) -> Identity | Denied:
        del tx
        name = request.headers.get(b"x-name", b"").decode()
        return Identity("named", name) if name else Denied("nobody")

    def openapi_security(self) -> None:
        return None


def slow(holds: list[Hold]) -> Handler:
    """Return a handler that counts its runs in a table, and waits in between."""

    def handler(context: CallContext) -> Generator[Suspension, Any, Response]:
        counts = context.tx.map("counts")
        runs = int.from_bytes(counts.get(b"runs") or b"", "big") + 1
        holds.append(Hold())
        yield holds[-1]
        counts.put(b"runs", runs.to_bytes(4, "big"))
        return Response(200, f"{runs} {context.attempt}".encode(), JSON)

    return handler


class Scene:
    """A slow and a quick endpoint that share their turns, and callers on their own connections."""

    def __init__(self, turns: Turns | None = None) -> None:
        self.kit = Kit()
        self.holds: list[Hold] = []
        turns = turns or Turns()
        self.kit.add("POST", "/slow", slow(self.holds), auth=(Named(),), turns=turns)
        self.kit.add("POST", "/quick", writing(), auth=(Named(),), turns=turns)
        self.kit.add("POST", "/other", writing())
        self.pipeline = self.kit.build()

    def send(self, name: str, path: str = "/slow") -> Call:
        return self.kit.caller(self.pipeline).start("POST", path, headers={"x-name": name})

    def end(self) -> None:
        """End the newest wait."""
        self.holds[-1].end()


def test_a_quick_call_waits_for_a_slow_one_and_sees_what_it_wrote() -> None:
    scene = Scene()
    first, second = scene.send("a"), scene.send("b", "/quick")
    assert not second.done()
    scene.end()
    assert (first.result().body, first.result().tx_id) == (b"1 1", TxId(2, 1))
    assert (second.result().body, second.result().tx_id) == (b"2", TxId(2, 2))


def test_callers_come_one_after_the_other() -> None:
    scene = Scene()
    calls = {name: scene.send(name[0]) for name in ("a1", "a2", "a3", "b1", "c1", "b2")}
    ended: list[str] = []
    for _ in calls:
        scene.end()
        ended += [name for name, call in calls.items() if call.done() and name not in ended]
    assert ended == ["a1", "a2", "b1", "c1", "a3", "b2"]
    assert [calls[name].result().body.split()[1] for name in calls] == [b"1"] * 6


def test_a_call_keeps_its_turn_while_it_conflicts() -> None:
    scene = Scene()
    first, second = scene.send("a"), scene.send("b", "/quick")
    scene.kit.caller(scene.pipeline).post("/other")
    scene.end()
    assert not first.done()
    assert not second.done()
    scene.end()
    assert first.result().body == b"2 2"
    assert second.result().body == b"3"


def test_conflicts_without_end_let_the_next_one_go() -> None:
    scene = Scene()
    first, second = scene.send("a"), scene.send("b", "/quick")
    for _ in range(COMMIT_ATTEMPTS_MAX):
        scene.kit.caller(scene.pipeline).post("/other")
        scene.end()
    assert first.result().error_code == "TransactionCommitAttemptsExceedLimit"
    assert second.result().status == 200


def test_who_is_refused_or_fails_holds_nobody_up() -> None:
    scene = Scene()

    def breaks(context: CallContext) -> Response:
        raise ValueError(context.attempt)

    turns = Turns()
    scene.kit.add("POST", "/breaks", breaks, auth=(Named(),), turns=turns)
    scene.kit.add("POST", "/works", writing(), auth=(Named(),), turns=turns)
    scene.pipeline = scene.kit.build()
    assert scene.send("", "/works").result().status == 401
    assert scene.send("a", "/breaks").result().status == 500
    assert scene.send("a", "/works").result().status == 200


def test_a_caller_with_too_many_that_wait_is_turned_away_and_others_are_not() -> None:
    scene = Scene()
    calls = [scene.send("a") for _ in range(WAITING_MAX + 2)]
    refused = calls[-1].result()
    assert (refused.status, refused.error_code) == (503, "TooManyPendingTransactions")
    assert refused.headers["retry-after"] == "3"
    other = scene.send("b")
    assert not other.done()
    scene.end()
    scene.end()
    scene.end()
    assert other.result().status == 200


@pytest.mark.parametrize("waits", [True, False])
def test_nothing_is_handled_on_a_node_that_is_no_primary_any_more(*, waits: bool) -> None:
    scene = Scene()
    first = scene.send("a")
    call = scene.send("b") if waits else first
    scene.kit.log.lose_uncommitted()
    scene.kit.log.is_primary = False
    scene.end()
    assert call.result().error_code == "TransactionReplicationFailed"
    assert len(scene.holds) == 1
    scene.kit.log.is_primary = True
    assert not scene.send("c").done()
    assert len(scene.holds) == 2


def test_the_next_call_begins_when_the_shell_says_so() -> None:
    soon: deque[Callable[[], None]] = deque()
    scene = Scene(Turns(soon.append))
    first, second, third = scene.send("a"), scene.send("b", "/quick"), scene.send("c", "/quick")
    scene.end()
    assert first.done()
    assert not second.done()
    soon.popleft()()
    assert second.done()
    assert not third.done()
    soon.popleft()()
    assert third.done()
    assert not soon
