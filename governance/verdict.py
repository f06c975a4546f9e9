"""What became of a proposal, in a line for the operator's log.

Names of actions are told and nothing else of the contents, which may be secret or huge. Who wrote
them is a member, so their number and their lengths are bounded.
"""

from dataclasses import dataclass

from ledger.tables.members import ProposalState

NAMES_MAX = 8
"""Most different actions that are named; more are counted."""
NAME_SIZE_MAX = 48
"""Characters of a name that are shown; all of ours are shorter."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision about a proposal.

    Attributes:
        proposal_id: Hex ID.
        state: Accepted, Rejected or Failed.
        actions: What was proposed, see ``actions_of``.
    """

    proposal_id: str
    state: ProposalState
    actions: str

    def line(self) -> str:
        """Return it as one line."""
        return f"Proposal {self.proposal_id} is {self.state.value}: {self.actions}"


def actions_of(proposal: object) -> str:
    """Return number and names of a proposal's actions, as one short line without controls."""
    actions = proposal.get("actions") if isinstance(proposal, dict) else None
    listed = actions if isinstance(actions, list) else []
    given = [each.get("name") for each in listed if isinstance(each, dict)]
    names = list(dict.fromkeys(name for name in given if isinstance(name, str)))
    shown = [_shown(name) for name in names[:NAMES_MAX]] + ["…"] * (len(names) > NAMES_MAX)
    count = "1 action" if len(listed) == 1 else f"{len(listed)} actions"
    return f"{count} ({', '.join(shown)})"


def _shown(name: str) -> str:
    text = name if len(name) <= NAME_SIZE_MAX else f"{name[:NAME_SIZE_MAX]}…"
    return text if text.isprintable() else repr(text)[1:-1]
