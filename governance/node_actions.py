"""Decisions that the node carries out: what must be true in the tables before it does.

The node trusts these checks and keeps to keys; nothing here touches a key.
"""

from governance.moments import parse_moment
from governance.operations import NodeOperations
from governance.recovery_members import active_recovery_members, owner_count, participant_count
from governance.scripting import HostError
from ledger.base.errors import FormatError
from ledger.crypto.certificate import Certificate
from ledger.kv.tx import Tx
from ledger.tables.internal import SUBMITTED_SHARES
from ledger.tables.nodes import NODES_INFO
from ledger.tables.service import (
    PREVIOUS_SERVICE_IDENTITY,
    SERVICE_CONFIG,
    SERVICE_INFO,
    ServiceConfiguration,
    ServiceInfo,
    ServiceStatus,
)

DEFAULT_VALIDITY_DAYS = 365
"""Longest validity where the service's configuration names none."""
NOT_BEFORE_MAX = 253_402_300_799
"""9999-12-31T23:59:59Z, the last second X.509 can say."""


class NodeActions:
    """The node's part of applying a proposal, over one transaction."""

    __slots__ = ("_operations", "_tx")

    def __init__(self, tx: Tx, operations: NodeOperations) -> None:
        self._tx = tx
        self._operations = operations

    def open_service(self, next_identity: str, previous_identity: str | None) -> None:
        """Open an Opening service, or start the recovery of a Recovering one.

        Nothing happens when it is open already, or waits for shares.

        Raises:
            HostError: an identity is not the service's, or too few members can recover it.
        """
        service = self._service()
        if service.status in {ServiceStatus.OPEN, ServiceStatus.WAITING_FOR_RECOVERY_SHARES}:
            return
        if not _same_certificate(next_identity, service.cert):
            raise HostError("next_service_identity is not the certificate of this service")
        if service.status is ServiceStatus.RECOVERING:
            self._await_shares(service, previous_identity)
            return
        self._require_recovery_members()
        self._operations.open_service(self._tx)

    def refresh_recovery_shares(self) -> None:
        """Make new shares for the active recovery members.

        Raises:
            HostError: the service is not open, or too few members can recover it.
        """
        status = self._service().status
        if status is not ServiceStatus.OPEN:
            raise HostError(f"the service is {status.value}: shares are made when it is Open")
        self._require_recovery_members()
        self._operations.refresh_recovery_shares(self._tx)

    def rekey_ledger(self) -> None:
        """Encrypt with a new ledger secret from the next transaction on.

        Raises:
            HostError: the service is not open, or too few members can recover it.
        """
        status = self._service().status
        if status is not ServiceStatus.OPEN:
            raise HostError(f"the service is {status.value}: the ledger is rekeyed when it is Open")
        self._require_recovery_members()
        self._operations.rekey_ledger(self._tx)

    def endorse(self, node_id: str, valid_from: str, days: int | None) -> None:
        """Give a node a certificate, endorsed by the service, from its own request.

        Raises:
            HostError: no such node, it never asked for a certificate, or no allowed validity.
        """
        node = self._tx.table(NODES_INFO).get(node_id)
        if node is None:
            raise HostError(f"there is no node {node_id}")
        if node.certificate_signing_request is None:
            raise HostError(f"node {node_id} has no request for a certificate")
        longest = self._configuration().maximum_node_certificate_validity_days
        not_before, validity = _validity(valid_from, days, longest, "node")
        self._operations.endorse_node(self._tx, node_id, not_before, validity)

    def renew_service_certificate(self, valid_from: str, days: int | None) -> None:
        """Give the service a new certificate for the same key.

        Raises:
            HostError: no allowed validity.
        """
        longest = self._configuration().maximum_service_certificate_validity_days
        not_before, validity = _validity(valid_from, days, longest, "service")
        self._operations.renew_service_certificate(self._tx, not_before, validity)

    def _service(self) -> ServiceInfo:
        service = self._tx.singleton(SERVICE_INFO).get()
        if service is None:
            raise HostError("the service has no identity yet")
        return service

    def _configuration(self) -> ServiceConfiguration:
        return self._tx.singleton(SERVICE_CONFIG).get() or ServiceConfiguration()

    def _await_shares(self, service: ServiceInfo, previous_identity: str | None) -> None:
        previous = self._tx.singleton(PREVIOUS_SERVICE_IDENTITY).get()
        if previous is None or previous_identity is None:
            raise HostError("a service that recovers opens with previous_service_identity too")
        if not _same_certificate(previous_identity, previous):
            raise HostError("previous_service_identity is not the service that is being recovered")
        self._tx.table(SUBMITTED_SHARES).clear()
        waiting = ServiceInfo(
            cert=service.cert,
            status=ServiceStatus.WAITING_FOR_RECOVERY_SHARES,
            previous_service_identity_version=service.previous_service_identity_version,
            recovery_count=service.recovery_count,
            service_data=service.service_data,
            current_service_create_txid=service.current_service_create_txid,
        )
        self._tx.singleton(SERVICE_INFO).put(waiting)

    def _require_recovery_members(self) -> None:
        members = active_recovery_members(self._tx)
        participants, owners = participant_count(members), owner_count(members)
        if not members:
            raise HostError("no active member holds a recovery share: at least one has to")
        threshold = self._configuration().recovery_threshold
        if participants < threshold and not (owners and not participants):
            raise HostError(
                f"{participants} active members hold a recovery share, "
                f"fewer than the recovery threshold {threshold}"
            )


def _validity(
    valid_from: str, days: int | None, longest: int | None, whose: str
) -> tuple[int, int]:
    longest = DEFAULT_VALIDITY_DAYS if longest is None else longest
    days = longest if days is None else days
    if not 1 <= days <= longest:
        raise HostError(f"got a validity of {days} days, want 1 to {longest} for a {whose}")
    try:
        not_before = parse_moment(valid_from)
    except FormatError as error:
        raise HostError(str(error)) from error
    if not 0 <= not_before <= NOT_BEFORE_MAX - days * 86400:
        raise HostError(f"got a validity from {valid_from[:60]!r}, want a year from 1970 to 9999")
    return not_before, days


def _same_certificate(first: str, second: str) -> bool:
    try:
        return Certificate.parse(first) == Certificate.parse(second)
    except FormatError:
        return False
