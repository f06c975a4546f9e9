"""COSE_Sign1: round trips, the bytes, refusals, verification."""

import pytest

from ledger.base.errors import FormatError, MisuseError, VerificationError
from ledger.crypto import cbor, cose
from ledger.crypto.keys import Curve, SigningKey

KEY = SigningKey.generate(Curve.P256)
SIGNATURE = bytes(64)
PROTECTED = cbor.encode({1: -7})


@pytest.mark.parametrize("curve", list(Curve))
@pytest.mark.parametrize("detached", [False, True])
def test_round_trip(curve: Curve, detached: bool) -> None:
    key = SigningKey.generate(curve)
    data = cose.sign1(key, [(4, b"me"), ("t", "x")], b"body", detached=detached)
    message = cose.parse_sign1(data)
    assert message.protected == {1: cose.ALGORITHMS[curve], 4: b"me", "t": "x"}
    assert list(message.protected) == [1, 4, "t"]
    assert message.unprotected == {}
    assert message.payload == (None if detached else b"body")
    cose.verify(message, key.public, b"body" if detached else None)
    again = cose.assemble(message.protected_bytes, message.payload, message.signature)
    assert again == data


def test_the_bytes() -> None:
    data = cose.assemble(PROTECTED, None, SIGNATURE, unprotected={396: b""})
    assert data.hex() == "d284" + "43a10126" + "a119018c40" + "f6" + "5840" + "00" * 64
    assert cose.signature_input(PROTECTED, b"p").hex() == (
        "84" + "6a" + b"Signature1".hex() + "43a10126" + "40" + "4170"
    )


def test_an_algorithm_given_keeps_its_place() -> None:
    encoded = cose.encode_protected(Curve.P384, [(4, b""), (1, -35)])
    assert encoded.hex() == "a20440013822"
    with pytest.raises(MisuseError, match="want -7"):
        cose.encode_protected(Curve.P256, [(1, -35)])
    with pytest.raises(MisuseError, match="repeated"):
        cose.encode_protected(Curve.P256, [(4, b""), (4, b"")])


