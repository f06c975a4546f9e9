"""An orderly end: what is written commits, the role goes to a peer, and nothing waits in vain."""

from ledger.consensus.messages import ProposeRequestVote
from ledger.launch.stopping import COMMIT_TIME_MAX_MS, HAND_OVER_TIME_MAX_MS, Stopping
from tests.unit.replica.harness import Network, Service, TestNode

TICK_MS = 20


class Connected:
    """Whether other nodes can be spoken to."""

    def __init__(self, *, connected: bool = True) -> None:
        self.any_connected = connected


class Ending:
    """A node of a service that was told to stop."""

    def __init__(self, nodes: int = 1, *, connected: bool = True) -> None:
        service = Service()
        self.nodes = [TestNode(service) for _ in range(nodes)]
        self.node = self.nodes[0]
        self.node.start()
        self.network = Network(*self.nodes)
        if nodes > 1:
            self.network.trust(*self.nodes)
        self.network.run()
        self.peers = Connected(connected=connected)
        self.stops = 0
        self.elapsed_ms = 0
        self.stopping: Stopping | None = None

    def tell(self, node: TestNode | None = None) -> None:
        self.stopping = Stopping((node or self.node).replica, self.peers, self._stop)

    def _stop(self) -> None:
        self.stops += 1

    def run_until_stopped(self, limit_ms: int = 10_000) -> int:
        """Let time pass; return how much did."""
        assert self.stopping is not None
        while not self.stops and self.elapsed_ms < limit_ms:
            self.stopping.tick(TICK_MS)
            self.network.run(rounds=1, elapsed_ms=TICK_MS)
            self.elapsed_ms += TICK_MS
        assert self.stops == 1
        self.stopping.tick(TICK_MS)
        assert self.stops == 1, "it stops once"
        return self.elapsed_ms


def test_a_backup_stops_at_once() -> None:
    ending = Ending(3)
    ending.tell(ending.nodes[1])
    assert ending.run_until_stopped() <= TICK_MS


def test_a_node_alone_stops_when_all_is_committed() -> None:
    ending = Ending(connected=False)
    tx_id = ending.node.write("k", "v")
    ending.tell()
    assert ending.run_until_stopped() < COMMIT_TIME_MAX_MS
    assert ending.node.replica.status(*tx_id) == "Committed"


def test_nothing_is_signed_when_nothing_was_written() -> None:
    ending = Ending(connected=False)
    version = ending.node.replica.store.version
    ending.tell()
    assert ending.run_until_stopped() <= TICK_MS
    assert ending.node.replica.store.version == version


def test_a_primary_commits_and_hands_over() -> None:
    ending = Ending(3)
    tx_id = ending.node.write("k", "v")
    ending.tell()
    assert ending.run_until_stopped() < HAND_OVER_TIME_MAX_MS
    successor = next(node for node in ending.nodes[1:] if node.replica.is_primary)
    ending.network.lost.add(ending.node.id)
    ending.network.run()
    assert successor.replica.status(*tx_id) == "Committed"
    assert not ending.node.replica.is_primary


def test_a_primary_that_nobody_hears_does_not_wait() -> None:
    ending = Ending(3, connected=False)
    ending.network.lost |= {node.id for node in ending.nodes[1:]}
    ending.node.write("k", "v")
    ending.tell()
    assert ending.run_until_stopped() <= 2 * TICK_MS


def test_waiting_for_silent_peers_ends() -> None:
    """They are connected and do not answer: the commit is given up, then the hand-over."""
    ending = Ending(3)
    ending.network.lost |= {node.id for node in ending.nodes[1:]}
    ending.node.write("k", "v")
    ending.tell()
    took_ms = ending.run_until_stopped()
    assert took_ms <= COMMIT_TIME_MAX_MS + HAND_OVER_TIME_MAX_MS + 2 * TICK_MS
    assert took_ms >= HAND_OVER_TIME_MAX_MS


def test_a_peer_that_does_not_stand_is_asked_again() -> None:
    ending = Ending(3)
    ending.tell()
    assert ending.stopping is not None
    asked = 0
    for _ in range(60):
        ending.stopping.tick(TICK_MS)
        ending.node.turn()
        asked += sum(isinstance(sent.message, ProposeRequestVote) for sent in ending.node.outbox)
        ending.node.outbox.clear()
    assert asked == 3
