"""Keys: round trips, both kinds of signature, refusals."""

import hashlib
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from ledger.base.errors import FormatError, MisuseError, VerificationError
from ledger.crypto.keys import PEM_SIZE_MAX, Curve, PublicKey, SigningKey, twin_signature

DIGEST = hashlib.sha256(b"root").digest()
CURVES = list(Curve)
Reader = Callable[[str], object]


class CountingEntropy:
    """Bytes of SHA-256 over a counter, the same in every run."""

    def __init__(self) -> None:
        self.count = 0

    def random_bytes(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += hashlib.sha256(self.count.to_bytes(8, "big")).digest()
            self.count += 1
        return data[:count]


@pytest.fixture(params=CURVES, ids=lambda curve: curve.value, scope="module")
def key(request: pytest.FixtureRequest) -> SigningKey:
    curve: Curve = request.param
    return SigningKey.generate(curve)


def test_private_pem_round_trip(key: SigningKey) -> None:
    again = SigningKey.from_pem(key.to_pem())
    assert again.public == key.public
    assert again.to_pem() == key.to_pem()
    assert key.to_pem().startswith("-----BEGIN PRIVATE KEY-----\n")


def test_traditional_private_pem_is_read(key: SigningKey) -> None:
    pem = key.library_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    assert SigningKey.from_pem(pem).public == key.public


def test_public_key_names_itself_by_its_der(key: SigningKey) -> None:
    public = key.public
    assert public.id == hashlib.sha256(public.der).hexdigest()
    assert PublicKey.from_der(public.der) == public
    assert PublicKey.from_pem(public.pem) == public
    assert hash(PublicKey.from_pem(public.pem)) == hash(public)
    assert public.id in repr(public)


def test_compressed_point_gives_the_same_id() -> None:
    key = SigningKey.generate(Curve.P256)
    point = key.library_key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
    )
    assert (
        PublicKey.wrap(ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)).id
        == key.public.id
    )


def test_digest_signature_is_prehashed_sha256_whatever_the_curve(key: SigningKey) -> None:
    signature = key.sign_digest(DIGEST)
    key.public.verify_digest(signature, DIGEST)
    # The same signature, seen as one over the message whose SHA-256 is the digest.
    library = key.public.library_key
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415

    library.verify(signature, b"root", ec.ECDSA(hashes.SHA256()))


def test_untrue_digest_signatures_are_refused(key: SigningKey) -> None:
    signature = key.sign_digest(DIGEST)
    other = SigningKey.generate(key.curve)
    for bad_signature, bad_digest in [
        (signature, hashlib.sha256(b"other").digest()),
        (signature[:-1] + bytes([signature[-1] ^ 1]), DIGEST),
        (signature[:-1], DIGEST),
        (b"", DIGEST),
        (signature, DIGEST + b"\0"),
        (signature, b""),
        (other.sign_digest(DIGEST), DIGEST),
    ]:
        with pytest.raises(VerificationError):
            key.public.verify_digest(bad_signature, bad_digest)


def test_raw_signature(key: SigningKey) -> None:
    signature = key.sign_raw(b"message")
    assert len(signature) == 2 * key.curve.size
    key.public.verify_raw(signature, b"message")
    for bad_signature, bad_message in [
        (signature, b"massage"),
        (signature[:-1], b"message"),
        (signature + b"\0", b"message"),
        (bytes(len(signature)), b"message"),
        (b"\xff" * len(signature), b"message"),
    ]:
        with pytest.raises(VerificationError):
            key.public.verify_raw(bad_signature, bad_message)


@pytest.mark.parametrize("digest", [b"", bytes(31), bytes(33), bytes(48)])
def test_only_32_bytes_are_signed_as_digest(digest: bytes) -> None:
    with pytest.raises(MisuseError, match="want 32"):
        SigningKey.generate(Curve.P256).sign_digest(digest)


@pytest.mark.parametrize("curve", CURVES)
def test_same_entropy_same_key_and_signatures(curve: Curve) -> None:
    first = SigningKey.generate(curve, CountingEntropy(), deterministic=True)
    second = SigningKey.generate(curve, CountingEntropy(), deterministic=True)
    assert first.to_pem() == second.to_pem()
    assert first.sign_digest(DIGEST) == second.sign_digest(DIGEST)
    assert first.sign_raw(b"m") == second.sign_raw(b"m")
    first.public.verify_digest(second.sign_digest(DIGEST), DIGEST)
    again = SigningKey.from_pem(first.to_pem(), deterministic=True)
    assert again.sign_raw(b"m") == first.sign_raw(b"m")


def test_deterministic_signature_is_rfc_6979() -> None:
    # RFC 6979, A.2.5: P-256 with SHA-256, message "sample".
    scalar = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
    key = SigningKey.wrap(ec.derive_private_key(scalar, ec.SECP256R1()), deterministic=True)
    assert key.sign_raw(b"sample").hex() == (
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
        "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
    )


