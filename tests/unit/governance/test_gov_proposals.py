"""Proposals from creation to archive, through the pipeline."""

import hashlib
import json

import pytest

from governance import proposal_archive, proposals, replay_window
from governance.defaults import Variant, constitution
from governance.tables import ARCHIVE_ORDER, RECENT_PROPOSALS
from ledger.codec.canonical import b64encode
from ledger.crypto.cose import parse_sign1
from ledger.crypto.cose_governance import MessageType
from ledger.kv.tx import Tx
from ledger.tables.members import (
    COSE_HISTORY,
    COSE_RECENT_PROPOSALS,
    PROPOSALS,
    PROPOSALS_INFO,
    USER_CERTS,
)
from ledger.tables.service import SERVICE_INFO
from tests.unit.governance.gov_kit import (
    NO,
    NOW,
    VERSION,
    YES,
    Consortium,
    action,
    action_open,
    person,
)

SET_USER = action("set_user", cert=person("user0").pem, user_data={"role": "teller"})
UNKNOWN_ID = "00" * 32


def test_a_proposal_is_open_until_a_majority_accepts_it() -> None:
    service = Consortium()
    created = service.propose("alice", SET_USER)
    assert created.status == 200
    assert created.tx_id is not None
    proposal_id = created.json()["proposalId"]
    assert created.json() == {
        "proposalId": proposal_id,
        "proposerId": person("alice").id,
        "proposalState": "Open",
        "ballotCount": 0,
    }
    first = service.vote("alice", proposal_id)
    assert first.json()["proposalState"] == "Open"
    assert first.json()["ballotCount"] == 1
    assert service.read(USER_CERTS, person("user0").id) is None
    second = service.vote("bob", proposal_id)
    assert second.json() == {
        "proposalId": proposal_id,
        "proposerId": person("alice").id,
        "proposalState": "Accepted",
        "ballotCount": 2,
        "finalVotes": {person("alice").id: True, person("bob").id: True},
    }
    assert service.read(USER_CERTS, person("user0").id) == person("user0").pem


def test_the_proposal_id_binds_the_root_and_the_signature() -> None:
    service = Consortium()
    message = service.message("alice", MessageType.PROPOSAL, {"actions": [SET_USER]})
    root = service.ledger.root_at(service.log.store.version)
    answer = service.post("/members/proposals:create", message)
    digest = hashlib.sha256(parse_sign1(message).signature).digest()
    assert answer.json()["proposalId"] == hashlib.sha256(root + digest).hexdigest()


def test_tables_are_those_of_ccf() -> None:
    service = Consortium()
    payload = json.dumps({"actions": [SET_USER]}).encode()
    message = service.message("alice", MessageType.PROPOSAL, payload)
    answer = service.post("/members/proposals:create", message)
    proposal_id = answer.json()["proposalId"]
    assert service.read(PROPOSALS, proposal_id) == payload
    raw = service.log.begin().map(PROPOSALS_INFO.name).get(proposal_id.encode())
    assert json.loads(raw or b"") == {
        "proposer_id": person("alice").id,
        "state": "Open",
        "ballots": {},
    }
    assert service.read(COSE_HISTORY, person("alice").id) == b64encode(message)
    window = list(service.log.begin().table(COSE_RECENT_PROPOSALS).items())
    digest = hashlib.sha256(parse_sign1(message).signature).hexdigest()
    assert window == [(f"{service.clock:010}:{digest}", proposal_id)]


