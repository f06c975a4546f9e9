"""Parts of the write path alone: Merkle tree, entry sealing. The store has ``bench_store``."""

from typing import TYPE_CHECKING

from ledger.crypto.sealing import EntrySealer
from ledger.merkle.tree import MerkleTree
from tests.bench.timing import Figure, per_call_us

if TYPE_CHECKING:
    from ledger.codec.writeset import Changes

_LEAVES = 1_000_000


def run() -> list[Figure]:
    """Measure all; takes a few seconds."""
    return [*_merkle(), *_sealing()]


def _merkle() -> list[Figure]:
    leaves = [number.to_bytes(32, "little") for number in range(1000)]

    def append(count: int) -> None:
        tree = MerkleTree()
        for number in range(count):
            tree.append(leaves[number % 1000])

    large = MerkleTree()
    for number in range(_LEAVES):
        large.append(leaves[number % 1000])

    def append_and_root(count: int) -> None:
        for number in range(count):
            large.append(leaves[number % 1000])
            large.root()

    def path(count: int) -> None:
        for number in range(count):
            large.path(1 + number * 97, _LEAVES)

    return [
        Figure("tree: append", per_call_us(append, 100_000), "us", 1.0),
        Figure("tree: append and root, 1000000 leaves", per_call_us(append_and_root, 1000), "us"),
        Figure("tree: path, 1000000 leaves", per_call_us(path, 1000), "us"),
    ]


def _sealing() -> list[Figure]:
    sealer = EntrySealer(bytes(range(32)))
    private: Changes = {"records": {(42).to_bytes(8, "little"): b"x" * 64}}
    public: Changes = {"public:records": {(42).to_bytes(8, "little"): b"x" * 64}}
    entry, _ = sealer.seal(2, 1, 0, private, None)

    def seal_private(count: int) -> None:
        for number in range(count):
            sealer.seal(2, number + 1, 0, private, None)

    def seal_public(count: int) -> None:
        for number in range(count):
            sealer.seal(2, number + 1, 0, public, None)

    return [
        Figure("entry: seal a private write of 64 B", per_call_us(seal_private, 20_000), "us", 9.0),
        Figure("entry: seal a public write of 64 B", per_call_us(seal_public, 20_000), "us"),
        Figure("entry: size of a private write of 64 B", len(entry), "B"),
    ]
