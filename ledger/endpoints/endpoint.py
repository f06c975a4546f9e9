"""What an endpoint declares: path, verb, who may call, how it runs, what it documents."""

import enum
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ledger.endpoints.auth import AuthPolicy
    from ledger.endpoints.context import CallContext
    from ledger.endpoints.response import Response
    from ledger.endpoints.turns import Turns


class Mode(enum.Enum):
    """What a handler gets to work on."""

    READWRITE = "readwrite"
    READONLY = "readonly"
    HISTORICAL = "historical"
    COMMAND = "command"
    """No transaction at all: answers from node state and carries no transaction ID."""


class Forwarding(enum.Enum):
    """When a backup passes the request to the primary (interfaces without redirections)."""

    ALWAYS = "always"
    SOMETIMES = "sometimes"
    NEVER = "never"


class Redirection(enum.Enum):
    """Where a request is redirected (interfaces with redirections)."""

    NONE = "none"
    TO_PRIMARY = "to_primary"
    TO_BACKUP = "to_backup"


class Suspension(Protocol):
    """Something a handler waits for without blocking the node: a script, an entry of the past.

    A handler that waits is a generator: ``result = yield suspension``.
    """

    def start(self, resume: Callable[[Any], None]) -> None:
        """Begin the work; ``resume(result)`` is called exactly once, never from within start."""
        ...


Outcome = "Response | Generator[Suspension, Any, Response]"
Handler = Callable[["CallContext"], "Response | Generator[Suspension, Any, Response]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One verb of one path.

    Attributes:
        method: Verb in capitals.
        path: Path template below the frontend's prefix, ``{name}`` for parameters.
        handler: Runs the call; may run again when its transaction conflicts.
        auth: Policies tried in order; the first that accepts wins. Never empty (``no_auth``).
        mode: What the handler works on.
        forwarding: See ``Forwarding``.
        redirection: See ``Redirection``.
        respond_after_commit: Answer only once the transaction is committed or invalid.
        openapi: OpenAPI operation object without ``security`` and path parameters.
        hidden: Leave it out of the OpenAPI document.
        turns: Calls of all endpoints that share it run one at a time; None for at once.
    """

    method: str
    path: str
    handler: Handler
    auth: tuple["AuthPolicy", ...]
    mode: Mode = Mode.READWRITE
    forwarding: Forwarding = Forwarding.ALWAYS
    redirection: Redirection = Redirection.TO_PRIMARY
    respond_after_commit: bool = False
    openapi: dict[str, Any] = field(default_factory=dict)
    hidden: bool = False
    turns: "Turns | None" = None
