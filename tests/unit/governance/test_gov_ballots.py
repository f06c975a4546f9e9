"""Ballots: what counts as a vote, what is kept of a ballot that fails."""

import pytest

from governance import ballots
from governance.scripting import RESOURCE_PREFIX, FailureKind, ScriptFailure, ScriptOutcome
from ledger.crypto.cose_governance import MessageType
from ledger.tables.members import COSE_HISTORY, MEMBER_ACKS, USER_CERTS
from ledger.testing.app_client import Call
from tests.unit.governance.gov_kit import NO, YES, Consortium, action, person

SET_USER = action("set_user", cert=person("user0").pem)


def open_proposal(service: Consortium) -> str:
    return str(service.propose("alice", SET_USER).json()["proposalId"])


@pytest.mark.parametrize(
    ("ballot", "vote"),
    [
        ("def vote(proposal, proposer_id): return True", True),
        ("def vote(proposal, proposer_id): return 1", False),
        ("def vote(proposal, proposer_id): return 'yes'", False),
        ("def vote(proposal, proposer_id): return None", False),
        ("def vote(proposal, proposer_id): pass", False),
        ("def vote(p, by): return p['actions'][0]['name'] == 'set_user'", True),
        (f"def vote(p, by): return by == '{person('alice').id}'", True),
        ("def vote(p, by): return kv.get('public:ccf.gov.members.info', by) != None", True),
        (
            "def vote(p, by): return kv.get('public:ccf.gov.service.info')['status'] == 'Open'",
            False,
        ),
    ],
)
def test_only_true_is_a_vote_for_it(ballot: str, vote: bool) -> None:
    service = Consortium(("alice",))
    answer = service.vote("alice", open_proposal(service), ballot)
    assert answer.json()["proposalState"] == ("Accepted" if vote else "Open")


@pytest.mark.parametrize(
    ("ballot", "words"),
    [
        ("def vote(proposal, proposer_id): fail('I object')", "I object"),
        ("def vote(proposal): return True", "extra positional argument"),
        ("vote = True", "not supported"),
        ("", "vote"),
        ("def vote(", "Parse error"),
        ("def vote(p, by): return p['x']", "x"),
        ("def vote(p, by): return p.get(", "Parse error"),
        (
            "def vote(p, by): return kv.get('public:records', 'a')",
            "ballot may not read table public:records",
        ),
        (
            "def vote(p, by): kv.put('public:ccf.gov.users.certs', 'a', 'b')",
            "governance tables are written by apply alone",
        ),
        ("def vote(p, by): node.rekey_ledger()", "only apply changes anything"),
        ("def vote(p, by): return vote(p, by)", "nest too deep"),
        ("def vote(p, by):\n  for i in range(1000000000): pass", "steps"),
        ("x = " + "(" * 1000 + ")" * 1000, "nests more than"),
    ],
)
def test_a_ballot_that_fails_is_kept_and_is_no_vote(ballot: str, words: str) -> None:
    service = Consortium()
    proposal_id = open_proposal(service)
    answer = service.vote("alice", proposal_id, ballot)
    assert answer.status == 200
    described = answer.json()
    assert described["proposalState"] == "Open"
    assert described["ballotCount"] == 1
    [(member, failure)] = described["voteFailures"].items()
    assert member == person("alice").id
    assert words in failure["reason"]
    assert service.get(f"/members/proposals/{proposal_id}").json() == described
    assert service.vote("bob", proposal_id).json()["proposalState"] == "Open"
    accepted = service.vote("carol", proposal_id).json()
    assert accepted["proposalState"] == "Accepted"
    assert person("alice").id not in accepted["finalVotes"]
    assert person("alice").id in accepted["voteFailures"]
    assert not service.failures


def test_the_same_ballot_again_changes_nothing() -> None:
    service = Consortium()
    proposal_id = open_proposal(service)
    service.vote("alice", proposal_id, NO)
    version = service.log.store.version
    assert service.vote("alice", proposal_id, NO).json()["ballotCount"] == 1
    assert service.log.store.version == version
    other = service.vote("alice", proposal_id, YES)
    assert (other.status, other.error_code) == (400, "VoteAlreadyExists")


