"""Connections between nodes: mutual TLS, who may speak, redial, entries read back from disk."""

from collections.abc import Callable

import pytest

from ledger.base.errors import VerificationError
from ledger.base.ids import NodeId
from ledger.boundary.frames import encode
from ledger.consensus.messages import AppendEntries, Message, ProposeRequestVote
from ledger.consensus.types import Entry
from ledger.crypto.certs import (
    certificate_request,
    endorse,
    self_signed_caller,
    self_signed_service,
)
from ledger.crypto.keys import Curve, SigningKey
from ledger.crypto.sealing import EntrySealer
from ledger.enclave.peer_incoming import (
    STALLED_TIME_MAX_MS,
    STRANGERS_LOGGED_INTERVAL_MS,
    STRANGERS_LOGGED_MAX,
    TOO_SILENT,
)
from ledger.enclave.peers import BUFFERED_SIZE_MAX, PeerPorts, Peers, Wire, WireHandler
from ledger.enclave.tls_stdlib import StdlibBackend
from ledger.enclave.tls_types import ClientContext, Expiry, Identity, ServerContext
from ledger.history.reading import EntriesDone
from ledger.replica.peer_messages import ForwardedRequest, PeerMessage

NOW = 1_750_000_000
BACKEND = StdlibBackend()


class MemoryWire:
    """One end of a connection in memory; ``pump`` carries the bytes."""

    def __init__(self) -> None:
        self.queue: list[bytes] = []
        self.closed = False
        self.calls: list[str] = []
        self.other: MemoryWire | None = None
        self.handler: WireHandler | None = None

    def write(self, data: bytes) -> None:
        self.queue.append(data)

    def buffered(self) -> int:
        return sum(map(len, self.queue))

    def keep(self) -> None:
        self.calls.append("keep")

    def close(self) -> None:
        self.closed = True

    def pump(self) -> bool:
        queue, self.queue = self.queue, []
        for data in queue:
            assert self.other is not None
            assert self.other.handler is not None
            if not self.other.closed:
                self.other.handler.received(data)
        return bool(queue)


class Node:
    """A node with its peers, and everything they told it."""

    def __init__(self, world: "World", *, endorsed: bool = True) -> None:
        self.world = world
        key = SigningKey.generate(Curve.P256)
        self.id = NodeId(key.public.id)
        if endorsed:
            request = certificate_request(key, "CN=Node", ["iPAddress:127.0.0.1"])
            certificate = endorse(request, world.service_key, world.service, NOW, 1)
        else:
            certificate = self_signed_caller(key, "CN=Stranger", 1, NOW)
        self.identity = Identity(certificate.pem.encode(), key.to_pem().encode())
        self.heard: list[tuple[NodeId, Message]] = []
        self.lies: list[Message] = []
        self.forwarded: list[tuple[NodeId, PeerMessage, bytes]] = []
        self.introduced: list[tuple[NodeId, str]] = []
        self.log: list[str] = []
        self.entries: dict[int, bytes] = {}
        ports = PeerPorts(
            address=self.id,
            address_of=lambda node: node if node in world.nodes else None,
            introduced=lambda node, address: self.introduced.append((node, address)),
            may_speak=lambda node: node in world.trusted,
            client=self._client,
            server=self._server,
            received=self._received,
            forwarded=lambda node, message, tail: self.forwarded.append(
                (node, message, bytes(tail))
            ),
            log=self.log.append,
        )
        self.peers = Peers(self, self, ports, lambda limit: limit)

    def _received(self, node: NodeId, message: Message) -> None:
        if message in self.lies:
            raise VerificationError("got a lie")
        self.heard.append((node, message))

    def _client(self) -> ClientContext:
        ca = self.world.service.pem.encode()
        return BACKEND.client(ca, self.identity, expiry=Expiry.IGNORED, alpn=False)

    def _server(self) -> ServerContext:
        return BACKEND.peer_server(self.identity, self.world.service.pem.encode())

    def dial(self, address: str, done: Callable[[Wire | None, str], WireHandler | None]) -> None:
        self.world.dials.append((address, done))

    def read_entries(self, first: int, last: int, done: EntriesDone) -> None:
        self.world.reads.append((self, first, last, done))


