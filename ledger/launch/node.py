"""A running node in its enclave process: everything is made here and joined here, once.

``build`` makes the parts from the configuration; ``start_service`` or a join brings the node into a
service; ``Node`` reacts to the host and to the commit point until it is told to stop.
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from governance.parts import GovernanceParts
from ledger.base.clock import Clock, Entropy
from ledger.boundary.settings import InterfaceSettings, Settings, StartSettings
from ledger.boundary.to_enclave import Dialled, Shutdown, Signal, ToEnclave
from ledger.boundary.to_host import Started
from ledger.consensus.types import Jitter
from ledger.crypto.rsa import RsaPrivateKey
from ledger.enclave.link import Link
from ledger.enclave.platforms import Platform, VirtualPlatform
from ledger.enclave.runtime import Runtime
from ledger.enclave.session_limits import SessionLimits
from ledger.enclave.tls import TlsContext, choose_backend
from ledger.endpoints.pipeline import Pipeline
from ledger.endpoints.turns import Turns
from ledger.launch.admission import NodeAdmission
from ledger.launch.apps import load_app
from ledger.launch.certificates import Certificates
from ledger.launch.digest import host_data
from ledger.launch.facts import Facts
from ledger.launch.frontends import FrontendParts, ReplicaView, build_pipeline, interface_of
from ledger.launch.identity import new_node_identity
from ledger.launch.joining import Joined, Joining
from ledger.launch.jwt_refresh import JwtRefresh
from ledger.launch.keys import Keys
from ledger.launch.last_word import LastWord
from ledger.launch.membership import own_record, start_service
from ledger.launch.network import Dialling, NodeNetwork
from ledger.launch.openings import Openings
from ledger.launch.operations import Operations
from ledger.launch.placement import NodePlacement
from ledger.launch.rehearsal import Rehearsal
from ledger.launch.replica import broadcast_opener, jitter_from, new_replica
from ledger.launch.retirement import mark_retired_committed
from ledger.launch.script_runner import ProcessScriptRunner, start_keeper
from ledger.launch.shell import LinkShell, NodeLog, WakingRunner, defer_with
from ledger.launch.stopping import Stopping
from ledger.launch.verdicts import Verdicts
from ledger.replica.sealers import Sealers


@dataclass(frozen=True, slots=True)
class Sockets:
    """Listening sockets that the host handed over.

    Attributes:
        node_to_node: For other nodes.
        rpc: For clients, in the order of the interfaces in the settings.
    """

    node_to_node: socket.socket
    rpc: Sequence[socket.socket]


class Node:
    """One node, from its configuration to its end."""

    def __init__(
        self,
        link: Link,
        settings: Settings,
        sockets: Sockets,
        last_word: LastWord,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._link = link
        self._settings = settings
        self._clock = clock
        self._sockets = sockets
        self._log = NodeLog(link, settings.log_level)
        now = int(clock.unix_seconds())
        self.keys = Keys(new_node_identity(settings, now), RsaPrivateKey.generate())
        self.platform: Platform = VirtualPlatform(host_data(settings))
        self.replica = new_replica(self.keys, settings, clock, entropy)
        self._shell = LinkShell(link)
        self.runtime = Runtime(self._shell, self.replica, self.keys)
        self.openings = Openings(self.replica.store, self.keys.node.id, self._log.info)
        self._verdicts = Verdicts(self.replica.store, self._log.info)
        self._facts = Facts(
            node_id=self.keys.node.id,
            node_info=own_record(settings, self.keys, self.platform),
            self_signed_certificate=self.keys.node.self_signed.pem,
            replica=self.replica,
            openings=self.openings,
            session_metrics=link.metrics.document,
        )
        self._backend = choose_backend()
        self._log.info(f"TLS by {self._backend.name}")
        self._rehearsal = Rehearsal(self._backend, clock.unix_seconds, self._log.fail)
        self._connect(jitter_from(entropy))
        keeper = start_keeper(last_word)
        self._runner = ProcessScriptRunner(keeper, link.loop, self._scripts_lost)
        self.pipeline = self._build_pipeline(entropy)
        self._placement.dispatcher = self.pipeline
        self._certificates = Certificates(
            link, settings, self.keys, self.replica.store, self._network.use_certificate
        )
        self._listen()
        self._joining: Joining | None = None
        self._stopping: Stopping | None = None
        self._react()

    # -- parts -------------------------------------------------------------------------

    def _connect(self, jitter: Jitter) -> None:
        settings = self._settings
        self._dialling = Dialling(
            self._link,
            int(settings.client_connection_timeout_ms),
            int(settings.consensus.election_timeout_ms),
        )
        self._placement = NodePlacement(
            self.replica, lambda: self._network.peers, settings.interfaces, jitter
        )
        self._network = NodeNetwork(
            self._link,
            self._dialling,
            self.runtime,
            self.replica,
            self.keys,
            self._backend,
            settings.node_to_node.published_address,
            jitter,
            self._placement.received,
            self._log,
        )
        self.runtime.peers = self._network.peers
        self._jwt_refresh = JwtRefresh(
            self.replica,
            self._backend,
            self._dialling.send_request,
            settings.jwt_key_refresh_interval_ms,
            self._log,
        )

    def _build_pipeline(self, entropy: Entropy) -> Pipeline:
        replica, clock = self.replica, self._clock
        operations = Operations(replica, self.keys, clock, entropy)
        link = self._link
        runner = WakingRunner(self._runner, link.want_turn)
        turns = Turns(defer_with(link.loop, link.want_turn))
        return build_pipeline(
            FrontendParts(
                app=load_app(self._settings.app),
                replica=replica,
                reader=self.runtime,
                facts=self._facts,
                openings=self.openings,
                governance=GovernanceParts(
                    replica,
                    ReplicaView(replica),
                    runner,
                    operations,
                    self._verdicts.decided,
                    turns,
                ),
                admission=NodeAdmission(replica, self.keys, self._settings, clock, self._log),
                interfaces=self._settings.interfaces,
                jwt_metrics=self._jwt_refresh.metrics,
                placement=self._placement,
                clock=clock,
                log=self._log,
            )
        )

    def _listen(self) -> None:
        for settings, sock in zip(self._settings.interfaces, self._sockets.rpc, strict=True):
            tls = None if settings.authority == "Unsecured" else TlsContext(self._backend)
            if tls is None:
                self._log.info(interface_of(settings).in_the_clear())
            limits = _limits(self._settings, settings)
            self._link.listen(settings.name, sock, tls, limits, self.pipeline)
        self._certificates.show_self_signed()
        self._network.listen(self._sockets.node_to_node)

    def _react(self) -> None:
        runtime = self.runtime
        runtime.on_commit += [
            self.openings.committed,
            self._verdicts.committed,
            self._certificates.committed,
            self._network.committed,
        ]
        runtime.on_retirement.append(self._mark_retired)
        runtime.on_role.append(self._tell_role)
        self._link.on_turn = runtime.turn
        self._link.brake_ms = lambda: self.replica.brake_ms
        tick_ms = self._settings.tick_interval_ms
        self._link.every(tick_ms, partial(self._tick, int(tick_ms)))

    # -- beginning ---------------------------------------------------------------------

    def begin(self) -> None:
        """Start a service, or begin to join one."""
        command = self._settings.command
        certificate = None
        if isinstance(command, StartSettings):
            now = int(self._clock.unix_seconds())
            service = start_service(
                self.replica, self.keys, self._settings, command, self._facts.node_info,
                self.platform, now,
            )  # fmt: skip
            certificate = service.certificate.pem
            self._facts.state = "PartOfNetwork"
        else:
            self._facts.state = "Pending"
            self._joining = Joining(
                command,
                self.keys,
                self._facts.node_info,
                backend=self._backend,
                send=self._dialling.send_request,
                clock=self._clock,
                log=self._log,
                joined=self._joined,
                secrets=lambda chain: self.replica.sealers.give(chain.secrets),
                peers=self._network.book.name,
                settled=lambda: self._network.book.is_settled,
                failed=self._link.fail,
            )
        self._shell.send(
            Started(
                node_id=self.keys.node.id,
                node_certificate=self.keys.node.self_signed.pem,
                service_certificate=certificate,
            )
        )
        self._link.want_turn()

    def _joined(self, joined: Joined) -> None:
        self.keys.hold_service(joined.service)
        self.keys.cose_issuer, self.keys.cose_subject = joined.issuer, joined.subject
        self.replica.adopt_secrets(Sealers(joined.chain, broadcast_opener(self.keys)))
        self._network.use_certificate(joined.certificate)
        self._facts.state = "PartOfNetwork"
        self._log.info(f"Node {self.keys.node.id} is trusted and catches up")

    # -- running -----------------------------------------------------------------------

    def _tick(self, elapsed_ms: int) -> None:
        self.replica.tick(elapsed_ms)
        self.pipeline.tick(self._clock.monotonic_ms())
        self._placement.tick(elapsed_ms)
        self._network.peers.tick(elapsed_ms)
        self._dialling.tick(elapsed_ms)
        self._jwt_refresh.tick(elapsed_ms)
        if self._joining is not None:
            self._joining.tick()
            if self._joining.is_over:
                self._joining = None
        if self._stopping is not None:
            self._stopping.tick(elapsed_ms)
        if not self._link.slowed:  # clients wait then, and are not read
            self._rehearsal.tick(elapsed_ms, self._link.reads)

    def from_host(self, message: ToEnclave, tail: memoryview, passed: socket.socket | None) -> None:
        """Handle a frame of the host and the connected socket that came with it."""
        match message:
            case Shutdown(reason=reason):
                self._stop(reason)
            case Signal():
                self._facts.stop_notice = True
            case Dialled():
                self._dialling.dialled(message, passed)
            case _:
                self.runtime.from_host(message, tail)

    def _mark_retired(self) -> None:
        for node in mark_retired_committed(self.replica):
            self._log.info(f"Node {node} is retired and will be removable once this commits")

    def _tell_role(self, view: int, is_primary: bool) -> None:
        role = "primary" if is_primary else "backup"
        self._log.info(f"Node {self.keys.node.id} is {role} in view {view}")

    def _scripts_lost(self, reason: str) -> None:
        self._link.fail(f"the script process is lost: {reason}")

    # -- ending ------------------------------------------------------------------------

    def _stop(self, reason: str) -> None:
        self._facts.stop_notice = True
        self._link.stop_accepting()
        self._placement.refuse_writes = True
        self._stopping = Stopping(
            self.replica, self._network.peers, lambda: self._link.stop(reason)
        )

    def close(self) -> None:
        """End the script process."""
        self._runner.close()


def _limits(settings: Settings, interface: InterfaceSettings) -> SessionLimits:
    return SessionLimits(
        max_open_sessions_soft=interface.max_open_sessions_soft,
        max_open_sessions_hard=interface.max_open_sessions_hard,
        max_body_size=interface.max_body_size,
        max_header_size=interface.max_header_size,
        max_headers_count=interface.max_headers_count,
        idle_timeout_ms=settings.idle_connection_timeout_ms,
    )
