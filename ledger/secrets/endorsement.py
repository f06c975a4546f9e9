"""The chain of service identities in the ledger, written whenever a service opens.

Value of ``public:ccf.internal.previous_service_identity_endorsement``::

    {"endorsement": "<base64 COSE>", "endorsing_key": "<base64 SPKI DER>",
     "endorsement_epoch_begin": "2.1", "endorsement_epoch_end": "2.28", "previous_version": 17}

A first service endorses itself, without an end. A recovered one endorses the key before it for
the transactions that key was in charge of. The list from the newest value to the oldest links
an old COSE receipt to today's service key.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from ledger.base.errors import FormatError, VerificationError
from ledger.base.ids import TxId
from ledger.codec import canonical
from ledger.crypto.cose_endorsement import (
    KeyEndorsement,
    endorse_key,
    parse_endorsement,
    verify_endorsement,
)
from ledger.crypto.keys import PublicKey, SigningKey

VIEWS_PER_RECOVERY = 2
"""What a disaster recovery adds to the view."""


class IdentityEndorsement(msgspec.Struct, frozen=True, omit_defaults=True):
    """The table value, typed.

    Attributes:
        endorsement: Base64 of the COSE message.
        endorsing_key: Base64 of the signing key, SPKI DER.
        endorsement_epoch_begin: First transaction of the endorsed key's epoch.
        endorsement_epoch_end: Last one; None for a self-endorsement.
        previous_version: Seqno of the value before this one.
    """

    endorsement: str
    endorsing_key: str
    endorsement_epoch_begin: str
    endorsement_epoch_end: str | None = None
    previous_version: int | None = None


def self_endorsement(key: SigningKey, created: TxId, issued_at: int) -> dict[str, Any]:
    """Return the value of a service that opens for the first time.

    Args:
        key: The service key.
        created: The transaction that made the service, ``2.1`` unless it is recovered.
        issued_at: Now, in whole seconds since 1970.
    """
    message = endorse_key(key, key.public, created, issued_at=issued_at)
    return {
        "endorsement": canonical.b64encode(message),
        "endorsing_key": canonical.b64encode(key.public.der),
        "endorsement_epoch_begin": str(created),
    }


def succession_endorsement(
    key: SigningKey,
    created: TxId,
    previous: tuple[int, Mapping[str, Any]],
    *,
    issued_at: int,
    last_root: bytes | None = None,
) -> dict[str, Any]:
    """Return the value of a recovered service that opens.

    Args:
        key: The new service key.
        created: The transaction that made the recovered service.
        previous: The latest value before the disaster, with its seqno.
        issued_at: Now, in whole seconds since 1970.
        last_root: Merkle root at the end of the previous epoch, 32 bytes, when it is known.

    Raises:
        FormatError: the previous value is malformed.
    """
    stored_at, value = previous
    before = parse_identity_endorsement(value)
    begin = TxId.parse(before.endorsement_epoch_begin)
    if before.endorsement_epoch_end is not None:
        ended = TxId.parse(before.endorsement_epoch_end)
        begin = TxId(ended.view + VIEWS_PER_RECOVERY, ended.seqno + 1)
    end = TxId(created.view - VIEWS_PER_RECOVERY, created.seqno - 1)
    endorsed = PublicKey.from_der(canonical.b64decode(before.endorsing_key))
    message = endorse_key(key, endorsed, begin, issued_at=issued_at, end=end, end_root=last_root)
    return {
        "endorsement": canonical.b64encode(message),
        "endorsing_key": canonical.b64encode(key.public.der),
        "endorsement_epoch_begin": str(begin),
        "endorsement_epoch_end": str(end),
        "previous_version": stored_at,
    }


def parse_identity_endorsement(value: Mapping[str, Any]) -> IdentityEndorsement:
    """Read a value without checking it.

    Raises:
        FormatError: it has another shape.
    """
    try:
        return msgspec.convert(value, IdentityEndorsement)
    except msgspec.ValidationError as error:
        raise FormatError(f"got no identity endorsement: {error}") from error


def check_identity_endorsement(value: Mapping[str, Any]) -> KeyEndorsement:
    """Check a value against itself: the endorsing key signed what the value says.

    Raises:
        FormatError: it is malformed.
        VerificationError: it is not true.
    """
    parsed = parse_identity_endorsement(value)
    endorsement = parse_endorsement(canonical.b64decode(parsed.endorsement))
    verify_endorsement(endorsement, PublicKey.from_der(canonical.b64decode(parsed.endorsing_key)))
    end = None if endorsement.end is None else str(endorsement.end)
    said = (parsed.endorsement_epoch_begin, parsed.endorsement_epoch_end)
    if said != (str(endorsement.begin), end):
        raise VerificationError(f"got epoch {said}, want {endorsement.begin} to {end}")
    return endorsement