class World:
    """Nodes of one service and the network between them."""

    def __init__(self) -> None:
        self.service_key = SigningKey.generate(Curve.P256)
        self.service = self_signed_service(self.service_key, "CN=Service", 1, NOW)
        self.nodes: dict[str, Node] = {}
        self.trusted: set[NodeId] = set()
        self.dials: list[tuple[str, Callable[[Wire | None, str], WireHandler | None]]] = []
        self.reads: list[tuple[Node, int, int, EntriesDone]] = []
        self.wires: list[MemoryWire] = []
        self.read_max = 1000
        self.down = False

    def node(self, *, endorsed: bool = True) -> Node:
        node = Node(self, endorsed=endorsed)
        self.nodes[node.id] = node
        self.trusted.add(node.id)
        return node

    def settle(self) -> None:
        for _ in range(50):
            dials, self.dials = self.dials, []
            for address, done in dials:
                self._connect(address, done)
            reads, self.reads = self.reads, []
            for node, first, last, was_read in reads:
                end = min(last, first + self.read_max - 1)
                held = [node.entries.get(seqno) for seqno in range(first, end + 1)]
                present = [data for data in held if data is not None]
                missing = len(present) < len(held)
                was_read(None if missing else b"".join(present), "gone" if missing else "")
            busy = [wire.pump() for wire in self.wires if not wire.closed]
            self._cut()
            if not any(busy) and not self.dials and not self.reads:
                return
        raise AssertionError("the network does not come to rest")

    def _connect(
        self, address: str, done: Callable[[Wire | None, str], WireHandler | None]
    ) -> None:
        if self.down:
            done(None, "refused")
            return
        near, far = MemoryWire(), MemoryWire()
        near.other, far.other = far, near
        far.handler = self.nodes[address].peers.accept(far)
        self.wires += [near, far]
        near.handler = done(near, "")

    def _cut(self) -> None:
        for wire in [wire for wire in self.wires if wire.closed]:
            assert wire.other is not None
            for end in (wire, wire.other):
                if end in self.wires:
                    self.wires.remove(end)
                    end.closed = True
                    if end.handler is not None:
                        end.handler.lost("cut")


MESSAGE = ProposeRequestVote(3)


def test_a_message_is_heard_under_the_senders_identity() -> None:
    world = World()
    alice, bob = world.node(), world.node()
    alice.peers.send(bob.id, MESSAGE)
    world.settle()
    assert bob.heard == [(alice.id, MESSAGE)]
    alice.peers.send(bob.id, ProposeRequestVote(4))
    world.settle()
    assert [message for _, message in bob.heard] == [MESSAGE, ProposeRequestVote(4)]
    assert len(world.wires) == 2, "one connection serves both messages"


def test_a_node_that_the_service_did_not_endorse_is_not_heard() -> None:
    world = World()
    bob, stranger = world.node(), world.node(endorsed=False)
    stranger.peers.send(bob.id, MESSAGE)
    world.settle()
    assert bob.heard == []
    assert any("cut" in line for line in bob.log)


def test_a_node_that_is_not_trusted_any_more_is_cut_at_its_next_message() -> None:
    world = World()
    alice, bob = world.node(), world.node()
    alice.peers.send(bob.id, MESSAGE)
    world.settle()
    world.trusted.discard(alice.id)
    alice.peers.send(bob.id, MESSAGE)
    world.settle()
    assert len(bob.heard) == 1
    assert any("not a trusted peer" in line for line in bob.log)


def test_another_node_at_the_dialled_address_is_refused() -> None:
    world = World()
    alice, bob, carol = world.node(), world.node(), world.node()
    world.nodes[bob.id] = carol
    alice.peers.send(bob.id, MESSAGE)
    world.settle()
    assert any("at the address of" in line for line in alice.log)


def test_a_broken_connection_is_dialled_again_after_a_while() -> None:
    world = World()
    alice, bob = world.node(), world.node()
    world.down = True
    alice.peers.send(bob.id, MESSAGE)
    world.settle()
    world.down = False
    alice.peers.send(bob.id, MESSAGE)
    world.settle()
    assert bob.heard == [], "not dialled again during the backoff"
    alice.peers.tick(5000)
    alice.peers.send(bob.id, MESSAGE)
    world.settle()
    assert bob.heard == [(alice.id, MESSAGE)]
    for wire in list(world.wires):
        wire.close()
    world.settle()
    alice.peers.tick(5000)
    alice.peers.send(bob.id, MESSAGE)
    world.settle()
    assert len(bob.heard) == 2


