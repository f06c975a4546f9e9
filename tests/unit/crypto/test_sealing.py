"""Sealing against known answers and the definition; opening with every changed byte."""

from hashlib import sha256

import pytest

from ledger.base.errors import FormatError, MisuseError, VerificationError
from ledger.base.limits import WRITTEN_ENTRY_SIZE_MAX
from ledger.codec import writeset
from ledger.codec.entry import EntrySizeError, frame, iv_for, parse_entry, public_domain
from ledger.codec.writeset import Changes
from ledger.crypto import aead
from ledger.crypto.sealing import EntrySealer, leaf_of
from tests.reference import writeset as reference

SECRET = bytes(range(32))
CHANGES: Changes = {"public:a": {b"k": b"v", b"j": None}, "b": {b"x": b"y"}}
CLAIMS = sha256(b"claim").digest()
ENTRY = bytes.fromhex(
    "0100fb00000000006b498828b3413d3da50e2ee25dd7cbb00700000000000000020000009c00000000000000"
    "040700000000000000dd1b3c312cf7d816130354452e9629ce39355b0c534129dd26a08cd9a4502ede"
    "e878b8d1368bc6f554bca263e37b4f213995ffa73d7a88d111285b2a47139ef00000000000000000"
    "08000000000000007075626c69633a61000000000000000000000000000000000100000000000000"
    "01000000000000006b010000000000000076010000000000000001000000000000006a"
    "2e60b022581a2c831bfb5abdb5765fb454f67e8e10d358f57617781c7d358ef57002d1104b6981bd"
    "94430f147fb2ba4f19e50391971da268cdfcf3"
)
LEAF = "61cbbc28e46c6b1236cd5125946c0668a37a04d9d395af5dc9bb9c59c9a7d648"


def test_known_answer() -> None:
    sealer = EntrySealer(SECRET)
    entry, leaf = sealer.seal(2, 7, 0, CHANGES, CLAIMS)
    assert entry == ENTRY
    assert leaf.hex() == LEAF
    assert leaf_of(entry) == leaf
    assert sealer.commit_evidence(2, 7) == (
        "ce:2.7:c1b206e9faa7aed319d14b40a6bb2817733f2a768ad010b181ffd7bb11064e90"
    )
    assert sha256(entry).hexdigest() == (
        "5a21aa0c8fd87f7094cdcf4bea066a02a120e7f146e0083980a1d2c49c3b927f"
    )
    assert sealer.open(parse_entry(entry)) == CHANGES


@pytest.mark.parametrize(
    "changes",
    [
        {"public:a": {b"k": b"v"}},
        {"b": {b"x": b"y"}},
        {"b": {b"x": None}},
        CHANGES,
        {"public:big": {b"k": b"v" * 5000}, "big": {bytes([n]): b"w" * 100 for n in range(200)}},
    ],
)
@pytest.mark.parametrize(("view", "seqno"), [(2, 1), (1, 2**64 - 1), (2**31 - 1, 255), (300, 256)])
@pytest.mark.parametrize("flags", [0, 1, 2, 3])
def test_equal_to_the_definition(changes: Changes, view: int, seqno: int, flags: int) -> None:
    sealer = EntrySealer(SECRET)
    for claims in (None, CLAIMS):
        entry, leaf = sealer.seal(view, seqno, flags, changes, claims)
        want = reference.seal(SECRET, view, seqno, flags, changes, claims or bytes(32))
        assert (entry, leaf) == want
        assert leaf_of(entry) == leaf
        assert sealer.open(parse_entry(entry)) == changes
        assert sealer.commit_evidence(view, seqno) == reference.evidence(SECRET, view, seqno)


def test_sealed_entry_is_what_the_codec_frames() -> None:
    parsed = parse_entry(ENTRY)
    assert parsed.evidence_digest is not None
    public = public_domain(7, CLAIMS, parsed.evidence_digest, parsed.public_maps)
    assert frame(0, parsed.tag, iv_for(2, 7), public, parsed.private) == ENTRY


def test_every_changed_byte_is_noticed() -> None:
    sealer = EntrySealer(SECRET)
    for position in range(len(ENTRY)):
        data = bytearray(ENTRY)
        data[position] ^= 0x40
        with pytest.raises((FormatError, VerificationError)):
            sealer.open(parse_entry(bytes(data)))


def test_flags_are_bound_by_the_leaf_only() -> None:
    """They are outside the authenticated data; the Merkle leaf covers them."""
    flagged = ENTRY[:1] + b"\x01" + ENTRY[2:]
    assert EntrySealer(SECRET).open(parse_entry(flagged)) == CHANGES
    assert leaf_of(flagged) != leaf_of(ENTRY)


def test_another_secret_opens_nothing() -> None:
    with pytest.raises(VerificationError, match=r"entry 2\.7"):
        EntrySealer(bytes(32)).open(parse_entry(ENTRY))


def authentic(public: bytes, private_maps: bytes) -> bytes:
    iv = iv_for(2, 7)
    tag, private = aead.seal(SECRET, iv, private_maps, public)
    return frame(0, tag, iv, public, private)


def test_evidence_digest_of_another_evidence() -> None:
    data = authentic(public_domain(7, CLAIMS, sha256(b"ce:2.7:other").digest(), b""), b"")
    sealer = EntrySealer(SECRET)
    with pytest.raises(VerificationError, match="commit evidence"):
        sealer.open(parse_entry(data))
    assert sealer.open_domain(parse_entry(data)) == b""


