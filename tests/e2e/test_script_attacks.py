"""Scripts that mean harm, sent to a running node: bounded, and users do not notice.

Each is sent as a ballot by a member in good standing, and the worst again as a constitution, which
the node has to evaluate to judge it. While they run, a user's requests go on.
"""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.base.ids import MemberId
from ledger.client.identity import Identity
from ledger.crypto.cose_governance import MessageType, sign_request
from tests.e2e.node_kit import DEADLINE_S, Reply, Running, service

pytestmark = pytest.mark.e2e

VERSION = "api-version=2024-07-01"
CREATE = "/gov/members/proposals:create"
SCRIPT_MAX_S = 60.0
"""Far above the limits of scripts, of 3 s processor time: other tests run at the same time."""
USER_MAX_S = 10.0
"""Far above what a request takes next to a script, a few milliseconds, for the same reason."""

TEXT = 'def vote(p, i):\n  return len("a" * 10000000000) > 0'
LIST = "def vote(p, i):\n  return len([0] * 1000000000) > 0"
ATTACKS: dict[str, tuple[str, str]] = {
    "huge text": (TEXT, "too big"),
    "huge text within integers": (TEXT.replace("10000000000", "1000000000"), "memory"),
    "huge list": (LIST, "memory"),
    "list that grows": (
        "def vote(p, i):\n  return len([x for x in range(1000000000)]) > 0",
        "",
    ),
    "text that doubles": (
        'def vote(p, i):\n  x = "a"\n  for k in range(100):\n    x = x + x\n  return True',
        "memory",
    ),
    "number that squares": (
        "def vote(p, i):\n  x = 3\n  for k in range(100):\n    x = x * x\n  return x > 0",
        "resources ran out",
    ),
    "billion steps": (
        "def vote(p, i):\n  x = 0\n  for k in range(1000000000):\n    x += 1\n  return True",
        "steps",
    ),
    "deep recursion": ("def f(n):\n  return f(n + 1)\ndef vote(p, i):\n  return f(0)", "too deep"),
    "deep brackets": (f"def vote(p, i):\n  return {'[' * 30000}{']' * 30000}", "nests"),
    "deep operators": (f"x = {'1+' * 30000}1", "nests"),
    "deep blocks": (
        "def vote(p, i):\n" + "".join(f"{' ' * n}if True:\n" for n in range(1, 300)),
        "nested blocks",
    ),
    "deep data": (
        "def vote(p, i):\n  a = []\n  for k in range(1000000):\n    a = [a]\n  return str(a)",
        "stack",
    ),
    "deep JSON": (
        'def vote(p, i):\n  return json.decode("[" * 1000000 + "]" * 1000000)',
        "recursion",
    ),
    "data in itself": ("def vote(p, i):\n  a = []\n  a.append(a)\n  return a", "Cycle"),
    "huge answer": ('def vote(p, i):\n  return "a" * 100000000', ""),
    "huge reason": ('def vote(p, i):\n  fail("a" * 10000000)', "aaaa"),
    "private table": ('def vote(p, i):\n  return kv.get("records", "x")', "may not read"),
    "printing": ('def vote(p, i):\n  print("x" * 1000000)\n  return False', "print"),
    "nothing to call": ("x = 1", "vote"),
    "no script": ("def vote(", "Parse error"),
}
REFUSED = {
    "a megabyte": "#" + "x" * 1_000_000 + "\ndef vote(p, i): return True",
    "half a megabyte": "#" + "x" * 500_000 + "\ndef vote(p, i): return True",
}
TOP_LEVEL = {
    "huge list": "x = [0] * 1000000000",
    "billion steps": "def f():\n  for k in range(1000000000):\n    pass\nf()",
    "deep recursion": "def f():\n  return f()\nf()",
    "deep brackets": f"x = {'(' * 5000}1{')' * 5000}",
    "megabytes": "#" + "x" * 600_000,
}


