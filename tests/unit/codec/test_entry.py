"""Entries of every type: parse, build again, every truncation, every single defect."""

import struct

import pytest

from ledger.base.errors import FormatError
from ledger.base.limits import SEQNO_MAX, VIEW_MAX
from ledger.codec import entry
from ledger.codec.entry import EntryType

CLAIMS = b"c" * 32
EVIDENCE = b"e" * 32
MAPS = b"maps, not looked at here"
TAG = b"t" * 16
PUBLIC = entry.public_domain(7, CLAIMS, EVIDENCE, MAPS)
ENTRY = entry.frame(1, TAG, entry.iv_for(2, 7), PUBLIC, b"private")


def domain(kind: int, *digests: bytes, reserved: int = 0) -> bytes:
    return struct.pack("<BQ", kind, 7) + b"".join(digests) + struct.pack("<Q", reserved) + MAPS


def test_layout() -> None:
    assert domain(4, CLAIMS, EVIDENCE) == PUBLIC
    size = 36 + len(PUBLIC) + 7
    want = struct.pack("<BB", 1, 1) + size.to_bytes(6, "little") + TAG + struct.pack("<QI", 7, 2)
    assert want + struct.pack("<Q", len(PUBLIC)) + PUBLIC + b"private" == ENTRY


def test_parse() -> None:
    parsed = entry.parse_entry(ENTRY)
    assert (parsed.version, parsed.flags, parsed.size) == (1, entry.FLAG_CHUNK_AFTER, len(ENTRY))
    assert (parsed.view, parsed.seqno, parsed.iv_seqno) == (2, 7, 7)
    assert not parsed.is_snapshot_iv
    assert (parsed.tag, parsed.iv) == (TAG, entry.iv_for(2, 7))
    assert (parsed.public, parsed.private, parsed.data) == (PUBLIC, b"private", ENTRY)
    assert parsed.entry_type is EntryType.WITH_EVIDENCE_AND_CLAIMS
    assert (parsed.claims_digest, parsed.evidence_digest) == (CLAIMS, EVIDENCE)
    assert parsed.public_maps == MAPS
    assert parsed.header.reserved == 0


@pytest.mark.parametrize(
    ("kind", "digests", "claims", "evidence"),
    [
        (0, (), None, None),
        (2, (CLAIMS,), CLAIMS, None),
        (3, (EVIDENCE,), None, EVIDENCE),
        (4, (CLAIMS, EVIDENCE), CLAIMS, EVIDENCE),
    ],
)
def test_every_type_of_transaction_is_readable(
    kind: int, digests: tuple[bytes, ...], claims: bytes | None, evidence: bytes | None
) -> None:
    public = domain(kind, *digests, reserved=99)
    parsed = entry.parse_entry(entry.frame(0, TAG, entry.iv_for(2, 7), public, b""))
    assert parsed.entry_type == kind
    assert (parsed.claims_digest, parsed.evidence_digest) == (claims, evidence)
    assert parsed.public_maps == MAPS
    assert parsed.header.reserved == 99
    assert parsed.header.snapshot_leaf is None


def snapshot_domain(leaf: bytes, history: bytes) -> bytes:
    head = struct.pack("<BQQQ", 1, 7, 0, len(leaf)) + leaf
    return head + struct.pack("<Q", len(history)) + history + MAPS


def test_snapshot_is_readable() -> None:
    public = snapshot_domain(CLAIMS, struct.pack("<QQ", 1, 5))
    iv = entry.iv_for(0, 7, snapshot=True)
    parsed = entry.parse_entry(entry.frame(0, TAG, iv, public, b""))
    assert parsed.entry_type is EntryType.SNAPSHOT
    assert (parsed.view, parsed.seqno, parsed.is_snapshot_iv) == (0, 7, True)
    assert (parsed.header.snapshot_leaf, parsed.header.view_history) == (CLAIMS, (1, 5))
    assert parsed.public_maps == MAPS


