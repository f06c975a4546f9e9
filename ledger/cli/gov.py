"""``quorate gov``: what members do, signed with their keys."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from governance.defaults import Variant, constitution
from governance.replay.offline import check_ballot, check_constitution, check_proposal
from ledger.base.errors import FormatError, MisuseError
from ledger.base.ids import MemberId
from ledger.cli.gov_actions import GUIDES, build_action, explain, read_text
from ledger.cli.gov_prepared import parse_signature, read_prepared, write_prepared
from ledger.cli.gov_target import (
    CertificateOption,
    KeyOption,
    MemberOption,
    NodeOption,
    SandboxOption,
    ServiceOption,
    Target,
    target,
)
from ledger.cli.gov_text import proposal_lines, service_lines, summary_line
from ledger.client.governance import ACCEPTING_BALLOT, API_VERSION, Member
from ledger.client.identity import read_pem
from ledger.client.session import RefusedError, Session
from ledger.codec import canonical
from ledger.crypto.certificate import Certificate
from ledger.crypto.cose_governance import MessageType, prepare_request

T = TypeVar("T")

REJECTING_BALLOT = "def vote(proposal, proposer_id): return False"
EXIT_REFUSED = 1
_VERSION = f"api-version={API_VERSION}"
_COSE = {"content-type": "application/cose"}

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)

ProposalArgument = Annotated[str, typer.Argument(help="ID of the proposal.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


@app.command()
def propose(
    file: Annotated[
        Path | None, typer.Argument(help='Proposal as JSON, {"actions": […]}; - is standard input.')
    ] = None,
    action: Annotated[
        str | None, typer.Option("--action", help="One action; see: quorate gov actions.")
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
    member: MemberOption = 0,
    as_json: JsonOption = False,
    print_id: Annotated[
        bool, typer.Option("--print-id", help="Print the proposal's ID and nothing else.")
    ] = False,
) -> None:
    """Propose a file's actions, or one action built from words."""
    actions = _actions_of(file, action, arg or [])
    at = target(node, service_cert, sandbox, member_cert, member_key, member)
    proposal = _as_member(at, lambda each: each.propose(actions))
    if print_id:
        print(proposal["proposalId"])
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
    member: MemberOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Vote for a proposal, or against it, or as a script says."""
    if against and ballot is not None:
        raise MisuseError("got --against and --ballot, want at most one of them")
    source = REJECTING_BALLOT if against else ACCEPTING_BALLOT
    if ballot is not None:
        source = read_text(ballot)
    at = target(node, service_cert, sandbox, member_cert, member_key, member)
    _print_proposal(_as_member(at, lambda each: each.vote(proposal_id, source)), as_json=as_json)


@app.command()
def withdraw(
    proposal_id: ProposalArgument,
    node: NodeOption = None,
    service_cert: ServiceOption = None,
    sandbox: SandboxOption = None,
    member_cert: CertificateOption = None,
    member_key: KeyOption = None,
    member: MemberOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Withdraw an own proposal."""
    at = target(node, service_cert, sandbox, member_cert, member_key, member)
    _print_proposal(_as_member(at, lambda each: each.withdraw(proposal_id)), as_json=as_json)


@app.command()
def ack(
    node: NodeOption = None,
    service_cert: ServiceOption = None,
    sandbox: SandboxOption = None,
    member_cert: CertificateOption = None,
    member_key: KeyOption = None,
    member: MemberOption = 0,
) -> None:
    """Acknowledge the service's state: the member becomes active."""
    at = target(node, service_cert, sandbox, member_cert, member_key, member)
    _as_member(at, lambda each: each.acknowledge())
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
        info, members = _get(at, "/gov/service/info", "/gov/service/members")
        found = {**info, "members": members["value"]}
        _print(found, service_lines(info, members["value"]), as_json=as_json)
        return
    path = f"/gov/members/proposals/{proposal_id}"
    proposal, actions = _get(at, path, f"{path}/actions")
    lines = proposal_lines(proposal, actions)
    _print({**proposal, "proposal": actions}, lines, as_json=as_json)


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
    [found] = _get(at, "/gov/members/proposals" + ("?include=closed" if closed else ""))
    _print(found, map(summary_line, found["value"]), as_json=as_json)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="Proposal (JSON), or constitution or ballot.")],
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
    """Try a proposal or a constitution offline, with the code that a service runs."""
    text = read_text(file)
    if file.suffix == ".star":
        _verdict(check_constitution(text))
        return
    proposal = _proposal_of(text)
    source = constitution(variant) if constitution_file is None else read_text(constitution_file)
    service = None if service_cert is None else read_pem(service_cert).decode("ascii", "replace")
    if ballot is not None:
        print(f"The ballot: {check_ballot(read_text(ballot), proposal)}")
    _verdict(check_proposal(proposal, source, service_certificate=service))


