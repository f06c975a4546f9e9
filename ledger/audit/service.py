"""Checks of service and node rows: status steps, identities, endorsements, secrets, evidence."""

from typing import Any

from ledger.audit.findings import Findings, Place
from ledger.audit.identity import Identity
from ledger.audit.reader import Located
from ledger.audit.state import (
    SNAPSHOT_EVIDENCE,
    PublicState,
    Service,
    int_field,
    json_object,
    text_field,
)
from ledger.base.errors import FormatError
from ledger.codec import canonical
from ledger.codec.entry import FLAG_CHUNK_BEFORE
from ledger.codec.tables import SINGLETON_KEY
from ledger.codec.writeset import Changes
from ledger.crypto.certs import Certificate
from ledger.tables.internal import HISTORICAL_LEDGER_SECRET
from ledger.tables.nodes import NODES_ENDORSED_CERTIFICATES, NODES_INFO
from ledger.tables.service import PREVIOUS_SERVICE_IDENTITY, SERVICE_INFO

_STEPS = {
    "Opening": {"Opening", "Open", "WaitingForRecoveryShares"},
    "Open": {"Open", "Recovering"},
    "Recovering": {"Recovering", "WaitingForRecoveryShares"},
    "WaitingForRecoveryShares": {"WaitingForRecoveryShares", "Open"},
}
"""Which status may follow which within one service identity."""
_RECOVERY_VIEWS = 2
"""Views that a recovery goes on by, from that of the last signature before it."""


