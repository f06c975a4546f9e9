"""Tables of people: members, users, proposals."""

import enum
from typing import Any

import msgspec

from ledger.codec.tables import BYTES, JSON_TEXT, STR, Table


class MemberStatus(enum.Enum):
    """An Accepted member becomes Active by signing a state digest."""

    ACCEPTED = "Accepted"
    ACTIVE = "Active"


class RecoveryRole(enum.Enum):
    """What a member holds of the recovery secret: nothing, a share, or all of it."""

    NON_PARTICIPANT = "NonParticipant"
    PARTICIPANT = "Participant"
    OWNER = "Owner"


class MemberInfo(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True):
    """Status, free data and recovery role of a member."""

    status: MemberStatus
    member_data: Any = None
    recovery_role: RecoveryRole | None = None


class MemberAck(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True):
    """The state digest a member has to sign, and its signed message (base64) once it did."""

    state_digest: str
    cose_sign1_req: str | None = None


class UserInfo(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True):
    """Free data of a user."""

    user_data: Any = None


class ProposalState(enum.Enum):
    """Life of a proposal; all but Open are final."""

    OPEN = "Open"
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    WITHDRAWN = "Withdrawn"
    FAILED = "Failed"
    DROPPED = "Dropped"


class Failure(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True):
    """Why a script failed."""

    reason: str
    trace: str | None = None


class ProposalInfo(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True):
    """A proposal's state and its ballots (member ID → ballot source)."""

    proposer_id: str
    state: ProposalState
    ballots: dict[str, str]
    final_votes: dict[str, bool] | None = None
    vote_failures: dict[str, Failure] | None = None
    failure: Failure | None = None


MEMBER_CERTS = Table("public:ccf.gov.members.certs", STR, STR)
MEMBER_ENCRYPTION_KEYS = Table("public:ccf.gov.members.encryption_public_keys", STR, STR)
MEMBER_INFO = Table("public:ccf.gov.members.info", STR, MemberInfo)
MEMBER_ACKS = Table("public:ccf.gov.members.acks", STR, MemberAck)
USER_CERTS = Table("public:ccf.gov.users.certs", STR, STR)
USER_INFO = Table("public:ccf.gov.users.info", STR, UserInfo)

PROPOSALS = Table("public:ccf.gov.proposals", STR, BYTES)
PROPOSALS_INFO = Table("public:ccf.gov.proposals_info", STR, ProposalInfo)
COSE_HISTORY = Table("public:ccf.gov.cose_history", STR, JSON_TEXT)
COSE_RECENT_PROPOSALS = Table("public:ccf.gov.cose_recent_proposals", STR, JSON_TEXT)