def _message(*parts: cbor.Encodable, tag: int = 18) -> bytes:
    return cbor.encode(cbor.Tagged(tag, list(parts)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "want 1"),
        (b"not cbor", "CBOR"),
        (_message(PROTECTED, {}, b"", SIGNATURE)[1:], "tag 18"),
        (_message(PROTECTED, {}, b"", SIGNATURE, tag=17), "tag 18"),
        (_message(PROTECTED, {}, b"", SIGNATURE, tag=98), "tag 18"),
        (cbor.encode(cbor.Tagged(18, cbor.Tagged(18, [PROTECTED, {}, b"", SIGNATURE]))), "4 parts"),
        (_message(PROTECTED, {}, b"", SIGNATURE) + b"\0", "after the end"),
        (_message(PROTECTED, {}, b""), "4 parts"),
        (_message(PROTECTED, {}, b"", SIGNATURE, b""), "4 parts"),
        (cbor.encode(cbor.Tagged(18, {})), "4 parts"),
        (_message({1: -7}, {}, b"", SIGNATURE), "no bstr"),
        (_message(PROTECTED, {}, b"", "s"), "no bstr"),
        (_message(PROTECTED, [], b"", SIGNATURE), "no map"),
        (_message(PROTECTED, {}, "text", SIGNATURE), "neither bstr nor nil"),
        (_message(PROTECTED, {}, 1, SIGNATURE), "neither bstr nor nil"),
        (_message(b"\x80", {}, b"", SIGNATURE), "no map"),
        (_message(b"\xa1", {}, b"", SIGNATURE), "CBOR"),
        (_message(PROTECTED + b"\0", {}, b"", SIGNATURE), "after the end"),
        (_message(bytes.fromhex("a201260126"), {}, b"", SIGNATURE), "twice"),
        (_message(PROTECTED, {1: -7}, b"", SIGNATURE), "both headers"),
    ],
)
def test_refused(data: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        cose.parse_sign1(data)


def test_untagged_only_on_request() -> None:
    data = _message(PROTECTED, {}, b"", SIGNATURE)
    message = cose.parse_sign1(data[1:], tag_required=False)
    assert message == cose.parse_sign1(data, tag_required=False)
    with pytest.raises(FormatError, match="tag 18"):
        cose.parse_sign1(_message(PROTECTED, {}, b"", SIGNATURE, tag=17), tag_required=False)


def test_longer_form_of_the_tag_is_read() -> None:
    data = _message(PROTECTED, {}, b"", SIGNATURE)
    assert cose.parse_sign1(b"\xd8\x12" + data[1:]) == cose.parse_sign1(data)


def test_size_bound() -> None:
    data = _message(PROTECTED, {}, bytes(100), SIGNATURE)
    with pytest.raises(FormatError, match="at most"):
        cose.parse_sign1(data, size_max=len(data) - 1)
    cose.parse_sign1(data, size_max=len(data))


def test_empty_protected_header_parses_and_never_verifies() -> None:
    message = cose.parse_sign1(_message(b"", {}, b"", SIGNATURE))
    assert message.protected == {}
    with pytest.raises(VerificationError, match="algorithm"):
        cose.verify(message, KEY.public)


def test_every_changed_part_is_noticed() -> None:
    data = cose.sign1(KEY, [(4, b"me")], b"body")
    message = cose.parse_sign1(data)
    other = SigningKey.generate(Curve.P256)
    with pytest.raises(VerificationError):
        cose.verify(message, other.public)
    for changed in (
        cose.assemble(cbor.encode({1: -7, 4: b"you"}), b"body", message.signature),
        cose.assemble(message.protected_bytes, b"bodies", message.signature),
        cose.assemble(message.protected_bytes, b"body", message.signature[:-1] + b"\0\0"),
        cose.assemble(message.protected_bytes, b"body", bytes(64)),
        cose.assemble(message.protected_bytes, b"body", b""),
    ):
        with pytest.raises(VerificationError):
            cose.verify(cose.parse_sign1(changed), KEY.public)
    # Longer heads mean the same and are other bytes, so the signature does not hold.
    stretched = bytes.fromhex("a20126") + b"\x18\x04" + cbor.encode(b"me")
    with pytest.raises(VerificationError):
        cose.verify(
            cose.parse_sign1(cose.assemble(stretched, b"body", message.signature)), KEY.public
        )


@pytest.mark.parametrize("algorithm", [-35, -36, -38, -8, 0, "ES256", None, b""])
def test_algorithm_has_to_fit_the_key(algorithm: int | str | bytes | None) -> None:
    protected = cbor.encode({1: algorithm})
    signature = KEY.sign_raw(cose.signature_input(protected, b""))
    with pytest.raises(VerificationError, match="want -7"):
        cose.verify(cose.parse_sign1(cose.assemble(protected, b"", signature)), KEY.public)


def test_algorithm_in_the_unprotected_header_does_not_count() -> None:
    protected = cbor.encode({4: b""})
    signature = KEY.sign_raw(cose.signature_input(protected, b""))
    data = cose.assemble(protected, b"", signature, unprotected={1: -7})
    with pytest.raises(VerificationError, match="algorithm"):
        cose.verify(cose.parse_sign1(data), KEY.public)


def test_critical_headers_are_refused() -> None:
    data = cose.sign1(KEY, [(2, ["x"]), ("x", 1)], b"")
    with pytest.raises(VerificationError, match="critical"):
        cose.verify(cose.parse_sign1(data), KEY.public)


def test_payload_is_given_exactly_once() -> None:
    attached = cose.parse_sign1(cose.sign1(KEY, [], b"x"))
    detached = cose.parse_sign1(cose.sign1(KEY, [], b"x", detached=True))
    with pytest.raises(MisuseError):
        cose.verify(attached, KEY.public, b"x")
    with pytest.raises(MisuseError):
        cose.verify(detached, KEY.public)
    with pytest.raises(VerificationError):
        cose.verify(detached, KEY.public, b"y")
