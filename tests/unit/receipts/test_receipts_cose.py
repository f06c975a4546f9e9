"""COSE receipts: bytes, verification, endorsed keys, one refusal per way of being untrue."""

from dataclasses import replace
from itertools import count

import pytest

from ledger.base.errors import FormatError, VerificationError
from ledger.base.ids import TxId
from ledger.crypto import cbor, cose
from ledger.crypto.cose_endorsement import endorse_key
from ledger.crypto.cose_ledger import sign_root
from ledger.crypto.keys import Curve, SigningKey
from ledger.receipts.build import Leaf, cose_receipt
from ledger.receipts.cose import InclusionProof, encode_receipt, parse_cose_receipt
from ledger.receipts.verify import verify
from tests.unit.receipts.receipt_world import NOW, World

WORLD = World()
SEQNO = 5


def _proof(seqno: int = SEQNO) -> InclusionProof:
    leaf = WORLD.leaf(seqno)
    assert leaf.commit_evidence is not None
    assert leaf.claims_digest is not None
    path = tuple(WORLD.path(seqno))
    return InclusionProof(leaf.write_set_digest, leaf.commit_evidence, leaf.claims_digest, path)


def _receipt(*proofs: InclusionProof) -> bytes:
    assert WORLD.signed.cose is not None
    return encode_receipt(WORLD.signed.cose, proofs or [_proof()])


@pytest.mark.parametrize("curve", list(Curve))
def test_every_transaction_verifies(curve: Curve) -> None:
    world = World(curve)
    for seqno in range(1, 10):
        leaf = world.leaf(seqno)
        data = cose_receipt(leaf, world.path(seqno), world.signed)
        assert data is not None
        verified = verify(
            data, world.service, tx_id=TxId(2, seqno), claims_digest=leaf.claims_digest
        )
        assert verified.root == world.root
        assert verified.node_id is None
        assert verified.signature_tx_id == world.signature_tx
        (proved,) = verified.transactions
        assert proved.tx_id == TxId(2, seqno)
        assert proved.claims_digest == leaf.claims_digest
        assert proved.leaf == leaf.digest


def test_the_bytes() -> None:
    """Only the unprotected header differs from the signature transaction's own message."""
    signed = WORLD.signed.cose
    assert signed is not None
    message = cose.parse_sign1(signed)
    proof = (
        b"\xa2\x01\x83\x58\x20"
        + WORLD.leaf(SEQNO).write_set_digest
        + b"\x78\x47"
        + str(WORLD.leaf(SEQNO).commit_evidence).encode()
        + b"\x58\x20"
        + (WORLD.leaf(SEQNO).claims_digest or b"")
        + b"\x02"
        + bytes([0x80 | len(WORLD.path(SEQNO))])
        + b"".join(
            b"\x82" + (b"\xf5" if left else b"\xf4") + b"\x58\x20" + digest
            for left, digest in WORLD.path(SEQNO)
        )
    )
    header = b"\xa1\x19\x01\x8c\xa1\x20\x81\x59" + len(proof).to_bytes(2, "big") + proof
    assert _receipt() == signed.replace(
        message.protected_bytes + b"\xa0\xf6", message.protected_bytes + header + b"\xf6"
    )
    assert parse_cose_receipt(_receipt()).proofs == (_proof(),)


def test_receipts_that_cannot_be() -> None:
    leaf, path = WORLD.leaf(1), WORLD.path(1)
    assert cose_receipt(leaf, path, replace(WORLD.signed, cose=None)) is None
    assert cose_receipt(Leaf(leaf.write_set_digest, None, None), path, WORLD.signed) is None
    old = Leaf(leaf.write_set_digest, leaf.commit_evidence, None)
    assert cose_receipt(old, path, WORLD.signed) is None


