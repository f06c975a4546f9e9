"""``quorate gov``: what members do, signed with their keys."""

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand
from typing_extensions import override

from governance.defaults import Variant, constitution
from governance.replay.offline import (
    check_ballot,
    check_constitution,
    check_proposal,
    try_ballot,
)
from governance.scripting import DEFAULT_LIMITS, ScriptFailure
from ledger.base.errors import FormatError, MisuseError
from ledger.cli import gov_shares, gov_vault
from ledger.cli.gov_actions import GUIDES, build_action, explain, explain_all, read_text
from ledger.cli.gov_changes import change_lines, current_state
from ledger.cli.gov_talk import EXIT_REFUSED, as_member, reading
from ledger.cli.gov_target import (
    CertificateOption,
    KeyOption,
    MemberOption,
    NodeOption,
    SandboxOption,
    ServiceOption,
    SignOption,
    target,
)
from ledger.cli.gov_text import printable, proposal_lines, service_lines, summary_line
from ledger.client.governance import ACCEPTING_BALLOT, Governance
from ledger.client.identity import read_pem
from ledger.codec import canonical
from ledger.launch.script_process import script_process

REJECTING_BALLOT = "def vote(proposal, proposer_id): return False"
app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Govern a service as one of its members; every message is signed with the member's key.",
)
app.command()(gov_shares.init_member)
app.command()(gov_shares.submit_share)
app.command()(gov_vault.prepare)
app.command()(gov_vault.finish)

