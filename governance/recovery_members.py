"""Who can recover the ledger: active members with an encryption key, by recovery role.

A participant holds one share, an owner the whole secret. A member that was registered with a key
and no role is a participant, as in services made before there were roles.
"""

from ledger.kv.tx import Tx
from ledger.tables.members import (
    MEMBER_ENCRYPTION_KEYS,
    MEMBER_INFO,
    MemberInfo,
    MemberStatus,
    RecoveryRole,
)


def role_of(tx: Tx, member_id: str, info: MemberInfo) -> RecoveryRole:
    """Return a member's recovery role with the default filled in."""
    if info.recovery_role is not None:
        return info.recovery_role
    has_key = tx.table(MEMBER_ENCRYPTION_KEYS).has(member_id)
    return RecoveryRole.PARTICIPANT if has_key else RecoveryRole.NON_PARTICIPANT


def active_recovery_members(tx: Tx) -> dict[str, RecoveryRole]:
    """Return the active members that hold something of the recovery secret, sorted by ID."""
    found: dict[str, RecoveryRole] = {}
    for member_id, info in tx.table(MEMBER_INFO).items():
        role = role_of(tx, member_id, info)
        if info.status is MemberStatus.ACTIVE and role is not RecoveryRole.NON_PARTICIPANT:
            found[member_id] = role
    return found


def participant_count(members: dict[str, RecoveryRole]) -> int:
    """Return how many members hold one share each."""
    return sum(role is RecoveryRole.PARTICIPANT for role in members.values())


def owner_count(members: dict[str, RecoveryRole]) -> int:
    """Return how many members hold the whole secret."""
    return sum(role is RecoveryRole.OWNER for role in members.values())
