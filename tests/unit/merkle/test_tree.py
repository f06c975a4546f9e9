"""The Merkle tree: known answers, bounds, refusals, and equality with the definition when small."""

from collections.abc import Callable
from hashlib import sha256

import pytest

from ledger.base.errors import FormatError, MisuseError
from ledger.merkle.path import fold
from ledger.merkle.tree import LEAF_ZERO, MerkleTree
from tests.reference import merkle as reference

LEAVES = [LEAF_ZERO, *(sha256(bytes([number])).digest() for number in range(1, 6))]
ROOT = "645585f2a2973d85ca3095ad36fc3e398d66101b045b0f08b6d7c1df88cf21c8"


def tree_of(leaves: list[bytes]) -> MerkleTree:
    tree = MerkleTree()
    for leaf in leaves[1:]:
        tree.append(leaf)
    return tree


def many(count: int) -> list[bytes]:
    return [LEAF_ZERO, *(sha256(str(number).encode()).digest() for number in range(1, count))]


def test_known_root_and_shape_of_proof() -> None:
    tree = tree_of(LEAVES)
    assert tree.count == 6
    assert tree.root().hex() == ROOT
    path = tree.path(3, 5)
    assert [left for left, _ in path] == [True, True, False]
    assert fold(LEAVES[3], path).hex() == ROOT


def test_new_tree_is_its_zero_leaf() -> None:
    tree = MerkleTree()
    assert (tree.count, tree.first, tree.root()) == (1, 0, LEAF_ZERO)
    assert tree.path(0, 0) == []
    assert tree.serialise() == bytes(7) + b"\x01" + bytes(8) + LEAF_ZERO


@pytest.mark.parametrize("count", range(1, 35))
def test_every_root_proof_and_serialised_form_of_small_trees(count: int) -> None:
    leaves = many(count)
    tree = tree_of(leaves)
    assert tree.root() == reference.root_of(leaves)
    for at in range(count):
        assert tree.root(at) == reference.root_of(leaves[: at + 1])
        for seqno in range(at + 1):
            path = tree.path(seqno, at)
            assert path == reference.path_of(leaves[: at + 1], seqno)
            assert fold(leaves[seqno], path) == tree.root(at)
    for first in range(count):
        data = tree.serialise(first)
        assert data == reference.serialised(leaves, first)
        again = MerkleTree.deserialise(data)
        assert (again.first, again.count, again.root()) == (first, count, tree.root())
        assert again.serialise() == data


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 31, 32, 33])
def test_flushed_tree_goes_on_like_the_whole_one(count: int) -> None:
    leaves = many(count + 20)
    for first in range(count):
        tree = tree_of(leaves[:count])
        tree.flush(first)
        for leaf in leaves[count:]:
            tree.append(leaf)
        assert tree.root() == reference.root_of(leaves)
        assert tree.path(first, count + 19) == reference.path_of(leaves, first)
        assert tree.leaf(first) == leaves[first]


@pytest.mark.parametrize("count", range(1, 18))
@pytest.mark.parametrize("added", [0, 1, 2, 3, 8, 21])
def test_many_leaves_at_once_are_as_one_by_one(count: int, added: int) -> None:
    leaves = many(count + added + 1)
    for first in range(count):
        tree = tree_of(leaves[:count])
        tree.flush(first)
        tree.extend(leaves[count : count + added])
        assert tree.count == count + added
        assert tree.root() == reference.root_of(leaves[: count + added])
        tree.append(leaves[-1])
        assert tree.serialise(first) == reference.serialised(leaves, first)


@pytest.mark.parametrize("leaves", [[b"x" * 31], [b"x" * 32, b"x" * 33], [b"x" * 31, b"x" * 33]])
def test_leaves_of_another_size_are_a_mistake(leaves: list[bytes]) -> None:
    with pytest.raises(AssertionError, match="a leaf has 32 bytes"):
        MerkleTree().extend(leaves)


@pytest.mark.parametrize("count", [2, 3, 8, 9, 33])
def test_retract_undoes_appends(count: int) -> None:
    leaves = many(count)
    for newest in range(count):
        tree = tree_of(leaves)
        tree.retract(newest)
        assert tree.count == newest + 1
        assert tree.root() == reference.root_of(leaves[: newest + 1])
        other = sha256(b"other").digest()
        tree.append(other)
        assert tree.root() == reference.root_of([*leaves[: newest + 1], other])


def test_flush_backwards_changes_nothing() -> None:
    tree = tree_of(many(20))
    tree.flush(13)
    before = tree.serialise()
    tree.flush(5)
    assert tree.first == 13
    assert tree.serialise() == before


@pytest.mark.parametrize(
    "call",
    [
        lambda tree: tree.retract(9),
        lambda tree: tree.retract(20),
        lambda tree: tree.flush(20),
        lambda tree: tree.flush(-1),
        lambda tree: tree.path(9, 15),
        lambda tree: tree.path(15, 14),
        lambda tree: tree.path(15, 20),
        lambda tree: tree.root(9),
        lambda tree: tree.root(20),
        lambda tree: tree.leaf(9),
        lambda tree: tree.serialise(9),
        lambda tree: tree.serialise(20),
    ],
)
def test_positions_out_of_range_are_refused_and_change_nothing(
    call: Callable[[MerkleTree], object],
) -> None:
    tree = tree_of(many(20))
    tree.flush(10)
    before = tree.serialise()
    with pytest.raises(MisuseError, match="got leaf"):
        call(tree)
    assert tree.serialise() == before


def test_leaf_of_another_size_is_refused() -> None:
    with pytest.raises(AssertionError, match="32 bytes"):
        MerkleTree().append(bytes(31))


def test_every_truncation_and_extension_of_a_serialised_tree_is_refused() -> None:
    data = tree_of(many(13)).serialise(5)
    for size in range(len(data)):
        with pytest.raises(FormatError):
            MerkleTree.deserialise(data[:size])
    with pytest.raises(FormatError):
        MerkleTree.deserialise(data + b"\0")


@pytest.mark.parametrize(
    "head",
    [
        bytes(16),
        b"\xff" * 8 + bytes(8),
        b"\xff" * 16,
        bytes(7) + b"\x01" + b"\xff" * 8,
    ],
)
def test_impossible_counts_are_refused_without_building_anything(head: bytes) -> None:
    with pytest.raises(FormatError):
        MerkleTree.deserialise(head + bytes(32 * 65))
