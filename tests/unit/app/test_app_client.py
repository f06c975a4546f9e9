"""The in-process client behaves as a node's pipeline and a client's connection do."""

import pytest

from ledger.app import App, Context, MisuseError, Table, no_auth
from ledger.base.ids import TxId
from ledger.endpoints.local_log import LocalLog
from ledger.testing.app_client import AppClient

NUMBERS = Table("numbers", str, int)


def app() -> App:
    made = App("a", auth=[no_auth])

    @made.post("/slow", respond_after_commit=True)
    @made.post("/x")
    def add(ctx: Context) -> int:
        numbers = ctx.table(NUMBERS)
        value = (numbers.get("n") or 0) + 1
        numbers.put("n", value)
        return value

    @made.get("/x")
    def read(ctx: Context) -> int | None:
        return ctx.table(NUMBERS).get("n")

    return made


def test_commit_when_told() -> None:
    client = AppClient(app(), commits_at_once=False)
    caller = client.anonymous()
    call = caller.start("POST", "/slow")
    assert not call.done()
    with pytest.raises(MisuseError, match="POST /slow waits"):
        call.result()
    with pytest.raises(MisuseError, match="waits"):
        caller.post("/slow")
    client.commit()
    assert call.result().json() == 1
    assert caller.get("/tx?transaction_id=2.1").json()["status"] == "Committed"


def test_lost_transactions_and_the_next_view() -> None:
    client = AppClient(app(), commits_at_once=False)
    caller = client.anonymous()
    caller.post("/x")
    client.commit()
    call = caller.start("POST", "/slow")
    client.lose_uncommitted()
    assert call.result().error_code == "TransactionInvalid"
    assert caller.post("/x").error_code == "SessionConsistencyLost"
    reply = caller.post("/x")
    assert (reply.json(), reply.tx_id) == (2, TxId(3, 2))
    statuses = {
        text: caller.get(f"/tx?transaction_id={text}").json()["status"]
        for text in ("2.1", "2.2", "3.2", "3.3")
    }
    assert statuses == {"2.1": "Committed", "2.2": "Unknown", "3.2": "Pending", "3.3": "Unknown"}
    client.commit()
    assert caller.get("/tx?transaction_id=2.2").json()["status"] == "Invalid"
    assert caller.get("/commit?view_history=true").json() == {
        "transaction_id": "3.2",
        "view_history": ["2.1", "3.2"],
    }


def test_claims_of_what_is_kept_are_kept() -> None:
    client = AppClient(app(), commits_at_once=False)
    for kept in (True, False):
        tx = client.log.begin()
        tx.map("m").put(b"k", b"v")
        client.log.commit(tx, bytes(32))
        if kept:
            client.commit()
    client.lose_uncommitted()
    assert list(client.log.claims) == [1]


def test_waiting_ends_with_time() -> None:
    client = AppClient(app(), commits_at_once=False)
    call = client.anonymous().start("POST", "/slow")
    client.advance(9)
    assert not call.done()
    client.advance(2)
    assert call.result().status == 202


def test_switches() -> None:
    client = AppClient(app())
    caller = client.anonymous()
    client.open = False
    assert caller.get("/x").error_code == "FrontendNotOpen"
    client.open = True
    client.log.at_capacity = True
    assert caller.get("/x").error_code == "TooManyPendingTransactions"
    client.log.at_capacity = False
    client.log.is_primary = False
    assert caller.post("/x").error_code == "TransactionReplicationFailed"


def test_parameters_and_bodies() -> None:
    made = App("a", auth=[no_auth])

    @made.put("/x/{a}")
    def echo(ctx: Context, a: str, q: str, r: int = 0) -> list[str]:
        return [a, q, str(r), ctx.request.query, ctx.request.body.decode()]

    caller = AppClient(made).anonymous()
    reply = caller.put("/x/1?q=a%20b", params={"r": 5}, json={"k": None})
    assert reply.json() == ["1", "a b", "5", "q=a%20b&r=5", '{"k":null}']
    assert caller.put("/x/1", params={"q": "&="}, body=b"raw").json()[1] == "&="


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ((2, 1), "Committed"),
        ((2, 2), "Committed"),
        ((4, 2), "Invalid"),
        ((2, 3), "Invalid"),
        ((4, 3), "Committed"),
        ((4, 4), "Pending"),
        ((2, 4), "Invalid"),
        ((3, 9), "Invalid"),
        ((4, 5), "Unknown"),
        ((5, 4), "Unknown"),
    ],
)
def test_status_table(target: tuple[int, int], status: str) -> None:
    log = LocalLog(commits_at_once=False)

    def write() -> None:
        tx = log.begin()
        tx.map("m").put(b"k", b"v")
        log.commit(tx, None)

    write()
    write()
    log.commit_all()
    write()
    log.lose_uncommitted()
    log.lose_uncommitted()
    write()
    log.commit_all()
    write()
    assert log.current() == TxId(4, 4)
    assert log.committed() == TxId(4, 3)
    assert log.status(*target) == status