def fill(node: Node, last: int) -> None:
    """Give a node the entries up to ``last``."""
    sealer = EntrySealer(bytes(32))
    for seqno in range(1, last + 1):
        node.entries[seqno], _ = sealer.seal(2, seqno, 0, {"records": {b"k": b"v"}})


@pytest.mark.parametrize("read_max", [1, 2, 3, 1000])
def test_released_entries_are_read_back_and_keep_their_order(read_max: int) -> None:
    """The host may give fewer entries than asked for: the rest is asked for again."""
    world = World()
    world.read_max = read_max
    alice, bob = world.node(), world.node()
    fill(alice, 5)
    alice.peers.send(bob.id, AppendEntries(2, 0, 0, 4, 2, 4))
    last = Entry(2, 5, alice.entries[5])
    alice.peers.send(bob.id, AppendEntries(2, 2, 4, 5, 2, 4, (last,)))
    world.settle()
    seqnos = [
        entry.seqno
        for _, message in bob.heard
        if isinstance(message, AppendEntries)
        for entry in message.entries
    ]
    assert seqnos == [1, 2, 3, 4, 5]
    for _, message in bob.heard:
        assert isinstance(message, AppendEntries)
        assert message.is_bound
        assert message.prev_view == (2 if message.prev_seqno else 0)


def test_entries_that_are_gone_are_logged_and_do_not_block() -> None:
    world = World()
    alice, bob = world.node(), world.node()
    alice.peers.send(bob.id, AppendEntries(2, 0, 0, 4, 2, 4))
    alice.peers.send(bob.id, MESSAGE)
    world.settle()
    assert bob.heard == [(alice.id, MESSAGE)]
    assert any("cannot be read: gone" in line for line in alice.log)


def test_garbage_on_the_wire_cuts_the_connection() -> None:
    world = World()
    bob = world.node()
    wire, other = MemoryWire(), MemoryWire()
    wire.other, other.other = other, wire
    handler = bob.peers.accept(wire)
    assert handler is not None
    handler.received(b"\x16\x03\x01" + b"nonsense" * 10)
    assert wire.closed


@pytest.mark.parametrize("body", [b"", b"body" * 1000])
def test_a_forwarded_request_arrives_with_its_body(body: bytes) -> None:
    world = World()
    alice, bob = world.node(), world.node()
    request = ForwardedRequest(1, "POST", "/log", "", {b"a": b"b"}, None, "rpc", 0)
    assert not alice.peers.forward(bob.id, request, body), "there is no connection yet"
    world.settle()
    assert alice.peers.forward(bob.id, request, body)
    world.settle()
    assert bob.forwarded == [(alice.id, request, body)]


def test_a_connection_begins_with_where_its_sender_is_reached() -> None:
    world = World()
    alice, bob = world.node(), world.node()
    alice.peers.send(bob.id, MESSAGE)
    world.settle()
    assert bob.introduced == [(alice.id, alice.id)]
    assert alice.introduced == [], "only the one who dialled speaks"


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_entries_that_the_host_made_up_are_not_sent(damage: bytes | None) -> None:
    world = World()
    alice, bob = world.node(), world.node()
    fill(alice, 4)
    alice.entries[3] = alice.entries[2] if damage is None else damage
    alice.peers.send(bob.id, AppendEntries(2, 2, 2, 3, 2, 4))
    alice.peers.send(bob.id, MESSAGE)
    world.settle()
    assert bob.heard == [(alice.id, MESSAGE)]
    assert any("damaged" in line for line in alice.log)


def test_what_was_read_for_a_connection_that_broke_is_dropped() -> None:
    world = World()
    alice, bob = world.node(), world.node()
    fill(alice, 2)
    alice.peers.send(bob.id, MESSAGE)
    world.settle()
    alice.peers.send(bob.id, AppendEntries(2, 0, 0, 2, 2, 2))
    (read,) = world.reads
    world.reads.clear()
    for wire in list(world.wires):
        wire.close()
    world.settle()
    alice.peers.tick(5000)
    alice.peers.send(bob.id, MESSAGE)
    world.settle()
    _, first, last, was_read = read
    was_read(b"".join(alice.entries[seqno] for seqno in range(first, last + 1)), "")
    world.settle()
    assert bob.heard == [(alice.id, MESSAGE)] * 2


