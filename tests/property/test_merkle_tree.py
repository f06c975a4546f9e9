"""The tree against its definition under any order of append, retract, flush and serialise."""

import os
from hashlib import sha256

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.merkle.path import fold
from ledger.merkle.tree import LEAF_ZERO, MerkleTree
from tests.reference import merkle as reference

EXAMPLES = int(os.environ.get("QUORATE_EXAMPLES", "60"))
STEP = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 40)),
    st.tuples(st.just("retract"), st.floats(0, 1)),
    st.tuples(st.just("flush"), st.floats(0, 1)),
    st.tuples(st.just("serialise"), st.floats(0, 1)),
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(STEP, max_size=25), st.floats(0, 1), st.floats(0, 1))
def test_any_history(steps: list[tuple[str, float]], where: float, what: float) -> None:
    leaves = [LEAF_ZERO]
    tree = MerkleTree()
    made = 0
    for action, amount in steps:
        position = tree.first + int(amount * (tree.count - 1 - tree.first) + 0.5)
        if action == "append":
            for _ in range(int(amount)):
                made += 1
                leaves.append(sha256(str(made).encode()).digest())
                tree.append(leaves[-1])
        elif action == "retract":
            tree.retract(position)
            del leaves[position + 1 :]
        elif action == "flush":
            tree.flush(position)
        else:
            data = tree.serialise(position)
            assert data == reference.serialised(leaves, position)
            tree = MerkleTree.deserialise(data)
        assert (tree.count, tree.root()) == (len(leaves), reference.root_of(leaves))
    at = tree.first + int(where * (tree.count - 1 - tree.first))
    seqno = tree.first + int(what * (at - tree.first))
    assert tree.root(at) == reference.root_of(leaves[: at + 1])
    path = tree.path(seqno, at)
    assert path == reference.path_of(leaves[: at + 1], seqno)
    assert fold(leaves[seqno], path) == tree.root(at)
