"""Tables of governance that CCF does not have: closed proposals, replay windows, script limits.

They carry the prefix ``public:quorate.gov.``, because CCF's auditors refuse names under
``public:ccf.`` that they do not know.
"""

import msgspec

from governance.scripting import ScriptLimits
from ledger.codec.tables import BYTES, JSON_TEXT, STR, Singleton, Table
from ledger.tables.members import ProposalInfo


class ArchivedProposal(msgspec.Struct):
    """An entry of the list of what is archived.

    Attributes:
        proposal_id: Which proposal.
        size: Bytes kept of it in both tables.
    """

    proposal_id: str
    size: int


ARCHIVED_PROPOSALS = Table("public:quorate.gov.archived_proposals", STR, BYTES)
"""Proposal ID → proposal as submitted, once CCF's table has let go of it."""
ARCHIVED_PROPOSALS_INFO = Table("public:quorate.gov.archived_proposals_info", STR, ProposalInfo)
"""Proposal ID → final state, ballots and reasons."""
ARCHIVE_ORDER = Table("public:quorate.gov.archive_order", STR, ArchivedProposal)
"""Proposer's ID, a colon and ten digits that count its archived proposals → one of them."""
RECENT_PROPOSALS = Table("public:quorate.gov.recent_proposals", STR, JSON_TEXT)
"""Proposer's ID, a colon and the key of CCF's window → proposal ID; see ``replay_window``."""
SCRIPT_LIMITS = Singleton("public:quorate.gov.script_limits", ScriptLimits)
"""Limits of scripts that members set; the defaults when absent."""
