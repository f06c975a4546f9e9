"""The first entry of a service: it writes what a start writes, and nothing else."""

from typing import TypeVar

import msgspec

from governance.checks import encryption_key_problem
from governance.replay.certificates import node_certificate_problem
from governance.replay.compare import first_difference
from governance.replay.joining import admission_problem
from governance.replay.verdict import Verdict
from ledger.base.errors import FormatError, LedgerError
from ledger.codec.tables import SetTable, Singleton, Table
from ledger.codec.writeset import Changes
from ledger.crypto.certificate import Certificate, CertificateRequest
from ledger.kv.store import Store
from ledger.kv.tx import Tx
from ledger.lifecycle.start import (
    FirstMember,
    FirstNode,
    Genesis,
    initial_threshold,
    write_genesis,
)
from ledger.tables.members import MEMBER_CERTS, MEMBER_ENCRYPTION_KEYS, MEMBER_INFO, RecoveryRole
from ledger.tables.nodes import (
    NODES_ENDORSED_CERTIFICATES,
    NODES_INFO,
    VIRTUAL_HOST_DATA,
    VIRTUAL_MEASUREMENTS,
    NodeStatus,
)
from ledger.tables.service import (
    CONSTITUTION,
    SERVICE_CONFIG,
    SERVICE_INFO,
    ServiceInfo,
    ServiceStatus,
)

T = TypeVar("T")

KIND = "genesis"


def judge_genesis(recorded: Changes) -> Verdict:
    """Judge the first entry: built again from its own members, node and configuration.

    The members, the constitution and the first node cannot be derived from anything: whoever
    audits a service compares them with what was agreed on.

    Args:
        recorded: Its public changes.
    """
    store = Store()
    store.apply(1, recorded)
    tx = store.begin(read_only=True)
    try:
        genesis = _genesis_of(tx)
        again = Store().begin()
        write_genesis(again, genesis)
        row = first_difference(recorded, again.changes)
        problem = None if row is not None else _problem(genesis)
    except LedgerError as error:
        return Verdict(KIND, f"this is no first entry of a service: {error}")
    return Verdict(KIND, problem if row is None else row.message, row)


def _genesis_of(tx: Tx) -> Genesis:
    """Return what a start must have been given to write these tables.

    Raises:
        FormatError: something is missing, twice there, or unreadable.
    """
    service = _only(tx, SERVICE_INFO)
    node_id, node = _only_row(tx, NODES_INFO)
    return Genesis(
        members=[_member(tx, pem) for _, pem in tx.table(MEMBER_CERTS).items()],
        constitution=_only(tx, CONSTITUTION),
        configuration=_only(tx, SERVICE_CONFIG),
        service_certificate=service.cert,
        service_data=service.service_data,
        node=FirstNode(
            id=node_id,
            info=node,
            certificate=_only_row(tx, NODES_ENDORSED_CERTIFICATES)[1],
            measurement=_only_row(tx, VIRTUAL_MEASUREMENTS)[0],
            host_data=_only_member(tx, VIRTUAL_HOST_DATA),
        ),
    )


def _member(tx: Tx, pem: str) -> FirstMember:
    certificate = Certificate.parse(pem)
    info = tx.table(MEMBER_INFO).get(certificate.id)
    if info is None:
        raise FormatError(f"got certificate {certificate.id} without a row of its member")
    return FirstMember(
        id=certificate.id,
        certificate=pem,
        encryption_public_key=tx.table(MEMBER_ENCRYPTION_KEYS).get(certificate.id),
        data=info.member_data,
        recovery_role=info.recovery_role,
    )


def _problem(genesis: Genesis) -> str | None:
    """Say what is wrong with certificates, node and threshold."""
    service = Certificate.parse(genesis.service_certificate)
    if not service.is_self_signed or not service.is_ca:
        return "the service's certificate is not one that signs itself and others"
    node = genesis.node
    if node.info.status is not NodeStatus.TRUSTED or node.info.ledger_secret_seqno != 1:
        return "the first node is not Trusted from the first ledger secret on"
    if node.info.certificate_signing_request is None:
        return "the first node has no request for a certificate"
    request = CertificateRequest.parse(node.info.certificate_signing_request)
    if request.public_key.id != node.id:
        return f"the first node's ID is {node.id}, want that of its key, {request.public_key.id}"
    problem = node_certificate_problem(node.certificate.encode(), request, service, None)
    if problem is not None:
        return problem
    for member in genesis.members:
        key = member.encryption_public_key
        if key is None and member.effective_role is not RecoveryRole.NON_PARTICIPANT:
            return f"member {member.id} takes part in recovery without an encryption key"
        key_problem = None if key is None else encryption_key_problem(key)
        if key_problem is not None:
            return f"the encryption key of member {member.id} is refused: {key_problem}"
    threshold = genesis.configuration.recovery_threshold
    if initial_threshold(genesis.members, threshold) != threshold:
        return f"the recovery threshold is {threshold}, want at least 1"
    alone = Store().begin()
    opening = ServiceInfo(cert=genesis.service_certificate, status=ServiceStatus.OPENING)
    alone.singleton(SERVICE_INFO).put(opening)
    alone.table(VIRTUAL_MEASUREMENTS).put(node.measurement, "AllowedToJoin")
    alone.set(VIRTUAL_HOST_DATA).add(node.host_data)
    joiner = msgspec.structs.replace(node.info, ledger_secret_seqno=None)
    return admission_problem(alone, node.id, joiner)


def _only(tx: Tx, singleton: Singleton[T]) -> T:
    value = tx.singleton(singleton).get()
    if value is None:
        raise FormatError(f"got no {singleton.name}")
    return value


def _only_row(tx: Tx, table: Table[str, T]) -> tuple[str, T]:
    rows = list(tx.table(table).items())
    if len(rows) != 1:
        raise FormatError(f"got {len(rows)} rows in {table.name}, want one")
    return rows[0]


def _only_member(tx: Tx, table: SetTable[str]) -> str:
    keys = list(tx.set(table).keys())
    if len(keys) != 1:
        raise FormatError(f"got {len(keys)} keys in {table.name}, want one")
    return keys[0]
