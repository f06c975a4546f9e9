"""What governance asks of the node, because only the node holds the keys.

Every operation writes through the transaction of the proposal that decided it, so it happens with
that transaction or not at all; it may run again when the transaction conflicts.
"""

from dataclasses import dataclass
from typing import Protocol

from ledger.base.errors import LedgerError
from ledger.kv.tx import Tx


class OperationRefused(LedgerError):  # noqa: N818 - an answer with a reason, shown to members
    """The node cannot do what was decided; the sentence becomes the proposal's failure."""


@dataclass(frozen=True, slots=True)
class ShareProgress:
    """Where the submission of recovery shares stands.

    Attributes:
        submitted: Shares submitted so far, this one included.
        threshold: Shares needed.
        full_key_submitted: An owner submitted the whole secret: no more shares are needed.
        recovered: The ledger secret is rebuilt, and the private ledger is being read.
    """

    submitted: int
    threshold: int
    full_key_submitted: bool
    recovered: bool


class NodeOperations(Protocol):
    """Implemented by the node, next to its keys. All raise ``OperationRefused``."""

    def open_service(self, tx: Tx) -> None:
        """Write what opens an Opening service.

        That is: recovery shares, the first entry of the chain of ledger secrets, the endorsement
        of the service identity, and ``service.info`` with status Open. Governance has checked
        identities, status and that a recovery member is active.
        """
        ...

    def refresh_recovery_shares(self, tx: Tx) -> None:
        """Make a new wrapping key and shares for the recovery members in ``tx``."""
        ...

    def rekey_ledger(self, tx: Tx) -> None:
        """Make a new ledger secret, valid after this transaction, with its shares."""
        ...

    def give_state_digest(self, tx: Tx, member_id: str) -> None:
        """Write what a new member may acknowledge, see ``state_digests``."""
        ...

    def latest_ledger_secret_seqno(self, tx: Tx) -> int:
        """Return the first seqno of the newest ledger secret."""
        ...

    def endorse_node(self, tx: Tx, node_id: str, not_before: int, days: int) -> None:
        """Write a node's certificate, endorsed by the service, made from its request.

        Args:
            tx: Holds the node's row, whose request for a certificate is used.
            node_id: The node.
            not_before: First second of validity, since 1970.
            days: Length of validity, at least 1; governance has checked the maximum.
        """
        ...

    def renew_service_certificate(self, tx: Tx, not_before: int, days: int) -> None:
        """Write a new certificate for the same service key into ``service.info``."""
        ...

    def trigger_ledger_chunk(self, tx: Tx) -> None:
        """Let the ledger chunk end with this transaction's signature."""
        ...

    def trigger_snapshot(self, tx: Tx) -> None:
        """Let the next signature be followed by a snapshot."""
        ...

    def submit_recovery_share(self, tx: Tx, member_id: str, share: bytes) -> ShareProgress:
        """Take a member's share (44 bytes); with enough of them, rebuild the ledger secret."""
        ...
