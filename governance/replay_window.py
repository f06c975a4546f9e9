"""Proposals are taken once: a window of the most recent ones, by the time they say they were made.

Keys are ``created_at`` padded to ten digits, a colon, and the digest of the signature, so byte
order is order of time. A message is refused when its key, or the key of the same message with its
ECDSA signature turned into the other valid one, is there, and when it is older than the middle of
the window: whatever the window has forgotten is older than that.
"""

from ledger.crypto.cose_governance import MemberRequest
from ledger.endpoints.errors import Code, HttpError
from ledger.kv.tx import Tx
from ledger.tables.members import COSE_RECENT_PROPOSALS
from ledger.tables.service import SERVICE_CONFIG

DEFAULT_WINDOW_SIZE = 100
"""Proposals kept when the service's configuration names no number, as CCF."""
_TIME_DIGITS = 10


def admit(tx: Tx, request: MemberRequest, proposal_id: str) -> None:
    """Take a proposal's message into the window.

    Raises:
        HttpError: 400, it was seen before or is too old to know.
    """
    table = tx.table(COSE_RECENT_PROPOSALS)
    keys = [key for key, _ in table.items()]
    if table.has(request.replay_key) or table.has(request.twin_replay_key):
        raise HttpError(
            400, Code.PROPOSAL_REPLAY, "Proposal submission replay: this message was seen before."
        )
    if keys:
        oldest = int(keys[len(keys) // 2][:_TIME_DIGITS])
        if request.created_at < oldest:
            raise HttpError(
                400,
                Code.PROPOSAL_CREATED_TOO_LONG_AGO,
                f"Proposal created too long ago: at {request.created_at}, "
                f"must be no older than {oldest}.",
            )
    table.put(request.replay_key, proposal_id)
    keys = sorted([*keys, request.replay_key])
    for key in keys[: max(0, len(keys) - _window_size(tx))]:
        table.remove(key)


def _window_size(tx: Tx) -> int:
    config = tx.singleton(SERVICE_CONFIG).get()
    size = None if config is None else config.recent_cose_proposals_window_size
    return DEFAULT_WINDOW_SIZE if size is None else size
