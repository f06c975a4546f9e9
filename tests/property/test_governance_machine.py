"""A consortium under random members' doings, beside the plain model of it."""

import os

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledger.crypto.cose_governance import MessageType
from ledger.endpoints.errors import Code
from ledger.tables.members import MEMBER_INFO, USER_CERTS
from tests.reference.governance_model import Action, Model
from tests.unit.governance.gov_kit import NO, YES, Consortium, action, first_member, person

NAMES = ("alice", "bob", "carol", "dave", "erin")
USERS = ("user0", "user1")
BALLOTS = {"yes": YES, "no": NO, "throw": "def vote(p, by): fail('no')", "junk": "def vote("}
EXAMPLES = int(os.environ.get("QUORATE_EXAMPLES", "25"))

names = st.sampled_from(NAMES)
picks = st.integers(0, 59)
"""Nine in ten pick somebody who may act on something that is open; the rest anybody, anything."""
actions = st.one_of(
    st.tuples(st.sampled_from(["set_user", "remove_user"]), st.sampled_from(USERS)),
    st.tuples(st.sampled_from(["admit", "remove"]), names),
    st.just(("doom", "")),
)


def real(what: Action) -> dict[str, object]:
    kind, name = what
    match kind:
        case "set_user":
            return action("set_user", cert=person(name).pem)
        case "remove_user":
            return action("remove_user", user_id=person(name).id)
        case "admit":
            return action("set_member", cert=person(name).pem)
        case "remove":
            return action("remove_member", member_id=person(name).id)
        case _:
            return action("set_user_data", user_id="00" * 32)


class ConsortiumMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.service = Consortium(())
        self.model = Model({})
        self.ids: list[str] = []
        self.sent: list[bytes] = []

    def signer(self, pick: int) -> str:
        active = [name for name in NAMES if self.model.is_active(name)]
        return NAMES[pick % len(NAMES)] if pick >= 54 or not active else active[pick % len(active)]

    def proposal(self, pick: int) -> int:
        still_open = [n for n, each in enumerate(self.model.proposals) if each.state == "Open"]
        return (
            (still_open[-1 - pick % len(still_open)])
            if still_open and pick < 54
            else (pick % len(self.ids))
        )

    @initialize(count=st.integers(1, 4))
    def begin(self, count: int) -> None:
        first = NAMES[:count]
        self.service = Consortium([first_member(name, recovers=False) for name in first])
        self.model = Model(dict.fromkeys(first, "Active"))

    @rule(who=picks, what=actions)
    def propose(self, who: int, what: Action) -> None:
        name = self.signer(who)
        payload = {"actions": [real(what)]}
        message = self.service.message(name, MessageType.PROPOSAL, payload)
        answer = self.service.post("/members/proposals:create", message)
        assert answer.status == self.model.propose(name, what)
        if answer.status == 401:
            return
        self.sent.append(message)
        if answer.status == 200:
            self.ids.append(answer.json()["proposalId"])
        else:
            listed = self.service.get("/members/proposals").json()["value"]
            self.ids += [
                each["proposalId"] for each in listed if each["proposalId"] not in self.ids
            ]

    @precondition(lambda self: self.ids)
    @rule(who=picks, which=picks, ballot=st.sampled_from(["yes", "yes", "yes", *BALLOTS]))
    def vote(self, who: int, which: int, ballot: str) -> None:
        name, number = self.signer(who), self.proposal(which)
        answer = self.service.vote(name, self.ids[number], BALLOTS[ballot])
        assert answer.status == self.model.vote(name, number, ballot)

    @precondition(lambda self: self.ids)
    @rule(which=picks)
    def settle(self, which: int) -> None:
        """Everybody that may votes for it, in turn; each answer counts."""
        number = self.proposal(which)
        for name in NAMES:
            answer = self.service.vote(name, self.ids[number], YES)
            assert answer.status == self.model.vote(name, number, "yes")

    @precondition(lambda self: self.ids)
    @rule(who=picks, which=picks)
    def withdraw(self, who: int, which: int) -> None:
        name, number = self.signer(who), self.proposal(which)
        answer = self.service.withdraw(name, self.ids[number])
        assert answer.status == self.model.withdraw(name, number)

    @rule(name=names)
    def acknowledge(self, name: str) -> None:
        self.service.sign()
        path = f"/members/state-digests/{person(name).id}"
        updated = self.service.post(
            path + ":update", self.service.message(name, MessageType.STATE_DIGEST)
        )
        wanted = self.model.acknowledge(name)
        if wanted == 401:
            assert updated.status == 401
            return
        digest = {"stateDigest": updated.json()["stateDigest"]}
        message = self.service.message(name, MessageType.ACK, digest)
        assert self.service.post(path + ":ack", message).status == wanted

    @precondition(lambda self: self.sent)
    @rule(number=st.integers(0, 10**6))
    def replay(self, number: int) -> None:
        version = self.service.log.store.version
        answer = self.service.post("/members/proposals:create", self.sent[number % len(self.sent)])
        assert answer.status in {400, 401}
        if answer.status == 400:
            assert answer.error_code in {Code.PROPOSAL_REPLAY, Code.PROPOSAL_CREATED_TOO_LONG_AGO}
        assert self.service.log.store.version == version

    @invariant()
    def members_and_users_agree(self) -> None:
        tx = self.service.log.begin_read_only()
        members = {each: info.status.value for each, info in tx.table(MEMBER_INFO).items()}
        wanted = {str(person(name).id): status for name, status in self.model.members.items()}
        assert members == wanted
        users = {each for each, _ in tx.table(USER_CERTS).items()}
        assert users == {person(name).id for name in self.model.users}

    @invariant()
    def proposals_agree(self) -> None:
        listed = self.service.get("/members/proposals", "?api-version=2024-07-01&include=closed")
        states = {
            each["proposalId"]: (each["proposalState"], each["ballotCount"])
            for each in listed.json()["value"]
        }
        wanted = {
            proposal_id: (proposal.state, len(proposal.ballots))
            for proposal_id, proposal in zip(self.ids, self.model.proposals, strict=True)
        }
        assert states == wanted

    @invariant()
    def nothing_broke(self) -> None:
        assert not self.service.failures


TestConsortium = ConsortiumMachine.TestCase
TestConsortium.settings = settings(max_examples=EXAMPLES, stateful_step_count=20, deadline=None)
