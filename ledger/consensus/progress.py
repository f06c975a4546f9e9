"""What a node knows of each other node: what was sent, what was acknowledged, how long ago.

Peers decide who is sent entries. They are never used to count a quorum.
"""

from collections.abc import ItemsView

from ledger.base.ids import NodeId


class Peer:
    """Progress of one other node.

    Attributes:
        sent: Highest seqno sent, optimistic: set on sending, without waiting.
        match: Highest seqno acknowledged in this view. Invariant: falls only when we become
            primary. It may exceed ``sent``.
        ack_age: Milliseconds since any answer.
        flight_base: Nothing at or below it is counted as on its way (see ``sending``).
        sent_before: What ``sent`` was at the last tick that sent.
        held_back: Something was not sent that an acceptance should let go.
        refused_at: Point of agreement that was last resent from, -1 if none since the last tick
            or acceptance.
    """

    __slots__ = (
        "ack_age",
        "flight_base",
        "held_back",
        "match",
        "refused_at",
        "sent",
        "sent_before",
    )

    def __init__(self, sent: int) -> None:
        self.sent = sent
        self.match = 0
        self.ack_age = 0
        self.flight_base = sent
        self.sent_before = sent
        self.held_back = False
        self.refused_at = -1

    def restart(self, last: int) -> None:
        """Forget what an earlier primary knew: we have just become primary."""
        self.sent = last
        self.match = 0
        self.ack_age = 0
        self.flight_base = last
        self.sent_before = last
        self.held_back = False
        self.refused_at = -1

    def acknowledged(self, seqno: int) -> None:
        """Note an acceptance up to ``seqno``."""
        assert seqno >= self.match, f"match would fall from {self.match} to {seqno}"
        self.match = seqno
        self.refused_at = -1

    def refused(self, estimate: int) -> None:
        """Note a refusal that puts the point of agreement at ``estimate``.

        Only what is sent next moves; what was acknowledged stays true, and nothing commits.
        """
        self.sent = max(min(estimate, self.sent), self.match)
        self.flight_base = self.sent
        self.sent_before = self.sent

    def begin_interval(self) -> None:
        """Start a new interval between two ticks that send.

        What was sent before the last one no longer counts as on its way: it has arrived, or is
        lost, or lies below the peer's commit seqno, where it is passed over without an answer.
        """
        self.refused_at = -1
        self.flight_base = max(self.flight_base, self.sent_before)
        self.sent_before = self.sent


class Peers:
    """All peers, in ascending order of their ids."""

    __slots__ = ("_by_id",)

    def __init__(self) -> None:
        self._by_id: dict[NodeId, Peer] = {}

    def __contains__(self, node: NodeId) -> bool:
        return node in self._by_id

    def __len__(self) -> int:
        return len(self._by_id)

    def items(self) -> ItemsView[NodeId, Peer]:
        """Return ids and peers, ascending by id."""
        return self._by_id.items()

    def get(self, node: NodeId) -> Peer | None:
        """Return a peer, None for a node that is none."""
        return self._by_id.get(node)

    def add(self, node: NodeId, sent: int) -> Peer:
        """Add a peer of which nothing is known."""
        assert node not in self._by_id, f"{node} is a peer already"
        peer = Peer(sent)
        self._by_id[node] = peer
        self._by_id = dict(sorted(self._by_id.items()))
        return peer

    def remove(self, node: NodeId) -> None:
        """Remove a peer, if it is one."""
        self._by_id.pop(node, None)

    def zero_ages(self) -> None:
        """Treat every peer as just heard from."""
        for peer in self._by_id.values():
            peer.ack_age = 0

    def begin_interval(self) -> None:
        """Start a new interval between two ticks that send, for every peer."""
        for peer in self._by_id.values():
            peer.begin_interval()

    def add_age(self, elapsed_ms: int) -> None:
        """Let time pass for every peer."""
        for peer in self._by_id.values():
            peer.ack_age += elapsed_ms