class User:
    """A user who writes and reads until told to stop."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self.longest_s = 0.0
        self.answered = 0
        self.failure: BaseException | None = None
        self._thread.start()

    def _serve(self) -> None:
        try:
            with self._running.wire(user=0) as wire:
                while not self._stopping.is_set():
                    begin = time.monotonic()
                    body = {"id": self.answered, "msg": "x"}
                    assert wire.ask_json("POST", "/app/log/private", body).status == 200
                    assert wire.ask("GET", f"/app/log/private?id={self.answered}").status == 200
                    self.longest_s = max(self.longest_s, time.monotonic() - begin)
                    self.answered += 1
        except BaseException as error:  # noqa: BLE001 - told by the test
            self.failure = error

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(DEADLINE_S)
        assert self.failure is None, self.failure
        assert self.longest_s < USER_MAX_S


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with service(tmp_path_factory.mktemp("attacked") / "sandbox") as made:
        user = User(made)
        try:
            yield made
        finally:
            user.stop()
    assert user.answered > len(ATTACKS)
    assert made.complaints == ""


class Member:
    """A member who signs and sends, and measures how long the answer takes."""

    def __init__(self, running: Running, number: int) -> None:
        self._running = running
        caller = running.members[number]
        self._identity = Identity.load(Path(caller.certificate), Path(caller.key))
        self.id = MemberId(self._identity.id)

    def send(
        self, path: str, kind: MessageType, body: object, proposal_id: str | None = None
    ) -> Reply:
        message = sign_request(
            self._identity.key,
            self.id,
            kind,
            json.dumps(body).encode(),
            created_at=int(time.time()),
            proposal_id=proposal_id,
        )
        begin = time.monotonic()
        with self._running.wire() as wire:
            reply = wire.ask(
                "POST", f"{path}?{VERSION}", message, {"content-type": "application/cose"}
            )
        assert time.monotonic() - begin < SCRIPT_MAX_S
        return reply

    def propose(self, name: str, arguments: object) -> Reply:
        body = {"actions": [{"name": name, "args": arguments}], "unique": time.time_ns()}
        return self.send(CREATE, MessageType.PROPOSAL, body)

    def vote(self, proposal_id: str, ballot: str) -> Reply:
        path = f"/gov/members/proposals/{proposal_id}/ballots/{self.id}:submit"
        return self.send(path, MessageType.BALLOT, {"ballot": ballot}, proposal_id)


@pytest.fixture
def member(running: Running) -> Member:
    return Member(running, 0)


def proposal_of(member: Member) -> str:
    created = member.propose("remove_user", {"user_id": "0" * 64})
    assert created.status == 200, created
    return str(created.json()["proposalId"])


@pytest.mark.parametrize("name", ATTACKS)
def test_ballot_fails_and_the_vote_goes_on(running: Running, member: Member, name: str) -> None:
    ballot, said = ATTACKS[name]
    proposal = proposal_of(member)
    voted = member.vote(proposal, ballot)
    assert voted.status == 200, voted
    assert voted.json()["proposalState"] == "Open"
    failures = voted.json()["voteFailures"]
    assert list(failures) == [member.id]
    assert said in failures[member.id]["reason"]
    assert len(json.dumps(failures)) < 10_000, "what is kept of a reason is bounded"
    # One failed ballot of three decides nothing: the others do.
    second = Member(running, 1).vote(proposal, "def vote(p, i): return True")
    assert second.json()["proposalState"] == "Open"
    third = Member(running, 2).vote(proposal, "def vote(p, i): return True")
    assert third.json()["proposalState"] == "Accepted"


@pytest.mark.parametrize("name", REFUSED)
def test_ballot_is_refused(member: Member, name: str) -> None:
    refused = member.vote(proposal_of(member), REFUSED[name])
    assert (refused.status, refused.code) == (400, "InvalidInput")


@pytest.mark.parametrize("name", TOP_LEVEL)
def test_constitution_is_refused(member: Member, name: str) -> None:
    refused = member.propose("set_constitution", {"constitution": TOP_LEVEL[name]})
    assert refused.status in (400, 500), refused
    assert refused.code in ("ProposalFailedToValidate", "InternalError")


@pytest.mark.parametrize(
    "data",
    [b"[" * 1_000_000, b'{"actions":' * 90_000, b'{"actions": 1e999}', b'{"actions": "\xff"}'],
)
def test_proposal_is_refused(running: Running, member: Member, data: bytes) -> None:
    identity = Identity.load(Path(running.members[0].certificate), Path(running.members[0].key))
    message = sign_request(
        identity.key, member.id, MessageType.PROPOSAL, data, created_at=int(time.time())
    )
    with running.wire() as wire:
        refused = wire.ask(
            "POST", f"{CREATE}?{VERSION}", message, {"content-type": "application/cose"}
        )
    assert (refused.status, refused.code) == (400, "ProposalFailedToValidate")
