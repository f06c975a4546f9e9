"""The published vectors of entries and trees, and that their generator still makes them."""

import json
from pathlib import Path
from typing import Any

import pytest

from ledger.base.errors import FormatError
from ledger.codec.entry import parse_entry
from ledger.crypto.sealing import EntrySealer, leaf_of
from ledger.merkle.path import fold
from ledger.merkle.tree import MerkleTree
from tests.vectors import make_format_vectors

VECTORS = Path(make_format_vectors.__file__).parent
ENTRIES: dict[str, Any] = json.loads((VECTORS / "entries.json").read_text(encoding="utf-8"))
TREES: list[dict[str, Any]] = json.loads((VECTORS / "merkle.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", ENTRIES["good"], ids=lambda case: case["name"])
def test_good_entry(case: dict[str, Any]) -> None:
    sealer = EntrySealer(bytes.fromhex(ENTRIES["ledger_secret"]))
    changes = {
        name: {
            bytes.fromhex(key): None if value is None else bytes.fromhex(value)
            for key, value in writes.items()
        }
        for name, writes in case["changes"].items()
    }
    claims = bytes.fromhex(case["claims_digest"])
    entry, leaf = sealer.seal(case["view"], case["seqno"], case["flags"], changes, claims)
    assert entry.hex() == case["entry"]
    assert leaf.hex() == leaf_of(entry).hex() == case["leaf"]
    assert sealer.commit_evidence(case["view"], case["seqno"]) == case["commit_evidence"]
    assert sealer.open(parse_entry(entry)) == changes


@pytest.mark.parametrize("case", ENTRIES["bad"], ids=lambda case: case["name"])
def test_bad_entry(case: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match=case["error"]):
        parse_entry(bytes.fromhex(case["entry"]))


@pytest.mark.parametrize("case", TREES, ids=lambda case: f"{len(case['leaves'])} leaves")
def test_tree(case: dict[str, Any]) -> None:
    leaves = [bytes.fromhex(leaf) for leaf in case["leaves"]]
    tree = MerkleTree()
    for leaf in leaves[1:]:
        tree.append(leaf)
    assert tree.root().hex() == case["root"]
    path = [
        (side == "left", bytes.fromhex(sibling))
        for step in case["path"]
        for side, sibling in step.items()
    ]
    assert tree.path(case["seqno"], len(leaves) - 1) == path
    assert fold(leaves[case["seqno"]], path).hex() == case["root"]
    assert tree.serialise(case["first"]).hex() == case["serialised"]
    assert MerkleTree.deserialise(bytes.fromhex(case["serialised"])).root() == tree.root()


def test_generator_makes_the_committed_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make_format_vectors, "HERE", tmp_path)
    make_format_vectors.main()
    for name in ("entries.json", "merkle.json"):
        assert (tmp_path / name).read_bytes() == (VECTORS / name).read_bytes()