def test_a_member_votes_for_itself_only() -> None:
    service = Consortium()
    proposal_id = open_proposal(service)
    message = service.message("alice", MessageType.BALLOT, {"ballot": YES}, proposal_id=proposal_id)
    path = f"/members/proposals/{proposal_id}/ballots/{person('bob').id}:submit"
    answer = service.post(path, message)
    assert (answer.status, answer.error_code) == (400, "InvalidAuthenticationInfo")


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", "InvalidInput"),
        (b"{", "InvalidInput"),
        (b"[]", "InvalidInput"),
        ({"ballot": 3}, "InvalidInput"),
        ({"ballot": None}, "InvalidInput"),
        ({"vote": YES}, "InvalidInput"),
        ({"ballot": "#" * 70_000}, "InvalidInput"),
        (b'{"ballot": "\xff"}', "InvalidInput"),
    ],
)
def test_a_body_of_another_shape_is_refused(payload: object, code: str) -> None:
    service = Consortium()
    proposal_id = open_proposal(service)
    message = service.message("alice", MessageType.BALLOT, payload, proposal_id=proposal_id)
    path = f"/members/proposals/{proposal_id}/ballots/{person('alice').id}:submit"
    answer = service.post(path, message)
    assert (answer.status, answer.error_code) == (400, code)


def test_a_ballot_for_nothing() -> None:
    service = Consortium()
    answer = service.vote("alice", "00" * 32)
    assert (answer.status, answer.error_code) == (404, "ProposalNotFound")


def test_votes_of_members_that_left_do_not_count() -> None:
    service = Consortium(("alice", "bob", "carol", "dave"))
    proposal_id = open_proposal(service)
    service.vote("dave", proposal_id)
    service.vote("bob", proposal_id)
    removed = service.pass_actions(action("remove_member", member_id=person("dave").id))
    assert removed.json()["proposalState"] == "Accepted"
    assert service.read(USER_CERTS, person("user0").id) is None
    answer = service.vote("carol", proposal_id)
    assert answer.json()["proposalState"] == "Accepted"
    assert service.read(COSE_HISTORY, person("carol").id) is not None


def test_a_ballot_sees_what_is_open_while_others_vote() -> None:
    """Two ballots that arrive together: one of them waits, and runs on the state of the other."""
    service = Consortium()
    proposal_id = open_proposal(service)
    calls = []
    for name in ("alice", "bob"):
        message = service.message(
            name, MessageType.BALLOT, {"ballot": YES}, proposal_id=proposal_id
        )
        path = f"/members/proposals/{proposal_id}/ballots/{person(name).id}:submit"
        calls.append(service.start(path, message))
    service.queue.pump()
    states = [call.result().json()["proposalState"] for call in calls]
    assert sorted(states) == ["Accepted", "Open"]
    described = service.get(f"/members/proposals/{proposal_id}").json()
    assert (described["proposalState"], described["ballotCount"]) == ("Accepted", 2)


def start_vote(service: Consortium, name: str, proposal_id: str, ballot: str = YES) -> Call:
    """Send a ballot and leave its scripts waiting."""
    message = service.message(name, MessageType.BALLOT, {"ballot": ballot}, proposal_id=proposal_id)
    path = f"/members/proposals/{proposal_id}/ballots/{person(name).id}:submit"
    return service.start(path, message)


def test_quick_messages_wait_while_others_decide() -> None:
    """A member that writes without end cannot make what others decide conflict without end."""
    service = Consortium()
    proposal_id = open_proposal(service)
    others = [service.propose("carol", SET_USER).json()["proposalId"] for _ in range(5)]
    voted = start_vote(service, "alice", proposal_id)
    withdrawn = []
    for each in others:
        message = service.message("carol", MessageType.WITHDRAWAL, proposal_id=each)
        withdrawn.append(service.start(f"/members/proposals/{each}:withdraw", message))
        assert not withdrawn[-1].done()
    service.queue.outcomes.clear()
    service.queue.pump()
    assert voted.result().json()["ballotCount"] == 1
    assert len(service.queue.outcomes) == 2, "the ballot and resolve ran once"
    assert [call.result().json()["proposalState"] for call in withdrawn] == ["Withdrawn"] * 5


READS_ROOT = """def vote(proposal, proposer_id):
    return kv.get("public:ccf.internal.signatures")["root"] != ""
"""


def test_a_ballot_may_read_the_last_signature() -> None:
    service = Consortium(("alice",))
    answer = service.vote("alice", open_proposal(service), READS_ROOT)
    assert answer.json()["proposalState"] == "Accepted"


