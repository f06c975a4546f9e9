"""COSE messages by which members govern and users sign requests: headers and identities.

The payload is attached (it may be empty) and the protected header holds, in any order:

* ``1``: -7, -35 or -36, the algorithm of the signer's curve;
* ``4``: key id, 64 ASCII hex characters, SHA-256 of the signer's certificate (DER);
* ``"ccf.gov.msg.type"``: what the message is, one of ``MessageType``;
* ``"ccf.gov.msg.created_at"``: seconds since 1970, at most 10 digits;
* ``"ccf.gov.msg.proposal_id"``: 64 hex characters, for a ballot and a withdrawal.

Other headers are ignored. A worked session of a member whose key is at hand::

    data = sign_request(key, member, MessageType.BALLOT, body, created_at=now, proposal_id=id)

and of one whose key is in a vault that signs digests::

    prepared = prepare_request(Curve.P384, member, MessageType.ACK, body, created_at=now)
    data = prepared.finish(vault.sign(prepared.digest))      # r || s
"""

import enum
import hashlib
from dataclasses import dataclass, field

from ledger.base.errors import FormatError, MisuseError, VerificationError
from ledger.base.ids import MemberId, is_hex_id
from ledger.crypto import cbor, cose
from ledger.crypto.cose_ledger import key_id_of
from ledger.crypto.keys import Curve, PublicKey, SigningKey, twin_signature

CREATED_AT_MAX = 9_999_999_999
"""Latest time that a message may name: the replay window sorts it as 10 digits."""

MESSAGE_SIZE_MAX = 16 << 20
"""Longest request that is read; the HTTP body limit is usually far below."""

_TYPE = "ccf.gov.msg.type"
_CREATED_AT = "ccf.gov.msg.created_at"
_PROPOSAL_ID = "ccf.gov.msg.proposal_id"
_USER_TYPE = "ccf.msg.type"
_USER_CREATED_AT = "ccf.msg.created_at"


class MessageType(enum.Enum):
    """What a member's message asks for. The value is the text in the header."""

    PROPOSAL = "proposal"
    BALLOT = "ballot"
    WITHDRAWAL = "withdrawal"
    ACK = "ack"
    STATE_DIGEST = "state_digest"
    RECOVERY_SHARE = "recovery_share"
    ENCRYPTED_RECOVERY_SHARE = "encrypted_recovery_share"


ABOUT_A_PROPOSAL = frozenset({MessageType.BALLOT, MessageType.WITHDRAWAL})
"""The types whose header has to name a proposal."""


@dataclass(frozen=True, slots=True)
class MemberRequest:
    """A member's message as it claims to be; ``verify_request`` says whether that is true.

    Attributes:
        member: Who claims to have signed it.
        curve: Curve of the signer's key, by the algorithm in the header.
        type: What it asks for.
        created_at: When it says it was made, seconds since 1970 in ``[0, CREATED_AT_MAX]``.
        proposal_id: The proposal it is about, 64 hex characters; never None for a ballot or a
            withdrawal.
        payload: The body of the request.
        message: The COSE message itself.
    """

    member: MemberId
    curve: Curve
    type: MessageType
    created_at: int
    proposal_id: str | None
    payload: bytes = field(repr=False)
    message: cose.Sign1 = field(repr=False)

    @property
    def replay_key(self) -> str:
        """Key of the window of recent proposals: time, padded to 10 digits, and signature."""
        return _replay_key(self.created_at, self.message.signature)

    @property
    def twin_replay_key(self) -> str:
        """The key that the same message would have with its signature malleated.

        Anyone can turn one valid ECDSA signature into one other, so a window that looks for
        ``replay_key`` alone accepts a message twice.
        """
        return _replay_key(self.created_at, twin_signature(self.message.signature, self.curve))

    def proposal_id_under(self, root: bytes) -> str:
        """Return the id of the proposal that this message makes.

        Args:
            root: The 32 bytes of the Merkle root at the version that the transaction reads.
        """
        return hashlib.sha256(root + hashlib.sha256(self.message.signature).digest()).hexdigest()


