"""Connections that start in the enclave: the host dials and hands over the socket.

Also joins ``enclave.peers`` to the node: addresses from the nodes table, who may speak, TLS from
the node's newest endorsed certificate.
"""

import socket
from collections.abc import Callable, Collection, Mapping

from ledger.base.ids import NodeId, TxId
from ledger.boundary.frames import encode
from ledger.boundary.to_enclave import Dialled
from ledger.boundary.to_host import Dial
from ledger.enclave.link import Link
from ledger.enclave.outbound import AnswerDone, Exchange
from ledger.enclave.peers import PeerPorts, Peers, Wire, WireHandler
from ledger.enclave.tls_types import ClientContext, Expiry, Identity, ServerContext, TlsBackend
from ledger.history.reading import EntryReader
from ledger.launch.keys import Keys
from ledger.launch.shell import NodeLog
from ledger.replica.peer_messages import PeerMessage
from ledger.replica.replica import Replica
from ledger.tables.nodes import NODES_INFO, NodeStatus

DialDone = Callable[[socket.socket | None, str], None]


class Dialling:
    """Asks the host to connect, and takes the sockets."""

    def __init__(self, link: Link, timeout_ms: int) -> None:
        self._link = link
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

    def connect(self, address: str, done: DialDone) -> None:
        """Connect; ``done`` gets the socket, or None and the reason."""
        self._next += 1
        self._waiting[self._next] = done
        self._link.send_host(encode(Dial(self._next, address, self._timeout_ms)))

    def dialled(self, message: Dialled, passed: socket.socket | None) -> None:
        """Take the host's answer."""
        done = self._waiting.pop(message.id, None)
        if done is not None:
            done(passed, message.problem or "the host handed over no socket")
        elif passed is not None:
            passed.close()

    def dial(self, address: str, done: Callable[[Wire | None, str], WireHandler | None]) -> None:
        """See ``peers.Dialler``."""

        def connected(sock: socket.socket | None, problem: str) -> None:
            if sock is None:
                done(None, problem)
            else:
                self._link.adopt_peer(
                    sock, lambda wire: done(wire, ""), lambda reason: _ignored(done(None, reason))
                )

        self.connect(address, connected)

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

        self.connect(address, connected)


class NodeNetwork:
    """The peers of a running node.

    Attributes:
        peers: Connections to and from other nodes.
    """

    def __init__(
        self,
        link: Link,
        dialling: Dialling,
        reader: EntryReader,
        replica: Replica,
        keys: Keys,
        backend: TlsBackend,
        jitter: Callable[[int], int],
        forwarded: Callable[[NodeId, PeerMessage, memoryview], None],
        log: NodeLog,
    ) -> None:
        self._link = link
        self._replica = replica
        self._keys = keys
        self._backend = backend
        self._client: ClientContext | None = None
        self._server: ServerContext | None = None
        self._initial: dict[NodeId, str] = {}
        self._speakers: frozenset[NodeId] = frozenset()
        self._speakers_version = -1
        ports = PeerPorts(
            address_of=self._address_of,
            may_speak=self._may_speak,
            client=lambda: self._client,
            server=lambda: self._server,
            received=replica.receive,
            forwarded=forwarded,
            log=log.info,
        )
        self.peers = Peers(dialling, reader, ports, jitter)

    def listen(self, sock: socket.socket) -> None:
        """Accept connections of other nodes."""
        self._link.listen_peers(sock, self.peers.accept)

    def use_certificate(self, certificate: str, peers: Mapping[str, str] | None = None) -> None:
        """Speak to others as this node, with an endorsed certificate (PEM).

        Args:
            certificate: Its newest endorsed certificate.
            peers: Who may speak, and where they are, while the nodes table is empty.
        """
        identity = Identity(certificate.encode(), self._keys.node.key.to_pem().encode())
        ca_pem = self._keys.service.certificate.pem.encode()
        self._client = self._backend.client(ca_pem, identity, expiry=Expiry.IGNORED, alpn=False)
        self._server = self._backend.peer_server(identity, ca_pem)
        if peers:
            self._initial = {NodeId(node): address for node, address in peers.items()}

    def committed(self, tx_id: TxId) -> None:
        """Close connections to nodes that left."""
        del tx_id
        if self._replica.store.map_version(NODES_INFO.name) != self._speakers_version:
            self.peers.forget(self._may_speak())

    def _address_of(self, node: NodeId) -> str | None:
        info = self._replica.begin_read_only().table(NODES_INFO).get(node)
        if info is None:
            return self._initial.get(node)
        address = info.node_to_node_interface.get("published_address")
        return address if isinstance(address, str) else None

    def _may_speak(self) -> Collection[NodeId]:
        version = self._replica.store.map_version(NODES_INFO.name)
        if version == 0:
            return self._initial
        if version != self._speakers_version:
            self._speakers_version = version
            table = self._replica.begin_read_only().table(NODES_INFO)
            self._speakers = frozenset(
                NodeId(node)
                for node, info in table.items()
                if info.status is not NodeStatus.PENDING and not info.retired_committed
            )
        return self._speakers


def _ignored(handler: WireHandler | None) -> None:
    assert handler is None, "there is no connection to handle"
