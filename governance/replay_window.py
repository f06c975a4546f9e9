"""Proposals are taken once: a window of the most recent ones, by the time they say they were made.

Keys are ``created_at`` padded to ten digits, a colon, and the digest of the signature, so byte
order is order of time. A message is refused when its key, or the key of the same message with its
ECDSA signature turned into the other valid one, is there.

What is older than the middle of the window is refused, as CCF does. CCF has one window for all
members, so a single proposal dated ahead, which nobody can forbid without trusting a clock, would
make everybody else's too old. Here each proposer has a window of its own beside the common one:
a proposer's own messages may always make its others too old, those of the others only what this
node's clock calls stale. The own windows also remember more than CCF's, so that what one of them
has forgotten can be refused because of its age, even if many were made in one second.
"""

from collections.abc import Sequence

from governance.tables import RECENT_PROPOSALS
from ledger.crypto.cose_governance import MemberRequest
from ledger.endpoints.errors import Code, HttpError
from ledger.kv.tx import Tx
from ledger.tables.members import COSE_RECENT_PROPOSALS
from ledger.tables.service import SERVICE_CONFIG

DEFAULT_WINDOW_SIZE = 100
"""Proposals kept when the service's configuration names no number, as CCF."""
STALE_AFTER_SECONDS = 600
"""Age from which the common window counts: clocks differ, and a key may be in a vault."""
REMEMBERED = 1000
"""Least messages that the window of one proposer remembers."""
_TIME_DIGITS = 10


def admit(tx: Tx, request: MemberRequest, proposal_id: str, now: float) -> None:
    """Take a proposal's message into the windows.

    Args:
        tx: Transaction to write through.
        request: The message.
        proposal_id: What it proposes.
        now: Seconds since 1970; 0 where there is no clock, which calls nothing stale.

    Raises:
        HttpError: 400, it was seen before or is too old to know.
    """
    size = _window_size(tx)
    common, own = tx.table(COSE_RECENT_PROPOSALS), tx.table(RECENT_PROPOSALS)
    prefix = f"{request.member}:"
    own_keys = [key.removeprefix(prefix) for key, _ in own.prefix(prefix.encode())]
    if not {request.replay_key, request.twin_replay_key}.isdisjoint(own_keys):
        raise HttpError(
            400, Code.PROPOSAL_REPLAY, "Proposal submission replay: this message was seen before."
        )
    common_keys = [key for key, _ in common.items()]
    remembered = max(size, REMEMBERED)
    oldest = _middle(own_keys[-size:])
    if len(own_keys) >= remembered:  # it may have forgotten others of its oldest second
        oldest = max(oldest, _time(own_keys[0]) + 1)
    if request.created_at < now - STALE_AFTER_SECONDS:
        oldest = max(oldest, _middle(common_keys))
    if request.created_at < oldest:
        raise HttpError(
            400,
            Code.PROPOSAL_CREATED_TOO_LONG_AGO,
            f"Proposal created too long ago: at {request.created_at}, "
            f"must be no older than {oldest}.",
        )
    common.put(request.replay_key, proposal_id)
    for key in _beyond(size, common_keys, request.replay_key):
        common.remove(key)
    own.put(prefix + request.replay_key, proposal_id)
    for key in _beyond(remembered, own_keys, request.replay_key):
        own.remove(prefix + key)


def _middle(keys: Sequence[str]) -> int:
    return _time(keys[len(keys) // 2]) if keys else 0


def _time(key: str) -> int:
    return int(key[:_TIME_DIGITS])


def _beyond(size: int, keys: Sequence[str], key: str) -> list[str]:
    """Return the oldest keys that are too many once another one is added."""
    keys = sorted([*keys, key])
    return keys[: max(0, len(keys) - size)]


def _window_size(tx: Tx) -> int:
    config = tx.singleton(SERVICE_CONFIG).get()
    size = None if config is None else config.recent_cose_proposals_window_size
    return DEFAULT_WINDOW_SIZE if size is None else size