@pytest.mark.parametrize(
    ("payload", "status", "code", "words"),
    [
        (b"{", 400, "ProposalFailedToValidate", "not JSON"),
        (b"[]", 400, "ProposalFailedToValidate", "no JSON object"),
        ({}, 400, "ProposalFailedToValidate", "list named actions"),
        ({"actions": 3}, 400, "ProposalFailedToValidate", "list named actions"),
        ({"actions": [3]}, 400, "ProposalFailedToValidate", "at position 0"),
        (
            {"actions": [SET_USER, {"name": "no_such"}]},
            400,
            "ProposalFailedToValidate",
            "no_such at position 1: there is no such action",
        ),
        (
            {"actions": [action("set_user", cert="x"), action("set_user", cert=3)]},
            400,
            "ProposalFailedToValidate",
            "set_user at position 1: cert: got a number",
        ),
        (b'{"actions":' + b"[" * 70 + b"]" * 70 + b"}", 400, "ProposalFailedToValidate", "JSON"),
    ],
)
def test_what_does_not_validate_is_refused(
    payload: object, status: int, code: str, words: str
) -> None:
    service = Consortium()
    version = service.log.store.version
    message = service.message("alice", MessageType.PROPOSAL, payload)
    answer = service.post("/members/proposals:create", message)
    assert (answer.status, answer.error_code) == (status, code)
    assert words in answer.json()["error"]["message"]
    assert service.log.store.version == version
    assert not service.failures


def test_a_message_is_taken_once_in_either_form_of_its_signature() -> None:
    service = Consortium()
    message = service.message("alice", MessageType.PROPOSAL, {"actions": [SET_USER]})
    assert service.post("/members/proposals:create", message).status == 200
    again = service.post("/members/proposals:create", message)
    assert (again.status, again.error_code) == (400, "ProposalReplay")
    parsed = parse_sign1(message)
    order = person("alice").key.curve.order
    s = int.from_bytes(parsed.signature[32:], "big")
    twin = parsed.signature[:32] + (order - s).to_bytes(32, "big")
    malleated = message.replace(parsed.signature, twin)
    assert malleated != message
    refused = service.post("/members/proposals:create", malleated)
    assert (refused.status, refused.error_code) == (400, "ProposalReplay")


def test_what_is_older_than_the_middle_of_the_window_is_refused() -> None:
    service = Consortium()
    for created_at in (100, 200, 300, 400):
        assert service.propose("alice", SET_USER, created_at=created_at).status == 200
    late = service.propose("bob", SET_USER, created_at=299)
    assert (late.status, late.error_code) == (400, "ProposalCreatedTooLongAgo")
    assert service.propose("bob", SET_USER, created_at=300).status == 200


def test_the_window_is_trimmed_to_its_size() -> None:
    service = Consortium(("alice",))
    size = action("set_service_configuration", recent_cose_proposals_window_size=3)
    assert service.pass_actions(size).json()["proposalState"] == "Accepted"
    for _ in range(6):
        assert service.propose("alice", SET_USER).status == 200
    times = [key[:10] for key, _ in service.log.begin().table(COSE_RECENT_PROPOSALS).items()]
    assert times == [f"{service.clock - back:010}" for back in (2, 1, 0)]
    own = [key for key, _ in service.log.begin().table(RECENT_PROPOSALS).items()]
    common = [key for key, _ in service.log.begin().table(COSE_RECENT_PROPOSALS).items()]
    assert len(own) == 7
    assert own[-3:] == [f"{person('alice').id}:{key}" for key in common]


def test_a_proposal_dated_ahead_makes_nobody_elses_too_old() -> None:
    service = Consortium()
    for created_at in (9_999_999_990, 9_999_999_995, 9_999_999_999):
        assert service.propose("carol", SET_USER, created_at=created_at).status == 200
    message = service.message("alice", MessageType.PROPOSAL, {"actions": [SET_USER]})
    assert service.post("/members/proposals:create", message).status == 200
    again = service.post("/members/proposals:create", message)
    assert (again.status, again.error_code) == (400, "ProposalReplay")
    own = service.propose("carol", SET_USER)
    assert (own.status, own.error_code) == (400, "ProposalCreatedTooLongAgo")


