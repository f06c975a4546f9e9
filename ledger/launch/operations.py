"""What governance has the node do, because only the node holds the keys."""

from collections.abc import Mapping

import msgspec

from governance.operations import OperationRefused, ShareProgress
from governance.recovery_members import active_recovery_members
from governance.state_digests import give_state_digest
from ledger.base.clock import Clock, Entropy
from ledger.base.errors import LedgerError
from ledger.base.ids import MemberId
from ledger.crypto.certificate import CertificateRequest
from ledger.crypto.certs import renew
from ledger.kv.tx import Tx
from ledger.launch.keys import Keys
from ledger.lifecycle import secrets_in_ledger
from ledger.replica.chunking import END_CHUNK
from ledger.replica.replica import Replica
from ledger.tables.members import MEMBER_ENCRYPTION_KEYS
from ledger.tables.nodes import NODES_ENDORSED_CERTIFICATES, NODES_INFO
from ledger.tables.service import SERVICE_INFO


class Operations:
    """Implements ``governance.operations.NodeOperations``."""

    def __init__(self, replica: Replica, keys: Keys, clock: Clock, entropy: Entropy) -> None:
        self._replica = replica
        self._keys = keys
        self._clock = clock
        self._entropy = entropy

    def open_service(self, tx: Tx) -> None:
        """See ``NodeOperations``."""
        try:
            secrets_in_ledger.open_service(
                tx,
                self._replica.sealers.chain.latest,
                self._keys.service.key,
                self._recovery_members(tx),
                entropy=self._entropy,
                now=int(self._clock.unix_seconds()),
            )
        except LedgerError as error:
            raise OperationRefused(str(error)) from error

    def refresh_recovery_shares(self, tx: Tx) -> None:
        """See ``NodeOperations``."""
        latest = self._replica.sealers.chain.latest
        try:
            secrets_in_ledger.reshare(tx, latest, self._recovery_members(tx), self._entropy)
        except LedgerError as error:
            raise OperationRefused(str(error)) from error

    def rekey_ledger(self, tx: Tx) -> None:
        """See ``NodeOperations``."""
        latest = self._replica.sealers.chain.latest
        try:
            secrets_in_ledger.rekey(tx, latest, self._recovery_members(tx), self._entropy)
        except LedgerError as error:
            raise OperationRefused(str(error)) from error

    def give_state_digest(self, tx: Tx, member_id: str) -> None:
        """See ``NodeOperations``."""
        give_state_digest(tx, member_id)

    def latest_ledger_secret_seqno(self, tx: Tx) -> int:
        """See ``NodeOperations``."""
        del tx
        return self._replica.sealers.chain.latest.first

    def endorse_node(self, tx: Tx, node_id: str, not_before: int, days: int) -> None:
        """See ``NodeOperations``."""
        info = tx.table(NODES_INFO).get(node_id)
        if info is None or info.certificate_signing_request is None:
            raise OperationRefused(f"node {node_id} has no request for a certificate")
        try:
            request = CertificateRequest.parse(info.certificate_signing_request)
            if request.public_key.id != node_id:
                raise OperationRefused(f"the request of node {node_id} is for another key")
            certificate = self._keys.service.endorse(request, not_before, days)
        except LedgerError as error:
            raise OperationRefused(str(error)) from error
        tx.table(NODES_ENDORSED_CERTIFICATES).put(node_id, certificate.pem)

    def renew_service_certificate(self, tx: Tx, not_before: int, days: int) -> None:
        """See ``NodeOperations``."""
        service = tx.singleton(SERVICE_INFO).get()
        if service is None:
            raise OperationRefused("the service has no identity yet")
        held = self._keys.service
        try:
            certificate = renew(held.certificate, held.key, None, not_before, days)
        except LedgerError as error:
            raise OperationRefused(str(error)) from error
        tx.singleton(SERVICE_INFO).put(msgspec.structs.replace(service, cert=certificate.pem))

    def trigger_ledger_chunk(self, tx: Tx) -> None:
        """See ``NodeOperations``."""
        tx.changes.setdefault(END_CHUNK, {})

    def trigger_snapshot(self, tx: Tx) -> None:
        """See ``NodeOperations``; a snapshot also ends the chunk. None is made yet."""
        self.trigger_ledger_chunk(tx)

    def submit_recovery_share(self, tx: Tx, member_id: str, share: bytes) -> ShareProgress:
        """See ``NodeOperations``."""
        del tx, member_id, share
        raise OperationRefused("this version cannot recover a service: shares are not taken")

    def _recovery_members(self, tx: Tx) -> Mapping[MemberId, tuple[str, str]]:
        keys = tx.table(MEMBER_ENCRYPTION_KEYS)
        members = {}
        for member, role in active_recovery_members(tx).items():
            pem = keys.get(member)
            if pem is not None:
                members[MemberId(member)] = (pem, role.value)
        return members
