"""COSE messages by which a service key vouches for an earlier one, or opens with itself.

The payload is the endorsed public key (SPKI DER), attached. The protected header is the
algorithm, CWT claims with the time of signing alone, and ``"ccf.v1"`` with the epoch: the
transactions that the endorsed key was the service's identity for::

    {1: alg, 15: {6: iat}, "ccf.v1": {"epoch.start.txid": "2.1", "epoch.end.txid": "4.28",
                                      "epoch.end.merkle.root": bstr 32}}

The first identity endorses itself and its epoch has no end.
"""

from dataclasses import dataclass

from ledger.base.errors import FormatError
from ledger.base.ids import TxId
from ledger.crypto import cbor, cose
from ledger.crypto.cose_ledger import CCF_V1, CWT_IAT
from ledger.crypto.keys import PublicKey, SigningKey

MESSAGE_SIZE_MAX = 16 * 1024
"""Longest endorsement that is read; a usual one takes 350 bytes."""

_START = "epoch.start.txid"
_END = "epoch.end.txid"
_ROOT = "epoch.end.merkle.root"


@dataclass(frozen=True, slots=True)
class KeyEndorsement:
    """What an endorsement says; ``verify_endorsement`` says whether a key signed it.

    Attributes:
        endorsed: The key that is vouched for.
        begin: First transaction of its epoch.
        end: Last transaction of its epoch; None while the epoch lasts.
        end_root: Merkle root at the end of the epoch, 32 bytes; None when it is not said.
        issued_at: When it was signed, seconds since 1970.
        message: The message itself.
    """

    endorsed: PublicKey
    begin: TxId
    end: TxId | None
    end_root: bytes | None
    issued_at: int
    message: cose.Sign1


def endorse_key(
    key: SigningKey,
    endorsed: PublicKey,
    begin: TxId,
    *,
    issued_at: int,
    end: TxId | None = None,
    end_root: bytes | None = None,
) -> bytes:
    """Return a signed endorsement.

    Args:
        key: The present service key.
        endorsed: The key that it vouches for; its own when a first service opens.
        begin: First transaction of the endorsed key's epoch.
        issued_at: Now, in whole seconds since 1970.
        end: Last transaction of the epoch.
        end_root: Merkle root at the end of the epoch, 32 bytes.
    """
    assert end_root is None or len(end_root) == 32, "a Merkle root has 32 bytes"
    epoch: dict[cbor.Key, cbor.Encodable] = {_START: str(begin)}
    if end is not None:
        epoch[_END] = str(end)
    if end_root is not None:
        epoch[_ROOT] = end_root
    pairs: list[tuple[cbor.Key, cbor.Encodable]] = [
        (cose.CWT_CLAIMS, {CWT_IAT: issued_at}),
        (CCF_V1, epoch),
    ]
    return cose.sign1(key, pairs, endorsed.der)


def parse_endorsement(data: bytes) -> KeyEndorsement:
    """Read an endorsement without checking its signature.

    Raises:
        FormatError: the bytes are no endorsement.
    """
    message = cose.parse_sign1(data, size_max=MESSAGE_SIZE_MAX)
    if message.payload is None:
        raise FormatError("got a key endorsement without its payload, want the endorsed key")
    claims = message.protected.get(cose.CWT_CLAIMS)
    issued_at = claims.get(CWT_IAT) if isinstance(claims, dict) else None
    if not isinstance(issued_at, int) or isinstance(issued_at, bool):
        raise FormatError("got a key endorsement without a time of signing")
    epoch = message.protected.get(CCF_V1)
    if not isinstance(epoch, dict):
        raise FormatError(f"got a key endorsement without header {CCF_V1}")
    begin = _tx_id(epoch, _START)
    if begin is None:
        raise FormatError(f"got a key endorsement without {_START}")
    root = epoch.get(_ROOT)
    if root is not None and (not isinstance(root, bytes) or len(root) != 32):
        raise FormatError(f"got {_ROOT} that is no bstr of 32 bytes")
    endorsed = PublicKey.from_der(message.payload)
    return KeyEndorsement(endorsed, begin, _tx_id(epoch, _END), root, issued_at, message)


def verify_endorsement(endorsement: KeyEndorsement, key: PublicKey) -> None:
    """Check that a service key signed an endorsement.

    Raises:
        VerificationError: it did not.
    """
    cose.verify(endorsement.message, key)


def _tx_id(epoch: cose.Header, label: str) -> TxId | None:
    text = epoch.get(label)
    if text is None:
        return None
    if not isinstance(text, str):
        raise FormatError(f"got {label} of type {type(text).__name__}, want tstr")
    return TxId.parse(text)