@pytest.mark.parametrize(("age", "status"), [(599, 200), (600, 200), (601, 400)])
def test_what_others_have_dated_counts_for_what_is_stale(age: int, status: int) -> None:
    service = Consortium()
    assert service.propose("alice", SET_USER, created_at=NOW).status == 200
    answer = service.propose("bob", SET_USER, created_at=NOW - age)
    assert answer.status == status
    assert answer.error_code == (None if status == 200 else "ProposalCreatedTooLongAgo")


def test_a_member_may_make_many_proposals_in_one_second() -> None:
    service = Consortium(("alice",))
    size = action("set_service_configuration", recent_cose_proposals_window_size=2)
    assert service.pass_actions(size).json()["proposalState"] == "Accepted"
    for n in range(5):
        change = action("set_user", cert=person("user0").pem, user_data={"n": n})
        assert service.propose("alice", change, created_at=NOW + 50).status == 200


def test_what_a_common_window_has_forgotten_its_proposers_own_remembers() -> None:
    service = Consortium()
    size = action("set_service_configuration", recent_cose_proposals_window_size=2)
    assert service.pass_actions(size).json()["proposalState"] == "Accepted"
    message = service.message("alice", MessageType.PROPOSAL, {"actions": [SET_USER]})
    assert service.post("/members/proposals:create", message).status == 200
    for ahead in range(4):
        answer = service.propose("carol", SET_USER, created_at=9_999_999_990 + ahead)
        assert answer.status == 200
    assert service.log.begin().table(COSE_RECENT_PROPOSALS).size() == 2
    again = service.post("/members/proposals:create", message)
    assert (again.status, again.error_code) == (400, "ProposalReplay")


