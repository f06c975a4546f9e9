"""Ledger secrets on their way through the ledger: opening, new shares, rekey.

Each writes into the transaction of the proposal that decided it, so it happens with that
transaction or not at all.
"""

from collections.abc import Mapping

import msgspec

from ledger.base.clock import Entropy
from ledger.base.errors import MisuseError
from ledger.base.ids import MemberId, TxId
from ledger.crypto.keys import SigningKey
from ledger.kv.tx import Tx
from ledger.lifecycle.taking_part import nodes_taking_part
from ledger.secrets.broadcast import rekey_broadcast
from ledger.secrets.endorsement import self_endorsement
from ledger.secrets.historical import opening_value, rekey_value
from ledger.secrets.ledger_secret import LedgerSecret, new_key
from ledger.secrets.shares import make_recovery_shares
from ledger.tables.internal import (
    ENCRYPTED_LEDGER_SECRETS,
    HISTORICAL_LEDGER_SECRET,
    RECOVERY_SHARES,
    SERVICE_ENDORSEMENT,
)
from ledger.tables.service import SERVICE_CONFIG, SERVICE_INFO, ServiceStatus

RecoveryMembers = Mapping[MemberId, tuple[str, str]]
"""Active recovery members: ID to RSA public key (PEM) and recovery role."""


def open_service(
    tx: Tx,
    secret: LedgerSecret,
    service_key: SigningKey,
    members: RecoveryMembers,
    *,
    entropy: Entropy,
    now: int,
) -> None:
    """Write what opens a service for the first time: shares, secret chain, endorsement, status.

    Raises:
        MisuseError: the service has no identity, or too few members can recover it.
    """
    service = tx.singleton(SERVICE_INFO).get()
    if service is None or service.current_service_create_txid is None:
        raise MisuseError("got no service identity in the store, want the one that opens")
    reshare(tx, secret, members, entropy)
    tx.singleton(HISTORICAL_LEDGER_SECRET).put(opening_value(secret))
    created = TxId.parse(service.current_service_create_txid)
    tx.singleton(SERVICE_ENDORSEMENT).put(self_endorsement(service_key, created, now))
    tx.singleton(SERVICE_INFO).put(msgspec.structs.replace(service, status=ServiceStatus.OPEN))


def reshare(
    tx: Tx, secret: LedgerSecret | bytes, members: RecoveryMembers, entropy: Entropy
) -> None:
    """Make a new wrapping key and share it out.

    Args:
        tx: Holds the recovery threshold; gets the shares.
        secret: The latest secret, or the 32 bytes of one that a rekey just made.
        members: Who gets a share.
        entropy: Where the key comes from.

    Raises:
        MisuseError: too few members for the threshold.
    """
    _read_newest(tx)
    configuration = tx.singleton(SERVICE_CONFIG).get()
    threshold = 1 if configuration is None else max(1, configuration.recovery_threshold)
    tx.singleton(RECOVERY_SHARES).put(make_recovery_shares(secret, members, threshold, entropy))


def rekey(tx: Tx, latest: LedgerSecret, members: RecoveryMembers, entropy: Entropy) -> None:
    """Announce a new ledger secret, valid from the entry after this transaction's.

    Every node that takes part gets it encrypted to its own key, the old one stays readable under
    the new one.
    """
    key = new_key(entropy)
    nodes = {node: info.encryption_pub_key for node, info in nodes_taking_part(tx).items()}
    reshare(tx, key, members, entropy)
    tx.singleton(HISTORICAL_LEDGER_SECRET).put(rekey_value(latest, key, entropy))
    tx.singleton(ENCRYPTED_LEDGER_SECRETS).put(rekey_broadcast(key, nodes))


def _read_newest(tx: Tx) -> None:
    """Have the transaction conflict with every other that brings a ledger secret.

    Otherwise two that are open at one time could both build on the same secret, and the one
    between would be lost for recovery.
    """
    tx.singleton(HISTORICAL_LEDGER_SECRET).get()
