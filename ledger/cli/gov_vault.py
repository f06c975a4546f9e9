"""``quorate gov prepare`` and ``finish``: messages signed by keys that do not leave their vault."""

import time
from pathlib import Path
from typing import Annotated

import typer

from ledger.base.errors import FormatError
from ledger.base.ids import MemberId
from ledger.cli.gov_actions import read_text
from ledger.cli.gov_prepared import read_prepared, write_prepared
from ledger.cli.gov_talk import in_session
from ledger.cli.gov_target import NodeOption, SandboxOption, ServiceOption, target
from ledger.client.governance import path_of, send
from ledger.client.identity import read_pem
from ledger.client.session import Session
from ledger.client.signers import parse_signature
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
    signature: Annotated[
        str, typer.Option("--signature", help="r || s or DER, in base64 of either alphabet.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the message there, do not send it.")
    ] = None,
    node: NodeOption = None,
    service_cert: ServiceOption = None,
    sandbox: SandboxOption = None,
) -> None:
    """Finish a prepared message with its signature, and send it."""
    request, path = read_prepared(prepared)
    message = request.finish(parse_signature(signature, request.curve))
    if out is not None:
        _write(out, message)
        return

    async def converse(session: Session) -> bytes:
        return (await send(session, path, message)).expect().body

    answer = in_session(target(node, service_cert, sandbox), converse)
    print(answer.decode("utf-8", "replace"))


def _write(file: Path, data: bytes) -> None:
    try:
        file.write_bytes(data)
    except OSError as error:
        raise FormatError(f"cannot write {file}: {error.strerror}") from error
