"""The Merkle tree over a ledger: append, root, retract, flush, proofs, serialised form.

Leaf 0 is 32 zero bytes and leaf s is the leaf of seqno s, so the tree at s has s + 1 leaves. A
node is SHA-256 of its two children, without domain separation; the shape is that of RFC 6962
(section 2.1): pair up per level, carry an odd last node up unchanged.

Each level keeps its complete nodes in one bytearray, 64 bytes per leaf in total. Two children are
neighbours when their parent is due, so an append costs one hash on average; cutting a
bytearray at either end is free. A level's base is even, so that the left sibling of the first
retained node stays.
"""

from collections.abc import Sequence
from hashlib import sha256

from ledger.base.errors import FormatError, MisuseError
from ledger.merkle.path import Path

HASH_SIZE = 32
LEAF_ZERO = bytes(HASH_SIZE)
"""Leaf 0, which belongs to no transaction."""
_HEADER_SIZE = 16


class MerkleTree:
    """An append-only tree that can forget its oldest leaves and drop its newest.

    Attributes:
        count: Leaves appended and not retracted, flushed ones included; at least 1.
        first: Oldest leaf that is retained. Invariant: ``first < count``.
    """

    __slots__ = ("_bases", "_levels", "count", "first")

    def __init__(self) -> None:
        self._levels: list[bytearray] = [bytearray(LEAF_ZERO)]
        self._bases: list[int] = [0]
        self.count = 1
        self.first = 0

    def append(self, leaf: bytes) -> None:
        """Add the leaf of the next seqno, 32 bytes; ``extend`` costs less for many at once."""
        assert len(leaf) == HASH_SIZE, "a leaf has 32 bytes"
        level = self._levels[0]
        level += leaf
        index = self.count
        self.count = index + 1
        height = 0
        while index & 1:  # the newest node of this level completes a pair, which is retained
            node = sha256(level[-64:]).digest()
            index >>= 1
            height += 1
            level = self._level(height)
            level += node

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add the leaves of the next seqnos, 32 bytes each, level by level."""
        assert set(map(len, leaves)) <= {HASH_SIZE}, "a leaf has 32 bytes"
        nodes = b"".join(leaves)
        bases = self._bases
        before = self.count
        after = self.count = before + len(leaves)
        level = self._levels[0]
        level += nodes
        height = 0
        while (first := before >> 1) != (end := after >> 1):
            base = bases[height]
            nodes = b"".join(
                [
                    sha256(level[begin : begin + 64]).digest()
                    for begin in range((2 * first - base) * 32, (2 * end - base) * 32, 64)
                ]
            )
            height += 1
            level = self._level(height)
            level += nodes
            before, after = first, end

    def _level(self, height: int) -> bytearray:
        """Return a level, which may be new: one above all."""
        levels = self._levels
        if height == len(levels):
            levels.append(bytearray())
            self._bases.append(0)
        return levels[height]

    def root(self, at: int | None = None) -> bytes:
        """Return the root, 32 bytes, in time logarithmic in the number of leaves.

        Args:
            at: Root of the tree at this seqno, in ``[first, count)``; the newest when None.

        Raises:
            MisuseError: ``at`` out of range.
        """
        count = self.count if at is None else self._checked(at, self.first) + 1
        accumulated = b""
        height = 0
        while count:
            if count & 1:
                peak = self._node(height, count - 1)
                accumulated = sha256(peak + accumulated).digest() if accumulated else peak
            count >>= 1
            height += 1
        return accumulated

    def leaf(self, seqno: int) -> bytes:
        """Return a retained leaf.

        Raises:
            MisuseError: not in ``[first, count)``.
        """
        return self._node(0, self._checked(seqno, self.first))

    def path(self, seqno: int, at: int) -> Path:
        """Return the proof of a leaf in the tree at a seqno.

        Args:
            seqno: The leaf, in ``[first, at]``.
            at: The tree has ``at + 1`` leaves; in ``[seqno, count)``.

        Returns:
            From leaf to root, ``(left, hash)``; see ``merkle.path.fold``.

        Raises:
            MisuseError: out of range.
        """
        index = self._checked(seqno, self.first)
        complete = self._checked(at, seqno) + 1
        steps: Path = []
        partial = b""
        height = 0
        while complete > 1 or (complete == 1 and partial):
            if index & 1:
                steps.append((True, self._node(height, index - 1)))
            elif index + 1 < complete:
                steps.append((False, self._node(height, index + 1)))
            elif index + 1 == complete and partial:
                steps.append((False, partial))
            if complete & 1:
                peak = self._node(height, complete - 1)
                partial = sha256(peak + partial).digest() if partial else peak
            index >>= 1
            complete >>= 1
            height += 1
        return steps

    def retract(self, seqno: int) -> None:
        """Drop every leaf after a seqno.

        Args:
            seqno: In ``[first, count)``; it becomes the newest leaf.

        Raises:
            MisuseError: out of range.
        """
        self.count = self._checked(seqno, self.first) + 1
        for height, level in enumerate(self._levels):
            del level[((self.count >> height) - self._bases[height]) * HASH_SIZE :]

    def flush(self, seqno: int) -> None:
        """Forget every leaf before a seqno; roots stay the same, older proofs are gone.

        Args:
            seqno: Becomes ``first``; in ``[0, count)``. Nothing happens when it is below ``first``.

        Raises:
            MisuseError: not below ``count``.
        """
        self._checked(seqno, 0)
        if seqno <= self.first:
            return
        self.first = seqno
        for height, level in enumerate(self._levels):
            base = seqno >> height & ~1
            del level[: (base - self._bases[height]) * HASH_SIZE]
            self._bases[height] = base

    def serialise(self, first: int | None = None) -> bytes:
        """Return the tree as it stands in the ledger's tree table.

        Args:
            first: Oldest leaf to include, in ``[self.first, count)``; all retained when None.

        Returns:
            u64 number of leaves and u64 ``first``, both big-endian; the leaves; the left siblings
            on the way from leaf ``first`` to the root, bottom to top.

        Raises:
            MisuseError: ``first`` out of range.
        """
        first = self._checked(self.first if first is None else first, self.first)
        parts: list[bytes | bytearray] = [
            (self.count - first).to_bytes(8, "big"),
            first.to_bytes(8, "big"),
            self._levels[0][(first - self._bases[0]) * HASH_SIZE :],
        ]
        index = first
        height = 0
        while index:
            if index & 1:
                parts.append(self._node(height, index - 1))
            index >>= 1
            height += 1
        return b"".join(parts)

    @classmethod
    def deserialise(cls, data: bytes) -> "MerkleTree":
        """Read what ``serialise`` makes.

        Raises:
            FormatError: no leaf, sizes that contradict each other, or more than 2**64 leaves.
        """
        if len(data) < _HEADER_SIZE:
            raise FormatError(f"got a tree of {len(data)} bytes, want at least {_HEADER_SIZE}")
        retained = int.from_bytes(data[:8], "big")
        first = int.from_bytes(data[8:16], "big")
        size = _HEADER_SIZE + (retained + first.bit_count()) * HASH_SIZE
        if retained == 0 or len(data) != size or retained + first >= 1 << 64:
            raise FormatError(
                f"got a tree of {len(data)} bytes with {retained} leaves from {first}, "
                f"want {size} bytes and at least one leaf"
            )
        hashes = [data[begin : begin + HASH_SIZE] for begin in range(_HEADER_SIZE, size, HASH_SIZE)]
        tree = cls._before(first, hashes[retained:])
        tree.extend(hashes[:retained])
        return tree

    @classmethod
    def _before(cls, first: int, siblings: list[bytes]) -> "MerkleTree":
        """Return the state in which leaf ``first`` is the next; it must be appended at once."""
        tree = cls()
        tree.first = tree.count = first
        heights = range(max(first.bit_length(), 1))
        following = iter(siblings)
        tree._levels = [
            bytearray(next(following) if first >> height & 1 else b"") for height in heights
        ]
        tree._bases = [first >> height & ~1 for height in heights]
        return tree

    def _node(self, height: int, index: int) -> bytes:
        begin = (index - self._bases[height]) * HASH_SIZE
        return bytes(self._levels[height][begin : begin + HASH_SIZE])

    def _checked(self, seqno: int, lowest: int) -> int:
        if not lowest <= seqno < self.count:
            raise MisuseError(f"got leaf {seqno}, want one in [{lowest}, {self.count})")
        return seqno
