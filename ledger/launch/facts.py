"""What ``/node`` tells of the running node: implements ``frontends.node_facts.NodeFacts``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ledger.launch.openings import Openings
from ledger.replica.replica import Replica
from ledger.tables.nodes import NODES_INFO, NodeInfo


@dataclass(slots=True)
class Facts:
    """Facts of one node.

    Attributes:
        node_id: This node.
        node_info: Its own record as configured, Pending.
        self_signed_certificate: PEM.
        replica: Its state machine.
        openings: Which frontends are open.
        session_metrics: Value of ``/node/metrics``.
        state: Start-up state.
        startup_seqno: Seqno it started from.
        stop_notice: Whether a first SIGTERM came.
    """

    node_id: str
    node_info: NodeInfo
    self_signed_certificate: str
    replica: Replica
    openings: Openings
    session_metrics: Callable[[], dict[str, Any]]
    state: str = "Initialized"
    startup_seqno: int = 0
    stop_notice: bool = False

    @property
    def last_signed_seqno(self) -> int:
        """Seqno of the newest signature transaction here."""
        return self.replica.signatures.last

    @property
    def view(self) -> int:
        """Current view."""
        return self.replica.raft.view

    @property
    def primary_id(self) -> str | None:
        """The primary as this node knows it."""
        return self.replica.raft.primary_id

    def app_ready(self) -> bool:
        """Whether user requests are served here."""
        return self.openings.app_open and not self.stop_notice and self.primary_id is not None

    def gov_ready(self) -> bool:
        """Whether governance requests are served here."""
        return self.openings.gov_open and not self.stop_notice and self.primary_id is not None

    def consensus_details(self) -> dict[str, Any]:
        """Value of ``details`` of ``/node/consensus``."""
        status = self.replica.raft.status()
        addresses = self._addresses()
        details: dict[str, Any] = {
            "configs": [
                {
                    "idx": seqno,
                    "rid": seqno,
                    "nodes": {node: {"address": addresses.get(node, "")} for node in sorted(nodes)},
                }
                for seqno, nodes in status.configs
            ],
            "acks": status.acks,
            "membership_state": status.membership_state,
            "leadership_state": status.leadership_state,
            "primary_id": status.primary_id,
            "current_view": status.current_view,
            "ticking": status.ticking,
        }
        if status.retirement_phase is not None:
            details["retirement_phase"] = status.retirement_phase
        return details

    def _addresses(self) -> dict[str, str]:
        table = self.replica.begin_read_only().table(NODES_INFO)
        return {
            node: info.node_to_node_interface.get("published_address", "")
            for node, info in table.items()
        }