@pytest.mark.parametrize(
    "public",
    [
        snapshot_domain(b"short", b""),
        snapshot_domain(CLAIMS, b"x"),
        snapshot_domain(CLAIMS, b"")[:40],
        snapshot_domain(CLAIMS, b"")[:60],
        struct.pack("<BQQQ", 1, 7, 0, 2**64 - 1),
    ],
)
def test_snapshot_headers_that_do_not_parse(public: bytes) -> None:
    iv = entry.iv_for(0, 7, snapshot=True)
    with pytest.raises(FormatError, match=r"snapshot header|view history"):
        entry.parse_entry(entry.frame(0, TAG, iv, public, b""))


def test_iv_is_unique_by_seqno_view_and_kind() -> None:
    assert entry.iv_for(2, 7) == struct.pack("<QI", 7, 2)
    assert entry.iv_for(0, 7, snapshot=True) == struct.pack("<QI", 7, 1 << 31)
    assert entry.iv_for(VIEW_MAX, SEQNO_MAX) == b"\xff" * 11 + b"\x7f"
    with pytest.raises(AssertionError, match="bit 31"):
        entry.iv_for(VIEW_MAX + 1, 7)


def test_parse_at_an_offset_of_a_larger_buffer() -> None:
    buffer = b"xyz" + ENTRY + b"more"
    for view in (buffer, memoryview(buffer)):
        parsed = entry.parse_entry(view, 3)
        assert parsed.data == ENTRY
        assert type(parsed.public) is bytes
        assert entry.entry_size(view, 3) == len(ENTRY)


@pytest.mark.parametrize("size", range(len(ENTRY)))
def test_every_truncation_is_refused(size: int) -> None:
    for lenient in (False, True):
        with pytest.raises(FormatError, match="got"):
            entry.parse_entry(ENTRY[:size], lenient=lenient)


def test_every_changed_byte_is_a_value_or_refused() -> None:
    for position in range(len(ENTRY)):
        for byte in (0, 1, 4, 0x80, 0xFF):
            data = ENTRY[:position] + bytes([byte]) + ENTRY[position + 1 :]
            for lenient in (False, True):
                try:
                    parsed = entry.parse_entry(data, lenient=lenient)
                except FormatError:
                    continue
                if not lenient:
                    assert parsed.iv_seqno == parsed.seqno
                    again = entry.frame(
                        parsed.flags, parsed.tag, parsed.iv, parsed.public, parsed.private
                    )
                    assert again == parsed.data == data[: parsed.size]


DEFECTS = [
    (b"\x02" + ENTRY[1:], "got entry version 2"),
    (b"\x01\x04" + ENTRY[2:], "got entry flags 0x04"),
    (ENTRY[:24] + entry.iv_for(2, 8) + ENTRY[36:], "got seqno 8 in the IV and 7"),
    (ENTRY[:24] + entry.iv_for(2, 7, snapshot=True) + ENTRY[36:], "snapshot bit"),
]


@pytest.mark.parametrize(("data", "message"), DEFECTS)
def test_defects_that_only_an_auditor_reads_past(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        entry.parse_entry(data)
    parsed = entry.parse_entry(data, lenient=True)
    assert parsed.public == PUBLIC
    assert (parsed.version, parsed.flags) == (data[0], data[1])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x01\x00" + (35).to_bytes(6, "little") + bytes(50), "got entry size 35"),
        (b"\x01\x00" + b"\xff" * 6 + bytes(50), "got entry size"),
        (ENTRY[:36] + struct.pack("<Q", len(ENTRY) - 43) + ENTRY[44:], "got a public domain of"),
        (ENTRY[:36] + b"\xff" * 8 + ENTRY[44:], "got a public domain of"),
        (ENTRY[:44] + b"\x05" + ENTRY[45:], "got entry type 5"),
        (entry.frame(0, TAG, entry.iv_for(2, 7), b"", b""), "got entry type -1"),
        (entry.frame(0, TAG, entry.iv_for(2, 7), PUBLIC[:80], b""), "got a public domain of 80"),
    ],
)
def test_defects_that_nobody_reads_past(data: bytes, message: str) -> None:
    for lenient in (False, True):
        with pytest.raises(FormatError, match=message):
            entry.parse_entry(data, lenient=lenient)
