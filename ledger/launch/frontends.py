"""The three frontends of a node and the pipeline over them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from governance.frontend import build as build_governance
from governance.parts import GovernanceParts
from ledger.app.application import App
from ledger.base.clock import Clock
from ledger.boundary.settings import InterfaceSettings
from ledger.endpoints.endpoint import Suspension
from ledger.endpoints.forwarding import Placement
from ledger.endpoints.interfaces import Interface
from ledger.endpoints.pipeline import Frontend, Pipeline
from ledger.endpoints.registry import Registry
from ledger.frontends.common import add_common
from ledger.frontends.join import Admission, add_join
from ledger.frontends.jwt_metrics import Metrics, add_jwt_metrics
from ledger.frontends.node import add_node_endpoints
from ledger.frontends.node_facts import NodeFacts
from ledger.frontends.node_removal import add_node_removal
from ledger.frontends.receipts import Receipts
from ledger.history.reading import EntryReader
from ledger.history.receipts import ReceiptSource
from ledger.launch.openings import Openings
from ledger.launch.shell import NodeLog
from ledger.replica.replica import Replica


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontendParts:
    """What frontends are built from.

    Attributes:
        app: The application.
        replica: State machine.
        reader: Reads entries of the past.
        facts: Facts of this node.
        openings: Which frontends are open.
        governance: What ``/gov`` is connected to.
        admission: Takes new nodes in.
        interfaces: RPC interfaces.
        jwt_metrics: How refreshing the keys of token issuers goes.
        placement: Where requests run, None for always here.
        clock: Time.
        log: For failures of handlers.
    """

    app: App
    replica: Replica
    reader: EntryReader
    facts: NodeFacts
    openings: Openings
    governance: GovernanceParts
    admission: Admission
    interfaces: tuple[InterfaceSettings, ...]
    jwt_metrics: Metrics
    placement: Placement | None
    clock: Clock
    log: NodeLog


def build_pipeline(parts: FrontendParts) -> Pipeline:
    """Return the dispatcher of all interfaces."""
    receipts = Receipts(ReceiptSource(parts.replica, parts.reader))
    node = Registry("/node", title="Quorate node", description="This node and its service.")
    add_node_endpoints(node, parts.facts)
    add_node_removal(node)
    add_jwt_metrics(node, parts.jwt_metrics)
    add_join(node, parts.admission)
    registries = {"app": parts.app.build(), "gov": build_governance(parts.governance), "node": node}
    for registry in registries.values():
        add_common(registry, parts.replica, receipts)
    openings = parts.openings
    return Pipeline(
        parts.replica,
        (
            Frontend(registries["node"], _always, back_pressured=False),
            Frontend(registries["gov"], lambda: openings.gov_open, back_pressured=True),
            Frontend(registries["app"], lambda: openings.app_open, back_pressured=True),
        ),
        now=parts.clock.unix_seconds,
        on_failure=parts.log.fail,
        interfaces=[interface_of(settings) for settings in parts.interfaces],
        placement=parts.placement,
    )


def _always() -> bool:
    return True


def interface_of(settings: InterfaceSettings) -> Interface:
    """Return what an interface lets through."""
    return Interface(
        settings.name,
        settings.accepted_endpoints,
        unsecured=settings.authority == "Unsecured",
    )


class ReplicaView:
    """Implements ``governance.parts.LedgerView`` on a replica."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def root_at(self, seqno: int) -> bytes:
        """Return the Merkle root at the read version of an open transaction."""
        return self._replica.tree.root(seqno)

    def await_root(self, seqno: int) -> Suspension | None:
        """Return what to wait for until ``root_at`` can answer, None when it can."""
        return None if self._replica.has_root(seqno) else _Signed(self._replica)


class _Signed:
    """A wait for the oldest outstanding signature."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def start(self, resume: Callable[[Any], None]) -> None:
        """See ``Suspension``."""
        self._replica.when_signed(resume)
