"""Any bytes give a value or an error of ours: CBOR, COSE messages, receipts, certificates.

Valid messages are mutated at the level of bytes (flips, cuts, insertions, splices of two) and at
the level of CBOR items (heads exchanged, lengths made huge, tags put in front), so that most
inputs get past the first check. ``QUORATE_FUZZ_INPUTS`` says how many; the test prints how deep
they got, and fails when they no longer get deep.
"""

import os
import random
from collections import Counter
from collections.abc import Callable

import pytest

from ledger.base.errors import FormatError, LedgerError, VerificationError
from ledger.base.ids import MemberId, TxId
from ledger.crypto import cbor, cose
from ledger.crypto.certs import Certificate, CertificateRequest, parse_bundle, self_signed_caller
from ledger.crypto.cose_endorsement import endorse_key, parse_endorsement
from ledger.crypto.cose_governance import (
    MessageType,
    parse_request,
    parse_user_request,
    sign_request,
    verify_request,
)
from ledger.crypto.cose_ledger import parse_root_signature
from ledger.crypto.keys import Curve, SigningKey
from ledger.receipts.build import cose_receipt, transaction_receipt
from ledger.receipts.cose import parse_cose_receipt
from ledger.receipts.verify import verify
from tests.unit.receipts.receipt_world import NOW, World

INPUTS = int(os.environ.get("QUORATE_FUZZ_INPUTS", "0")) or 1500
WORLD = World()
KEY = SigningKey.generate(Curve.P256)
MEMBER = MemberId("ab" * 32)

HEADS = [
    bytes.fromhex(text)
    for line in (
        "00 17 18 19 1a 1b 1c 1f 20 38 3b 40 58 5b 5f 60 78 7b 7f 80 84 98 9b 9f a0 a1 b8 bb bf",
        "c0 c1 c2 c4 d2 d8 db e0 f4 f5 f6 f7 f8 f9 fa fb fc ff d81c d81d d819 d9010002 f97e00",
        "5affffffff 9affffffff baffffffff 5bffffffffffffffff 9b7fffffffffffffff",
        "bb7fffffffffffffff 1bffffffffffffffff 3bffffffffffffffff 8181818181818181",
    )
    for text in line.split()
]
EMPTY: list[cbor.Value] = [[], {}, [[]]]
VALUES: list[cbor.Value] = [
    *(0, -1, 1, 18, -7, -35, 395, 396, (1 << 64) - 1, -(1 << 64), 1.5),
    *(None, True, False, b"", bytes(32), b"\xff" * 64, "", "ccf.v1", "2.1"),
    *EMPTY,
    *(cbor.Tagged(1, 0), cbor.Tagged(18, [])),
]


def mutate(chance: random.Random, seeds: list[bytes]) -> bytes:
    """Change the bytes of a seed, or exchange one of its CBOR items for another one."""
    if chance.random() < 0.5:
        return mutate_bytes(chance, seeds)
    try:
        value = cbor.decode(chance.choice(seeds), tags=True)
    except FormatError:
        return mutate_bytes(chance, seeds)
    return cbor.encode(mutate_value(chance, value))


def mutate_value(chance: random.Random, value: cbor.Value) -> cbor.Value:
    """Go down to a random item, also into byte strings that hold CBOR, and change it there."""
    if isinstance(value, cbor.Tagged):
        return cbor.Tagged(value.number, mutate_value(chance, value.value))
    if isinstance(value, list) and value and chance.random() < 0.9:
        at = chance.randrange(len(value))
        return [*value[:at], mutate_value(chance, value[at]), *value[at + 1 :]]
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        changed = mutate_value(chance, value[key])
        if chance.random() < 0.2:
            return {other: item for other, item in value.items() if other != key}
        return {**value, key: changed}
    if isinstance(value, bytes) and chance.random() < 0.7:
        return _mutate_encoded(chance, value)
    return chance.choice(VALUES)


def _mutate_encoded(chance: random.Random, value: bytes) -> bytes:
    try:
        inner = cbor.decode(value, tags=True)
    except FormatError:
        return mutate_bytes(chance, [value])
    return cbor.encode(mutate_value(chance, inner))


def mutate_bytes(chance: random.Random, seeds: list[bytes]) -> bytes:
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(8):
            case 0 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case 1 if at < len(data):
                data[at] = chance.randrange(256)
            case 2:
                data[at:at] = chance.choice(HEADS)
            case 3:
                head = chance.choice(HEADS)
                data[at : at + len(head)] = head
            case 4:
                del data[at : at + chance.randrange(1, 5)]
            case 5:
                other = chance.choice(seeds)
                start = chance.randrange(len(other) + 1)
                data[at:at] = other[start : start + chance.randrange(1, 40)]
            case 6:
                del data[at:]
            case _:
                data[at:at] = chance.randbytes(chance.randrange(1, 9))
    return bytes(data)


