"""Proofs in the Merkle tree: from a leaf to the root."""

from collections.abc import Iterable
from hashlib import sha256

Path = list[tuple[bool, bytes]]
"""From leaf to root: whether the hash stands on the left, and the hash, 32 bytes."""


def fold(leaf: bytes, path: Iterable[tuple[bool, bytes]]) -> bytes:
    """Return the root that a leaf and its proof lead to.

    Args:
        leaf: 32 bytes.
        path: From leaf to root; ``(True, h)`` means ``H(h || node)``, ``(False, h)`` means
            ``H(node || h)``.
    """
    node = leaf
    for left, sibling in path:
        node = sha256(sibling + node if left else node + sibling).digest()
    return node
