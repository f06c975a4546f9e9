"""What a replica asks of the shell. Collected per loop turn, executed in order.

The ledger bytes of a turn travel as one batch: entries back to back, exactly as they stand in
the ledger files.
"""

from dataclasses import dataclass

from ledger.base.ids import NodeId, TxId
from ledger.consensus.messages import Message


@dataclass(frozen=True, slots=True)
class WriteEntries:
    """Append these entries to the ledger files.

    Attributes:
        first: Seqno of the first entry.
        last: Seqno of the last entry.
        data: The entries, back to back.
        sync: The batch carries a signature: report ``persisted(last)`` once it is on disk.
    """

    first: int
    last: int
    data: bytes
    sync: bool


@dataclass(frozen=True, slots=True)
class TruncateLedger:
    """Drop every entry above this seqno from the ledger files."""

    seqno: int


@dataclass(frozen=True, slots=True)
class LedgerCommitted:
    """Everything up to this transaction is committed; complete chunks may be renamed."""

    tx_id: TxId


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Send a consensus message to a peer."""

    to: NodeId
    message: Message


@dataclass(frozen=True, slots=True)
class SignRoot:
    """Sign this Merkle root away from the loop, then call ``signature_made``.

    Attributes:
        tx_id: ID reserved for the signature transaction.
        root: Merkle root over all leaves before it, 32 bytes.
        issued_at: Seconds since the epoch, claimed in the COSE signature.
    """

    tx_id: TxId
    root: bytes
    issued_at: int


@dataclass(frozen=True, slots=True)
class RoleChanged:
    """This node became primary, or ceased to be."""

    view: int
    is_primary: bool


@dataclass(frozen=True, slots=True)
class RetirementCleanup:
    """Committed retirements wait to be marked ``retired_committed`` by a transaction."""


Effect = (
    WriteEntries
    | TruncateLedger
    | LedgerCommitted
    | SendMessage
    | SignRoot
    | RoleChanged
    | RetirementCleanup
)
"""Everything a replica may ask for."""
