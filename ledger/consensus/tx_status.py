"""What one node can say of a transaction: a table of the node's view of it and of its commit."""

import enum


class TxStatus(enum.StrEnum):
    """Status of a transaction. Committed and Invalid are final, on every node."""

    UNKNOWN = "Unknown"
    PENDING = "Pending"
    COMMITTED = "Committed"
    INVALID = "Invalid"


def tx_status(view: int, seqno: int, *, held_view: int, commit: int, commit_view: int) -> TxStatus:
    """Say what has become of the transaction ``view.seqno``.

    Nodes may lag, but never contradict each other. Pending may return to Unknown after an election.

    Args:
        view: View asked for.
        seqno: Seqno asked for.
        held_view: View of the node's entry at ``seqno``, 0 if it has none.
        commit: The node's commit seqno.
        commit_view: View of its entry there.
    """
    if commit >= seqno:
        return TxStatus.COMMITTED if held_view == view else TxStatus.INVALID
    if held_view == view:
        return TxStatus.PENDING
    if commit_view > view:
        return TxStatus.INVALID
    return TxStatus.UNKNOWN
