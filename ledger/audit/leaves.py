"""The leaves that an audit computed, held against the trees that a ledger signed."""

from ledger.merkle.tree import MerkleTree


class LeafLog:
    """The leaves of the audited ledger, as a tree where its past is known.

    Attributes:
        tree: None after a gap, until a signed tree value bridges it.
    """

    def __init__(self, first: int) -> None:
        """Start before an entry.

        Args:
            first: Seqno of the first entry; only from 1 on the whole tree is known.
        """
        self.tree: MerkleTree | None = MerkleTree() if first == 1 else None
        self._first = first
        self._unbridged: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """Add the leaf of the next entry."""
        if self.tree is None:
            self._unbridged.append(leaf)
        else:
            self.tree.append(leaf)

    def differences(self, stored: MerkleTree) -> list[int]:
        """Return the seqnos at which a stored tree has another leaf than this ledger."""
        if self.tree is None:
            begin = max(stored.first, self._first)
            return [
                seqno
                for seqno in range(begin, stored.count)
                if stored.leaf(seqno) != self._unbridged[seqno - self._first]
            ]
        begin = max(stored.first, self.tree.first)
        return [
            seqno
            for seqno in range(begin, min(stored.count, self.tree.count))
            if stored.leaf(seqno) != self.tree.leaf(seqno)
        ]

    def adopt(self, stored: MerkleTree) -> None:
        """Go on from a stored tree whose root is signed."""
        self.tree = stored
        self._unbridged = []
