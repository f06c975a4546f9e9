"""The logging sample: messages under numbers, private ones encrypted, public ones in the clear.

Every endpoint takes ``?scope=S``, which selects the tables ``records-S`` and ``public:records-S``.
"""

import hashlib
from typing import Annotated

import msgspec

from ledger.app import (
    U64LE,
    App,
    Code,
    Context,
    HttpError,
    Table,
    user_cert,
)

app = App("Logging", description="Records private and public messages.", auth=[user_cert])

ID_MAX = (1 << 64) - 1


class Record(msgspec.Struct):
    """A message to keep; with ``record_claim`` its digest is bound to the transaction."""

    id: Annotated[int, msgspec.Meta(ge=0)]
    msg: Annotated[str, msgspec.Meta(min_length=1)]
    record_claim: bool = False


class Message(msgspec.Struct):
    """A kept message."""

    msg: str


RECORDS = Table("records", U64LE, str)
PUBLIC_RECORDS = Table("public:records", U64LE, str)


def scoped(table: Table[int, str], scope: str | None) -> Table[int, str]:
    """Return the table of a scope."""
    return table if scope is None else Table(f"{table.name}-{scope}", U64LE, str)


def checked(number: int) -> int:
    """Return an ID that fits 64 bits."""
    if not 0 <= number <= ID_MAX:
        raise HttpError(400, Code.INVALID_INPUT, f"ID {number} does not fit 64 bits.")
    return number


def no_such(number: int) -> HttpError:
    """Return the error for a record that is not there."""
    return HttpError(404, Code.RESOURCE_NOT_FOUND, f"No such record: {number}.")


@app.post("/log/private")
def write_private(ctx: Context, body: Record, scope: str | None = None) -> bool:
    """Keep a private message."""
    ctx.table(scoped(RECORDS, scope)).put(checked(body.id), body.msg)
    if body.record_claim:
        ctx.set_claims_digest(hashlib.sha256(body.msg.encode()).digest())
    return True


@app.get("/log/private")
def read_private(ctx: Context, id: int, scope: str | None = None) -> Message:  # noqa: A002
    """Read a private message."""
    message = ctx.table(scoped(RECORDS, scope)).get(checked(id))
    if message is None:
        raise no_such(id)
    return Message(message)