def test_several_proofs() -> None:
    data = _receipt(_proof(1), _proof(2))
    verified = verify(data, WORLD.service)
    assert [proved.tx_id for proved in verified.transactions] == [TxId(2, 1), TxId(2, 2)]
    with pytest.raises(VerificationError, match=r"want 2\.1"):
        verify(data, WORLD.service, tx_id=TxId(2, 1))
    wrong = replace(_proof(2), claims_digest=b"\1" * 32)
    with pytest.raises(VerificationError, match="2 roots"):
        verify(_receipt(_proof(1), wrong), WORLD.service)


def test_wanted_transaction_and_claims() -> None:
    with pytest.raises(VerificationError, match=r"want 2\.6"):
        verify(_receipt(), WORLD.service, tx_id=TxId(2, 6))
    with pytest.raises(VerificationError, match="claims digest"):
        verify(_receipt(), WORLD.service, claims_digest=bytes(32))


@pytest.mark.parametrize(
    "proof",
    [
        replace(_proof(), write_set_digest=bytes(32)),
        replace(_proof(), claims_digest=bytes(32)),
        replace(_proof(), commit_evidence="ce:2.6:" + "0" * 64),
        replace(_proof(), path=_proof().path[1:]),
        replace(_proof(), path=()),
        replace(_proof(), path=tuple((not left, digest) for left, digest in _proof().path)),
    ],
)
def test_every_changed_proof_is_noticed(proof: InclusionProof) -> None:
    with pytest.raises(VerificationError):
        verify(_receipt(proof), WORLD.service)


def test_other_services() -> None:
    with pytest.raises(VerificationError, match="by key"):
        verify(_receipt(), World().service)


def test_transaction_after_its_own_signature() -> None:
    assert WORLD.signed.cose is not None
    early = sign_root(
        WORLD.service_key, WORLD.root, TxId(2, 5), issuer="", subject="", issued_at=NOW
    )
    with pytest.raises(VerificationError, match="before its root"):
        verify(encode_receipt(early, [_proof()]), WORLD.service)


def _with_unprotected(unprotected: dict[cbor.Key, cbor.Encodable]) -> bytes:
    assert WORLD.signed.cose is not None
    message = cose.parse_sign1(WORLD.signed.cose)
    return cose.assemble(message.protected_bytes, None, message.signature, unprotected=unprotected)


def _with_proof(proof: cbor.Encodable) -> bytes:
    return _with_unprotected({396: {-1: [cbor.encode(proof)]}})


LEAF: cbor.Encodable = [bytes(32), "ce:2.5:" + "0" * 64, bytes(32)]


@pytest.mark.parametrize(
    "data",
    [
        _with_unprotected({}),
        _with_unprotected({396: []}),
        _with_unprotected({396: {}}),
        _with_unprotected({396: {-1: b""}}),
        _with_unprotected({396: {-1: []}}),
        _with_unprotected({396: {-1: [b""] * 65}}),
        _with_unprotected({396: {-1: ["text"]}}),
        _with_unprotected({396: {-1: [b"\xff"]}}),
        _with_proof([]),
        _with_proof({1: LEAF}),
        _with_proof({2: []}),
        _with_proof({1: [], 2: []}),
        _with_proof({1: [bytes(32), b"evidence", bytes(32)], 2: []}),
        _with_proof({1: [bytes(31), "ce:2.5:" + "0" * 64, bytes(32)], 2: []}),
        _with_proof({1: [bytes(32), "ce:2.5:" + "0" * 64, bytes(33)], 2: []}),
        _with_proof({1: [bytes(32), "evidence", bytes(32)], 2: []}),
        _with_proof({1: LEAF, 2: [[True]]}),
        _with_proof({1: LEAF, 2: [[1, bytes(32)]]}),
        _with_proof({1: LEAF, 2: [[True, bytes(31)]]}),
        _with_proof({1: LEAF, 2: [[True, bytes(32)]] * 65}),
        _with_proof({1: LEAF, 2: {}}),
        b"\xd2",
        b"\xd8\x12\x84",
        cose.sign1(WORLD.service_key, [], b""),
    ],
    ids=count(),
)
def test_malformed_receipts(data: bytes) -> None:
    with pytest.raises(FormatError):
        verify(data, WORLD.service)


