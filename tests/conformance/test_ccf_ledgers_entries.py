"""Ledgers that CCF wrote: every entry explained, and made again to the same byte.

With the known ledger secrets of ``vectors.json`` the private domains are decrypted and encrypted
again, and commit evidence, leaves, roots and tree values are recomputed.
"""

import json
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ledger.base.errors import FormatError
from ledger.codec import canonical, writeset
from ledger.codec.entry import Entry, EntryType, frame, iv_for, parse_entry, public_domain
from ledger.codec.tables import SINGLETON_KEY
from ledger.crypto.sealing import EntrySealer, leaf_of
from ledger.files import chunk
from ledger.files.names import parse_chunk_name
from ledger.merkle.path import fold
from ledger.merkle.tree import MerkleTree

ROOT = Path(
    os.environ.get("QUORATE_TESTDATA", Path(__file__).parents[2].parent / "shared" / "testdata")
)
LEDGERS = ROOT / "ccf-ledgers"
NAMES = ("acme_containing_service", "cose_flipflop_service", "expired_service")
SIGNATURES = "public:ccf.internal.signatures"
TREE = "public:ccf.internal.tree"
SUBMITTED = ("public:ccf.gov.proposals", "public:ccf.gov.endpoints")

pytestmark = pytest.mark.skipif(
    not LEDGERS.is_dir(), reason="CCF's ledgers are not here; set QUORATE_TESTDATA to have them"
)


def vectors_of(name: str) -> dict[str, Any]:
    loaded = canonical.loads((LEDGERS / name / "vectors.json").read_bytes())
    assert isinstance(loaded, dict)
    return loaded


def chunks_of(name: str) -> list[tuple[int, bytes]]:
    """Return first seqno and bytes of each chunk, in order."""
    paths = (LEDGERS / name / "ledger").iterdir()
    return sorted((parse_chunk_name(path.name).first, path.read_bytes()) for path in paths)


def entries_of(name: str) -> Iterator[Entry]:
    for first, data in chunks_of(name):
        for offset in chunk.scan(data, first).offsets:
            yield parse_entry(data, offset)


def sealer_at(vectors: dict[str, Any], seqno: int) -> EntrySealer:
    start = max(int(first) for first in vectors["ledger_secrets"] if int(first) <= seqno)
    return EntrySealer(bytes.fromhex(vectors["ledger_secrets"][str(start)]))


@pytest.mark.parametrize("name", NAMES)
def test_every_byte_of_every_chunk_is_accounted_for(name: str) -> None:
    expected = 1
    for path in sorted((LEDGERS / name / "ledger").iterdir(), key=lambda path: path.stat().st_size):
        parsed = parse_chunk_name(path.name)
        assert parsed.text == path.name
    for first, data in chunks_of(name):
        result = chunk.scan(data, first)
        assert first == expected
        assert (result.problem, result.first) == (None, first)
        expected = first + len(result.offsets)
        if result.table_offset:
            entries = [parse_entry(data, offset).data for offset in result.offsets]
            assert chunk.build(entries) == data
    assert expected - 1 == len(vectors_of(name)["transactions"])


@pytest.mark.parametrize("name", NAMES)
def test_every_entry_is_made_again_to_the_same_byte(name: str) -> None:
    vectors = vectors_of(name)
    for entry, want in zip(entries_of(name), vectors["transactions"], strict=True):
        assert f"{entry.view}.{entry.seqno}" == want["txid"]
        assert (entry.entry_type, entry.flags) == (want["entry_type"], want["flags"])
        assert sha256(entry.data).hexdigest() == want["write_set_digest"]
        sealer = sealer_at(vectors, entry.seqno)
        changes = sealer.open(entry)
        evidence = sealer.commit_evidence(entry.view, entry.seqno)
        assert evidence == want["commit_evidence"]
        private_maps = sealer.open_private(entry)
        if "private_sha256" in want:
            assert sha256(private_maps).hexdigest() == want["private_sha256"]
            assert sorted(writeset.decode(private_maps)) == want["private_maps"]
        else:
            assert private_maps == b""
        assert writeset.encode(changes) == (entry.public_maps, private_maps)
        assert iv_for(entry.view, entry.seqno) == entry.iv
        assert frame(entry.flags, entry.tag, entry.iv, entry.public, entry.private) == entry.data
        if entry.entry_type is EntryType.WITH_EVIDENCE_AND_CLAIMS:
            again = sealer.seal(entry.view, entry.seqno, entry.flags, changes, entry.claims_digest)
            assert again == (entry.data, bytes.fromhex(want["leaf"]))
            assert entry.claims_digest is not None
            digest = sha256(evidence.encode()).digest()
            domain = public_domain(entry.seqno, entry.claims_digest, digest, entry.public_maps)
            assert domain == entry.public
        else:
            assert old_entry_again(entry, sealer, changes) == entry.data


