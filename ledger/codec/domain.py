"""The public domain of an entry: type, seqno, digests, reserved word, then the public maps.

A snapshot's has another start: seqno, reserved word, the leaf of that seqno, the view history.
"""

import enum
from typing import NamedTuple

from ledger.base.errors import FormatError

DIGEST_SIZE = 32
NO_CLAIMS = bytes(DIGEST_SIZE)
"""The claims digest of a transaction whose application set none."""

_RESERVED = bytes(8)


class EntryType(enum.IntEnum):
    """First byte of the public domain."""

    WRITE_SET = 0
    SNAPSHOT = 1
    WITH_CLAIMS = 2
    WITH_EVIDENCE = 3
    WITH_EVIDENCE_AND_CLAIMS = 4

    @property
    def has_claims(self) -> bool:
        """Whether a claims digest follows the seqno."""
        return self in {EntryType.WITH_CLAIMS, EntryType.WITH_EVIDENCE_AND_CLAIMS}

    @property
    def has_evidence(self) -> bool:
        """Whether a commit evidence digest follows."""
        return self in {EntryType.WITH_EVIDENCE, EntryType.WITH_EVIDENCE_AND_CLAIMS}


class PublicHeader(NamedTuple):
    """What stands before the maps in a public domain.

    Attributes:
        entry_type: Which of the following are there.
        seqno: The transaction's; for a snapshot the seqno of the state.
        claims_digest: 32 bytes, or None for a type without one.
        evidence_digest: 32 bytes, or None for a type without one.
        reserved: 0 in what we write; old ledgers have other values.
        snapshot_leaf: Leaf of the snapshot's seqno, None for other types.
        view_history: First seqno of view 1, 2, …, None for other types than a snapshot.
        maps_at: Offset of the first map in the public domain.
    """

    entry_type: EntryType
    seqno: int
    claims_digest: bytes | None
    evidence_digest: bytes | None
    reserved: int
    snapshot_leaf: bytes | None
    view_history: tuple[int, ...] | None
    maps_at: int


def public_domain(seqno: int, claims: bytes, evidence_digest: bytes, public_maps: bytes) -> bytes:
    """Return the public domain of a type 4 entry.

    Args:
        seqno: In ``[1, SEQNO_MAX]``.
        claims: 32 bytes; ``NO_CLAIMS`` when there are none.
        evidence_digest: 32 bytes.
        public_maps: First result of ``writeset.encode``.
    """
    assert len(claims) == len(evidence_digest) == DIGEST_SIZE, "digests have 32 bytes"
    return b"".join(
        (
            (seqno << 8 | 4).to_bytes(9, "little"),
            claims,
            evidence_digest,
            _RESERVED,
            public_maps,
        )
    )


def parse_public_header(public: bytes) -> PublicHeader:
    """Parse the start of a public domain of any type.

    Raises:
        FormatError: it ends early or the type is unknown.
    """
    kind = public[0] if public else -1
    if not 0 <= kind <= 4:
        raise FormatError(f"got entry type {kind}, want 0 to 4")
    entry_type = EntryType(kind)
    if entry_type is EntryType.SNAPSHOT:
        return _parse_snapshot_header(public)
    at = 9
    claims_digest = evidence_digest = None
    if entry_type.has_claims:
        claims_digest = public[at : at + DIGEST_SIZE]
        at += DIGEST_SIZE
    if entry_type.has_evidence:
        evidence_digest = public[at : at + DIGEST_SIZE]
        at += DIGEST_SIZE
    if at + 8 > len(public):
        raise FormatError(f"got a public domain of {len(public)} bytes, want at least {at + 8}")
    return PublicHeader(
        entry_type=entry_type,
        seqno=int.from_bytes(public[1:9], "little"),
        claims_digest=claims_digest,
        evidence_digest=evidence_digest,
        reserved=int.from_bytes(public[at : at + 8], "little"),
        snapshot_leaf=None,
        view_history=None,
        maps_at=at + 8,
    )


def _parse_snapshot_header(public: bytes) -> PublicHeader:
    """Parse type, seqno, reserved word, leaf and view history of a snapshot."""
    at = 17
    fields: list[bytes] = []
    for wanted in ("leaf", "view history"):
        size = int.from_bytes(public[at : at + 8], "little")
        if at + 8 > len(public) or size > len(public) - at - 8:
            raise FormatError(
                f"got a snapshot header of {len(public)} bytes that cuts its {wanted}"
            )
        fields.append(public[at + 8 : at + 8 + size])
        at += 8 + size
    leaf, history = fields
    if len(leaf) != DIGEST_SIZE or len(history) % 8:
        raise FormatError(
            f"got a leaf of {len(leaf)} bytes and a view history of {len(history)} bytes, "
            f"want {DIGEST_SIZE} and a multiple of 8"
        )
    return PublicHeader(
        entry_type=EntryType.SNAPSHOT,
        seqno=int.from_bytes(public[1:9], "little"),
        claims_digest=None,
        evidence_digest=None,
        reserved=int.from_bytes(public[9:17], "little"),
        snapshot_leaf=leaf,
        view_history=tuple(
            int.from_bytes(history[begin : begin + 8], "little")
            for begin in range(0, len(history), 8)
        ),
        maps_at=at,
    )