def _fuzz(
    seeds: list[bytes], read: Callable[[bytes], object], *, deep: float, count: int = INPUTS
) -> None:
    """Run mutated inputs; at least a share ``deep`` of them has to parse."""
    for seed in seeds:
        read(seed)
    chance = random.Random(20_250_601)
    outcomes: Counter[str] = Counter()
    for _ in range(count):
        data = mutate(chance, seeds)
        try:
            read(data)
        except FormatError:
            outcomes["refused"] += 1
        except VerificationError:
            outcomes["parsed, untrue"] += 1
        else:
            outcomes["parsed"] += 1
    print(f"{count} inputs: {dict(outcomes)}")  # noqa: T201
    assert outcomes["refused"] > 0
    parsed = outcomes["parsed"] + outcomes["parsed, untrue"]
    assert parsed >= deep * count, f"only {parsed} of {count} inputs got past the parser"


def _root_signature() -> bytes:
    assert WORLD.signed.cose is not None
    return WORLD.signed.cose


def _cose_receipts() -> list[bytes]:
    found = [cose_receipt(WORLD.leaf(s), WORLD.path(s), WORLD.signed) for s in (1, 4, 9)]
    return [receipt for receipt in found if receipt is not None]


def _requests() -> list[bytes]:
    return [
        sign_request(KEY, MEMBER, kind, body, created_at=NOW, proposal_id="cd" * 32)
        for kind, body in [
            (MessageType.PROPOSAL, b'{"actions": []}'),
            (MessageType.BALLOT, b"{}"),
            (MessageType.ACK, b""),
        ]
    ]


def test_cbor() -> None:
    value: cbor.Encodable = {
        1: [1, -1, 1 << 40, b"bytes", "text", None, True, 1.5],
        "key": {"a": [[[]]], b"b": {}},
    }
    _fuzz([cbor.encode(value), *_requests()], lambda data: cbor.decode(data, tags=True), deep=0.3)


def test_cbor_is_read_as_cbor2_reads_it() -> None:
    """What we accept, cbor2 accepts with the same value."""
    import cbor2  # noqa: PLC0415

    seeds = [cbor.encode({1: [1, -1, b"bytes", "text", None, True, 1.5], "key": {"a": [[]]}})]
    chance = random.Random(7)
    same = 0
    for _ in range(INPUTS):
        data = mutate(chance, seeds)
        try:
            value = cbor.decode(data)
        except FormatError:
            continue
        assert repr(cbor2.loads(data)) == repr(value)
        same += 1
    assert same > INPUTS / 10


def test_sign1() -> None:
    seeds = [_root_signature(), *_requests(), *_cose_receipts()]

    def read(data: bytes) -> None:
        message = cose.parse_sign1(data)
        cose.verify(message, KEY.public, b"" if message.payload is None else None)

    with pytest.raises(LedgerError):
        read(b"")
    _fuzz(_requests(), read, deep=0.2)
    _fuzz(seeds, lambda data: cose.parse_sign1(data, tag_required=False), deep=0.2)


def test_member_requests() -> None:
    def read(data: bytes) -> None:
        request = parse_request(data)
        assert len(request.replay_key) == 75
        verify_request(request, KEY.public)

    _fuzz(_requests(), read, deep=0.12)
    _fuzz(_requests(), parse_user_request, deep=0.1)


def test_root_signatures_and_endorsements() -> None:
    _fuzz([_root_signature()], parse_root_signature, deep=0.1)
    endorsed = endorse_key(
        KEY, WORLD.service_key.public, TxId(2, 1), end=TxId(2, 9), end_root=bytes(32), issued_at=1
    )
    _fuzz([endorsed], parse_endorsement, deep=0.1)


def test_cose_receipts() -> None:
    _fuzz(_cose_receipts(), parse_cose_receipt, deep=0.1)
    changed = 0
    chance = random.Random(3)
    for _ in range(INPUTS // 4):
        data = mutate(chance, _cose_receipts()[:1])
        try:
            verified = verify(data, WORLD.service)
        except LedgerError:
            continue
        # Only what nobody signs may change: other entries of the unprotected header.
        assert verified.root == WORLD.root
        assert verified.transactions[0].leaf == WORLD.leaf(1).digest
        changed += 1
    assert changed < INPUTS / 4


def test_json_receipts() -> None:
    text = transaction_receipt(WORLD.leaf(1), WORLD.path(1), WORLD.signed).to_json()
    chance = random.Random(5)
    refused = 0
    for _ in range(INPUTS // 4):
        data = mutate(chance, [text])
        try:
            verified = verify(data, WORLD.service)
        except LedgerError:
            refused += 1
            continue
        assert verified.transactions[0].leaf == WORLD.leaf(1).digest
    assert refused > INPUTS / 8


def test_certificates_and_keys() -> None:
    certificate = self_signed_caller(KEY, "CN=u", 1, NOW)

    def read(data: bytes) -> None:
        parsed = Certificate.parse(data)
        _ = parsed.public_key
        assert parsed.is_self_signed in (True, False)

    _fuzz([certificate.der, WORLD.node.der, WORLD.service.der], read, deep=0.04)
    _fuzz([certificate.pem.encode(), WORLD.node.pem.encode()], parse_bundle, deep=0.02)
    chance = random.Random(11)
    request = WORLD.node.pem.replace("CERTIFICATE", "CERTIFICATE REQUEST").encode()
    for _ in range(INPUTS):
        data = mutate(chance, [request, KEY.to_pem().encode(), KEY.public.pem.encode()])
        for parse in (CertificateRequest.parse, SigningKey.from_pem):
            try:
                parse(data)
            except LedgerError:
                continue
