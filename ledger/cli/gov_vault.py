"""``quorate gov prepare`` and ``finish``: messages signed by keys that do not leave their vault."""

import time
from pathlib import Path
from typing import Annotated

import typer

from ledger.base.ids import MemberId
from ledger.cli.gov_actions import read_text
from ledger.cli.gov_prepared import parse_signature, read_prepared, write_prepared
from ledger.cli.gov_talk import VERSION, send
from ledger.cli.gov_target import NodeOption, SandboxOption, ServiceOption, target
from ledger.client.identity import read_pem
from ledger.codec import canonical
from ledger.crypto.certificate import Certificate
from ledger.crypto.cose_governance import MessageType, prepare_request


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
    write_prepared(out, prepared, path_of(kind, certificate.id, proposal_id))
    print(canonical.b64encode(prepared.digest))


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
    answer = send(target(node, service_cert, sandbox), path, message)
    print(answer.body.decode("utf-8", "replace"))


_PATHS = {
    MessageType.PROPOSAL: "/gov/members/proposals:create",
    MessageType.BALLOT: "/gov/members/proposals/{proposal}/ballots/{member}:submit",
    MessageType.WITHDRAWAL: "/gov/members/proposals/{proposal}:withdraw",
    MessageType.ACK: "/gov/members/state-digests/{member}:ack",
    MessageType.STATE_DIGEST: "/gov/members/state-digests/{member}:update",
    MessageType.RECOVERY_SHARE: "/gov/recovery/members/{member}:recover",
    MessageType.ENCRYPTED_RECOVERY_SHARE: "/gov/recovery/members/{member}:recover",
}


def path_of(kind: MessageType, member_id: str, proposal_id: str | None) -> str:
    """Return path and query that a message of a kind is posted to."""
    return f"{_PATHS[kind].format(member=member_id, proposal=proposal_id)}?{VERSION}"