@pytest.mark.parametrize("curve", CURVES)
def test_order_is_the_order(curve: Curve) -> None:
    """The points of n - 1 and 1 are each other's negative: the same x."""
    library_curve = SigningKey.generate(curve).library_key.curve
    largest = ec.derive_private_key(curve.order - 1, library_curve).public_key().public_numbers()
    one = ec.derive_private_key(1, library_curve).public_key().public_numbers()
    assert largest.x == one.x
    assert largest.y != one.y


def test_twin_signature_verifies_too(key: SigningKey) -> None:
    signature = key.sign_raw(b"message")
    twin = twin_signature(signature, key.curve)
    key.public.verify_raw(twin, b"message")
    assert twin != signature
    assert twin_signature(twin, key.curve) == signature


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        (b"", "0 bytes, want 64"),
        (bytes(63), "63 bytes"),
        (bytes(32) + b"\1" * 33, "65 bytes"),
        (bytes(64), "below the order"),
        (b"\xff" * 64, "below the order"),
    ],
)
def test_no_signature_has_no_twin(signature: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        twin_signature(signature, Curve.P256)


def test_raw_signature_has_one_length() -> None:
    """A signature whose s begins with a zero byte does not verify without that byte."""
    key = SigningKey.generate(Curve.P256)
    signatures = ((number, key.sign_raw(b"%d" % number)) for number in range(100_000))
    number, signature = next(pair for pair in signatures if pair[1][32] == 0)
    key.public.verify_raw(signature, b"%d" % number)
    with pytest.raises(VerificationError, match="63 bytes"):
        key.public.verify_raw(signature[:32] + signature[33:], b"%d" % number)


def test_pem_bounds() -> None:
    key = SigningKey.generate(Curve.P256)
    readers: list[tuple[str, Reader]] = [
        (key.to_pem(), SigningKey.from_pem),
        (key.public.pem, PublicKey.from_pem),
    ]
    for text, parse in readers:
        parse(text.ljust(PEM_SIZE_MAX, "\n"))
        with pytest.raises(FormatError, match="at most"):
            parse(text.ljust(PEM_SIZE_MAX + 1, "\n"))
        with pytest.raises(FormatError, match="ASCII"):
            parse(text + "\u2603")
    with pytest.raises(FormatError, match="at most"):
        PublicKey.from_der(bytes(PEM_SIZE_MAX + 1))
    with pytest.raises(FormatError, match="no DER"):
        PublicKey.from_der(bytes(PEM_SIZE_MAX))
    with pytest.raises(FormatError, match="no PEM"):
        PublicKey.from_pem("nothing")


def _private_pem(
    key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey,
    encryption: serialization.KeySerializationEncryption,
) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


def test_other_private_keys_are_refused() -> None:
    plain = serialization.NoEncryption()
    p256 = ec.generate_private_key(ec.SECP256R1())
    bad = [
        b"",
        b"\xff\xfe",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"x" * 20_000,
        _private_pem(rsa.generate_private_key(65537, 2048), plain),
        _private_pem(ed25519.Ed25519PrivateKey.generate(), plain),
        _private_pem(ec.generate_private_key(ec.SECP256K1()), plain),
        _private_pem(p256, serialization.BestAvailableEncryption(b"password")),
        SigningKey.generate(Curve.P256).public.pem.encode(),
    ]
    for pem in bad:
        with pytest.raises(FormatError):
            SigningKey.from_pem(pem)
    with pytest.raises(FormatError):
        SigningKey.from_pem("-----BEGIN PRIVATE KEY-----\n\u2603")


def test_refusal_of_a_private_key_does_not_quote_it() -> None:
    pem = SigningKey.generate(Curve.P256).to_pem()
    damaged = pem.replace("BEGIN PRIVATE", "BEGIN PRIVAT")
    with pytest.raises(FormatError) as caught:
        SigningKey.from_pem(damaged)
    assert pem.splitlines()[1] not in str(caught.value)
    assert caught.value.__cause__ is None
    assert pem.splitlines()[1] not in repr(SigningKey.from_pem(pem))


def test_other_public_keys_are_refused() -> None:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    others: list[rsa.RSAPublicKey | ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey] = [
        rsa.generate_private_key(65537, 2048).public_key(),
        ed25519.Ed25519PrivateKey.generate().public_key(),
        ec.generate_private_key(ec.SECP256K1()).public_key(),
    ]
    for other in others:
        with pytest.raises(FormatError):
            PublicKey.from_der(other.public_bytes(serialization.Encoding.DER, spki))
        with pytest.raises(FormatError):
            PublicKey.from_pem(other.public_bytes(serialization.Encoding.PEM, spki))
    for data in [b"", b"\x30", b"\x30\x80", bytes(91), bytes(20_000)]:
        with pytest.raises(FormatError):
            PublicKey.from_der(data)


def test_every_flipped_byte_of_a_public_key_is_a_key_or_a_format_error() -> None:
    der = SigningKey.generate(Curve.P256).public.der
    for position in range(len(der)):
        for mask in (0x01, 0x80, 0xFF):
            damaged = bytearray(der)
            damaged[position] ^= mask
            try:
                PublicKey.from_der(bytes(damaged))
            except FormatError:
                continue
