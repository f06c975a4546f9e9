"""Where proposals are: open and just closed ones in CCF's tables, older ones in the archive.

CCF forgets closed proposals as soon as another one closes, and its tools expect that of its
tables. Ours move into the archive at that moment.

States, and what leads from one to the next::

    Open ──resolve says Open──▶ Open
    Open ──resolve says Accepted, apply succeeds──▶ Accepted
    Open ──resolve says Rejected──▶ Rejected
    Open ──resolve or apply fails──▶ Failed
    Open ──its proposer withdraws it──▶ Withdrawn
    Open ──another proposal changes the rules──▶ Dropped
"""

from collections.abc import Iterator

import msgspec

from governance.proposal_archive import archive
from governance.tables import ARCHIVED_PROPOSALS, ARCHIVED_PROPOSALS_INFO
from ledger.kv.tx import Tx
from ledger.tables.members import (
    PROPOSALS,
    PROPOSALS_INFO,
    ProposalInfo,
    ProposalState,
)

RESOLUTIONS = {
    "Open": ProposalState.OPEN,
    "Accepted": ProposalState.ACCEPTED,
    "Rejected": ProposalState.REJECTED,
}
"""What a constitution's ``resolve`` may answer; anything else is Failed."""


def find_info(tx: Tx, proposal_id: str) -> ProposalInfo | None:
    """Return state and ballots of a proposal, of the archive too."""
    info = tx.table(PROPOSALS_INFO).get(proposal_id)
    if info is not None:
        return info
    return tx.table(ARCHIVED_PROPOSALS_INFO).get(proposal_id)


def find_proposal(tx: Tx, proposal_id: str) -> bytes | None:
    """Return a proposal as it was submitted, of the archive too."""
    data = tx.table(PROPOSALS).get(proposal_id)
    if data is not None:
        return data
    return tx.table(ARCHIVED_PROPOSALS).get(proposal_id)


def list_infos(tx: Tx, *, closed: bool) -> Iterator[tuple[str, ProposalInfo]]:
    """Iterate proposals by ID; with ``closed`` the archive follows."""
    yield from tx.table(PROPOSALS_INFO).items()
    if closed:
        yield from tx.table(ARCHIVED_PROPOSALS_INFO).items()


def archive_closed(tx: Tx, but: str) -> None:
    """Move every closed proposal except one into the archive."""
    infos, proposals = tx.table(PROPOSALS_INFO), tx.table(PROPOSALS)
    for proposal_id, info in list(infos.items()):
        if proposal_id == but or info.state is ProposalState.OPEN:
            continue
        archive(tx, proposal_id, info, proposals.get(proposal_id) or b"")
        infos.remove(proposal_id)
        proposals.remove(proposal_id)


def drop_open(tx: Tx, but: str) -> None:
    """Drop every open proposal except one: the rules that they were made under have changed."""
    infos = tx.table(PROPOSALS_INFO)
    for proposal_id, info in list(infos.items()):
        if proposal_id != but and info.state is ProposalState.OPEN:
            infos.put(proposal_id, msgspec.structs.replace(info, state=ProposalState.DROPPED))
