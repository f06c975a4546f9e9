"""Secrets handed to every node through the ledger, encrypted to each node's RSA key.

Value of ``public:ccf.internal.encrypted_ledger_secrets``::

    {"<node id>": [{"encrypted_secret": "<base64>", "version": 1,
                    "previous_secret_stored_version": 17}, …], …}

``version`` is the first seqno of the secret. At a rekey it is null: the seqno of the entry that
carries the value is not known while the value is made, and the secret begins right after it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ledger.base.errors import FormatError
from ledger.codec import canonical
from ledger.crypto.rsa import RsaPrivateKey, RsaPublicKey
from ledger.secrets.ledger_secret import LedgerSecret


class EncryptedSecret(msgspec.Struct, frozen=True, omit_defaults=True):
    """One secret for one node.

    Attributes:
        encrypted_secret: Base64 of the RSA-OAEP ciphertext of the 32 bytes.
        version: First seqno; None at a rekey.
        previous_secret_stored_version: Seqno at which the secret was announced.
    """

    encrypted_secret: str
    version: int | None = None
    previous_secret_stored_version: int | None = None


def rekey_broadcast(new_key: bytes, nodes: Mapping[str, str]) -> dict[str, Any]:
    """Return the value that hands a rekey's secret to every node.

    Args:
        new_key: The 32 bytes of the new secret.
        nodes: Node id → RSA public key PEM, of every node that is not Retired.

    Raises:
        FormatError: a key does not parse.
    """
    return {
        node: [{"encrypted_secret": _encrypted(new_key, pem), "version": None}]
        for node, pem in nodes.items()
    }


def recovery_broadcast(secrets: Sequence[LedgerSecret], nodes: Mapping[str, str]) -> dict[str, Any]:
    """Return the value that hands all recovered secrets to every trusted node.

    Args:
        secrets: The secrets from before the disaster, oldest first.
        nodes: Node id → RSA public key PEM.

    Raises:
        FormatError: a key does not parse.
    """
    return {node: [_row(secret, pem) for secret in secrets] for node, pem in nodes.items()}


def open_broadcast(
    value: Mapping[str, Any], node: str, key: RsaPrivateKey, seqno: int
) -> list[LedgerSecret]:
    """Return the secrets that a value hands to a node; none when it has no row for it.

    Args:
        value: The table value.
        node: The node's id.
        key: The node's RSA key.
        seqno: Seqno of the entry that carried the value.

    Raises:
        FormatError: the value is malformed.
        VerificationError: a secret is encrypted to another key.
    """
    try:
        rows = msgspec.convert(value, dict[str, list[EncryptedSecret]]).get(node, [])
    except msgspec.ValidationError as error:
        raise FormatError(f"got no encrypted ledger secrets: {error}") from error
    found = []
    for row in rows:
        secret = key.unwrap(canonical.b64decode(row.encrypted_secret))
        if row.version is None:
            found.append(LedgerSecret(secret, seqno + 1, seqno))
        else:
            found.append(LedgerSecret(secret, row.version, row.previous_secret_stored_version))
    return found


def _row(secret: LedgerSecret, pem: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "encrypted_secret": _encrypted(secret.key, pem),
        "version": secret.first,
    }
    if secret.stored_at is not None:
        row["previous_secret_stored_version"] = secret.stored_at
    return row


def _encrypted(key: bytes, pem: str) -> str:
    return canonical.b64encode(RsaPublicKey.from_pem(pem).wrap(key))
