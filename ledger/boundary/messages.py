"""What every message between host and enclave has: a schema, a direction, bounds.

A message is a small MessagePack array, its name first. Bulk data (ledger entries) is not part
of it but follows raw in the same frame as the *tail*, so that megabytes are never encoded.
A message that hands over a file descriptor says so; exactly one travels with its frame.

Worked session, host left, enclave right::

    Configure            ->
                         <-  Started
                         <-  Append(first_seqno=1, count=2, sync=True) + entries
    Persisted(seqno=2)   ->
                         <-  Committed(seqno=2)
    Shutdown             ->
                         <-  Stopping(reason, code=0), then end of stream
"""

from typing import Annotated, ClassVar

import msgspec

from ledger.base.limits import BOUNDARY_FRAME_SIZE_MAX

_SIGNED_MAX = (1 << 63) - 1
"""The schema library bounds signed 64-bit integers; no ledger gets near."""

SeqnoField = Annotated[int, msgspec.Meta(ge=1, le=_SIGNED_MAX)]
"""A position in the ledger, from 1."""
SeqnoOrZero = Annotated[int, msgspec.Meta(ge=0, le=_SIGNED_MAX)]
"""A position in the ledger, 0 for "before the first entry"."""
Counter = Annotated[int, msgspec.Meta(ge=0, le=_SIGNED_MAX)]
"""A counter or request number chosen by the sender."""
ShortText = Annotated[str, msgspec.Meta(max_length=1024)]
"""A reason, an address, a file name."""
PemText = Annotated[str, msgspec.Meta(max_length=64 << 10)]
"""One or a few PEM objects."""

SMALL_HEADER_SIZE_MAX = 64 << 10
"""Bound on the encoded message without its tail, for all messages that do not say otherwise."""


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True, forbid_unknown_fields=True):
    """Root of all messages.

    Attributes:
        HEADER_SIZE_MAX: Largest encoding in bytes, without the tail.
        TAIL_SIZE_MAX: Largest raw tail in bytes; 0 for messages that have none.
        PASSES_DESCRIPTOR: Whether one file descriptor may travel with the frame.
    """

    HEADER_SIZE_MAX: ClassVar[int] = SMALL_HEADER_SIZE_MAX
    TAIL_SIZE_MAX: ClassVar[int] = 0
    PASSES_DESCRIPTOR: ClassVar[bool] = False


ENTRIES_SIZE_MAX = BOUNDARY_FRAME_SIZE_MAX - SMALL_HEADER_SIZE_MAX - 8
"""Most bytes of whole ledger entries that fit the tail of one frame."""
