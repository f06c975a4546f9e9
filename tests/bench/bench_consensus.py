"""The consensus core alone: three nodes in one thread, without network, disk, store or crypto.

Production settings. Each turn appends a batch and one signature on the primary, then delivers
messages and says that entries are on disk until nothing is left to say.
"""

import sys
import time

from ledger.base.ids import NodeId
from ledger.consensus.raft import Raft
from ledger.consensus.ready import Append
from ledger.consensus.types import PLAIN, Applied, EntryRole, Proposed, Settings
from tests.bench.timing import Figure

_ENTRY = bytes(300)
_SIGNATURE = b"signature"
_NODES = tuple(NodeId(name) for name in "abc")
_ROUNDS = 3


def run(entries: int = 60_000) -> list[Figure]:
    """Measure entries committed on all three nodes per second, by batch size."""
    return [
        Figure(
            f"three nodes, {size} entries of {len(_ENTRY)} B a turn",
            max(_rate(entries, size) for _ in range(_ROUNDS)),
            "entries/s",
            50_000 if size == 64 else None,
            at_most=False,
        )
        for size in (1, 16, 64, 256)
    ]


def _apply(_view: int, seqno: int, data: bytes) -> EntryRole:
    if seqno == 1:
        return Applied(configuration=frozenset(_NODES))
    return Applied(committable=True) if data is _SIGNATURE else PLAIN


class _Cluster:
    """Three nodes and the messages between them, which arrive in order and at once."""

    def __init__(self) -> None:
        settings = Settings(max_uncommitted=0)
        self.nodes = {name: Raft(name, settings, _apply, lambda n: n) for name in _NODES}
        self.primary = self.nodes[_NODES[0]]
        self.primary.bootstrap_primary()
        self.view = self.primary.status().current_view
        first = Proposed(1, b"nodes", configuration=frozenset(_NODES))
        self.primary.replicate([first, Proposed(2, _SIGNATURE, committable=True)], self.view)
        self.settle()
        while self.commit_of_slowest() < 2:
            for node in self.nodes.values():
                node.tick(10)
            self.settle()

    def settle(self) -> None:
        """Deliver until no node has anything to say."""
        said = True
        while said:
            said = False
            for name, node in self.nodes.items():
                ready = node.ready()
                last = 0
                for effect in ready.effects:
                    if type(effect) is Append:
                        last = effect.entry.seqno
                if last:
                    node.persisted(last)
                for to, message in ready.messages:
                    self.nodes[to].step(name, message)
                said = said or bool(ready.messages) or bool(last)

    def commit_of_slowest(self) -> int:
        """Return the seqno that every node knows to be committed."""
        return min(node.status().commit_seqno for node in self.nodes.values())


def _rate(entries: int, size: int) -> float:
    cluster = _Cluster()
    start_seqno = seqno = cluster.primary.status().last_seqno
    start = time.perf_counter()
    while seqno < entries:
        batch = [Proposed(seqno + 1 + place, _ENTRY) for place in range(size)]
        seqno += size + 1
        batch.append(Proposed(seqno, _SIGNATURE, committable=True))
        assert cluster.primary.replicate(batch, cluster.view), "the primary accepts its entries"
        cluster.settle()
    while cluster.commit_of_slowest() < seqno:
        for node in cluster.nodes.values():
            node.tick(10)
        cluster.settle()
    return (seqno - start_seqno) / (time.perf_counter() - start)


if __name__ == "__main__":
    for figure in run():
        sys.stdout.write(f"{figure.name:45} {figure.value:9.0f} {figure.unit}\n")