class ServiceChecker:
    """Follows the rows that say who may sign.

    Args:
        findings: Takes what is found.
        state: Kept by the caller; ``service`` is set here.
        identity: Knows the service that must have signed.
    """

    def __init__(self, findings: Findings, state: PublicState, identity: Identity) -> None:
        self._findings = findings
        self._state = state
        self._identity = identity
        self._checked: set[tuple[bytes, str]] = set()
        self._secret_begins: int | None = None
        self._before = (0, 0)

    def check(self, located: Located, changes: Changes) -> None:
        """Check one entry's changes, after the state has taken them over."""
        place = located.place
        value = _singleton(changes, SERVICE_INFO.name)
        if value is not None:
            self._check_service(located, place, changes, value)
        elif SINGLETON_KEY in changes.get(SERVICE_INFO.name, {}):
            self._findings.error("service-row", place, "got the service's row removed, want it")
        for key, pem in changes.get(NODES_ENDORSED_CERTIFICATES.name, {}).items():
            if pem is not None:
                self._check_node(place, key, pem, changes)
        value = _singleton(changes, SNAPSHOT_EVIDENCE)
        if value is not None:
            self._check_snapshot_evidence(located, place, value)
        value = _singleton(changes, HISTORICAL_LEDGER_SECRET.name)
        if value is not None:
            self._check_secret_chain(located, place, value)
        self._before = (located.position, located.entry.view)

    def endorsed(self, place: Place, node_id: str, pem: bytes) -> Certificate | None:
        """Check a node's certificate against the present service, once per pair.

        Returns:
            The certificate, None when it does not parse.
        """
        service = self._state.service
        try:
            certificate = Certificate.parse(pem)
            key_id = certificate.public_key.id
        except FormatError as error:
            self._findings.error("node-certificate", place, f"node {node_id[:64]}: {error}")
            return None
        pair = (pem, service.key_id if service else "")
        if pair in self._checked:
            return certificate
        self._checked.add(pair)
        if key_id != node_id:
            self._findings.error(
                "node-id", place, f"got node id {node_id[:64]}, want its key's digest {key_id}"
            )
        if self._identity.endorser(certificate):
            return certificate
        if service is None:
            self._findings.note("service-unknown", place, "got no service row to check nodes with")
        else:
            by = "itself" if certificate.is_self_signed else "another key"
            self._findings.error(
                "node-endorsement",
                place,
                f"got a certificate of node {node_id[:64]} signed by {by}, want the service",
            )
        return certificate

    def _check_service(
        self, located: Located, place: Place, changes: Changes, value: bytes
    ) -> None:
        before = self._state.service
        try:
            service = Service(json_object(value))
        except FormatError as error:
            self._findings.error("service-row", place, str(error))
            return
        self._state.service = service
        if not service.certificate.is_self_signed:
            self._findings.error("service-certificate", place, "got one that is not self-signed")
        if before is None:
            if located.position == 1 and service.status != "Opening":
                self._findings.error(
                    "service-status", place, f"got {service.status} at genesis, want Opening"
                )
        elif service.key_id != before.key_id:
            self._check_replaced(located, place, changes, (before, service))
        elif service.status not in _STEPS.get(before.status, set()) or (
            service.status == "Opening" != before.status
        ):
            self._findings.error(
                "service-status", place, f"got status {service.status} after {before.status}"
            )

    def _check_replaced(
        self, located: Located, place: Place, changes: Changes, pair: tuple[Service, Service]
    ) -> None:
        """A new service key comes with a recovery and names the identity before it."""
        before, service = pair
        wrong = []
        if service.status != "Recovering":
            wrong.append(f"status {service.status}, want Recovering")
        if not located.entry.flags & FLAG_CHUNK_BEFORE:
            wrong.append("no flag 0x02")
        previous = _singleton(changes, PREVIOUS_SERVICE_IDENTITY.name)
        if previous is None or not _is_certificate(previous, before.certificate):
            wrong.append("no record of the identity before it")
        position, view = self._before
        want, got = view + _RECOVERY_VIEWS, located.entry.view
        is_next = position == located.position - 1
        if is_next and got <= view:
            wrong.append(f"view {got} after {view}, want {want}")
        elif is_next and got != want:
            message = f"a recovery begins view {got} after {view}, want {want}"
            self._findings.warning("recovery-view", place, message)
        if wrong:
            self._findings.error(
                "service-replaced",
                place,
                f"got another service key without a recovery: {', '.join(wrong)}",
            )
        else:
            self._findings.note("recovery", place, "a disaster recovery began a new identity")

    def _check_node(self, place: Place, key: bytes, pem: bytes, changes: Changes) -> None:
        try:
            node_id = key.decode("ascii")
        except UnicodeDecodeError:
            self._findings.error("node-id", place, f"got node id {key[:32].hex()}, want hex text")
            return
        row = changes.get(NODES_INFO.name, {}).get(key)
        if row is not None and b'"cert":' in row:
            try:
                double = "cert" in json_object(row)
            except FormatError:
                double = False
            if double:
                self._findings.error(
                    "node-certificate", place, f"got two certificates of node {node_id[:64]}"
                )
        self.endorsed(place, node_id, pem)

    def _check_snapshot_evidence(self, located: Located, place: Place, value: bytes) -> None:
        try:
            fields = json_object(value)
            digest = canonical.from_hex(text_field(fields, "hash"), 32)
            version = int_field(fields, "version")
        except FormatError as error:
            self._findings.error("snapshot-evidence", place, str(error))
            return
        claims = located.entry.claims_digest
        if claims != digest:
            self._findings.error(
                "snapshot-evidence", place, "got a claims digest that is not the snapshot's hash"
            )
        if not 0 < version < located.position:
            self._findings.error(
                "snapshot-evidence", place, f"got snapshot seqno {version}, want one before"
            )

    def _check_secret_chain(self, located: Located, place: Place, value: bytes) -> None:
        """Each record continues where the secret announced by the one before begins."""
        try:
            fields = json_object(value)
            begins = _optional_int(fields, "next_version")
            previous = fields.get("previous_ledger_secret")
            version = int_field(previous, "version") if isinstance(previous, dict) else None
        except FormatError as error:
            self._findings.error("secret-chain", place, str(error))
            return
        if self._secret_begins is not None and version != self._secret_begins:
            self._findings.warning(
                "secret-chain",
                place,
                f"got a previous secret valid from {version}, want {self._secret_begins}",
            )
        self._secret_begins = begins if begins is not None else located.position + 1


def _singleton(changes: Changes, name: str) -> bytes | None:
    return changes.get(name, {}).get(SINGLETON_KEY)


def _optional_int(fields: dict[str, Any], name: str) -> int | None:
    return None if fields.get(name) is None else int_field(fields, name)


def _is_certificate(value: bytes, certificate: Certificate) -> bool:
    """Say whether a JSON text is the PEM of a certificate."""
    try:
        text = canonical.loads(value)
        return isinstance(text, str) and Certificate.parse(text) == certificate
    except FormatError:
        return False