def test_what_a_full_window_may_have_forgotten_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Among messages of one second the digest says which is forgotten, so all of them are old."""
    monkeypatch.setattr(replay_window, "REMEMBERED", 2)
    service = Consortium(("alice",))
    size = action("set_service_configuration", recent_cose_proposals_window_size=2)
    assert service.pass_actions(size).json()["proposalState"] == "Accepted"
    at = service.clock + 100
    answers = [
        service.propose(
            "alice",
            SET_USER,
            action("set_user", cert=person("user0").pem, user_data={"n": n}),
            created_at=at,
        )
        for n in range(3)
    ]
    assert [answer.status for answer in answers] == [200, 200, 400]
    assert answers[2].error_code == "ProposalCreatedTooLongAgo"
    assert service.propose("alice", SET_USER, created_at=at + 1).status == 200


def test_a_time_beyond_ten_digits_has_its_own_code() -> None:
    service = Consortium()
    message = service.message("alice", MessageType.PROPOSAL, b"{}", created_at=9_999_999_999)
    longer = message.replace((9_999_999_999).to_bytes(8, "big"), (10**10).to_bytes(8, "big"))
    answer = service.post("/members/proposals:create", longer)
    assert (answer.status, answer.error_code) == (400, "InvalidCreatedAt")


def test_only_the_proposer_withdraws_and_only_while_it_is_open() -> None:
    service = Consortium()
    proposal_id = service.propose("alice", SET_USER).json()["proposalId"]
    other = service.withdraw("bob", proposal_id)
    assert (other.status, other.error_code) == (403, "AuthorizationFailed")
    done = service.withdraw("alice", proposal_id)
    assert done.json()["proposalState"] == "Withdrawn"
    again = service.withdraw("alice", proposal_id)
    assert (again.status, again.error_code) == (400, "ProposalNotOpen")
    late = service.vote("bob", proposal_id)
    assert (late.status, late.error_code) == (400, "ProposalNotOpen")
    assert service.withdraw("alice", UNKNOWN_ID).status == 204


def test_the_path_has_to_name_the_proposal_that_was_signed() -> None:
    service = Consortium()
    proposal_id = service.propose("alice", SET_USER).json()["proposalId"]
    message = service.message("alice", MessageType.WITHDRAWAL, b"", proposal_id=UNKNOWN_ID)
    answer = service.post(f"/members/proposals/{proposal_id}:withdraw", message)
    assert (answer.status, answer.error_code) == (400, "InvalidResourceName")
    answer = service.post("/members/proposals/nothex:withdraw", message)
    assert (answer.status, answer.error_code) == (400, "InvalidResourceName")


def test_closed_proposals_move_to_the_archive_when_another_one_closes() -> None:
    service = Consortium()
    ids = [service.propose("alice", SET_USER).json()["proposalId"] for _ in range(3)]
    service.vote("alice", ids[0])
    service.vote("bob", ids[0])
    service.withdraw("alice", ids[1])
    listed = {each["proposalId"] for each in service.get("/members/proposals").json()["value"]}
    assert listed == {ids[1], ids[2]}
    everything = service.get("/members/proposals", "?api-version=2024-07-01&include=closed")
    states = {each["proposalId"]: each["proposalState"] for each in everything.json()["value"]}
    assert states == {ids[0]: "Accepted", ids[1]: "Withdrawn", ids[2]: "Open"}
    archived = service.get(f"/members/proposals/{ids[0]}")
    assert archived.json()["proposalState"] == "Accepted"
    assert json.loads(service.get(f"/members/proposals/{ids[0]}/actions").body) == {
        "actions": [SET_USER]
    }
    ballot = service.get(f"/members/proposals/{ids[0]}/ballots/{person('bob').id}")
    assert (ballot.text, ballot.headers["content-type"]) == (YES, "text/plain")
    assert service.read(PROPOSALS, ids[0]) is None
    late = service.vote("carol", ids[0])
    assert (late.status, late.error_code) == (400, "ProposalNotOpen")


def test_reading_what_is_not_there() -> None:
    service = Consortium()
    proposal_id = service.propose("alice", SET_USER).json()["proposalId"]
    for path, code in [
        (f"/members/proposals/{UNKNOWN_ID}", "ProposalNotFound"),
        (f"/members/proposals/{UNKNOWN_ID}/actions", "ProposalNotFound"),
        (f"/members/proposals/{UNKNOWN_ID}/ballots/{person('bob').id}", "ProposalNotFound"),
        (f"/members/proposals/{proposal_id}/ballots/{person('bob').id}", "VoteNotFound"),
    ]:
        answer = service.get(path)
        assert (answer.status, answer.error_code) == (404, code)
    answer = service.get("/members/proposals/xyz")
    assert (answer.status, answer.error_code) == (400, "InvalidResourceName")
    answer = service.get("/members/proposals", "?api-version=2024-07-01&include=all")
    assert (answer.status, answer.error_code) == (400, "InvalidQueryParameterValue")


def test_a_failed_apply_keeps_the_reason_and_none_of_its_writes() -> None:
    service = Consortium()
    doomed = action("set_user_data", user_id=UNKNOWN_ID, user_data={})
    answer = service.pass_actions(SET_USER, doomed)
    assert (answer.status, answer.error_code) == (500, "InternalError")
    assert answer.tx_id is not None
    details = answer.json()["error"]["details"]
    assert details[0]["code"] == "JSException"
    assert details[0]["message"] == f"there is no user {UNKNOWN_ID}"
    assert "apply_set_user_data" in details[0]["trace"]
    assert service.read(USER_CERTS, person("user0").id) is None
    [failed] = service.get("/members/proposals").json()["value"]
    assert failed["proposalState"] == "Failed"
    assert failed["failure"]["reason"] == f"there is no user {UNKNOWN_ID}"
    assert failed["finalVotes"] == {person("alice").id: True, person("bob").id: True}


@pytest.mark.parametrize(
    ("resolve", "reason"),
    [
        ("    fail('undecided')", "Failed to resolve: undecided"),
        ("    return 3", "Failed to resolve: resolve answered '3', want Open, Accepted, Rejected"),
        (
            "    return 'Withdrawn'",
            "Failed to resolve: resolve answered 'Withdrawn', want Open, Accepted, Rejected",
        ),
    ],
)
def test_a_failed_resolve_is_a_failed_proposal(resolve: str, reason: str) -> None:
    extra = f"\ndef resolve(proposal, proposer_id, votes, proposal_id):\n{resolve}\n"
    service = Consortium(extra=extra)
    answer = service.propose("alice", SET_USER)
    assert (answer.status, answer.error_code) == (500, "InternalError")
    [failed] = service.get("/members/proposals").json()["value"]
    assert (failed["proposalState"], failed["failure"]["reason"]) == ("Failed", reason)


def test_a_constitution_may_decide_at_once() -> None:
    accepts = "\ndef resolve(proposal, proposer_id, votes, proposal_id): return 'Accepted'\n"
    service = Consortium(extra=accepts)
    answer = service.propose("alice", SET_USER)
    assert answer.json()["proposalState"] == "Accepted"
    assert answer.json()["finalVotes"] == {}
    assert service.read(USER_CERTS, person("user0").id) == person("user0").pem


def test_an_error_in_validate_is_the_service_own() -> None:
    broken = "\ndef validate(proposal): return proposal['missing']\n"
    service = Consortium(extra=broken)
    answer = service.propose("alice", SET_USER)
    assert (answer.status, answer.error_code) == (500, "InternalError")
    assert "missing" in answer.json()["error"]["message"]


def test_new_rules_drop_what_is_open() -> None:
    service = Consortium()
    other = service.propose("carol", SET_USER).json()["proposalId"]
    source = service.get("/service/constitution").text
    answer = service.pass_actions(action("set_constitution", constitution=source + "\n"))
    assert answer.json()["proposalState"] == "Accepted"
    dropped = service.get(f"/members/proposals/{other}").json()
    assert dropped["proposalState"] == "Dropped"
    assert service.get("/service/constitution").text == source + "\n"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x = ", "does not load"),
        ("def validate(p): pass", "resolve"),
        ("def validate(p): pass\ndef resolve(a,b,c,d): pass\napply = 3", "want a function"),
        (
            "def validate(p): pass\ndef resolve(a,b,c): pass\ndef apply(a,b): pass",
            "resolve does not take 4 arguments",
        ),
        ("def f():\n" + "".join(" " * n + " if 1:\n" for n in range(60)), "nested blocks"),
    ],
)
def test_what_is_no_constitution_is_refused(source: str, words: str) -> None:
    service = Consortium()
    answer = service.propose("alice", action("set_constitution", constitution=source))
    assert (answer.status, answer.error_code) == (400, "ProposalFailedToValidate")
    assert words in answer.json()["error"]["message"]


def test_opening_needs_the_service_own_identity() -> None:
    service = Consortium()
    answer = service.pass_actions(action_open(person("user0").pem))
    assert "not the certificate of this service" in answer.json()["error"]["message"]
    service.open()
    assert service.read_one(SERVICE_INFO).status.value == "Open"
    assert service.pass_actions(action_open(service.service_pem)).status == 200


def test_two_proposals_at_once_are_both_taken() -> None:
    service = Consortium()
    messages = [
        service.message(name, MessageType.PROPOSAL, {"actions": [SET_USER]})
        for name in ("alice", "bob")
    ]
    calls = [service.start("/members/proposals:create", each) for each in messages]
    service.queue.pump()
    assert [call.result().status for call in calls] == [200, 200]
    assert len(service.get("/members/proposals").json()["value"]) == 2


def test_a_vote_against_counts_for_nothing_by_default() -> None:
    service = Consortium()
    proposal_id = service.propose("alice", SET_USER).json()["proposalId"]
    assert service.vote("alice", proposal_id, NO).json()["proposalState"] == "Open"
    assert service.vote("bob", proposal_id).json()["proposalState"] == "Open"
    accepted = service.vote("carol", proposal_id).json()
    assert accepted["proposalState"] == "Accepted"
    assert accepted["finalVotes"][person("alice").id] is False


def test_the_clock_of_scripts_is_the_message_time() -> None:
    clocked = "\ndef validate(proposal): fail(str(clock.created_at()))\n"
    service = Consortium(extra=clocked)
    answer = service.propose("alice", SET_USER, created_at=NOW + 77)
    assert answer.json()["error"]["message"].endswith(str(NOW + 77))


def test_a_member_has_a_bounded_number_of_open_proposals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposals, "OPEN_PROPOSALS_MAX", 2)
    service = Consortium()
    ids = [service.propose("alice", SET_USER).json()["proposalId"] for _ in range(2)]
    third = service.propose("alice", SET_USER)
    assert (third.status, third.error_code) == (400, "TooManyOpenProposals")
    assert service.propose("bob", SET_USER).status == 200
    service.withdraw("alice", ids[0])
    assert service.propose("alice", SET_USER).status == 200


def test_a_member_has_open_proposals_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposals, "OPEN_BYTES_MAX", 1000)
    service = Consortium()
    first = service.propose("alice", SET_USER)
    assert first.status == 200, "one is taken whatever its size"
    refused = service.propose("alice", SET_USER, SET_USER)
    assert (refused.status, refused.error_code) == (400, "TooManyOpenProposals")
    service.withdraw("alice", first.json()["proposalId"])
    assert service.propose("alice", SET_USER, SET_USER).status == 200


def archived(service: Consortium) -> int:
    return len(service.get("/members/proposals", VERSION + "&include=closed").json()["value"])


@pytest.mark.parametrize(("bound", "value"), [("KEPT_MAX", 3), ("KEPT_BYTES_MAX", 3 * 700)])
def test_the_archive_keeps_the_newest_of_each_proposer(
    monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    monkeypatch.setattr(proposal_archive, bound, value)
    service = Consortium()
    of_bob = service.propose("bob", SET_USER).json()["proposalId"]
    service.withdraw("bob", of_bob)
    ids = []
    for _ in range(6):
        ids.append(service.propose("carol", SET_USER).json()["proposalId"])
        service.withdraw("carol", ids[-1])
    assert archived(service) == 1 + 1 + 3  # of bob, the last one that closed, archived ones
    for proposal_id in (of_bob, *ids[2:]):
        assert service.get(f"/members/proposals/{proposal_id}").status == 200
        assert service.get(f"/members/proposals/{proposal_id}/actions").status == 200
    for proposal_id in ids[:2]:
        assert service.get(f"/members/proposals/{proposal_id}").status == 404
        assert service.get(f"/members/proposals/{proposal_id}/actions").status == 404
    assert service.log.begin_read_only().table(ARCHIVE_ORDER).size() == 1 + 3


def test_new_rules_drop_open_proposals_however_many_and_long() -> None:
    """A member could keep the constitution from being changed by what it leaves open."""
    service = Consortium()
    ids = [service.propose("carol", SET_USER).json()["proposalId"] for _ in range(4)]
    for number, proposal_id in enumerate(ids):
        ballot = f"{NO} # {'x' * (65_000 + number)}"
        assert service.vote("carol", proposal_id, ballot).status == 200

    def grow(tx: Tx) -> None:
        """Do the same as a hundred members would."""
        table = tx.table(PROPOSALS_INFO)
        row = table.get(ids[0])
        assert row is not None
        for number in range(100):
            table.put(f"{number:064x}", row)

    service.write(grow)
    source = constitution(Variant.VETO)
    decided = service.pass_actions(action("set_constitution", constitution=source))
    assert decided.json()["proposalState"] == "Accepted", decided
    assert {service.get(f"/members/proposals/{each}").json()["proposalState"] for each in ids} == {
        "Dropped"
    }
