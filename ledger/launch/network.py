"""Connections that start in the enclave: the host dials and hands over the socket.

Also joins ``enclave.peers`` to the node: who is where and who may speak by ``peer_book``, TLS
from the node's newest endorsed certificate.
"""

import socket
from collections.abc import Callable

from ledger.base.errors import VerificationError
from ledger.base.ids import NodeId, TxId
from ledger.boundary.frames import encode
from ledger.boundary.to_enclave import Dialled
from ledger.boundary.to_host import Dial
from ledger.consensus.messages import Message
from ledger.enclave.link import Link
from ledger.enclave.outbound import AnswerDone, Exchange
from ledger.enclave.peers import PeerPorts, Peers, Wire, WireHandler
from ledger.enclave.tls_types import ClientContext, Expiry, Identity, ServerContext, TlsBackend
from ledger.history.reading import EntryReader
from ledger.launch.keys import Keys
from ledger.launch.peer_book import PeerBook
from ledger.launch.shell import NodeLog
from ledger.replica.peer_messages import PeerMessage
from ledger.replica.replica import Replica
from ledger.tables.nodes import NODES_INFO

DialDone = Callable[[socket.socket | None, str], None]

PEER_SILENCE_MS = (1_000, 10_000)
"""Shortest and longest time after which the kernel gives up a connection to a peer that does not
acknowledge what was sent, whatever the election timeout. Without it a connection that was cut for
a while would only go on when TCP tries again, up to two minutes after the network is back."""


class Dialling:
    """Asks the host to connect, and takes the sockets."""

    def __init__(self, link: Link, timeout_ms: int, election_timeout_ms: int) -> None:
        self._link = link
        shortest, longest = PEER_SILENCE_MS
        self._silence_ms = min(max(shortest, election_timeout_ms), longest)
        self._timeout_ms = max(1, timeout_ms)
        self._waiting: dict[int, DialDone] = {}
        self._next = 0
        self._exchanges: list[Exchange] = []

    def tick(self, elapsed_ms: float) -> None:
        """Let time pass for requests that wait for their answer."""
        if self._exchanges:
            self._exchanges = [each for each in self._exchanges if not each.is_over]
            for exchange in self._exchanges:
                exchange.tick(elapsed_ms)

    def connect(self, address: str, timeout_ms: int, done: DialDone) -> None:
        """Connect; ``done`` gets the socket, or None and the reason."""
        self._next += 1
        self._waiting[self._next] = done
        self._link.send_host(encode(Dial(self._next, address, timeout_ms)))

    def dialled(self, message: Dialled, passed: socket.socket | None) -> None:
        """Take the host's answer."""
        done = self._waiting.pop(message.id, None)
        if done is not None:
            done(
                passed,
                message.problem or "it was gone at once, or there is no descriptor left for it",
            )
        elif passed is not None:
            passed.close()

    def dial(self, address: str, done: Callable[[Wire | None, str], WireHandler | None]) -> None:
        """See ``peers.Dialler``."""

        def connected(sock: socket.socket | None, problem: str) -> None:
            if sock is None:
                done(None, problem)
            else:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._silence_ms)
                self._link.adopt_peer(
                    sock, lambda wire: done(wire, ""), lambda reason: _ignored(done(None, reason))
                )

        self.connect(address, min(self._timeout_ms, self._silence_ms), connected)

    def send_request(
        self,
        address: str,
        context: ClientContext,
        request: bytes,
        body_size_max: int,
        done: AnswerDone,
    ) -> None:
        """Send one HTTPS request; see ``joining.SendRequest``."""

        def opened(wire: Wire) -> WireHandler:
            exchange = Exchange(wire, context, request, body_size_max, done)
            self._exchanges.append(exchange)
            return exchange

        def connected(sock: socket.socket | None, problem: str) -> None:
            if sock is None:
                done(problem)
            else:
                self._link.adopt_peer(sock, opened, done)

        self.connect(address, self._timeout_ms, connected)


class NodeNetwork:
    """The peers of a running node.

    Attributes:
        peers: Connections to and from other nodes.
        book: Where other nodes are and who is heard.
    """

    def __init__(
        self,
        link: Link,
        dialling: Dialling,
        reader: EntryReader,
        replica: Replica,
        keys: Keys,
        backend: TlsBackend,
        address: str,
        jitter: Callable[[int], int],
        forwarded: Callable[[NodeId, PeerMessage, memoryview], None],
        log: NodeLog,
    ) -> None:
        self._link = link
        self._keys = keys
        self._backend = backend
        self._replica = replica
        self._client: ClientContext | None = None
        self._server: ServerContext | None = None
        self._seen: tuple[int, int] | None = None
        self._log = log
        self._told_problem = ""
        self.book = PeerBook(replica)
        ports = PeerPorts(
            address=address,
            address_of=self.book.address_of,
            introduced=self.book.introduced,
            may_speak=self.book.may_speak,
            client=lambda: self._client,
            server=lambda: self._server,
            received=self._received,
            forwarded=forwarded,
            log=log.info,
        )
        self.peers = Peers(dialling, reader, ports, jitter)

    def _received(self, peer: NodeId, message: Message) -> None:
        replica = self._replica
        impossible = replica.raft.contradiction(peer, message)
        if impossible is not None:
            raise VerificationError(f"got {impossible}")
        replica.receive(peer, message)
        problem = replica.applier.problem
        if problem and problem != self._told_problem:
            self._told_problem = problem
            self._log.fail(f"Node {peer} sent what is not acceptable: {problem}")

    def listen(self, sock: socket.socket) -> None:
        """Accept connections of other nodes."""
        self._link.listen_peers(sock, self.peers.accept)

    def use_certificate(self, certificate: str) -> None:
        """Speak to others as this node from now on, with an endorsed certificate (PEM)."""
        identity = Identity(certificate.encode(), self._keys.node.key.to_pem().encode())
        ca_pem = self._keys.service.certificate.pem.encode()
        self._client = self._backend.client(ca_pem, identity, expiry=Expiry.IGNORED, alpn=False)
        self._server = self._backend.peer_server(identity, ca_pem)

    def committed(self, tx_id: TxId) -> None:
        """Close connections to nodes that left, or whose admission was rolled back."""
        del tx_id
        replica = self._replica
        # A roll-back may bring back the version of the table that was seen last.
        seen = (replica.store.map_version(NODES_INFO.name), replica.truncations)
        if seen != self._seen:
            self._seen = seen
            self.peers.forget(self.book.may_speak)


def _ignored(handler: WireHandler | None) -> None:
    assert handler is None, "there is no connection to handle"
