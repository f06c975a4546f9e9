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
from ledger.boundary.to_enclave import Shutdown, Signal, ToEnclave
from ledger.boundary.to_host import Started
from ledger.crypto.rsa import RsaPrivateKey
from ledger.enclave.link import Link
from ledger.enclave.platforms import Platform, VirtualPlatform
from ledger.enclave.runtime import Runtime
from ledger.enclave.session_limits import SessionLimits
from ledger.enclave.tls import TlsContext, choose_backend
from ledger.launch.apps import load_app
from ledger.launch.certificates import Certificates
from ledger.launch.digest import host_data
from ledger.launch.facts import Facts
from ledger.launch.frontends import FrontendParts, ReplicaView, build_pipeline
from ledger.launch.identity import new_node_identity
from ledger.launch.keys import Keys
from ledger.launch.membership import own_record, start_service
from ledger.launch.openings import Openings
from ledger.launch.operations import Operations
from ledger.launch.replica import new_replica
from ledger.launch.script_runner import ProcessScriptRunner, start_keeper
from ledger.launch.shell import LinkShell, NodeLog, WakingRunner

STOP_TURNS_MS = 5
"""How often a stopping node looks whether everything is committed."""


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
        self, link: Link, settings: Settings, sockets: Sockets, clock: Clock, entropy: Entropy
    ) -> None:
        self._link = link
        self._settings = settings
        self._clock = clock
        self._log = NodeLog(link, settings.log_level)
        now = int(clock.unix_seconds())
        self.keys = Keys(new_node_identity(settings, now), RsaPrivateKey.generate())
        self.platform: Platform = VirtualPlatform(host_data(settings))
        self.replica = new_replica(self.keys, settings, clock, entropy)
        shell = LinkShell(link)
        self.runtime = Runtime(shell, self.replica, self.keys)
        self.openings = Openings(self.replica.store, self.keys.node.id)
        self._shell = shell
        self._runner = ProcessScriptRunner(start_keeper(), link.loop, self._scripts_lost)
        record = own_record(settings, self.keys, self.platform)
        self._facts = Facts(
            node_id=self.keys.node.id,
            node_info=record,
            self_signed_certificate=self.keys.node.self_signed.pem,
            replica=self.replica,
            openings=self.openings,
            session_metrics=link.metrics.document,
        )
        operations = Operations(self.replica, self.keys, clock, entropy)
        runner = WakingRunner(self._runner, link.want_turn)
        view = ReplicaView(self.replica)
        self.pipeline = build_pipeline(
            FrontendParts(
                app=load_app(settings.app),
                replica=self.replica,
                reader=self.runtime,
                facts=self._facts,
                openings=self.openings,
                governance=GovernanceParts(self.replica, view, runner, operations),
                interfaces=settings.interfaces,
                placement=None,
                clock=clock,
                log=self._log,
            )
        )
        self._certificates = Certificates(link, settings, self.keys, self.replica.store)
        self._listen(sockets)
        self.runtime.on_commit += [self.openings.committed, self._certificates.committed]
        link.on_turn = self.runtime.turn
        tick_ms = settings.tick_interval_ms
        link.every(tick_ms, partial(self._tick, int(tick_ms)))

    # -- beginning ---------------------------------------------------------------------

    def _listen(self, sockets: Sockets) -> None:
        backend = choose_backend()
        self._log.info(f"TLS by {backend.name}")
        for settings, sock in zip(self._settings.interfaces, sockets.rpc, strict=True):
            tls = None if settings.authority == "Unsecured" else TlsContext(backend)
            self._link.listen(
                settings.name, sock, tls, _limits(self._settings, settings), self.pipeline
            )
        self._certificates.show_self_signed()

    def begin(self) -> None:
        """Start a service, or begin to join one."""
        command = self._settings.command
        assert isinstance(command, StartSettings), "joining comes with several nodes"
        now = int(self._clock.unix_seconds())
        service = start_service(
            self.replica, self.keys, self._settings, command, self._facts.node_info,
            self.platform, now,
        )  # fmt: skip
        self._facts.state = "PartOfNetwork"
        self._shell.send(
            Started(
                node_id=self.keys.node.id,
                node_certificate=self.keys.node.self_signed.pem,
                service_certificate=service.certificate.pem,
            )
        )
        self._link.want_turn()

    # -- running -----------------------------------------------------------------------

    def _tick(self, elapsed_ms: int) -> None:
        self.replica.tick(elapsed_ms)
        self.pipeline.tick(self._clock.monotonic_ms())

    def from_host(self, message: ToEnclave, tail: memoryview, passed: socket.socket | None) -> None:
        """Handle a frame of the host and the connected socket that came with it."""
        match message:
            case Shutdown(reason=reason):
                self._stop(reason)
            case Signal():
                self._facts.stop_notice = True
            case _:
                assert passed is None, "nothing was dialled"
                self.runtime.from_host(message, tail)

    def _scripts_lost(self, reason: str) -> None:
        self._log.fail(f"Scripts cannot run any more: {reason}")
        self._link.stop(f"the script process is lost: {reason}")

    # -- ending ------------------------------------------------------------------------

    def _stop(self, reason: str) -> None:
        """Take no more connections, sign and commit what there is, then end.

        The host ends a node that takes too long.
        """
        self._facts.stop_notice = True
        self._link.stop_accepting()
        self.replica.sign_soon()
        self._link.every(STOP_TURNS_MS, partial(self._stop_when_committed, reason))

    def _stop_when_committed(self, reason: str) -> None:
        replica = self.replica
        if not replica.is_primary or replica.commit_id.seqno == replica.store.version:
            self._link.stop(reason)

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
