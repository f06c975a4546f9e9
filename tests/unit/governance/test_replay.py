"""Replay: a real ledger is the same again, and the first thing that is bent is named."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typing_extensions import override

from governance.interpreter import run
from governance.replay.recorded import recorded
from governance.replay.replay import Replay
from governance.replay.report import Difference
from governance.scripting import (
    RESOURCE_PREFIX,
    FailureKind,
    HostCall,
    ScriptCall,
    ScriptFailure,
    ScriptOutcome,
)
from ledger.base.errors import MisuseError
from ledger.base.ids import TxId
from ledger.codec.canonical import b64encode, dumps
from ledger.codec.entry import parse_entry
from ledger.codec.tables import SINGLETON_KEY
from ledger.codec.writeset import Changes
from ledger.crypto.cose_governance import MessageType, sign_request
from ledger.replica.effects import SignRoot
from ledger.tables.internal import RECOVERY_SHARES
from ledger.tables.members import (
    COSE_HISTORY,
    COSE_RECENT_PROPOSALS,
    MEMBER_ACKS,
    PROPOSALS,
    PROPOSALS_INFO,
)
from tests.unit.governance.gov_kit import (
    NO,
    YES,
    QueuedRunner,
    action,
    person,
)
from tests.unit.governance.replay_kit import (
    LedgerConsortium,
    audited,
    bent,
    difference,
    extended,
    replayed,
)
from tests.unit.governance.replay_story import story

USER = action("set_user", cert=person("user0").pem)


def small() -> LedgerConsortium:
    """A service with three active members that is open."""
    it = LedgerConsortium()
    it.acknowledge("alice", "bob", "carol")
    it.settle()
    it.open()
    it.settle()
    return it


def changes_at(it: LedgerConsortium, seqno: int) -> Changes:
    return recorded(parse_entry(it.entries[seqno - 1])).changes


def seqnos_with(it: LedgerConsortium, table: str) -> list[int]:
    return [seqno for seqno in range(1, len(it.entries) + 1) if table in changes_at(it, seqno)]


def last_with(it: LedgerConsortium, table: str) -> int:
    return seqnos_with(it, table)[-1]


def test_the_story_is_the_same_again(tmp_path: Path) -> None:
    it = story()
    report = replayed(it.entries)
    assert report.difference is None
    assert report.scripts_replayed
    assert report.warnings == []
    assert report.entries == len(it.entries)
    assert report.states == {"Accepted": 18, "Dropped": 1, "Failed": 1, "Withdrawn": 1}
    assert set(report.messages) == {"ack", "ballot", "proposal", "state_digest", "withdrawal"}
    assert report.unsigned == {"genesis": 1, "join": 3, "key refresh": 1}
    assert audited(it.entries, tmp_path).is_sound


def test_the_report_as_json_is_plain() -> None:
    document = replayed(bent(story(), 9, lambda changes: changes.clear())).to_json()
    assert json.loads(json.dumps(document)) == document
    assert document["difference"] is not None


def test_entries_come_in_order() -> None:
    replay = Replay(run)
    with pytest.raises(MisuseError, match="got entry 2, want 1"):
        replay.feed(recorded(parse_entry(story().entries[1])))


def test_messages_and_bodies_are_checked_to_the_end_of_the_entry() -> None:
    it = small()
    proposal_id = it.propose("alice", USER).json()["proposalId"]
    it.settle()
    seqno = last_with(it, PROPOSALS.name)

    def other_payload(changes: Changes) -> None:
        changes[PROPOSALS.name][proposal_id.encode()] = b'{"actions":[]}'

    found = difference(bent(it, seqno, other_payload))
    assert found is not None
    assert (found.tx_id, found.what) == (TxId(2, seqno), "proposal")
    assert (found.member, found.proposal_id) == (person("alice").id, proposal_id)
    assert (found.table, found.key) == (PROPOSALS.name, proposal_id)
    assert "the ledger has [], the replay gives" in found.message


@pytest.mark.parametrize(
    ("signer", "kid", "words"),
    [
        ("mallory", "alice", "Failed to validate COSE signature"),
        ("mallory", "mallory", "Signer is not a known member"),
        ("dave", "dave", "Signer is not an active member"),
    ],
)
def test_who_signed_is_checked_against_the_members_of_that_time(
    signer: str, kid: str, words: str
) -> None:
    it = small()
    it.pass_actions(action("set_member", cert=person("dave").pem))
    it.settle()
    payload = json.dumps({"actions": [USER]}).encode()
    body = sign_request(
        person(signer).key, person(kid).id, MessageType.PROPOSAL, payload, created_at=it.clock + 9
    )
    changes: Changes = {
        COSE_HISTORY.name: {person(kid).id.encode(): COSE_HISTORY.value.encode(b64encode(body))}
    }
    found = difference(extended(it, changes))
    assert found is not None
    assert words in found.message
    assert found.member == person(kid).id


def test_a_member_that_was_removed_has_no_say_any_more() -> None:
    it = small()
    proposal_id = it.propose("alice", USER).json()["proposalId"]
    message = it.message("carol", MessageType.BALLOT, {"ballot": YES}, proposal_id=proposal_id)
    it.pass_actions(action("remove_member", member_id=person("carol").id))
    it.settle()
    carol = person("carol").id.encode()
    changes: Changes = {COSE_HISTORY.name: {carol: dumps(b64encode(message))}}
    found = difference(extended(it, changes))
    assert found is not None
    assert "not a known member" in found.message
    assert (found.what, found.proposal_id) == ("ballot", proposal_id)


def test_a_ballot_that_is_taken_out_is_missed_later() -> None:
    it = small()
    it.pass_actions(USER)
    it.pass_actions(action("remove_user", user_id=person("user0").id))
    it.settle()
    seqno = next(
        number
        for number in seqnos_with(it, COSE_HISTORY.name)
        if number > 14 and PROPOSALS.name not in changes_at(it, number)
    )

    def vanish(changes: Changes) -> None:
        changes.clear()
        changes["public:notes"] = {b"key": b"value"}

    found = difference(bent(it, seqno, vanish))
    assert found is not None
    assert found.tx_id.seqno > seqno


def test_an_id_that_is_bound_to_no_root_is_found() -> None:
    it = small()
    proposal_id = it.propose("alice", USER).json()["proposalId"]
    it.settle()
    seqno, other = last_with(it, PROPOSALS.name), b"ab" * 32

    def rename(changes: Changes) -> None:
        for table in (PROPOSALS.name, PROPOSALS_INFO.name):
            changes[table][other] = changes[table].pop(proposal_id.encode())
        for key in changes[COSE_RECENT_PROPOSALS.name]:
            changes[COSE_RECENT_PROPOSALS.name][key] = dumps(other.decode())

    found = difference(bent(it, seqno, rename))
    assert found is not None
    assert found.message == "the proposal's ID is bound to no earlier state of this ledger"


def test_a_replayed_message_in_the_ledger_is_found() -> None:
    it = small()
    it.propose("alice", USER)
    it.settle()
    first = last_with(it, PROPOSALS.name)
    found = difference(extended(it, changes_at(it, first)))
    assert found is not None
    assert "this message was seen before" in found.message or "bound to no" in found.message


def test_other_entries_may_come_between_reading_and_writing() -> None:
    it = small()
    message = it.message("alice", MessageType.PROPOSAL, {"actions": [USER]})
    call = it.start("/members/proposals:create", message)
    for _ in range(3):
        it.write(lambda tx: tx.map("notes").put(b"n", b"x"))
    it.settle()
    it.queue.pump()
    assert call.result().status == 200
    it.settle()
    assert difference(it.entries) is None


def test_an_entry_may_have_seen_the_signature_before_the_newest() -> None:
    it = small()
    it.write(lambda tx: tx.map("notes").put(b"n", b"x"))
    it.hand_clock.ms += 20
    (effect,) = [each for each in it.replica.flush() if isinstance(each, SignRoot)]
    path = f"/members/state-digests/{person('bob').id}:update"
    stale = it.post(path, it.message("bob", MessageType.STATE_DIGEST)).json()["stateDigest"]
    it.replica.signature_made(
        effect.tx_id, it.keys.sign(effect.tx_id, effect.root, effect.issued_at)
    )
    it.settle()
    assert stale != effect.root.hex()
    report = replayed(it.entries)
    assert report.difference is None
    assert report.warnings == ["2.16: it had not seen the newest signature"]

    def other_digest(changes: Changes) -> None:
        changes[MEMBER_ACKS.name][person("bob").id.encode()] = b'{"state_digest":"00"}'

    assert difference(bent(it, 16, other_digest)) is not None


class Hungry(QueuedRunner):
    """The scripts of a machine with no memory for some of them."""

    reason = f"{RESOURCE_PREFIX}the script used more than 268435456 bytes of memory"

    @override
    def step(self) -> None:
        call, host, resume = self.jobs.popleft()
        if "hungry" in call.source and call.function != "validate":
            failure = ScriptFailure(FailureKind.RESOURCE, self.reason)
            resume(ScriptOutcome(failure=failure))
        else:
            resume(run(call, host))


def hungry(source: str) -> LedgerConsortium:
    it = small()
    it.queue.__class__ = Hungry
    proposal_id = it.propose("alice", USER).json()["proposalId"]
    it.vote("bob", proposal_id, source)
    it.vote("carol", proposal_id, YES)
    it.settle()
    return it


def test_failures_of_the_primarys_machine_are_taken_on_its_word() -> None:
    it = hungry(YES + "  # hungry")
    report = replayed(it.entries)
    assert report.difference is None
    bob = person("bob").id
    assert report.warnings == [
        f"2.15: the ballot of member {bob} failed on the primary: {Hungry.reason}"
    ]


def test_failures_of_other_kinds_are_not() -> None:
    it = hungry(YES + "  # hungry")
    proposal = last_with(it, PROPOSALS_INFO.name)

    def other_reason(changes: Changes) -> None:
        for key, value in changes[PROPOSALS_INFO.name].items():
            assert value is not None
            swapped = value.replace(Hungry.reason.encode(), b"it did not feel like it")
            assert swapped != value
            changes[PROPOSALS_INFO.name][key] = swapped

    found = difference(bent(it, proposal, other_reason))
    assert found is not None
    assert found.table == PROPOSALS_INFO.name


def test_a_script_cannot_word_its_own_failure_as_the_machines() -> None:
    it = small()
    proposal_id = it.propose("alice", USER).json()["proposalId"]
    reason = f"{RESOURCE_PREFIX}the script used more than 1 bytes of memory"
    it.vote("bob", proposal_id, f"def vote(proposal, proposer_id): fail('{reason}')")
    it.settle()
    report = replayed(it.entries)
    assert report.difference is None
    assert report.warnings == []


@pytest.mark.parametrize("kind", [FailureKind.RESOURCE, FailureKind.UNAVAILABLE])
def test_a_script_that_cannot_run_here_is_no_agreement(kind: FailureKind) -> None:
    def unable(call: ScriptCall, host: HostCall) -> ScriptOutcome:
        if call.function == "vote":
            return ScriptOutcome(failure=ScriptFailure(kind, "no room"))
        return run(call, host)

    found = replayed(story().entries, unable).difference
    assert found is not None
    assert "cannot be run here: no room" in found.message


def test_a_replay_allows_more_memory_and_time_than_the_primary() -> None:
    seen: list[ScriptCall] = []

    def listening(call: ScriptCall, host: HostCall) -> ScriptOutcome:
        seen.append(call)
        return run(call, host)

    replayed(small().entries, listening)
    limits = {call.limits for call in seen if call.function == "vote"}
    assert [(each.memory_bytes_max, each.wall_ms_max, each.steps_max) for each in limits] == [
        (8 * 256 * 1024 * 1024, 80_000, 50_000_000)
    ]


def edit_json(
    table: str, key: bytes, edit: Callable[[dict[str, object]], object]
) -> Callable[[Changes], None]:
    def bend(changes: Changes) -> None:
        value = changes[table][key]
        assert value is not None
        document = json.loads(value)
        edit(document)
        changes[table][key] = dumps(document)

    return bend


def test_shares_are_for_the_members_of_that_time() -> None:
    it = small()
    seqno = last_with(it, RECOVERY_SHARES.name)

    def drop_one(document: dict[str, object]) -> None:
        shares = document["encrypted_shares"]
        assert isinstance(shares, dict)
        shares.popitem()

    found = difference(bent(it, seqno, edit_json(RECOVERY_SHARES.name, SINGLETON_KEY, drop_one)))
    assert found is not None
    assert found.table == RECOVERY_SHARES.name
    assert "encrypted_shares has or lacks" in found.message


def test_a_difference_of_votes_says_who_and_what() -> None:
    it = small()
    proposal_id = it.propose("alice", USER).json()["proposalId"]
    it.vote("bob", proposal_id, NO)
    it.vote("carol", proposal_id, YES)
    it.vote("alice", proposal_id, YES)
    it.settle()
    seqno = last_with(it, PROPOSALS_INFO.name)
    bob = person("bob").id

    def flip(document: dict[str, object]) -> None:
        votes = document["final_votes"]
        assert isinstance(votes, dict)
        votes[bob] = True

    bend = edit_json(PROPOSALS_INFO.name, proposal_id.encode(), flip)
    found = difference(bent(it, seqno, bend))
    assert found == Difference(
        tx_id=TxId(2, seqno),
        what="ballot",
        message=f"final_votes.{bob}: the ledger has true, the replay gives false",
        member=person("alice").id,
        proposal_id=proposal_id,
        table=PROPOSALS_INFO.name,
        key=proposal_id,
    )