def old_entry_again(entry: Entry, sealer: EntrySealer, changes: writeset.Changes) -> bytes:
    """Rebuild a type 3 entry, which the product only reads, from its changes."""
    assert entry.entry_type is EntryType.WITH_EVIDENCE
    public_maps, private_maps = writeset.encode(changes)
    evidence = sha256(sealer.commit_evidence(entry.view, entry.seqno).encode()).digest()
    public = b"\x03" + entry.seqno.to_bytes(8, "little") + evidence
    public += entry.header.reserved.to_bytes(8, "little") + public_maps
    iv = iv_for(entry.view, entry.seqno)
    sealed = sealer._cipher.encrypt(iv, private_maps, public)
    return frame(entry.flags, sealed[-16:], iv, public, sealed[:-16])


@pytest.mark.parametrize("name", NAMES)
def test_leaves_roots_and_tree_values(name: str) -> None:
    vectors = vectors_of(name)
    tree = MerkleTree()
    leaves = [bytes(32)]
    signed: list[tuple[int, bytes]] = []
    for entry, want in zip(entries_of(name), vectors["transactions"], strict=True):
        maps = writeset.decode(entry.public_maps)
        if SIGNATURES in maps:
            value = maps[SIGNATURES][SINGLETON_KEY]
            assert value is not None
            signature = canonical.loads(value)
            assert canonical.dumps(signature) == value
            assert tree.root().hex() == signature["root"] == want["root_signed"]
            signed.append((entry.seqno, tree.root()))
            assert_tree_value(tree, maps[TREE][SINGLETON_KEY])
        leaf = leaf_of(entry.data)
        assert leaf.hex() == want["leaf"]
        tree.append(leaf)
        leaves.append(leaf)
    assert tree.root().hex() == vectors["final_root"]
    assert len(signed) == vectors["signatures"]
    for at, root in signed:
        for seqno in range(at):
            assert fold(leaves[seqno], tree.path(seqno, at - 1)) == root


def assert_tree_value(tree: MerkleTree, value: bytes | None) -> None:
    assert value is not None
    stored = MerkleTree.deserialise(value)
    assert stored.root() == tree.root()
    assert stored.serialise() == tree.serialise(stored.first) == value


@pytest.mark.parametrize("name", NAMES)
def test_json_that_ccf_wrote_is_canonical(name: str) -> None:
    """Of its own tables, all but those that hold a submitted text as it came."""
    seen = 0
    for entry in entries_of(name):
        for table, writes in writeset.decode(entry.public_maps).items():
            if not table.startswith("public:ccf.") or table in SUBMITTED:
                continue
            for value in writes.values():
                parsed = json_or_none(value)
                if parsed is not None:
                    assert canonical.loads(value or b"") == parsed
                    assert canonical.dumps(parsed) == value
                    seen += 1
    assert seen > 40


def json_or_none(value: bytes | None) -> object:
    if not value or value[:1] not in b'{["':
        return None
    try:
        parsed: object = json.loads(value)
    except ValueError:
        return None
    return parsed


def test_snapshot_parses_and_opens() -> None:
    name = "expired_service"
    (path,) = (LEDGERS / name / "snapshots").iterdir()
    data = path.read_bytes()
    entry = parse_entry(data)
    vectors = vectors_of(name)
    assert entry.entry_type is EntryType.SNAPSHOT
    assert (entry.seqno, entry.view, entry.is_snapshot_iv) == (61, 0, True)
    assert entry.header.snapshot_leaf is not None
    assert entry.header.snapshot_leaf.hex() == vectors["transactions"][60]["leaf"]
    assert entry.header.view_history == (1, 1, 29, 29)
    assert sealer_at(vectors, 61).open_domain(entry)
    receipt = canonical.loads(data[entry.size :])
    assert receipt["leaf_components"]["claims_digest"] == sha256(entry.data).hexdigest()
    with pytest.raises(FormatError):
        leaf_of(entry.data)
