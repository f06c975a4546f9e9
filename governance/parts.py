"""What the ``/gov`` handlers are built from, and small things they all do."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Protocol

from governance.operations import NodeOperations
from governance.scripting import ScriptRunner
from ledger.base.ids import is_hex_id
from ledger.codec import canonical
from ledger.endpoints.context import CallContext
from ledger.endpoints.endpoint import Suspension
from ledger.endpoints.errors import Code, HttpError
from ledger.endpoints.log import TransactionLog
from ledger.endpoints.response import JSON, TEXT, Response

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

        Leaves behind a signature that is being made are not known yet.
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
    """

    log: TransactionLog
    ledger: LedgerView
    runner: ScriptRunner
    operations: NodeOperations


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