ProposalArgument = Annotated[str, typer.Argument(help="ID of the proposal.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


class ProposeCommand(TyperCommand):
    """``propose``, whose ``--help`` explains the action that is named beside it."""

    @override
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = next((args[at + 1] for at, each in enumerate(args[:-1]) if each == "--action"), "")
        if named in GUIDES:
            self.epilog = explain(named).replace("\n", "\n\n")
        else:
            self.epilog = "All actions: quorate gov actions. What one takes: --action NAME --help."
        return super().parse_args(ctx, args)


@app.command(cls=ProposeCommand)
def propose(
    file: Annotated[
        Path | None, typer.Argument(help='Proposal as JSON, {"actions": […]}; - is standard input.')
    ] = None,
    action: Annotated[
        str | None, typer.Option("--action", help="One action; with --help, what it takes.")
    ] = None,
    arg: Annotated[
        list[str] | None,
        typer.Option("--arg", help="Argument: name=text, name=@file, name:=json, name:=@file."),
    ] = None,
    node: NodeOption = None,
    service_cert: ServiceOption = None,
    sandbox: SandboxOption = None,
    member_cert: CertificateOption = None,
    member_key: KeyOption = None,
    member_sign: SignOption = None,
    member: MemberOption = 0,
    as_json: JsonOption = False,
    print_id: Annotated[
        bool, typer.Option("--print-id", help="Print the proposal's ID and nothing else.")
    ] = False,
) -> None:
    """Propose a file's actions, or one action built from words."""
    actions = _actions_of(file, action, arg or [])
    at = target(node, service_cert, sandbox, member_cert, member_key, member_sign, member)
    proposal = as_member(at, lambda each: each.propose(actions))
    if print_id:
        print(printable(str(proposal["proposalId"])))
        return
    _print_proposal(proposal, as_json=as_json)


@app.command()
def vote(
    proposal_id: ProposalArgument,
    against: Annotated[bool, typer.Option("--against", help="Vote against it.")] = False,
    ballot: Annotated[
        Path | None, typer.Option("--ballot", help="A ballot of your own, a Starlark file.")
    ] = None,
    node: NodeOption = None,
    service_cert: ServiceOption = None,
    sandbox: SandboxOption = None,
    member_cert: CertificateOption = None,
    member_key: KeyOption = None,
    member_sign: SignOption = None,
    member: MemberOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Vote for a proposal, or against it, or as a script says."""
    if against and ballot is not None:
        raise MisuseError("got --against and --ballot, want at most one of them")
    source = REJECTING_BALLOT if against else ACCEPTING_BALLOT
    if ballot is not None:
        source = read_text(ballot)
    at = target(node, service_cert, sandbox, member_cert, member_key, member_sign, member)
    _print_proposal(as_member(at, lambda each: each.vote(proposal_id, source)), as_json=as_json)


@app.command()
def withdraw(
    proposal_id: ProposalArgument,
    node: NodeOption = None,
    service_cert: ServiceOption = None,
    sandbox: SandboxOption = None,
    member_cert: CertificateOption = None,
    member_key: KeyOption = None,
    member_sign: SignOption = None,
    member: MemberOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Withdraw an own proposal."""
    at = target(node, service_cert, sandbox, member_cert, member_key, member_sign, member)
    _print_proposal(as_member(at, lambda each: each.withdraw(proposal_id)), as_json=as_json)


@app.command()
def ack(
    node: NodeOption = None,
    service_cert: ServiceOption = None,
    sandbox: SandboxOption = None,
    member_cert: CertificateOption = None,
    member_key: KeyOption = None,
    member_sign: SignOption = None,
    member: MemberOption = 0,
) -> None:
    """Acknowledge the service's state: the member becomes active."""
    at = target(node, service_cert, sandbox, member_cert, member_key, member_sign, member)
    as_member(at, lambda each: each.acknowledge())
    print(f"Member {at.signer().id} is active.")


@app.command()
def show(
    proposal_id: Annotated[
        str | None, typer.Argument(help="A proposal; without it, the service and its members.")
    ] = None,
    node: NodeOption = None,
    service_cert: ServiceOption = None,
    sandbox: SandboxOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a proposal with what it would do and how the votes stand, or the service."""
    at = target(node, service_cert, sandbox)
    if proposal_id is None:
        info, members = reading(at, _service)
        _print({**info, "members": members}, service_lines(info, members), as_json=as_json)
        return
    wanted = proposal_id
    proposal, proposed, changes = reading(at, lambda each: _proposal(each, wanted))
    lines = [*proposal_lines(proposal, proposed), *changes]
    _print({**proposal, "proposal": proposed}, lines, as_json=as_json)


async def _service(governance: Governance) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return await governance.service(), await governance.members()


async def _proposal(
    governance: Governance, proposal_id: str
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Return a proposal's state, what is proposed, and what an open one would change."""
    proposal = await governance.proposal(proposal_id)
    proposed = await governance.proposed(proposal_id)
    if proposal["proposalState"] != "Open":
        return proposal, proposed, []
    return proposal, proposed, list(change_lines(proposed, await current_state(governance)))


@app.command(name="list")
def list_(
    closed: Annotated[
        bool, typer.Option("--closed", help="Those closed long ago too, from the archive.")
    ] = False,
    node: NodeOption = None,
    service_cert: ServiceOption = None,
    sandbox: SandboxOption = None,
    as_json: JsonOption = False,
) -> None:
    """List proposals."""
    at = target(node, service_cert, sandbox)
    found = reading(at, lambda each: each.proposals(closed=closed))
    _print({"value": found}, map(summary_line, found), as_json=as_json)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="Proposal (JSON), constitution or ballot (.star).")],
    constitution_file: Annotated[
        Path | None, typer.Option("--constitution", help="Judge a proposal by this constitution.")
    ] = None,
    variant: Annotated[
        Variant, typer.Option("--variant", help="Judge a proposal by a shipped constitution.")
    ] = Variant.MAJORITY,
    ballot: Annotated[
        Path | None, typer.Option("--ballot", help="Say how this ballot would vote on it.")
    ] = None,
    service_cert: ServiceOption = None,
) -> None:
    """Try a proposal, a constitution or a ballot offline, with the code that a service runs.

    A file whose name ends in .star is a ballot when it defines vote, and else a constitution.
    Scripts run under the limits of a new service, in a process of their own. The exit code is 1
    when a service would refuse the file, or the ballot fails and so would not count.
    """
    text = read_text(file)
    if file.suffix == ".star":
        is_ballot = re.search(r"^def vote\b", text, re.MULTILINE) is not None
        with script_process() as process:
            judge = check_ballot if is_ballot else check_constitution
            _verdict(judge(text, DEFAULT_LIMITS, process.run))
        return
    proposal = _proposal_of(text)
    source = constitution(variant) if constitution_file is None else read_text(constitution_file)
    service = None if service_cert is None else read_pem(service_cert).decode("ascii", "replace")
    ballot_source = None if ballot is None else read_text(ballot)
    counts = True
    with script_process() as process:
        if ballot_source is not None:
            vote = try_ballot(ballot_source, proposal, DEFAULT_LIMITS, process.run)
            counts = _print_vote(vote)
        problem = check_proposal(
            proposal, source, DEFAULT_LIMITS, process.run, service_certificate=service
        )
    _verdict(problem)
    if not counts:
        raise typer.Exit(EXIT_REFUSED)


@app.command()
def actions(
    name: Annotated[str | None, typer.Argument(help="An action; without it, all.")] = None,
) -> None:
    """Explain actions and their arguments."""
    if name is not None:
        print(explain(name))
        return
    print(explain_all())


@app.command(name="constitution")
def constitution_(
    variant: Annotated[
        Variant, typer.Argument(help="Which of the shipped ones.")
    ] = Variant.MAJORITY,
) -> None:
    """Print a constitution to start or replace one with."""
    sys.stdout.write(constitution(variant))


def _actions_of(file: Path | None, action: str | None, arguments: list[str]) -> list[Any]:
    if (file is None) == (action is None):
        raise MisuseError("got a file and --action, or neither, want one of them")
    if action is not None:
        return [build_action(action, arguments)]
    assert file is not None, "one of the two was just seen to be there"
    text = sys.stdin.read() if str(file) == "-" else read_text(file)
    proposed = _proposal_of(text).get("actions")
    if not isinstance(proposed, list):
        raise FormatError('got a proposal without actions, want {"actions": […]}')
    return proposed


def _proposal_of(text: str) -> dict[str, Any]:
    proposal = canonical.loads(text.encode())
    if not isinstance(proposal, dict):
        raise FormatError('got a proposal that is no object, want {"actions": […]}')
    return proposal


def _print_proposal(proposal: dict[str, Any], *, as_json: bool) -> None:
    _print(proposal, proposal_lines(proposal), as_json=as_json)


def _print(value: object, lines: Iterable[str], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(value, indent=2))
        return
    for line in lines:
        print(printable(line))


def _print_vote(vote: bool | ScriptFailure) -> bool:
    """Print how a ballot votes; False when it fails, and so would not count."""
    if isinstance(vote, ScriptFailure):
        print(f"The ballot fails: {printable(vote.reason)}")
        return False
    print(f"The ballot: {'for' if vote else 'against'}")
    return True


def _verdict(problem: str | None) -> None:
    if problem is None:
        print("A service would take it.")
        return
    print(f"A service would refuse it: {printable(problem)}")
    raise typer.Exit(EXIT_REFUSED)