def test_a_new_connection_of_a_peer_replaces_its_old_one() -> None:
    """The other end of the old one may be gone without a word, and would be kept for ever."""
    world = World()
    alice, bob = world.node(), world.node()
    alice.peers.send(bob.id, MESSAGE)
    world.settle()
    (old_near, old_far) = world.wires
    again = Node(world)
    again.id, again.identity = alice.id, alice.identity
    again.peers.send(bob.id, MESSAGE)
    world.settle()
    assert old_far.closed
    assert old_near.closed
    assert len(world.wires) == 2
    assert bob.heard == [(alice.id, MESSAGE)] * 2


def test_a_connection_is_kept_once_its_peer_is_known() -> None:
    world = World()
    alice, bob = world.node(), world.node()
    alice.peers.send(bob.id, MESSAGE)
    (address, done) = world.dials.pop()
    world._connect(address, done)
    near, far = world.wires
    assert far.calls == [], "anybody can connect"
    world.settle()
    assert far.calls == ["keep"]
    assert near.calls == [], "we know when to give up what we dialled"


def test_a_peer_that_says_what_cannot_be_is_cut() -> None:
    world = World()
    alice, bob = world.node(), world.node()
    bob.lies.append(MESSAGE)
    alice.peers.send(bob.id, MESSAGE)
    world.settle()
    assert bob.log == [f"connection of peer {alice.id} cut: got a lie"]
    assert world.wires == []


REQUEST = ForwardedRequest(1, "POST", "/log", "", {}, None, "rpc", 0)
FRAME = b"".join(encode(REQUEST, [b"body" * 10]))


def send_raw(sender: Node, to: Node, plaintext: bytes) -> None:
    """Send bytes as they are within an open connection."""
    outgoing = sender.peers._out[to.id]
    assert outgoing._line is not None
    assert outgoing._wire is not None
    outgoing._line._tls.send(plaintext)
    outgoing._wire.write(outgoing._line.output())
    sender.world.settle()


def test_a_peer_that_stops_within_a_frame_is_cut() -> None:
    world = World()
    alice, bob = world.node(), world.node()
    alice.peers.send(bob.id, MESSAGE)
    world.settle()
    bob.peers.tick(STALLED_TIME_MAX_MS)
    send_raw(alice, bob, FRAME[:20])
    bob.peers.tick(STALLED_TIME_MAX_MS - 1)
    world.settle()
    assert (bob.log, len(world.wires)) == ([], 2)
    bob.peers.tick(1)
    bob.peers.tick(1)
    world.settle()
    said = f"connection of peer {alice.id} cut: it stopped after 20 bytes of a frame"
    assert bob.log == [f"{said}, want the rest of it"]
    assert world.wires == []


def test_a_slow_frame_is_waited_for() -> None:
    world = World()
    alice, bob = world.node(), world.node()
    alice.peers.send(bob.id, MESSAGE)
    world.settle()
    for begin in range(len(FRAME)):
        send_raw(alice, bob, FRAME[begin : begin + 1])
        bob.peers.tick(STALLED_TIME_MAX_MS - 1)
    assert (bob.log, len(world.wires)) == ([], 2)
    assert [body for _, _, body in bob.forwarded] == [b"body" * 10]


@pytest.mark.parametrize("size", [20, len(FRAME)])
def test_a_peer_that_speaks_where_it_should_listen_is_cut(size: int) -> None:
    world = World()
    alice, bob = world.node(), world.node()
    alice.peers.send(bob.id, MESSAGE)
    world.settle()
    incoming = bob.peers._accepted.newest[alice.id]
    incoming._line._tls.send(FRAME[:size])
    incoming._wire.write(incoming._line.output())
    world.settle()
    (line,) = alice.log
    assert line.endswith("cut: got a frame on a connection we dialled, want nothing there")
    assert world.wires == []


def test_a_peer_that_may_not_speak_is_logged_once_until_it_may() -> None:
    world = World()
    alice, bob = world.node(), world.node()
    world.trusted.discard(alice.id)
    for _ in range(3):
        alice.peers.send(bob.id, MESSAGE)
        world.settle()
        alice.peers.tick(5000)
    assert len(bob.log) == 1
    world.trusted.add(alice.id)
    alice.peers.send(bob.id, MESSAGE)
    world.settle()
    assert bob.heard == [(alice.id, MESSAGE)]
    world.trusted.discard(alice.id)
    alice.peers.send(bob.id, MESSAGE)
    world.settle()
    assert len(bob.log) == 2


