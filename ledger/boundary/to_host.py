"""What the enclave says to the host. The host trusts none of it beyond its schema."""

from typing import Annotated, ClassVar, Literal

import msgspec

from ledger.boundary.messages import (
    ENTRIES_SIZE_MAX,
    Counter,
    Message,
    PemText,
    SeqnoField,
    SeqnoOrZero,
    ShortText,
)

LogLevel = Literal["trace", "debug", "info", "fail", "fatal"]
"""Severity, least first. ``fail`` is an error the node survives, ``fatal`` one it does not."""


class Started(Message, frozen=True):
    """The node serves: the host writes the output files.

    Attributes:
        node_id: 64 hex characters.
        node_certificate: Self-signed certificate of the node.
        service_certificate: Certificate of the service; None for a joiner, who was given it.
    """

    HEADER_SIZE_MAX: ClassVar[int] = 256 << 10

    node_id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    node_certificate: PemText
    service_certificate: PemText | None


class Append(Message, frozen=True):
    """Whole entries for the ledger files; the tail holds them back to back.

    The chunk boundaries are the flags in the entries' own headers.

    Attributes:
        first_seqno: Seqno of the first entry; one more than the last appended one.
        count: Number of entries in the tail.
        sync: Make everything up to here durable (as ``ledger.sync`` says) and answer
            ``Persisted``. One answer covers every batch of the same turn.
    """

    TAIL_SIZE_MAX: ClassVar[int] = ENTRIES_SIZE_MAX

    first_seqno: SeqnoField
    count: Annotated[int, msgspec.Meta(ge=1)]
    sync: bool


class Truncate(Message, frozen=True):
    """Remove every entry after ``seqno``. Never below the newest ``Committed``."""

    seqno: SeqnoOrZero


class Committed(Message, frozen=True):
    """Everything up to ``seqno`` is committed; complete chunks up to there are renamed."""

    seqno: SeqnoField


class ReadEntries(Message, frozen=True):
    """Ask for entries ``first`` … ``last``; answered by ``Entries`` with the same ``id``."""

    id: Counter
    first: SeqnoField
    last: SeqnoField


class Dial(Message, frozen=True):
    """Connect to ``address`` (``host:port``); answered by ``Dialled`` with the same ``id``."""

    id: Counter
    address: ShortText
    timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=600_000)] = 2000


class Log(Message, frozen=True):
    """A line for the node's log. Holds no secret: the enclave saw to it.

    Attributes:
        level: Severity.
        text: The message; control characters are escaped by the host.
        tag: ``app`` for lines of the application, else empty.
        file: Source file that wrote the line.
        line: Line in that file.
        thread: Number of the writing thread, 0 for the event loop.
    """

    level: LogLevel
    text: Annotated[str, msgspec.Meta(max_length=16_000)]
    tag: Annotated[str, msgspec.Meta(max_length=32)] = ""
    file: Annotated[str, msgspec.Meta(max_length=256)] = ""
    line: Annotated[int, msgspec.Meta(ge=0, le=1 << 31)] = 0
    thread: Annotated[int, msgspec.Meta(ge=0, le=1 << 15)] = 0


class Stopping(Message, frozen=True):
    """The last message: the enclave ends for this reason, the node with this exit code."""

    reason: ShortText
    code: Annotated[int, msgspec.Meta(ge=0, le=125)]


ToHost = Started | Append | Truncate | Committed | ReadEntries | Dial | Log | Stopping
"""Every message of this direction."""
