"""The public tables that checks depend on, as they stand after each entry."""

from typing import Any

from ledger.base.errors import FormatError
from ledger.codec import canonical
from ledger.codec.tables import SINGLETON_KEY
from ledger.codec.writeset import Changes
from ledger.crypto.certs import Certificate
from ledger.tables.internal import COSE_SIGNATURES, HISTORICAL_LEDGER_SECRET, SIGNATURES
from ledger.tables.nodes import NODES_ENDORSED_CERTIFICATES, NODES_INFO
from ledger.tables.service import SERVICE_INFO

SNAPSHOT_EVIDENCE = "public:ccf.internal.snapshot_evidence"

_KEPT = frozenset(
    {
        SERVICE_INFO.name,
        NODES_INFO.name,
        NODES_ENDORSED_CERTIFICATES.name,
        HISTORICAL_LEDGER_SECRET.name,
    }
)


class Service:
    """The service's row, parsed.

    Attributes:
        certificate: Its certificate.
        key_id: Hex SHA-256 of its public key.
        status: As the row says.
        fields: The whole row.
    """

    __slots__ = ("certificate", "fields", "key_id", "status")

    def __init__(self, fields: dict[str, Any]) -> None:
        """Parse a row.

        Raises:
            FormatError: certificate or status is missing or does not parse.
        """
        self.fields = fields
        self.status = text_field(fields, "status")
        self.certificate = Certificate.parse(text_field(fields, "cert"))
        self.key_id = self.certificate.public_key.id


class PublicState:
    """Latest values of the tables that are kept.

    Attributes:
        is_partial: Entries are missing at the start or before a gap, so rows may be too.
        service: The service's row once it was seen and parsed.
    """

    def __init__(self) -> None:
        self.is_partial = False
        self._rows: dict[str, dict[bytes, bytes]] = {name: {} for name in _KEPT}
        self._left_in: dict[bytes, int] = {}
        self.service: Service | None = None

    def apply(self, changes: Changes, view: int) -> None:
        """Take over one entry's public changes.

        Args:
            changes: Public maps.
            view: View of the entry.
        """
        for key, value in changes.get(NODES_INFO.name, {}).items():
            if value is not None and _has_left(value):
                self._left_in.setdefault(key, view)
        for name in _KEPT & changes.keys():
            rows = self._rows[name]
            for key, value in changes[name].items():
                if value is None:
                    rows.pop(key, None)
                else:
                    rows[key] = value

    def get(self, name: str, key: bytes = SINGLETON_KEY) -> bytes | None:
        """Return a value of a kept table."""
        return self._rows[name].get(key)

    def node(self, node_id: str) -> dict[str, Any] | None:
        """Return the row of a node, None when there is none or it does not parse."""
        value = self.get(NODES_INFO.name, node_id.encode())
        if value is None:
            return None
        try:
            return json_object(value)
        except FormatError:
            return None

    def left_in(self, node_id: str) -> int | None:
        """Return the view in which a node was marked as gone for good, None if it was not."""
        return self._left_in.get(node_id.encode())

    def node_certificate(self, node_id: str) -> bytes | None:
        """Return the PEM that the service endorsed for a node; in old ledgers it is in its row."""
        key = node_id.encode()
        pem = self.get(NODES_ENDORSED_CERTIFICATES.name, key)
        if pem is not None:
            return pem
        row = self.node(node_id)
        old = row.get("cert") if row is not None else None
        return old.encode() if isinstance(old, str) else None


def is_signature(changes: Changes) -> bool:
    """Say whether an entry is a signature transaction."""
    return SIGNATURES.name in changes or COSE_SIGNATURES.name in changes


def _has_left(row: bytes) -> bool:
    try:
        return json_object(row).get("retired_committed") is True
    except FormatError:
        return False


def json_object(value: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        FormatError: it is not one.
    """
    parsed = canonical.loads(value)
    if not isinstance(parsed, dict):
        raise FormatError(f"got JSON of type {type(parsed).__name__}, want an object")
    return parsed


def text_field(fields: dict[str, Any], name: str) -> str:
    """Return a member of a JSON object.

    Raises:
        FormatError: it is missing or not text.
    """
    value = fields.get(name)
    if not isinstance(value, str):
        raise FormatError(f"got {name} of type {type(value).__name__}, want text")
    return value


def int_field(fields: dict[str, Any], name: str) -> int:
    """Return a member of a JSON object.

    Raises:
        FormatError: it is missing or not an integer.
    """
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise FormatError(f"got {name} of type {type(value).__name__}, want an integer")
    return value
