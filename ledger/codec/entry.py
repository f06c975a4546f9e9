"""One ledger entry as bytes: frame, IV, public domain header.

=========  ====  ====================================================================
offset     size  field (integers little-endian)
=========  ====  ====================================================================
0          1     format version, 1
1          1     flags
2          6     size of everything after these 8 bytes
8          16    AES-GCM tag
24         12    AES-GCM IV: u64 seqno, u32 view with bit 31 set for snapshots
36         8     size P of the public domain
44         P     public domain: type, seqno, digests, reserved word, maps
44 + P     …     private domain, encrypted; may be empty
=========  ====  ====================================================================

Only type 4 is written; types 0, 2 and 3 are history and type 1 is a snapshot, all readable.
"""

from ledger.base.errors import FormatError, MisuseError
from ledger.base.limits import ENTRY_SIZE_MAX, VIEW_MAX, WRITTEN_ENTRY_SIZE_MAX
from ledger.codec.domain import (
    DIGEST_SIZE,
    NO_CLAIMS,
    EntryType,
    PublicHeader,
    parse_public_header,
    public_domain,
)

__all__ = [
    "DIGEST_SIZE",
    "DOMAIN_AT",
    "FLAGS_KNOWN",
    "FLAG_CHUNK_AFTER",
    "FLAG_CHUNK_BEFORE",
    "HEADER_SIZE",
    "IV_SIZE",
    "NO_CLAIMS",
    "SIZE_MIN",
    "TAG_SIZE",
    "VERSION",
    "Entry",
    "EntrySizeError",
    "EntryType",
    "PublicHeader",
    "entry_size",
    "frame",
    "iv_for",
    "parse_entry",
    "parse_public_header",
    "public_domain",
]

VERSION = 1
FLAG_CHUNK_AFTER = 0x01
"""A chunk ends after this entry; only on a signature transaction."""
FLAG_CHUNK_BEFORE = 0x02
"""A chunk ends before this entry."""
FLAGS_KNOWN = FLAG_CHUNK_AFTER | FLAG_CHUNK_BEFORE

HEADER_SIZE = 8
TAG_SIZE = 16
IV_SIZE = 12
DOMAIN_AT = 44
"""Offset of the public domain in an entry."""
SIZE_MIN = DOMAIN_AT - HEADER_SIZE

_SNAPSHOT_BIT = 1 << 31


class EntrySizeError(MisuseError):
    """A transaction changes too much for one ledger entry.

    Args:
        size: Bytes that the entry would have.
    """

    def __init__(self, size: int) -> None:
        super().__init__(
            f"got a transaction of {size} bytes, want at most {WRITTEN_ENTRY_SIZE_MAX}: "
            "change less at a time"
        )


class Entry:
    """One parsed entry; every part is a copy.

    Attributes:
        flags: ``FLAG_CHUNK_AFTER``, ``FLAG_CHUNK_BEFORE``.
        size: Bytes of the whole entry, header included.
        tag: 16 bytes.
        iv: 12 bytes.
        view: From the IV; 0 in a snapshot.
        seqno: From the public domain.
        public: The public domain.
        private: The encrypted private domain.
        header: The parsed start of the public domain.
        data: The whole entry.
        version: Format version; always 1 unless parsed leniently.
        iv_seqno: From the IV; equal to ``seqno`` unless parsed leniently.
        is_snapshot_iv: Bit 31 of the view word in the IV.
    """

    __slots__ = (
        "data",
        "flags",
        "header",
        "is_snapshot_iv",
        "iv",
        "iv_seqno",
        "private",
        "public",
        "seqno",
        "size",
        "tag",
        "version",
        "view",
    )

    def __init__(self, data: bytes, public_size: int, header: PublicHeader) -> None:
        self.data = data
        self.version = data[0]
        self.flags = data[1]
        self.size = len(data)
        self.tag = data[8:24]
        self.iv = data[24:36]
        self.iv_seqno = int.from_bytes(data[24:32], "little")
        word = int.from_bytes(data[32:36], "little")
        self.view = word & VIEW_MAX
        self.is_snapshot_iv = bool(word & _SNAPSHOT_BIT)
        self.public = data[DOMAIN_AT : DOMAIN_AT + public_size]
        self.private = data[DOMAIN_AT + public_size :]
        self.header = header
        self.seqno = header.seqno

    @property
    def entry_type(self) -> EntryType:
        """First byte of the public domain."""
        return self.header.entry_type

    @property
    def claims_digest(self) -> bytes | None:
        """32 bytes bound by the application, None for a type without one."""
        return self.header.claims_digest

    @property
    def evidence_digest(self) -> bytes | None:
        """32 bytes, digest of the commit evidence; None for a type without one."""
        return self.header.evidence_digest

    @property
    def public_maps(self) -> bytes:
        """The public maps, as ``writeset.decode`` takes them (not for snapshots)."""
        return self.public[self.header.maps_at :]