def test_longest_proof() -> None:
    with pytest.raises(VerificationError):
        verify(_with_proof({1: LEAF, 2: [[True, bytes(32)]] * 64}), WORLD.service)


class TestEndorsedKeys:
    """Receipts signed by an earlier service key, with the endorsements that lead to it."""

    new_key, new_service, _ = WORLD.recovered()

    def _endorsement(self, begin: int = 1, end: int = 28) -> bytes:
        return endorse_key(
            self.new_key,
            WORLD.service_key.public,
            TxId(2, begin),
            end=TxId(2, end),
            issued_at=NOW,
        )

    def test_one_recovery(self) -> None:
        verify(_receipt(), self.new_service, key_endorsements=[self._endorsement()])
        with pytest.raises(VerificationError, match="by key"):
            verify(_receipt(), self.new_service)

    def test_two_recoveries(self) -> None:
        last = World()
        endorsement = endorse_key(
            last.service_key, self.new_key.public, TxId(4, 29), end=TxId(4, 60), issued_at=NOW
        )
        chain = [endorsement, self._endorsement()]
        verify(_receipt(), last.service, key_endorsements=chain)
        with pytest.raises(VerificationError):
            verify(_receipt(), last.service, key_endorsements=chain[::-1])
        with pytest.raises(VerificationError):
            verify(_receipt(), last.service, key_endorsements=chain[:1])

    def test_current_key_needs_none_and_more_do_not_hurt(self) -> None:
        verify(_receipt(), WORLD.service, key_endorsements=[b"never looked at"])

    def test_root_outside_the_epoch(self) -> None:
        only = self._endorsement(10, 10)
        verify(_receipt(), self.new_service, key_endorsements=[only])
        for begin, end in [(1, 9), (11, 28)]:
            with pytest.raises(VerificationError, match="epoch"):
                verify(
                    _receipt(),
                    self.new_service,
                    key_endorsements=[self._endorsement(begin, end)],
                )

    def test_endorsement_by_a_stranger(self) -> None:
        forged = endorse_key(
            SigningKey.generate(Curve.P256), WORLD.service_key.public, TxId(2, 1), issued_at=NOW
        )
        with pytest.raises(VerificationError):
            verify(_receipt(), self.new_service, key_endorsements=[forged])

    def test_malformed_endorsements(self) -> None:
        key = self.new_key
        own: list[tuple[cbor.Key, cbor.Encodable]] = [
            (15, {6: 1}),
            ("ccf.v1", {"epoch.start.txid": "2.1"}),
        ]
        payload = WORLD.service_key.public.der
        for data in (
            b"",
            cose.sign1(key, own, payload, detached=True),
            cose.sign1(key, own, b"no key"),
            cose.sign1(key, own[:1], payload),
            cose.sign1(key, own[1:], payload),
            cose.sign1(key, [(15, {6: "x"}), own[1]], payload),
            cose.sign1(key, [own[0], ("ccf.v1", {})], payload),
            cose.sign1(key, [own[0], ("ccf.v1", {"epoch.start.txid": 1})], payload),
            cose.sign1(
                key,
                [own[0], ("ccf.v1", {"epoch.start.txid": "2.1", "epoch.end.merkle.root": b""})],
                payload,
            ),
        ):
            with pytest.raises(FormatError):
                verify(_receipt(), self.new_service, key_endorsements=[data])
        many = [self._endorsement()] * 1000
        verify(_receipt(), self.new_service, key_endorsements=many)
        with pytest.raises(FormatError, match="more than 1000"):
            verify(_receipt(), self.new_service, key_endorsements=[*many, b""])
