"""Start: the genesis transaction of a new service.

It is transaction 2.1 and writes, together: the first members (Accepted until they acknowledge),
the constitution, the configuration, the first node as Trusted with its endorsed certificate, what
that node's evidence says as the join policy, and the service as Opening.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ledger.base.errors import MisuseError
from ledger.base.ids import FIRST_SEQNO, FIRST_VIEW, TxId
from ledger.kv.tx import Tx
from ledger.tables.members import (
    MEMBER_ACKS,
    MEMBER_CERTS,
    MEMBER_ENCRYPTION_KEYS,
    MEMBER_INFO,
    MemberAck,
    MemberInfo,
    MemberStatus,
    RecoveryRole,
)
from ledger.tables.nodes import (
    ALLOWED_TO_JOIN,
    NODES_ENDORSED_CERTIFICATES,
    NODES_INFO,
    VIRTUAL_HOST_DATA,
    VIRTUAL_MEASUREMENTS,
    NodeInfo,
)
from ledger.tables.service import (
    CONSTITUTION,
    SERVICE_CONFIG,
    SERVICE_INFO,
    ServiceConfiguration,
    ServiceInfo,
    ServiceStatus,
)

GENESIS = TxId(FIRST_VIEW, FIRST_SEQNO)


@dataclass(frozen=True, slots=True)
class FirstMember:
    """A member of the first consortium.

    Attributes:
        id: Member ID.
        certificate: PEM.
        encryption_public_key: RSA PEM, or None for a member without recovery role.
        data: Free JSON.
        recovery_role: None means Participant with an encryption key, NonParticipant without.
    """

    id: str
    certificate: str
    encryption_public_key: str | None = None
    data: Any = None
    recovery_role: RecoveryRole | None = None

    @property
    def effective_role(self) -> RecoveryRole:
        """Recovery role with the default filled in."""
        if self.recovery_role is not None:
            return self.recovery_role
        has_key = self.encryption_public_key is not None
        return RecoveryRole.PARTICIPANT if has_key else RecoveryRole.NON_PARTICIPANT


@dataclass(frozen=True, slots=True)
class FirstNode:
    """The node that starts the service.

    Attributes:
        id: Node ID.
        info: Its row of the nodes table, Trusted.
        certificate: Its certificate endorsed by the service, PEM.
        measurement: What its evidence measures, allowed to join from now on.
        host_data: Its host data, 64 hex characters, allowed to join from now on.
    """

    id: str
    info: NodeInfo
    certificate: str
    measurement: str
    host_data: str


@dataclass(frozen=True, slots=True)
class Genesis:
    """Everything the first transaction writes."""

    members: Sequence[FirstMember]
    constitution: str
    configuration: ServiceConfiguration
    service_certificate: str
    service_data: Any
    node: FirstNode


def initial_threshold(members: Sequence[FirstMember], threshold: int) -> int:
    """Return the recovery threshold of a new service; 0 asks for the number of participants.

    Raises:
        MisuseError: more than there are participants, or more than 1 with owners alone.
    """
    roles = [member.effective_role for member in members]
    participants = roles.count(RecoveryRole.PARTICIPANT)
    if threshold == 0:
        return participants or 1
    if not participants and RecoveryRole.OWNER in roles:
        if threshold > 1:
            raise MisuseError(
                f"got recovery threshold {threshold}, want 1: all recovery members are owners"
            )
        return 1
    if threshold > participants:
        raise MisuseError(
            f"got recovery threshold {threshold}, want at most the number of recovery "
            f"participants, {participants}"
        )
    return threshold


def write_genesis(tx: Tx, genesis: Genesis) -> None:
    """Write the first transaction of a service."""
    for member in genesis.members:
        _write_member(tx, member)
    tx.singleton(CONSTITUTION).put(genesis.constitution)
    tx.singleton(SERVICE_CONFIG).put(genesis.configuration)
    tx.singleton(SERVICE_INFO).put(
        ServiceInfo(
            cert=genesis.service_certificate,
            status=ServiceStatus.OPENING,
            recovery_count=0,
            service_data=genesis.service_data,
            current_service_create_txid=str(GENESIS),
        )
    )
    _write_node(tx, genesis.node)


def _write_member(tx: Tx, member: FirstMember) -> None:
    tx.table(MEMBER_CERTS).put(member.id, member.certificate)
    if member.encryption_public_key is not None:
        tx.table(MEMBER_ENCRYPTION_KEYS).put(member.id, member.encryption_public_key)
    tx.table(MEMBER_INFO).put(
        member.id,
        MemberInfo(
            status=MemberStatus.ACCEPTED,
            member_data=member.data,
            recovery_role=member.effective_role,
        ),
    )
    tx.table(MEMBER_ACKS).put(member.id, MemberAck(state_digest=""))


def _write_node(tx: Tx, node: FirstNode) -> None:
    tx.table(NODES_INFO).put(node.id, node.info)
    tx.table(NODES_ENDORSED_CERTIFICATES).put(node.id, node.certificate)
    tx.table(VIRTUAL_MEASUREMENTS).put(node.measurement, ALLOWED_TO_JOIN)
    tx.set(VIRTUAL_HOST_DATA).add(node.host_data)