def iv_for(view: int, seqno: int, *, snapshot: bool = False) -> bytes:
    """Return the 12-byte AES-GCM IV of a transaction; unique per (view, seqno, snapshot).

    Args:
        view: In ``[0, VIEW_MAX]``; 0 for snapshots.
        seqno: In ``[1, SEQNO_MAX]``.
        snapshot: Whether it seals a snapshot instead of a transaction.
    """
    assert 0 <= view <= VIEW_MAX, "the view must leave bit 31 of its word to snapshots"
    return (seqno | (view | _SNAPSHOT_BIT if snapshot else view) << 64).to_bytes(12, "little")


def frame(flags: int, tag: bytes, iv: bytes, public: bytes, private: bytes) -> bytes:
    """Return a whole entry.

    Args:
        flags: ``FLAG_CHUNK_AFTER``, ``FLAG_CHUNK_BEFORE`` or 0.
        tag: 16 bytes over private and public domain.
        iv: 12 bytes, see ``iv_for``.
        public: Public domain.
        private: Encrypted private domain.
    """
    public_size = len(public)
    size = SIZE_MIN + public_size + len(private)
    return b"".join(
        (
            (size << 16 | flags << 8 | VERSION).to_bytes(8, "little"),
            tag,
            iv,
            public_size.to_bytes(8, "little"),
            public,
            private,
        )
    )


def parse_entry(buffer: bytes | memoryview, offset: int = 0, *, lenient: bool = False) -> Entry:
    """Parse the entry that starts at an offset.

    Args:
        buffer: Holds at least the whole entry; more may follow.
        offset: Where the entry starts.
        lenient: For auditors: also accept another version, unknown flags, and an IV that
            contradicts the public domain or the type.

    Raises:
        FormatError: the buffer ends early, sizes contradict each other, the type is unknown, or
            (unless lenient) what is named above.
    """
    size = entry_size(buffer, offset, lenient=lenient)
    data = bytes(buffer[offset : offset + size])
    public_size = int.from_bytes(data[36:44], "little")
    if public_size > size - DOMAIN_AT:
        raise FormatError(
            f"got a public domain of {public_size} bytes in an entry of {size} at {offset}"
        )
    header = parse_public_header(data[DOMAIN_AT : DOMAIN_AT + public_size])
    entry = Entry(data, public_size, header)
    if not lenient:
        _check_iv(entry)
    return entry


def entry_size(buffer: bytes | memoryview, offset: int = 0, *, lenient: bool = False) -> int:
    """Return the bytes of the entry at an offset, its 8-byte header included.

    Raises:
        FormatError: the buffer ends before the entry does, the size is out of bounds, or (unless
            lenient) the version is not 1 or a flag is unknown.
    """
    left = len(buffer) - offset
    if left < HEADER_SIZE:
        raise FormatError(f"got {max(left, 0)} bytes at {offset}, want an entry header of 8")
    if not lenient:
        if buffer[offset] != VERSION:
            raise FormatError(f"got entry version {buffer[offset]} at {offset}, want {VERSION}")
        if buffer[offset + 1] & ~FLAGS_KNOWN:
            raise FormatError(f"got entry flags {buffer[offset + 1]:#04x} at {offset}, want 0 to 3")
    size = int.from_bytes(buffer[offset + 2 : offset + 8], "little")
    if not SIZE_MIN <= size <= ENTRY_SIZE_MAX:
        raise FormatError(f"got entry size {size} at {offset}, want {SIZE_MIN} to {ENTRY_SIZE_MAX}")
    if size > left - HEADER_SIZE:
        raise FormatError(f"got {left - HEADER_SIZE} bytes of an entry of {size} at {offset}")
    return HEADER_SIZE + size


def _check_iv(entry: Entry) -> None:
    """Refuse an IV that names another transaction than the public domain, or another kind."""
    if entry.iv_seqno != entry.seqno:
        raise FormatError(
            f"got seqno {entry.iv_seqno} in the IV and {entry.seqno} in the public domain"
        )
    if entry.is_snapshot_iv != (entry.entry_type is EntryType.SNAPSHOT):
        raise FormatError(f"got an IV whose snapshot bit contradicts {entry.entry_type!r}")
