"""The node's part of a proposal, replayed without the node's keys.

Every operation is carried out with keys of the replay's own, so what it writes and whom it
refuses is decided by the same code as on the node. What comes out is then compared with what the
ledger holds: everything but the sealed bytes themselves has to agree, certificates have to be
signed by the service and say what was decided. When they do, the recorded value takes the place
of ours.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from governance.operations import OperationRefused, ShareProgress
from governance.recovery_members import active_recovery_members
from governance.replay.certificates import node_certificate_problem, service_certificate_problem
from governance.replay.past import PastLedger
from governance.replay.shapes import shape_problem
from governance.state_digests import give_state_digest
from ledger.base.errors import FormatError, LedgerError, VerificationError
from ledger.base.ids import MemberId
from ledger.codec.tables import SINGLETON_KEY, Singleton
from ledger.codec.writeset import Changes
from ledger.crypto.certificate import Certificate, CertificateRequest
from ledger.crypto.certs import endorse, self_signed_service
from ledger.crypto.keys import Curve, SigningKey
from ledger.kv.tx import Tx
from ledger.lifecycle import secrets_in_ledger
from ledger.secrets.endorsement import check_identity_endorsement
from ledger.secrets.ledger_secret import SECRET_SIZE, LedgerSecret
from ledger.tables.internal import (
    ENCRYPTED_LEDGER_SECRETS,
    HISTORICAL_LEDGER_SECRET,
    RECOVERY_SHARES,
    SERVICE_ENDORSEMENT,
)
from ledger.tables.members import MEMBER_ACKS, MEMBER_ENCRYPTION_KEYS, MemberAck
from ledger.tables.nodes import NODES_ENDORSED_CERTIFICATES, NODES_INFO
from ledger.tables.service import SERVICE_INFO

Row = tuple[str, bytes]
"""Map name and key."""
Check = Callable[[object, object], str | None]
"""Recorded value and our own, parsed, to what is wrong with the recorded one."""


class PublicEntropy:
    """Bytes that hide nothing: for keys that protect nothing."""

    def random_bytes(self, count: int) -> bytes:
        """Return bytes that are not random."""
        return b"\x01" * count


class ReplayedNode:
    """Implements ``governance.operations.NodeOperations`` on recorded entries.

    Attributes:
        problems: Why a recorded row was not accepted.
    """

    def __init__(self, past: PastLedger) -> None:
        self.problems: dict[Row, str] = {}
        self._recorded: Changes = {}
        self._past = past
        self._entropy = PublicEntropy()
        self._key = SigningKey.generate(Curve.P256)
        self._service = self_signed_service(self._key, "CN=Replay", 1, 0)

    def expect(self, recorded: Changes) -> None:
        """Turn to another entry, with these changes."""
        self._recorded = recorded
        self.problems = {}

    def open_service(self, tx: Tx) -> None:
        """See ``NodeOperations``."""
        secret, members = self._secret(), self._members(tx)
        _make(
            lambda: secrets_in_ledger.open_service(
                tx, secret, self._key, members, entropy=self._entropy, now=0
            )
        )
        self._borrow(tx, RECOVERY_SHARES, shape_problem)
        self._borrow(tx, HISTORICAL_LEDGER_SECRET, shape_problem)
        key_id = _service_certificate(tx).public_key.id
        self._borrow(
            tx, SERVICE_ENDORSEMENT, lambda got, made: _endorsement_problem(got, made, key_id)
        )

    def refresh_recovery_shares(self, tx: Tx) -> None:
        """See ``NodeOperations``."""
        secret, members = self._secret(), self._members(tx)
        _make(lambda: secrets_in_ledger.reshare(tx, secret, members, self._entropy))
        self._borrow(tx, RECOVERY_SHARES, shape_problem)

    def rekey_ledger(self, tx: Tx) -> None:
        """See ``NodeOperations``."""
        secret, members = self._secret(), self._members(tx)
        _make(lambda: secrets_in_ledger.rekey(tx, secret, members, self._entropy))
        for table in (RECOVERY_SHARES, HISTORICAL_LEDGER_SECRET, ENCRYPTED_LEDGER_SECRETS):
            self._borrow(tx, table, shape_problem)

    def give_state_digest(self, tx: Tx, member_id: str) -> None:
        """See ``NodeOperations``: which signature was committed only the primary knows."""
        give_state_digest(tx, member_id)
        row = (MEMBER_ACKS.name, member_id.encode())
        made, value = tx.map(row[0]).get(row[1]), self._recorded_row(row)
        assert made is not None, "the operation has written this row"
        problem = None
        if value is not None:
            try:
                problem = self._digest_problem(MEMBER_ACKS.value.decode(value))
            except FormatError as error:
                problem = str(error)
        self._write(tx, row, made, problem)

    def _digest_problem(self, recorded: MemberAck) -> str | None:
        if recorded.cose_sign1_req is not None:
            return "nobody has acknowledged it yet"
        if recorded.state_digest and recorded.state_digest not in self._past.signed_roots:
            return "the digest is no root that was signed lately"
        return None

    def latest_ledger_secret_seqno(self, tx: Tx) -> int:
        """See ``NodeOperations``."""
        del tx
        return self._past.secret.first

    def endorse_node(self, tx: Tx, node_id: str, not_before: int, days: int) -> None:
        """See ``NodeOperations``."""
        info = tx.table(NODES_INFO).get(node_id)
        if info is None or info.certificate_signing_request is None:
            raise OperationRefused(f"node {node_id} has no request for a certificate")
        try:
            request = CertificateRequest.parse(info.certificate_signing_request)
            if request.public_key.id != node_id:
                raise OperationRefused(f"the request of node {node_id} is for another key")
            made = endorse(request, self._key, self._service, not_before, days)
        except LedgerError as error:
            raise OperationRefused(str(error)) from error
        row = (NODES_ENDORSED_CERTIFICATES.name, node_id.encode())
        value = self._recorded_row(row)
        problem = None
        if value is not None:
            service = _service_certificate(tx)
            problem = node_certificate_problem(value, request, service, (not_before, days))
        self._write(tx, row, made.pem.encode(), problem)

    def renew_service_certificate(self, tx: Tx, not_before: int, days: int) -> None:
        """See ``NodeOperations``."""
        service = tx.singleton(SERVICE_INFO).get()
        if service is None:
            raise OperationRefused("the service has no identity yet")
        row = (SERVICE_INFO.name, SINGLETON_KEY)
        value = self._recorded_row(row)
        pem = service.cert
        problem: str | None = "the service's certificate is not renewed"
        if value is not None:
            try:
                pem = SERVICE_INFO.value.decode(value).cert
                before = Certificate.parse(service.cert)
                problem = service_certificate_problem(pem, before, (not_before, days))
            except FormatError as error:
                problem = str(error)
        if problem is not None:
            self.problems[row] = problem
            pem = service.cert
        tx.singleton(SERVICE_INFO).put(msgspec.structs.replace(service, cert=pem))

    def trigger_ledger_chunk(self, tx: Tx) -> None:
        """See ``NodeOperations``: no table says so."""
        del tx

    def trigger_snapshot(self, tx: Tx) -> None:
        """See ``NodeOperations``: no table says so."""
        del tx

    def submit_recovery_share(self, tx: Tx, member_id: str, share: bytes) -> ShareProgress:
        """Refuse: a share is not kept in the ledger, so nothing of it is replayed."""
        del tx, member_id, share
        raise OperationRefused("shares are not kept in the ledger")

    def _borrow(self, tx: Tx, table: Singleton[Any], check: Check) -> None:
        """Put the recorded value of a row in the place of the one made here, if it may be."""
        row = (table.name, SINGLETON_KEY)
        made = tx.map(table.name).get(SINGLETON_KEY)
        assert made is not None, "the operation has written this row"
        value = self._recorded_row(row)
        problem = None
        if value is not None:
            try:
                problem = check(table.value.decode(value), table.value.decode(made))
            except FormatError as error:
                problem = str(error)
        self._write(tx, row, made, problem)

    def _write(self, tx: Tx, row: Row, made: bytes, problem: str | None) -> None:
        value = self._recorded_row(row)
        if problem is not None:
            self.problems[row] = problem
        name, key = row
        tx.map(name).put(key, made if value is None or problem is not None else value)

    def _recorded_row(self, row: Row) -> bytes | None:
        return self._recorded.get(row[0], {}).get(row[1])

    def _secret(self) -> LedgerSecret:
        position = self._past.secret
        return LedgerSecret(bytes(SECRET_SIZE), position.first, position.stored_at)

    def _members(self, tx: Tx) -> dict[MemberId, tuple[str, str]]:
        keys = tx.table(MEMBER_ENCRYPTION_KEYS)
        members = {}
        for member, role in active_recovery_members(tx).items():
            pem = keys.get(member)
            if pem is not None:
                members[MemberId(member)] = (pem, role.value)
        return members


def _make(operation: Callable[[], None]) -> None:
    try:
        operation()
    except LedgerError as error:
        raise OperationRefused(str(error)) from error


def _service_certificate(tx: Tx) -> Certificate:
    service = tx.singleton(SERVICE_INFO).get()
    if service is None:
        raise OperationRefused("the service has no identity yet")
    return Certificate.parse(service.cert)


def _endorsement_problem(recorded: object, made: object, key_id: str) -> str | None:
    """Say why a value does not endorse the service by itself for the epoch that was made."""
    if not isinstance(recorded, dict) or not isinstance(made, dict):
        return "the endorsement is no object"
    try:
        endorsement = check_identity_endorsement(recorded)
    except (FormatError, VerificationError) as error:
        return str(error)
    if endorsement.endorsed.id != key_id:
        return f"the endorsement is of key {endorsement.endorsed.id}, want the service's {key_id}"
    sealed = {"endorsement", "endorsing_key"}
    ours, theirs = (
        {name: each[name] for name in each if name not in sealed} for each in (made, recorded)
    )
    return shape_problem(theirs, ours)