def parse_request(data: bytes, *, size_max: int = MESSAGE_SIZE_MAX) -> MemberRequest:
    """Read a member's message without checking its signature.

    Raises:
        FormatError: the bytes are no tagged COSE_Sign1 message with its payload, or a header is
            missing or of another form.
        VerificationError: the algorithm is not ECDSA, or the type is none of ``MessageType``.
    """
    message = cose.parse_sign1(data, size_max=size_max)
    payload = _payload_of(message)
    curve = _curve_of(message)
    name = message.protected.get(_TYPE)
    if not isinstance(name, str):
        raise FormatError(f"got a message without header {_TYPE} of type tstr")
    kind = _TYPES.get(name)
    if kind is None:
        raise VerificationError(f"got message type {name[:40]!r}, want one of {sorted(_TYPES)}")
    created_at = _time_of(message, _CREATED_AT)
    if created_at is None:
        raise FormatError(f"got a message without header {_CREATED_AT}")
    return MemberRequest(
        member=MemberId(key_id_of(message)),
        curve=curve,
        type=kind,
        created_at=created_at,
        proposal_id=_proposal_id_of(message, required=kind in ABOUT_A_PROPOSAL),
        payload=payload,
        message=message,
    )


def verify_request(request: MemberRequest, key: PublicKey) -> None:
    """Check that the key of the claimed member's certificate signed the message.

    Raises:
        VerificationError: it did not.
    """
    cose.verify(request.message, key)


@dataclass(frozen=True, slots=True)
class UserRequest:
    """A user's COSE-signed request as it claims to be.

    Attributes:
        kid: Who claims to have signed it: SHA-256 of the certificate, 64 hex characters.
        type: Header ``ccf.msg.type``, whose values are the application's; None when absent.
        created_at: Header ``ccf.msg.created_at``, seconds since 1970; None when absent.
        payload: The body of the request.
        message: The COSE message itself; check it with ``cose.verify``.
    """

    kid: str
    type: str | None
    created_at: int | None
    payload: bytes = field(repr=False)
    message: cose.Sign1 = field(repr=False)


def parse_user_request(data: bytes, *, size_max: int = MESSAGE_SIZE_MAX) -> UserRequest:
    """Read a user's message without checking its signature.

    Raises:
        FormatError: as for ``parse_request``, except that only the key id is required.
        VerificationError: the algorithm is not ECDSA.
    """
    message = cose.parse_sign1(data, size_max=size_max)
    payload = _payload_of(message)
    _curve_of(message)
    name = message.protected.get(_USER_TYPE)
    if name is not None and not isinstance(name, str):
        raise FormatError(f"got header {_USER_TYPE} of type {type(name).__name__}, want tstr")
    created_at = _time_of(message, _USER_CREATED_AT)
    return UserRequest(key_id_of(message), name, created_at, payload, message)


