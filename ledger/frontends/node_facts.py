"""What the ``/node`` endpoints ask of the running node."""

from typing import Any, Protocol

from ledger.tables.nodes import NodeInfo


class NodeFacts(Protocol):
    """Facts about this node that are not in the store."""

    @property
    def node_id(self) -> str:
        """This node's ID."""
        ...

    @property
    def node_info(self) -> NodeInfo:
        """This node's own record as configured, Pending while the store has none."""
        ...

    @property
    def state(self) -> str:
        """Start-up state, e.g. ``PartOfNetwork``."""
        ...

    @property
    def startup_seqno(self) -> int:
        """Seqno this node started from, 0 without a snapshot."""
        ...

    @property
    def last_signed_seqno(self) -> int:
        """Seqno of the newest signature transaction here."""
        ...

    @property
    def stop_notice(self) -> bool:
        """Whether a first SIGTERM asked for retirement."""
        ...

    @property
    def view(self) -> int:
        """Current view, 0 before the node knows one."""
        ...

    @property
    def primary_id(self) -> str | None:
        """The primary as this node knows it."""
        ...

    @property
    def self_signed_certificate(self) -> str:
        """This node's self-signed certificate, PEM."""
        ...

    def app_ready(self) -> bool:
        """Whether user requests are served here."""
        ...

    def gov_ready(self) -> bool:
        """Whether governance requests are served here."""
        ...

    def session_metrics(self) -> dict[str, Any]:
        """Value of ``/node/metrics``."""
        ...

    def consensus_details(self) -> dict[str, Any]:
        """Value of ``details`` of ``/node/consensus``."""
        ...
