"""What a consortium under the majority constitution does, in the plainest words.

Members are names; proposals hold one action each. Answers are HTTP statuses.
"""

from dataclasses import dataclass, field

Action = tuple[str, str]
"""``set_user``, ``remove_user``, ``admit``, ``remove`` or ``doom`` (fails), and a name."""


@dataclass
class ModelProposal:
    proposer: str
    action: Action
    state: str = "Open"
    ballots: dict[str, str] = field(default_factory=dict)


@dataclass
class Model:
    members: dict[str, str]
    users: set[str] = field(default_factory=set)
    proposals: list[ModelProposal] = field(default_factory=list)

    def is_active(self, name: str) -> bool:
        return self.members.get(name) == "Active"

    def acknowledge(self, name: str) -> int:
        if name not in self.members:
            return 401
        self.members[name] = "Active"
        return 204

    def propose(self, name: str, action: Action) -> int:
        if not self.is_active(name):
            return 401
        proposal = ModelProposal(name, action)
        self.proposals.append(proposal)
        return self.resolve(proposal)

    def vote(self, name: str, number: int, ballot: str) -> int:
        if not self.is_active(name):
            return 401
        proposal = self.proposals[number]
        if proposal.ballots.get(name) == ballot:
            return 200
        if proposal.state != "Open" or name in proposal.ballots:
            return 400
        proposal.ballots[name] = ballot
        return self.resolve(proposal)

    def withdraw(self, name: str, number: int) -> int:
        if not self.is_active(name):
            return 401
        proposal = self.proposals[number]
        if proposal.proposer != name:
            return 403
        if proposal.state != "Open":
            return 400
        proposal.state = "Withdrawn"
        return 200

    def resolve(self, proposal: ModelProposal) -> int:
        active = [name for name in self.members if self.is_active(name)]
        votes = [name for name in active if proposal.ballots.get(name) == "yes"]
        if len(votes) * 2 <= len(active):
            return 200
        if proposal.action[0] == "doom":
            proposal.state = "Failed"
            return 500
        proposal.state = "Accepted"
        self.apply(*proposal.action)
        return 200

    def apply(self, what: str, name: str) -> None:
        match what:
            case "set_user":
                self.users.add(name)
            case "remove_user":
                self.users.discard(name)
            case "admit":
                self.members[name] = "Accepted"
            case "remove":
                self.members.pop(name, None)
            case _:
                raise AssertionError(what)
