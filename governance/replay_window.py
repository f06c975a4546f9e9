"""Proposals are taken once: a window of the most recent ones, by the time they say they were made.

Keys are ``created_at`` padded to ten digits, a colon, and the digest of the signature, so byte
order is order of time. A message is refused when its key, or the key of the same message with its
ECDSA signature turned into the other valid one, is there.

Whatever a window has forgotten is refused because of its age. CCF has one window for all members,
so a single proposal dated far ahead, which nobody can forbid without trusting a clock, would make
everybody else's too old. Here each proposer has a window of its own, which alone decides what is
taken once. CCF's common window is kept as well, and says no only to what this node's clock calls
stale too.
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
STALE_AFTER_SECONDS = 24 * 3600
"""Age from which the common window counts: time to carry a message to a vault and back."""
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
    oldest = _oldest_known(own_keys, size)
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
    for key in _beyond(size, own_keys, request.replay_key):
        own.remove(prefix + key)


def _oldest_known(keys: Sequence[str], size: int) -> int:
    """Return the oldest time of which a window knows all it was shown, or CCF's if that is later.

    A full window has forgotten messages that may be as old as its oldest one.
    """
    full = len(keys) >= size
    return max(_middle(keys), _time(keys[0]) + 1 if full else 0)


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
