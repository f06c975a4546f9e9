"""Members' and users' messages: headers, identities, two-step signing."""

import hashlib

import pytest

from ledger.base.errors import FormatError, MisuseError, VerificationError
from ledger.base.ids import MemberId
from ledger.crypto import cbor, cose
from ledger.crypto.cose_governance import (
    MessageType,
    parse_request,
    parse_user_request,
    prepare_request,
    sign_request,
    verify_request,
)
from ledger.crypto.keys import Curve, SigningKey, twin_signature

KEY = SigningKey.generate(Curve.P384)
MEMBER = MemberId(hashlib.sha256(b"certificate").hexdigest())
PROPOSAL = hashlib.sha256(b"proposal").hexdigest()
NOW = 1_700_000_000


def _signed(**changes: cbor.Encodable | None) -> bytes:
    header: dict[str, tuple[cbor.Key, cbor.Encodable]] = {
        "kid": (4, MEMBER.encode()),
        "type": ("ccf.gov.msg.type", "ballot"),
        "proposal": ("ccf.gov.msg.proposal_id", PROPOSAL),
        "at": ("ccf.gov.msg.created_at", NOW),
        "more": ("more", 0),
    }
    pairs: list[tuple[cbor.Key, cbor.Encodable]] = []
    for name, (label, value) in header.items():
        replaced = changes.get(name, value)
        if replaced is not None:
            pairs.append((label, replaced))
    return cose.sign1(KEY, pairs, b"body")


@pytest.mark.parametrize("kind", list(MessageType))
def test_round_trip(kind: MessageType) -> None:
    request = parse_request(
        sign_request(KEY, MEMBER, kind, b"body", created_at=NOW, proposal_id=PROPOSAL)
    )
    assert request.member == MEMBER
    assert request.curve is Curve.P384
    assert request.type is kind
    assert request.created_at == NOW
    assert request.proposal_id == PROPOSAL
    assert request.payload == b"body"
    verify_request(request, KEY.public)
    with pytest.raises(VerificationError):
        verify_request(request, SigningKey.generate(Curve.P384).public)
    with pytest.raises(VerificationError):
        verify_request(request, SigningKey.generate(Curve.P256).public)


def test_header_is_in_the_order_of_the_public_tools() -> None:
    data = sign_request(KEY, MEMBER, MessageType.BALLOT, b"", created_at=NOW, proposal_id=PROPOSAL)
    assert list(cose.parse_sign1(data).protected) == [
        1,
        4,
        "ccf.gov.msg.type",
        "ccf.gov.msg.proposal_id",
        "ccf.gov.msg.created_at",
    ]


def test_empty_payload_and_no_proposal() -> None:
    request = parse_request(sign_request(KEY, MEMBER, MessageType.STATE_DIGEST, b"", created_at=0))
    assert request.payload == b""
    assert request.proposal_id is None


@pytest.mark.parametrize(
    "changes",
    [
        {"kid": None},
        {"kid": MEMBER},
        {"kid": b"short"},
        {"kid": MEMBER.upper().encode()},
        {"type": None},
        {"type": 1},
        {"type": b"ballot"},
        {"proposal": None},
        {"proposal": "abc"},
        {"proposal": PROPOSAL.encode()},
        {"at": None},
        {"at": -1},
        {"at": 10_000_000_000},
        {"at": "now"},
        {"at": True},
        {"at": 1.5},
        {"at": cbor.Tagged(1, NOW)},
    ],
)
def test_bad_headers(changes: dict[str, cbor.Encodable]) -> None:
    with pytest.raises(FormatError):
        parse_request(_signed(**changes))


def test_other_headers_are_ignored() -> None:
    verify_request(parse_request(_signed()), KEY.public)


def test_unknown_type_and_algorithm_do_not_authenticate() -> None:
    with pytest.raises(VerificationError, match="message type"):
        parse_request(_signed(type="vote"))
    for algorithm in (-37, -38, -257, -8, 5):
        protected = cbor.encode({1: algorithm, 4: MEMBER.encode()})
        with pytest.raises(VerificationError, match="algorithm"):
            parse_request(cose.assemble(protected, b"", b""))
    with pytest.raises(FormatError, match="alg"):
        parse_request(cose.assemble(cbor.encode({4: MEMBER.encode()}), b"", b""))