@app.command()
def actions(
    name: Annotated[str | None, typer.Argument(help="An action; without it, all.")] = None,
) -> None:
    """Explain actions and their arguments."""
    if name is not None:
        print(explain(name))
        return
    for each, guide in GUIDES.items():
        print(f"{each:<36}{guide.summary}")


@app.command(name="constitution")
def constitution_(
    variant: Annotated[
        Variant, typer.Argument(help="Which of the shipped ones.")
    ] = Variant.MAJORITY,
) -> None:
    """Print a constitution to start or replace one with."""
    sys.stdout.write(constitution(variant))


@app.command()
def prepare(
    kind: Annotated[MessageType, typer.Argument(help="What the message is.")],
    out: Annotated[Path, typer.Option("--out", help="Where to put the prepared message.")],
    member_cert: Annotated[
        Path, typer.Option("--member-cert", envvar="QUORATE_MEMBER_CERT", help="PEM.")
    ],
    content: Annotated[
        Path | None, typer.Option("--content", help="Body of the message; empty without it.")
    ] = None,
    proposal_id: Annotated[
        str | None, typer.Option("--proposal-id", help="For a ballot or a withdrawal.")
    ] = None,
) -> None:
    """Prepare a message for a key in a vault; print the digest to be signed, in base64."""
    certificate = Certificate.parse(read_pem(member_cert))
    payload = b"" if content is None else read_text(content).encode()
    prepared = prepare_request(
        certificate.public_key.curve,
        MemberId(certificate.id),
        kind,
        payload,
        created_at=int(time.time()),
        proposal_id=proposal_id,
    )
    write_prepared(out, prepared, _path_of(kind, certificate.id, proposal_id))
    print(canonical.b64encode(prepared.digest))


@app.command()
def finish(
    prepared: Annotated[Path, typer.Argument(help="What prepare wrote.")],
    signature: Annotated[str, typer.Option("--signature", help="r || s in base64.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the message there, do not send it.")
    ] = None,
    node: NodeOption = None,
    service_cert: ServiceOption = None,
    sandbox: SandboxOption = None,
) -> None:
    """Finish a prepared message with its signature, and send it."""
    request, path = read_prepared(prepared)
    message = request.finish(parse_signature(signature))
    if out is not None:
        out.write_bytes(message)
        return
    at = target(node, service_cert, sandbox)

    async def send(session: Session) -> bytes:
        answer = await session.post(path, body=message, headers=_COSE)
        return answer.expect().body

    sys.stdout.write(_in_session(at, send).decode("utf-8", "replace") + "\n")


_PATHS = {
    MessageType.PROPOSAL: "/gov/members/proposals:create",
    MessageType.BALLOT: "/gov/members/proposals/{proposal}/ballots/{member}:submit",
    MessageType.WITHDRAWAL: "/gov/members/proposals/{proposal}:withdraw",
    MessageType.ACK: "/gov/members/state-digests/{member}:ack",
    MessageType.STATE_DIGEST: "/gov/members/state-digests/{member}:update",
    MessageType.RECOVERY_SHARE: "/gov/recovery/members/{member}:recover",
    MessageType.ENCRYPTED_RECOVERY_SHARE: "/gov/recovery/members/{member}:recover",
}


def _path_of(kind: MessageType, member_id: str, proposal_id: str | None) -> str:
    return f"{_PATHS[kind].format(member=member_id, proposal=proposal_id)}?{_VERSION}"


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


def _in_session(at: Target, body: Callable[[Session], Awaitable[T]]) -> T:
    """Run a conversation with the service; a refusal ends the command with its reason."""

    async def converse() -> T:
        async with at.session() as session:
            return await body(session)

    try:
        return asyncio.run(converse())
    except RefusedError as refusal:
        print(f"quorate gov: {refusal}", file=sys.stderr)
        raise typer.Exit(EXIT_REFUSED) from refusal


def _as_member(at: Target, body: Callable[[Member], Awaitable[T]]) -> T:
    identity = at.signer()
    return _in_session(at, lambda session: body(Member(session, identity)))


def _get(at: Target, *paths: str) -> list[Any]:
    """Return the JSON answers of some paths below one service."""

    async def read(session: Session) -> list[Any]:
        answers = []
        for path in paths:
            mark = "&" if "?" in path else "?"
            answer = await session.get(f"{path}{mark}{_VERSION}")
            answers.append(answer.expect(200).json())
        return answers

    return _in_session(at, read)


def _print_proposal(proposal: dict[str, Any], *, as_json: bool) -> None:
    _print(proposal, proposal_lines(proposal), as_json=as_json)


def _print(value: object, lines: Iterable[str], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(value, indent=2, ensure_ascii=False))
        return
    for line in lines:
        print(line)


def _verdict(problem: str | None) -> None:
    if problem is None:
        print("A service would take it.")
        return
    print(f"A service would refuse it: {problem}")
    raise typer.Exit(EXIT_REFUSED)
