"""What the host says to the enclave. The enclave checks all of it: the host may be hostile."""

from typing import Annotated, ClassVar, Literal

import msgspec

from ledger.boundary.messages import (
    ENTRIES_SIZE_MAX,
    Counter,
    Message,
    SeqnoField,
    SeqnoOrZero,
    ShortText,
)
from ledger.boundary.settings import Settings


class Configure(Message, frozen=True):
    """The first message: everything the enclave needs to start.

    Attributes:
        settings: The configuration, defaults filled in, addresses resolved, files read.
        ledger_last_seqno: Last entry in the host's ledger files, 0 for none. A claim: entries
            are checked when they are read.
    """

    HEADER_SIZE_MAX: ClassVar[int] = 16 << 20

    settings: Settings
    ledger_last_seqno: SeqnoOrZero = 0


class Persisted(Message, frozen=True):
    """Every appended entry up to ``seqno`` is durable, as far as ``ledger.sync`` asks.

    Attributes:
        seqno: The newest entry that is durable.
        truncations: How many ``Truncate`` messages the host had carried out. An answer that
            was on its way while the enclave rolled back names entries that are gone: the
            enclave ignores it when the count is not its own.
    """

    seqno: SeqnoField
    truncations: Counter


class Entries(Message, frozen=True):
    """Answer to ``ReadEntries``: the tail holds whole entries ``first`` … ``last``.

    Attributes:
        id: Number of the request.
        first: As asked.
        last: Last entry in the tail; lower than asked when the range is large (ask again for
            the rest), ``first - 1`` when there is a problem.
        problem: Why nothing is in the tail, or None.
    """

    TAIL_SIZE_MAX: ClassVar[int] = ENTRIES_SIZE_MAX

    id: Counter
    first: SeqnoField
    last: SeqnoOrZero
    problem: ShortText | None = None


class Dialled(Message, frozen=True):
    """Answer to ``Dial``: a connected stream socket travels along, or ``problem`` says why not."""

    PASSES_DESCRIPTOR: ClassVar[bool] = True

    id: Counter
    problem: ShortText | None = None


class Signal(Message, frozen=True):
    """An operator's signal that does not stop the node: the first SIGTERM, when configured."""

    name: Literal["SIGTERM", "SIGHUP"]


class Shutdown(Message, frozen=True):
    """Stop in order: no new requests, sign, wait for commit, hand over, ``Stopping``, end.

    Attributes:
        reason: For the log, e.g. the signal's description.
        timeout_ms: The host kills the enclave after this time.
    """

    reason: ShortText
    timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=600_000)]


ToEnclave = Configure | Persisted | Entries | Dialled | Signal | Shutdown
"""Every message of this direction."""
