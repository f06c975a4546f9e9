"""Closed proposals that CCF's tables have let go of: the newest ones of every proposer.

A member can make and withdraw proposals without end, and every node holds the tables in memory, so
what the archive keeps of one proposer is bounded. Older ones are in the ledger alone.
"""

import itertools

from governance.tables import (
    ARCHIVE_ORDER,
    ARCHIVED_PROPOSALS,
    ARCHIVED_PROPOSALS_INFO,
    ArchivedProposal,
)
from ledger.kv.tx import Tx
from ledger.tables.members import ProposalInfo

KEPT_MAX = 1000
"""Most archived proposals of one proposer."""
KEPT_BYTES_MAX = 4 * 1024 * 1024
"""Most bytes of them, proposals and ballots together; the newest one is kept whatever its size."""
_DIGITS = 10


def archive(tx: Tx, proposal_id: str, info: ProposalInfo, proposal: bytes) -> None:
    """Keep a closed proposal, and let go of its proposer's oldest ones beyond the bounds."""
    infos, proposals = tx.table(ARCHIVED_PROPOSALS_INFO), tx.table(ARCHIVED_PROPOSALS)
    infos.put(proposal_id, info)
    proposals.put(proposal_id, proposal)
    size = len(proposal) + sum(map(len, info.ballots.values()))
    order = tx.table(ARCHIVE_ORDER)
    before = f"{info.proposer_id}:".encode()
    number = next((_number(key) for key, _ in order.prefix(before, reverse=True)), 0) + 1
    newest = f"{info.proposer_id}:{number:0{_DIGITS}}"
    order.put(newest, ArchivedProposal(proposal_id, size))
    kept = list(order.prefix(before))
    count, total = len(kept), sum(each.size for _, each in kept)
    for key, each in itertools.takewhile(lambda entry: entry[0] != newest, kept):
        if count <= KEPT_MAX and total <= KEPT_BYTES_MAX:
            break
        order.remove(key)
        infos.remove(each.proposal_id)
        proposals.remove(each.proposal_id)
        count, total = count - 1, total - each.size


def _number(key: str) -> int:
    return int(key[-_DIGITS:])
