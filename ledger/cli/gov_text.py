"""Governance for eyes: proposals, members and the service as lines of text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

VALUE_WIDTH_MAX = 100


def proposal_lines(proposal: Mapping[str, Any], actions: object = None) -> Iterator[str]:
    """Describe a proposal: state, who voted how, why something failed, what it would do."""
    yield f"Proposal {proposal['proposalId']}"
    yield f"  state     {proposal['proposalState']}"
    yield f"  proposer  {proposal['proposerId']}"
    yield f"  ballots   {proposal['ballotCount']}"
    for member, vote in (proposal.get("finalVotes") or {}).items():
        yield f"  vote      {member}: {'for' if vote else 'against'}"
    for member, failure in (proposal.get("voteFailures") or {}).items():
        yield f"  no vote   {member}: {failure['reason']}"
        yield from _trace(failure)
    failure = proposal.get("failure")
    if failure is not None:
        yield f"  failure   {failure['reason']}"
        yield from _trace(failure)
    if isinstance(actions, Mapping):
        yield "  actions"
        for action in actions.get("actions") or []:
            yield from _action(action)


def summary_line(proposal: Mapping[str, Any]) -> str:
    """Describe a proposal in one line."""
    return (
        f"{proposal['proposalId']}  {proposal['proposalState']:<9}  "
        f"{proposal['ballotCount']} ballots  by {proposal['proposerId']}"
    )


def service_lines(info: Mapping[str, Any], members: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Describe the service and its members."""
    yield f"Service   {info['status']}"
    configuration = info["configuration"]
    yield f"  recovery threshold  {configuration['recoveryThreshold']}"
    yield f"  recoveries          {info['recoveryCount']}"
    yield f"Members   {len(members)}"
    for member in members:
        data = "" if member["memberData"] is None else f"  {short(member['memberData'])}"
        yield f"  {member['memberId']}  {member['status']:<8}  {member['recoveryRole']}{data}"


def _action(action: object) -> Iterator[str]:
    if not isinstance(action, Mapping):
        yield f"    - {short(action)}"
        return
    yield f"    - {action.get('name')}"
    arguments = action.get("args")
    if isinstance(arguments, Mapping):
        for name, value in arguments.items():
            yield f"        {name}: {short(value)}"


def _trace(failure: Mapping[str, Any]) -> Iterator[str]:
    for line in (failure.get("trace") or "").splitlines():
        yield f"            {line}"


def short(value: object) -> str:
    """Return a value in one line that fits a screen."""
    text = value if isinstance(value, str) else repr(value)
    lines = text.strip().splitlines()
    shown = lines[0] if lines else ""
    if len(lines) > 1:
        shown = f"{shown} … ({len(lines)} lines)"
    return shown if len(shown) <= VALUE_WIDTH_MAX else f"{shown[: VALUE_WIDTH_MAX - 1]}…"


def printable(line: str) -> str:
    """Return a line in which nothing moves the cursor, hides text or turns it around.

    What members wrote is shown to other members, who decide by what they see.
    """
    if line.isprintable():
        return line
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in line)
