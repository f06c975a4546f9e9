"""Recovery shares: the latest ledger secret under a key that members rebuild together.

A new wrapping key is made each time; it seals the ledger secret once and is then only held by
the members: *participants* get one share each, encrypted to their RSA key, and any threshold of
them rebuild it; *owners* get all of it.

The functions return and take the JSON value of ``public:ccf.internal.recovery_shares``::

    {"encrypted_shares": {"<member id>": "<base64>", …},
     "wrapped_latest_ledger_secret": "<base64>",
     "previous_secret_stored_version": 17}
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ledger.base.clock import Entropy
from ledger.base.errors import FormatError, MisuseError
from ledger.base.ids import MemberId
from ledger.codec import canonical
from ledger.crypto.rsa import RsaPrivateKey, RsaPublicKey
from ledger.crypto.sharing import Share, rejoin, split
from ledger.crypto.wrapping import ONLY_IV, unwrap, wrap, wrapping_key
from ledger.secrets.ledger_secret import SECRET_SIZE, LedgerSecret

PARTICIPANT = "Participant"
"""Recovery role of a member that holds one share."""
OWNER = "Owner"
"""Recovery role of a member that holds the whole secret."""


class RecoveryShares(msgspec.Struct, frozen=True, omit_defaults=True):
    """The table value, typed.

    Attributes:
        encrypted_shares: Member id → base64 of the RSA-OAEP ciphertext of its share.
        wrapped_latest_ledger_secret: Base64 of the wrapped blob.
        previous_secret_stored_version: Seqno at which the secret before the wrapped one was
            recorded; None while it has not been.
    """

    encrypted_shares: dict[str, str]
    wrapped_latest_ledger_secret: str
    previous_secret_stored_version: int | None = None


def make_recovery_shares(
    secret: LedgerSecret | bytes,
    members: Mapping[MemberId, tuple[str, str]],
    threshold: int,
    entropy: Entropy,
) -> dict[str, Any]:
    """Return a new value: a new wrapping key, shared out among the active recovery members.

    Args:
        secret: The latest ledger secret; the 32 bytes alone when a rekey just made it.
        members: The active members that take part in recovery: id → (RSA public key PEM,
            ``PARTICIPANT`` or ``OWNER``). Their order does not matter.
        threshold: Shares that rebuild the key, at least 1; not looked at when there are only
            owners.
        entropy: Where the wrapping key comes from.

    Raises:
        FormatError: an encryption key is no RSA key of at least 2048 bits.
        MisuseError: there are no members, another role, or fewer participants than the
            threshold.
    """
    if not members:
        raise MisuseError("got no recovery members, want at least one")
    roles = {role for _, role in members.values()}
    if not roles <= {PARTICIPANT, OWNER}:
        raise MisuseError(f"got roles {sorted(roles)}, want {PARTICIPANT} or {OWNER}")
    participants = sorted(name for name, (_, role) in members.items() if role == PARTICIPANT)
    whole, shares = split(threshold if participants else 1, len(participants), entropy)
    held = dict(zip(participants, shares, strict=True))
    encrypted = {
        name: canonical.b64encode(RsaPublicKey.from_pem(pem).wrap(held.get(name, whole).encode()))
        for name, (pem, _) in members.items()
    }
    key = secret if isinstance(secret, bytes) else secret.key
    assert len(key) == SECRET_SIZE, "a ledger secret has 32 bytes"
    value: dict[str, Any] = {
        "encrypted_shares": encrypted,
        "wrapped_latest_ledger_secret": canonical.b64encode(
            wrap(wrapping_key(whole), key, ONLY_IV)
        ),
    }
    if isinstance(secret, LedgerSecret) and secret.stored_at is not None:
        value["previous_secret_stored_version"] = secret.stored_at
    return value


def decrypt_share(value: Mapping[str, Any], member: MemberId, key: RsaPrivateKey) -> bytes:
    """Return a member's share, 44 bytes, as the member itself does before it submits it.

    Raises:
        FormatError: the value is malformed, or holds no share of this member.
        VerificationError: the share is encrypted to another key.
    """
    encrypted = parse_recovery_shares(value).encrypted_shares.get(member)
    if encrypted is None:
        raise FormatError(f"got recovery shares without one of member {member}")
    return Share.parse(key.unwrap(canonical.b64decode(encrypted))).encode()


def unwrap_with_shares(value: Mapping[str, Any], shares: Iterable[bytes]) -> bytes:
    """Return the ledger secret that the shares of enough members open, 32 bytes.

    Args:
        value: The latest value before the disaster.
        shares: Decrypted shares, 44 bytes each: at least the threshold of that value, or one
            owner's. Two of the same member count once.

    Raises:
        FormatError: the value or a share is malformed.
        MisuseError: no shares, or two different ones for one member's place.
        VerificationError: too few shares, or a wrong one.
    """
    parsed = dict.fromkeys(Share.parse(share) for share in shares)
    blob = canonical.b64decode(parse_recovery_shares(value).wrapped_latest_ledger_secret)
    secret = unwrap(wrapping_key(rejoin(list(parsed))), blob)
    if len(secret) != SECRET_SIZE:
        raise FormatError(f"got a wrapped secret of {len(secret)} bytes, want {SECRET_SIZE}")
    return secret


def parse_recovery_shares(value: Mapping[str, Any]) -> RecoveryShares:
    """Read a value.

    Raises:
        FormatError: it has another shape.
    """
    try:
        return msgspec.convert(value, RecoveryShares)
    except msgspec.ValidationError as error:
        raise FormatError(f"got no recovery shares: {error}") from error


def wrap_submitted_share(share: bytes, secret: LedgerSecret, entropy: Entropy) -> str:
    """Return the text for ``encrypted_submitted_shares``: a share under the current secret.

    Args:
        share: Decrypted share, 44 bytes.
        secret: The ledger secret of the recovering service.
        entropy: Where the IV comes from.

    Raises:
        FormatError: the share does not parse.
    """
    checked = Share.parse(share).encode()
    return canonical.b64encode(wrap(secret.key, checked, entropy.random_bytes(12)))


def unwrap_submitted_share(text: str, secret: LedgerSecret) -> bytes:
    """Return a submitted share, 44 bytes.

    Raises:
        FormatError: the text is malformed.
        VerificationError: it is sealed under another secret, or was changed.
    """
    return Share.parse(unwrap(secret.key, canonical.b64decode(text))).encode()
