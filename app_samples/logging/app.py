"""The logging sample: messages under numbers, private ones encrypted, public ones in the clear.

Paths and bodies are those of CCF's sample of this name. Every endpoint takes ``?scope=S``, which
selects the tables ``records-S`` and ``public:records-S``. Public records have entity tags.
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
    Identity,
    Redirection,
    SignedBody,
    Table,
    TokenClaims,
    all_of,
    any_cert,
    jwt,
    member_cert,
    member_cose_sign1,
    no_auth,
    user_cert,
    user_cose_sign1,
)
from ledger.app.etags import Verdict, failed, judge, set_etag

app = App(
    "Logging",
    description="Keeps private and public messages.",
    auth=[jwt, user_cert, user_cose_sign1],
)

ID_MAX = (1 << 64) - 1

RECORDS = Table("records", U64LE, str)
PUBLIC_RECORDS = Table("public:records", U64LE, str)


class Record(msgspec.Struct):
    """A message to keep; with ``record_claim`` its digest is bound to the transaction."""

    id: Annotated[int, msgspec.Meta(ge=0)]
    msg: Annotated[str, msgspec.Meta(min_length=1)]
    record_claim: bool = False


class Message(msgspec.Struct):
    """A kept message."""

    msg: str


@app.post("/log/private")
def write_private(ctx: Context, body: Record, scope: str | None = None) -> bool:
    """Keep a private message."""
    ctx.table(scoped(RECORDS, scope)).put(checked(body.id), body.msg)
    if body.record_claim:
        ctx.set_claims_digest(digest(body.msg))
    return True


@app.get("/log/private/backup", redirection=Redirection.TO_BACKUP)
@app.get("/log/private")
def read_private(ctx: Context, id: int, scope: str | None = None) -> Message:  # noqa: A002
    """Read a private message."""
    message = ctx.table(scoped(RECORDS, scope)).get(checked(id))
    if message is None:
        raise no_such(id)
    return Message(message)


@app.delete("/log/private")
def delete_private(ctx: Context, id: int, scope: str | None = None) -> bool:  # noqa: A002
    """Delete a private message; says whether there was one."""
    records = ctx.table(scoped(RECORDS, scope))
    existed = records.has(checked(id))
    if existed:
        records.remove(id)
    return existed


@app.delete("/log/private/all")
def delete_all_private(ctx: Context, scope: str | None = None) -> bool:
    """Delete every private message."""
    ctx.table(scoped(RECORDS, scope)).clear()
    return True


@app.get("/log/private/count")
def count_private(ctx: Context, scope: str | None = None) -> int:
    """Count the private messages."""
    return ctx.table(scoped(RECORDS, scope)).size()


@app.post("/log/public")
def write_public(ctx: Context, body: Record, scope: str | None = None) -> bool:
    """Keep a public message, on conditions if there are any."""
    records = ctx.table(scoped(PUBLIC_RECORDS, scope))
    if judge(ctx, tag_of(records.get(checked(body.id)))) is not Verdict.PROCEED:
        raise failed()
    records.put(body.id, body.msg)
    set_etag(ctx, digest(body.msg).hex())
    if body.record_claim:
        ctx.set_claims_digest(digest(body.msg))
    return True


@app.get("/log/public/backup", redirection=Redirection.TO_BACKUP)
@app.get("/log/public")
def read_public(ctx: Context, id: int, scope: str | None = None) -> Message | None:  # noqa: A002
    """Read a public message, on conditions if there are any."""
    message = ctx.table(scoped(PUBLIC_RECORDS, scope)).get(checked(id))
    if message is None:
        raise no_such(id)
    return Message(message) if proceeds(ctx, message) else None


@app.delete("/log/public")
def delete_public(ctx: Context, id: int, scope: str | None = None) -> bool | None:  # noqa: A002
    """Delete a public message, on conditions if there are any; says whether there was one."""
    records = ctx.table(scoped(PUBLIC_RECORDS, scope))
    message = records.get(checked(id))
    if message is None:
        return False
    if not proceeds(ctx, message):
        return None
    records.remove(id)
    return True


@app.delete("/log/public/all")
def delete_all_public(ctx: Context, scope: str | None = None) -> bool:
    """Delete every public message."""
    ctx.table(scoped(PUBLIC_RECORDS, scope)).clear()
    return True


@app.get("/log/public/count")
def count_public(ctx: Context, scope: str | None = None) -> int:
    """Count the public messages."""
    return ctx.table(scoped(PUBLIC_RECORDS, scope)).size()


@app.post("/log/cose_signed_content", auth=[member_cose_sign1])
def echo_signed(ctx: Context) -> bytes:
    """Answer with what a member signed."""
    signed = ctx.caller.claims
    assert isinstance(signed, SignedBody), "the one policy of this endpoint reads signed bodies"
    return signed.payload


@app.post(
    "/multi_auth",
    auth=[
        all_of(user_cert, jwt),
        user_cert,
        member_cert,
        jwt,
        user_cose_sign1,
        any_cert,
        no_auth,
    ],
)
def describe_caller(ctx: Context) -> str:
    """Say who calls, by the first policy that accepts."""
    lines = _described(ctx.caller)
    if ctx.caller_data() is not None:
        lines.append(f"The caller's data is: {msgspec.json.encode(ctx.caller_data()).decode()}")
    return "\n".join(lines)


def _described(caller: Identity) -> list[str]:
    match caller.policy:
        case "user_cert":
            return ["User TLS cert", f"The caller is a user with ID: {caller.id}"]
        case "member_cert":
            return ["Member TLS cert", f"The caller is a member with ID: {caller.id}"]
        case "any_cert":
            return ["Any TLS cert", f"The caller's certificate has the digest: {caller.id}"]
        case "user_cose_sign1":
            return ["User COSE Sign1", f"The caller is a user with ID: {caller.id}"]
        case "jwt":
            claims = caller.claims
            assert isinstance(claims, TokenClaims), "a token's claims come with it"
            payload = msgspec.json.encode(claims.payload).decode()
            return [
                "JWT",
                f"The caller is identified by a JWT issued by: {claims.key_issuer}",
                f"The JWT payload is: {payload}",
            ]
        case "no_auth":
            return ["Unauthenticated", "The caller did not provide any authentication"]
        case _:
            parts = [line for each in caller.claims.values() for line in _described(each)]
            return [f"Conjoined auth policy: {caller.policy}", *parts]


def scoped(table: Table[int, str], scope: str | None) -> Table[int, str]:
    """Return the table of a scope."""
    return table if scope is None else Table(f"{table.name}-{scope}", U64LE, str)


def checked(number: int) -> int:
    """Return an ID that fits 64 bits, or refuse it."""
    if not 0 <= number <= ID_MAX:
        raise HttpError(400, Code.INVALID_INPUT, f"ID {number} does not fit 64 bits.")
    return number


def no_such(number: int) -> HttpError:
    """Return the error for a record that is not there."""
    return HttpError(404, Code.RESOURCE_NOT_FOUND, f"No such record: {number}.")


def digest(message: str) -> bytes:
    """Return the SHA-256 of a message."""
    return hashlib.sha256(message.encode()).digest()


def tag_of(message: str | None) -> str | None:
    """Return the entity tag of a message, None for none."""
    return None if message is None else digest(message).hex()


def proceeds(ctx: Context, message: str) -> bool:
    """Judge the conditions on a message that is there; when they end the call, say so."""
    tag = digest(message).hex()
    verdict = judge(ctx, tag)
    if verdict is Verdict.FAILED:
        raise failed()
    set_etag(ctx, tag)
    if verdict is Verdict.NOT_MODIFIED:
        ctx.set_status(304)
    return verdict is Verdict.PROCEED