def test_a_ballot_that_is_slower_than_what_it_reads_changes_is_no_vote() -> None:
    """Else nothing could be decided as long as users write."""
    service = Consortium()
    proposal_id = open_proposal(service)
    call = start_vote(service, "carol", proposal_id, READS_ROOT)
    while not call.done():
        service.queue.step()
        service.sign()
    described = call.result().json()
    assert described["proposalState"] == "Open"
    reason = described["voteFailures"][person("carol").id]["reason"]
    table = "public:ccf.internal.signatures"
    assert reason == f"{RESOURCE_PREFIX}table {table} changed 3 times while the ballot ran"
    service.vote("alice", proposal_id)
    assert service.vote("bob", proposal_id).json()["proposalState"] == "Accepted"


def test_members_are_admitted_whatever_users_have_signed_meanwhile() -> None:
    service = Consortium()
    dave = person("dave")
    roots = [service.sign()]
    admit = action("set_member", cert=dave.pem)
    proposal_id = service.propose("alice", admit).json()["proposalId"]
    service.vote("alice", proposal_id)
    call = start_vote(service, "bob", proposal_id, YES)
    while not call.done():
        service.queue.step()
        roots.append(service.sign())
    assert call.result().json()["proposalState"] == "Accepted"
    ack = service.read(MEMBER_ACKS, dave.id)
    assert ack.state_digest in roots


def test_a_member_has_ballots_of_bounded_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ballots, "OPEN_BYTES_MAX", 200)
    service = Consortium()
    first, second = open_proposal(service), open_proposal(service)
    long = YES + " # " + "ü" * 60
    assert service.vote("carol", first, long).status == 200
    refused = service.vote("carol", second, long)
    assert (refused.status, refused.error_code) == (400, "InvalidInput")
    assert "ballots of 167 bytes on open proposals" in refused.json()["error"]["message"]
    assert service.vote("bob", second, long).status == 200
    service.withdraw("alice", first)
    assert service.vote("carol", second, long).status == 200


def ended(kind: FailureKind, reason: str) -> ScriptOutcome:
    return ScriptOutcome(failure=ScriptFailure(kind, reason))


def test_a_ballot_that_ran_out_of_time_is_not_run_again() -> None:
    """It costs its time once, not with every vote of the others."""
    service = Consortium()
    reason = RESOURCE_PREFIX + "the script took more than 10000 ms"
    slow = "def vote(p, by): return 'slow'"
    service.queue.canned[slow] = ended(FailureKind.RESOURCE, reason)
    proposal_id = open_proposal(service)
    service.vote("alice", proposal_id, slow)
    del service.queue.canned[slow]
    service.queue.outcomes.clear()
    described = service.vote("bob", proposal_id).json()
    assert described["voteFailures"] == {person("alice").id: {"reason": reason}}
    assert len(service.queue.outcomes) == 2  # bob's ballot and resolve
    accepted = service.vote("carol", proposal_id).json()
    assert accepted["proposalState"] == "Accepted"
    assert accepted["voteFailures"] == {person("alice").id: {"reason": reason}}


def test_a_ballot_that_failed_by_itself_is_run_again() -> None:
    """The next time the tables may be others."""
    service = Consortium()
    proposal_id = open_proposal(service)
    ballot = "def vote(p, by): return kv.size('public:ccf.gov.users.certs') > 0 or fail('wait')"
    assert "voteFailures" in service.vote("alice", proposal_id, ballot).json()
    service.pass_actions(action("set_user", cert=person("user1").pem))
    accepted = service.vote("bob", proposal_id).json()
    assert accepted["proposalState"] == "Accepted"
    assert accepted["finalVotes"][person("alice").id] is True


def test_when_scripts_cannot_run_nothing_is_decided() -> None:
    service = Consortium()
    proposal_id = open_proposal(service)
    service.queue.canned[YES] = ended(FailureKind.UNAVAILABLE, "256 scripts are waiting")
    version = service.log.store.version
    answer = service.vote("alice", proposal_id)
    assert (answer.status, answer.error_code) == (503, "InternalError")
    assert service.log.store.version == version
    service.queue.canned.clear()
    assert service.vote("alice", proposal_id).json()["ballotCount"] == 1