def test_payload_has_to_be_attached() -> None:
    message = cose.parse_sign1(_signed())
    detached = cose.assemble(message.protected_bytes, None, message.signature)
    for parse in (parse_request, parse_user_request):
        with pytest.raises(FormatError, match="attached"):
            parse(detached)


def test_identities() -> None:
    request = parse_request(_signed())
    digest = hashlib.sha256(request.message.signature).digest()
    assert request.replay_key == f"1700000000:{digest.hex()}"
    root = hashlib.sha256(b"root").digest()
    assert request.proposal_id_under(root) == hashlib.sha256(root + digest).hexdigest()
    early = parse_request(_signed(at=7))
    assert early.replay_key.startswith("0000000007:")


def test_twin_of_a_message_is_recognised() -> None:
    request = parse_request(_signed())
    message = request.message
    twin = parse_request(
        cose.assemble(
            message.protected_bytes, message.payload, twin_signature(message.signature, Curve.P384)
        )
    )
    verify_request(twin, KEY.public)
    assert twin.replay_key != request.replay_key
    assert twin.twin_replay_key == request.replay_key
    assert request.twin_replay_key == twin.replay_key


def test_signature_without_a_twin() -> None:
    message = cose.parse_sign1(_signed())
    request = parse_request(cose.assemble(message.protected_bytes, b"", b"short"))
    with pytest.raises(FormatError):
        _ = request.twin_replay_key


@pytest.mark.parametrize(
    ("curve", "name", "size"),
    [(Curve.P256, "ES256", 32), (Curve.P384, "ES384", 48), (Curve.P521, "ES512", 64)],
)
def test_two_step_signing(curve: Curve, name: str, size: int) -> None:
    key = SigningKey.generate(curve, deterministic=True)
    prepared = prepare_request(curve, MEMBER, MessageType.ACK, b"{}", created_at=NOW)
    assert prepared.algorithm == name
    assert len(prepared.digest) == size
    data = prepared.finish(key.sign_raw(prepared.signed))
    assert data == sign_request(key, MEMBER, MessageType.ACK, b"{}", created_at=NOW)
    with pytest.raises(FormatError, match=r"r \|\| s"):
        prepared.finish(key.sign_raw(prepared.signed)[:-1])


def test_impossible_requests_are_misuse() -> None:
    with pytest.raises(MisuseError, match="proposal id"):
        sign_request(KEY, MEMBER, MessageType.BALLOT, b"", created_at=NOW)
    with pytest.raises(MisuseError, match="time"):
        sign_request(KEY, MEMBER, MessageType.ACK, b"", created_at=10_000_000_000)
    with pytest.raises(MisuseError, match="member id"):
        sign_request(KEY, MemberId("me"), MessageType.ACK, b"", created_at=NOW)


def test_user_request() -> None:
    pairs: list[tuple[cbor.Key, cbor.Encodable]] = [(4, MEMBER.encode())]
    plain = parse_user_request(cose.sign1(KEY, pairs, b"body"))
    assert (plain.kid, plain.type, plain.created_at, plain.payload) == (MEMBER, None, None, b"body")
    pairs += [("ccf.msg.type", "transfer"), ("ccf.msg.created_at", NOW)]
    full = parse_user_request(cose.sign1(KEY, pairs, b""))
    assert (full.type, full.created_at) == ("transfer", NOW)
    cose.verify(full.message, KEY.public)
    protected = cbor.encode({1: -8, 4: MEMBER.encode()})
    with pytest.raises(VerificationError, match="algorithm"):
        parse_user_request(cose.assemble(protected, b"", b""))
    bad: list[tuple[cbor.Key, cbor.Encodable]] = [("ccf.msg.type", 1), ("ccf.msg.created_at", "x")]
    for pair in bad:
        with pytest.raises(FormatError):
            parse_user_request(cose.sign1(KEY, [(4, MEMBER.encode()), pair], b""))
