"""A ledger entry as a replay sees it: its public changes, its leaf, nothing secret."""

from dataclasses import dataclass

from ledger.base.ids import TxId
from ledger.codec import writeset
from ledger.codec.entry import Entry
from ledger.codec.tables import MapRole, is_public, map_role
from ledger.codec.writeset import Changes
from ledger.crypto.sealing import leaf_of_parsed

_NO_CLAIMS = bytes(32)
_MARKS = (b"public:ccf.", b"public:quorate.")
"""What the name of every map begins with that a replay looks at."""


@dataclass(frozen=True, slots=True)
class RecordedEntry:
    """One entry.

    Attributes:
        tx_id: Its transaction.
        changes: Its public maps; empty when none of them matters to governance, and then those
            of applications are left out too.
        leaf: Its Merkle leaf, 32 bytes.
        has_private: It also changes private maps.
        has_claims: It is bound to claims.
    """

    tx_id: TxId
    changes: Changes
    leaf: bytes
    has_private: bool
    has_claims: bool


def recorded(entry: Entry) -> RecordedEntry:
    """Read an entry.

    Raises:
        FormatError: its public maps do not parse, or it is a snapshot.
    """
    maps = entry.public_maps
    matters = any(mark in maps for mark in _MARKS)
    claims = entry.claims_digest
    return RecordedEntry(
        tx_id=TxId(entry.view, entry.seqno),
        changes=writeset.decode(maps, strict=False) if matters else {},
        leaf=leaf_of_parsed(entry),
        has_private=bool(entry.private),
        has_claims=claims is not None and claims != _NO_CLAIMS,
    )


def is_kept(name: str) -> bool:
    """Say whether a map is public and of governance or of the framework."""
    return is_public(name) and map_role(name) in {MapRole.GOVERNANCE, MapRole.INTERNAL}
