"""What the ``/gov`` handlers are built from, and small things they all do."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import msgspec

from governance.operations import NodeOperations
from governance.scripting import ScriptRunner
from governance.verdict import Verdict
from ledger.base.ids import is_hex_id
from ledger.codec import canonical
from ledger.endpoints.adapters import bad_body
from ledger.endpoints.context import CallContext
from ledger.endpoints.endpoint import Suspension
from ledger.endpoints.errors import Code, HttpError
from ledger.endpoints.log import TransactionLog
from ledger.endpoints.response import JSON, TEXT, Response
from ledger.endpoints.turns import Turns

T = TypeVar("T")

Steps = Generator[Suspension, Any, Response]
"""A handler that waits for scripts."""


class LedgerView(Protocol):
    """What governance needs to know of the ledger."""

    def root_at(self, seqno: int) -> bytes:
        """Return the Merkle root (32 bytes) over the leaves 0 to ``seqno``, both included.

        ``seqno`` is the read version of a transaction that is open now, and ``await_root`` has
        said that the root is there.
        """
        ...

    def await_root(self, seqno: int) -> Suspension | None:
        """Return what to wait for until ``root_at`` can answer, None when it can.

        Leaves behind a signature that is being made are not known yet. Ask again after the wait:
        there may be another one.
        """
        ...


@dataclass(frozen=True, slots=True)
class GovernanceParts:
    """What governance is connected to.

    Attributes:
        log: Where transactions are ordered; asked for their status.
        ledger: Asked for roots.
        runner: Runs scripts.
        operations: What only the node can do.
        decided: Told what becomes of a proposal, as the last thing before that is ordered.
        turns: Members' messages are handled one at a time, members in turns: a decision reads what
            the others write.
    """

    log: TransactionLog
    ledger: LedgerView
    runner: ScriptRunner
    operations: NodeOperations
    decided: Callable[[Verdict], None] = lambda verdict: None  # noqa: ARG005
    turns: Turns = field(default_factory=Turns)


def payload_reader(kind: type[T]) -> Callable[[bytes], T]:
    """Return the function that reads a signed payload as one type; an empty one reads as ``{}``.

    Returns:
        A function of the payload; raises ``HttpError`` 400 for one that is no such value.
    """
    decode = msgspec.json.Decoder(kind).decode

    def read(payload: bytes) -> T:
        try:
            return decode(payload or b"{}")
        except (ValueError, RecursionError) as problem:
            raise bad_body(problem) from problem

    return read


def answer(value: object, status: int = 200) -> Response:
    """Return a JSON answer."""
    return Response(status, canonical.dumps(value), JSON)


def answer_text(source: str) -> Response:
    """Return a script as it was submitted."""
    return Response(200, source.encode(), TEXT)


def path_id(ctx: CallContext, name: str) -> str:
    """Return a path parameter that is an ID.

    Raises:
        HttpError: 400, it is not 64 lower-case hex characters.
    """
    value = ctx.params[name]
    if not is_hex_id(value):
        raise HttpError(
            400,
            Code.INVALID_RESOURCE_NAME,
            f"'{value[:80]}' is not a valid {name}: want 64 lower-case hex characters.",
        )
    return value


def not_found(what: str, name: str, code: Code = Code.RESOURCE_NOT_FOUND) -> HttpError:
    """Return the error for something that is not there."""
    return HttpError(404, code, f"{what} {name} was not found.")