def test_maps_in_the_wrong_domain() -> None:
    sealer = EntrySealer(SECRET)
    evidence = sha256(sealer.commit_evidence(2, 7).encode()).digest()
    public_maps, private_maps = writeset.encode(CHANGES)
    leaked = authentic(public_domain(7, CLAIMS, evidence, private_maps), b"")
    with pytest.raises(FormatError, match="got private map 'b' in the public domain"):
        sealer.open(parse_entry(leaked))
    hidden = authentic(public_domain(7, CLAIMS, evidence, b""), public_maps)
    with pytest.raises(FormatError, match="got public map 'public:a' in the private domain"):
        sealer.open(parse_entry(hidden))


def test_leaf_of_each_type() -> None:
    def leaf(kind: int, digests: bytes) -> tuple[bytes, bytes]:
        public = bytes([kind]) + (7).to_bytes(8, "little") + digests + bytes(8)
        data = frame(0, bytes(16), iv_for(2, 7), public, b"")
        return leaf_of(data), sha256(data).digest()

    got, write_set = leaf(0, b"")
    assert got == write_set
    for kind in (2, 3):
        got, write_set = leaf(kind, CLAIMS)
        assert got == sha256(write_set + CLAIMS).digest()
    evidence = sha256(b"evidence").digest()
    got, write_set = leaf(4, CLAIMS + evidence)
    assert got == sha256(write_set + evidence + CLAIMS).digest()


def test_snapshot_has_no_leaf_of_its_own() -> None:
    public = b"\x01" + (7).to_bytes(8, "little") + bytes(8) + (32).to_bytes(8, "little")
    public += bytes(32) + bytes(8)
    with pytest.raises(FormatError, match="snapshot"):
        leaf_of(frame(0, bytes(16), iv_for(0, 7, snapshot=True), public, b""))


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_secret_of_another_size(size: int) -> None:
    with pytest.raises(MisuseError, match="want 32"):
        EntrySealer(bytes(size))


@pytest.mark.parametrize(("view", "claims"), [(0, None), (2**31, None), (2, b"short")])
def test_broken_contracts(view: int, claims: bytes | None) -> None:
    with pytest.raises(AssertionError):
        EntrySealer(SECRET).seal(view, 7, 0, CHANGES, claims)


def _opened_slowly(sealer: EntrySealer, view: int, seqno: int, data: bytes) -> object:
    """What ``open_at`` has to say, by the general functions."""
    try:
        entry = parse_entry(data)
        if entry.size != len(data) or (entry.view, entry.seqno) != (view, seqno):
            return None
        if entry.entry_type != 4 or entry.header.reserved:
            return None
        return sealer.open(entry), leaf_of(data)
    except (FormatError, VerificationError):
        return None


def _opened_at(sealer: EntrySealer, view: int, seqno: int, data: bytes) -> object:
    try:
        return sealer.open_at(view, seqno, data)
    except (FormatError, VerificationError):
        return None


def test_open_at_opens_what_was_sealed() -> None:
    sealer = EntrySealer(bytes(32))
    data, leaf = sealer.seal(3, 9, 1, CHANGES, bytes([7]) * 32)
    assert sealer.open_at(3, 9, data) == (CHANGES, leaf)


def test_open_at_judges_every_changed_byte_and_cut_as_the_general_way() -> None:
    sealer = EntrySealer(bytes(32))
    data, _ = sealer.seal(3, 9, 0, {"public:a": {b"k": b"v"}, "b": {b"x": b"y"}})
    variants = [data[:cut] for cut in range(len(data))] + [data + b"\0"]
    for position in range(len(data)):
        for bit in (1, 2, 0x80):
            changed = bytearray(data)
            changed[position] ^= bit
            variants.append(bytes(changed))
    for variant in variants:
        expected = _opened_slowly(sealer, 3, 9, variant)
        assert _opened_at(sealer, 3, 9, variant) == expected
    for view, seqno in ((2, 9), (3, 8)):
        assert _opened_at(sealer, view, seqno, data) is None
    assert _opened_at(EntrySealer(bytes([1]) * 32), 3, 9, data) is None


@pytest.mark.parametrize("changes", [{"a": {b"k": b"v"}}, {"public:a": {b"k": b"v"}}])
def test_open_at_refuses_maps_in_the_wrong_domain(changes: Changes) -> None:
    sealer = EntrySealer(bytes(32))
    public_maps, private_maps = writeset.encode(changes)
    swapped, _ = reference.seal_maps(
        bytes(32), 3, 9, 0, private_maps, public_maps, claims=bytes(32)
    )
    with pytest.raises(FormatError):
        sealer.open_at(3, 9, swapped)


@pytest.mark.parametrize("name", ["public:large", "large"])
def test_what_no_frame_could_carry_is_not_sealed(name: str) -> None:
    sealer = EntrySealer(SECRET)
    overhead = len(sealer.seal(2, 7, 0, {name: {b"k": b""}})[0])
    most = WRITTEN_ENTRY_SIZE_MAX - overhead
    entry, _ = sealer.seal(2, 7, 0, {name: {b"k": bytes(most)}})
    assert len(entry) == WRITTEN_ENTRY_SIZE_MAX
    with pytest.raises(EntrySizeError, match=f"of {WRITTEN_ENTRY_SIZE_MAX + 1} bytes, want"):
        sealer.seal(2, 7, 0, {name: {b"k": bytes(most + 1)}})
