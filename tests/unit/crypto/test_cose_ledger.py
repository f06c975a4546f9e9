"""Root signatures: exact header, refusals, verification."""

import hashlib

import pytest

from ledger.base.errors import FormatError, MisuseError, VerificationError
from ledger.base.ids import TxId
from ledger.crypto import cbor, cose
from ledger.crypto.cose_ledger import parse_root_signature, sign_root, verify_root_signature
from ledger.crypto.keys import Curve, SigningKey

ROOT = hashlib.sha256(b"root").digest()
KEY = SigningKey.generate(Curve.P256)
TX = TxId(2, 7)


def _signed(key: SigningKey = KEY) -> bytes:
    return sign_root(key, ROOT, TX, issuer="service", subject="ledger", issued_at=1_700_000_000)


@pytest.mark.parametrize("curve", list(Curve))
def test_round_trip(curve: Curve) -> None:
    key = SigningKey.generate(curve)
    signature = parse_root_signature(_signed(key))
    assert signature.kid == key.public.id
    assert signature.issued_at == 1_700_000_000
    assert (signature.issuer, signature.subject) == ("service", "ledger")
    assert signature.tx_id == TX
    assert signature.message.payload is None
    assert signature.message.unprotected == {}
    assert signature.has_exact_header
    verify_root_signature(signature, key.public, ROOT, TX)
    verify_root_signature(signature, key.public, ROOT)


def test_protected_header_to_the_byte() -> None:
    protected = parse_root_signature(_signed()).message.protected_bytes
    kid = KEY.public.id.encode()
    assert protected == (
        b"\xa5"
        b"\x01\x26"
        b"\x04\x58\x40" + kid + b"\x19\x01\x8b\x02"
        b"\x0f\xa3\x06\x1a\x65\x53\xf1\x00\x01\x67service\x02\x66ledger"
        b"\x66ccf.v1\xa1\x64txid\x632.7"
    )


def test_untrue_signatures() -> None:
    signature = parse_root_signature(_signed())
    other = SigningKey.generate(Curve.P256)
    with pytest.raises(VerificationError, match="by key"):
        verify_root_signature(signature, other.public, ROOT)
    with pytest.raises(VerificationError):
        verify_root_signature(signature, KEY.public, bytes(32))
    with pytest.raises(VerificationError, match=r"want 2\.8"):
        verify_root_signature(signature, KEY.public, ROOT, TxId(2, 8))


def _with(**changes: cbor.Encodable | None) -> bytes:
    """A signed message with some headers replaced, or left out where the change is None."""
    header: dict[str, tuple[cbor.Key, cbor.Encodable]] = {
        "kid": (4, KEY.public.id.encode()),
        "vds": (395, 2),
        "cwt": (15, {6: 1, 1: "i", 2: "s"}),
        "own": ("ccf.v1", {"txid": "2.7"}),
    }
    pairs: list[tuple[cbor.Key, cbor.Encodable]] = []
    for name, (label, value) in header.items():
        replaced = changes.get(name, value)
        if replaced is not None:
            pairs.append((label, replaced))
    return cose.sign1(KEY, pairs, ROOT, detached=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"kid": None},
        {"kid": KEY.public.id},
        {"kid": bytes.fromhex(KEY.public.id)},
        {"kid": KEY.public.id.upper().encode()},
        {"kid": KEY.public.id.encode() + b"0"},
        {"vds": None},
        {"vds": 1},
        {"vds": "2"},
        {"cwt": []},
        {"cwt": {6: "now"}},
        {"cwt": {6: True}},
        {"cwt": {1: 1}},
        {"cwt": {2: b"s"}},
        {"own": []},
        {"own": {}},
        {"own": {"txid": 7}},
        {"own": {"txid": "2.0"}},
        {"own": {"txid": "2-7"}},
    ],
)
def test_bad_headers(changes: dict[str, cbor.Encodable]) -> None:
    with pytest.raises(FormatError):
        parse_root_signature(_with(**changes))


def test_missing_claims_and_transaction_are_read_but_not_exact() -> None:
    signature = parse_root_signature(_with(cwt=None, own=None))
    assert (signature.issued_at, signature.issuer, signature.subject) == (0, "", "")
    assert signature.tx_id is None
    assert not signature.has_exact_header
    verify_root_signature(signature, KEY.public, ROOT)
    with pytest.raises(VerificationError):
        verify_root_signature(signature, KEY.public, ROOT, TX)


def test_another_order_is_read_but_not_exact() -> None:
    pairs: list[tuple[cbor.Key, cbor.Encodable]] = [
        (395, 2),
        (4, KEY.public.id.encode()),
        (15, {6: 1, 1: "i", 2: "s"}),
        ("ccf.v1", {"txid": "2.7"}),
    ]
    signature = parse_root_signature(cose.sign1(KEY, pairs, ROOT, detached=True))
    assert not signature.has_exact_header
    assert parse_root_signature(_with()).has_exact_header


def test_attached_payload_is_refused() -> None:
    message = parse_root_signature(_signed()).message
    attached = cose.assemble(message.protected_bytes, ROOT, message.signature)
    with pytest.raises(FormatError, match="detached"):
        parse_root_signature(attached)


def test_kid_of_another_key_than_the_signer() -> None:
    other = SigningKey.generate(Curve.P256)
    signature = parse_root_signature(_with(kid=other.public.id.encode()))
    for key in (KEY.public, other.public):
        with pytest.raises(VerificationError):
            verify_root_signature(signature, key, ROOT)


def test_unknown_algorithm_has_no_exact_header() -> None:
    message = parse_root_signature(_with()).message
    protected = message.protected_bytes.replace(b"\x01\x26", b"\x01\x27", 1)
    signature = parse_root_signature(cose.assemble(protected, None, message.signature))
    assert signature.tx_id is not None
    assert not signature.has_exact_header


def test_only_32_bytes_are_a_root() -> None:
    with pytest.raises(MisuseError):
        sign_root(KEY, b"", TX, issuer="", subject="", issued_at=0)