@pytest.mark.parametrize(("reason", "lines"), [(TOO_SILENT, 1), ("closed", 0), ("reset", 0)])
def test_a_stranger_that_was_cut_is_logged_and_one_that_left_is_not(
    reason: str, lines: int
) -> None:
    """Something that only looks whether the port is open misbehaves towards nobody."""
    node = World().node()
    handler = node.peers.accept(MemoryWire())
    assert handler is not None
    handler.lost(reason)
    assert node.log == [f"connection of peer unknown cut: {reason}"] * lines


def test_strangers_do_not_fill_the_log() -> None:
    node = World().node()

    def knock(times: int) -> None:
        for _ in range(times):
            handler = node.peers.accept(MemoryWire())
            assert handler is not None
            handler.received(b"GET / HTTP/1.1")

    knock(STRANGERS_LOGGED_MAX + 3)
    assert len(node.log) == STRANGERS_LOGGED_MAX
    assert all("connection of peer unknown cut: TLS" in line for line in node.log)
    node.peers.tick(STRANGERS_LOGGED_INTERVAL_MS)
    assert node.log[STRANGERS_LOGGED_MAX:] == ["3 more connections of unknown peers cut"]
    knock(1)
    node.peers.tick(STRANGERS_LOGGED_INTERVAL_MS)
    assert len(node.log) == STRANGERS_LOGGED_MAX + 2


def test_a_peer_that_does_not_prove_who_it_is_is_given_up() -> None:
    world = World()
    alice, bob = world.node(), world.node()
    alice.peers.send(bob.id, MESSAGE)
    (_, done) = world.dials.pop()
    silent = MemoryWire()
    silent.handler = done(silent, "")
    for elapsed_ms, closed in ((9_999, False), (1, True)):
        alice.peers.tick(elapsed_ms)
        assert silent.closed is closed
    assert not alice.peers.any_connected


def test_what_keeps_us_from_a_peer_is_logged_once_until_it_changes() -> None:
    """A port that is closed to us would else show nowhere, and every attempt would else show."""
    world = World()
    alice, bob = world.node(), world.node()

    def attempt(problem: str | None) -> None:
        alice.peers.tick(5000)
        alice.peers.send(bob.id, MESSAGE)
        if problem is not None:
            ((_, done),) = world.dials
            world.dials.clear()
            assert done(None, problem) is None
        world.settle()

    for problem in ("timed out", "timed out", "refused", "refused"):
        attempt(problem)
    said = [f"peer {bob.id} is not reached: {problem}" for problem in ("timed out", "refused")]
    assert alice.log == said
    attempt(None)
    for wire in list(world.wires):
        wire.close()
    world.settle()
    attempt("refused")
    assert alice.log == [*said, said[-1]], "it was reached in between"


@pytest.mark.parametrize("attempts", [1, 3])
def test_an_impostor_at_the_address_of_a_peer_is_logged_once(attempts: int) -> None:
    world = World()
    alice, bob, mallory = world.node(), world.node(), world.node()
    world.nodes[bob.id] = mallory
    for _ in range(attempts):
        alice.peers.send(bob.id, MESSAGE)
        world.settle()
        alice.peers.tick(5000)
    assert len(alice.log) == 1


def test_messages_to_a_silent_peer_do_not_pile_up() -> None:
    world = World()
    alice, bob = world.node(), world.node()
    fill(alice, 1)
    large = Entry(2, 1, alice.entries[1] + bytes(8 << 20))
    alice.peers.send(bob.id, MESSAGE)
    (_, done) = world.dials.pop()
    silent = MemoryWire()
    silent.handler = done(silent, "")
    for _ in range(20):
        alice.peers.send(bob.id, AppendEntries(2, 0, 0, 1, 2, 0, (large,)))
    line = alice.peers._out[bob.id]._line
    assert line is not None
    assert BUFFERED_SIZE_MAX < line.waiting_size < BUFFERED_SIZE_MAX + (10 << 20)


def test_nodes_that_left_are_forgotten() -> None:
    world = World()
    alice, bob, carol = world.node(), world.node(), world.node()
    for node in (bob, carol):
        alice.peers.send(node.id, MESSAGE)
    world.settle()
    assert alice.peers.any_connected
    alice.peers.forget(lambda node: node != bob.id)
    world.settle()
    assert len(world.wires) == 2
    alice.peers.forget(lambda node: False)  # noqa: ARG005
    world.settle()
    assert world.wires == []
    assert not alice.peers.any_connected