def sign_request(
    key: SigningKey,
    member: MemberId,
    kind: MessageType,
    payload: bytes,
    *,
    created_at: int,
    proposal_id: str | None = None,
) -> bytes:
    """Return a member's signed message, ready to be sent as ``application/cose``.

    Args:
        key: The key of the member's certificate.
        member: The member's id.
        kind: What the message asks for.
        payload: The body of the request.
        created_at: Now, in whole seconds since 1970.
        proposal_id: The proposal that a ballot or a withdrawal is about.

    Raises:
        MisuseError: the proposal id is missing, or a header does not have its form.
    """
    prepared = prepare_request(
        key.curve, member, kind, payload, created_at=created_at, proposal_id=proposal_id
    )
    return prepared.finish(key.sign_raw(prepared.signed))


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """A message that only lacks its signature.

    Attributes:
        curve: Curve of the key that has to sign.
        protected_bytes: The encoded protected header.
        payload: The body of the request.
    """

    curve: Curve
    protected_bytes: bytes = field(repr=False)
    payload: bytes = field(repr=False)

    @property
    def signed(self) -> bytes:
        """The bytes to sign, not hashed."""
        return cose.signature_input(self.protected_bytes, self.payload)

    @property
    def algorithm(self) -> str:
        """Name of the algorithm, as vaults know it: ES256, ES384 or ES512."""
        return _NAMES[self.curve][0]

    @property
    def digest(self) -> bytes:
        """The hash of the bytes to sign, for signers that take digests: 32, 48 or 64 bytes."""
        return hashlib.new(_NAMES[self.curve][1], self.signed).digest()

    def finish(self, signature: bytes) -> bytes:
        """Return the message with a signature made elsewhere.

        Args:
            signature: ``r || s``, ``2 * curve.size`` bytes.

        Raises:
            FormatError: the signature has another size.
        """
        if len(signature) != 2 * self.curve.size:
            raise FormatError(
                f"got a signature of {len(signature)} bytes, want {2 * self.curve.size} (r || s)"
            )
        return cose.assemble(self.protected_bytes, self.payload, signature)


def prepare_request(
    curve: Curve,
    member: MemberId,
    kind: MessageType,
    payload: bytes,
    *,
    created_at: int,
    proposal_id: str | None = None,
) -> PreparedRequest:
    """Return a message to be signed elsewhere; arguments and errors as for ``sign_request``."""
    if not is_hex_id(member):
        raise MisuseError(f"got member id {member[:70]!r}, want 64 lower-case hex characters")
    if not 0 <= created_at <= CREATED_AT_MAX:
        raise MisuseError(f"got time {created_at}, want 0 to {CREATED_AT_MAX}")
    if kind in ABOUT_A_PROPOSAL and proposal_id is None:
        raise MisuseError(f"got a {kind.value} without a proposal id")
    pairs: list[tuple[cbor.Key, cbor.Encodable]] = [
        (cose.KID, member.encode("ascii")),
        (_TYPE, kind.value),
    ]
    if proposal_id is not None:
        pairs.append((_PROPOSAL_ID, proposal_id))
    pairs.append((_CREATED_AT, created_at))
    return PreparedRequest(curve, cose.encode_protected(curve, pairs), payload)


_TYPES = {kind.value: kind for kind in MessageType}
_CURVES = {algorithm: curve for curve, algorithm in cose.ALGORITHMS.items()}
_NAMES = {
    Curve.P256: ("ES256", "sha256"),
    Curve.P384: ("ES384", "sha384"),
    Curve.P521: ("ES512", "sha512"),
}


def _replay_key(created_at: int, signature: bytes) -> str:
    return f"{created_at:010}:{hashlib.sha256(signature).hexdigest()}"


def _payload_of(message: cose.Sign1) -> bytes:
    if message.payload is None:
        raise FormatError("got a signed request without its payload, want it attached")
    return message.payload


def _curve_of(message: cose.Sign1) -> Curve:
    algorithm = message.protected.get(cose.ALG)
    if not isinstance(algorithm, int):
        raise FormatError("got a message without an algorithm (alg) of type int")
    curve = _CURVES.get(algorithm)
    if curve is None:
        raise VerificationError(f"got algorithm {algorithm}, want one of {sorted(_CURVES)}")
    return curve


def _time_of(message: cose.Sign1, label: str) -> int | None:
    value = message.protected.get(label)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= CREATED_AT_MAX:
        raise FormatError(f"got header {label} {str(value)[:40]}, want 0 to {CREATED_AT_MAX}")
    return value


def _proposal_id_of(message: cose.Sign1, *, required: bool) -> str | None:
    value = message.protected.get(_PROPOSAL_ID)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not is_hex_id(value):
        raise FormatError(
            f"got header {_PROPOSAL_ID} {str(value)[:70]!r}, want 64 lower-case hex characters"
        )
    return value
