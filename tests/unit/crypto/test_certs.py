"""Certificates: profiles, renewal, chains as OpenSSL and Python see them, refusals."""

import datetime
import ssl
import subprocess
import warnings
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.x509.verification import PolicyBuilder, Store

from ledger.base.errors import FormatError, LedgerError, MisuseError, VerificationError
from ledger.crypto.certificate import Certificate, CertificateRequest, parse_bundle
from ledger.crypto.certs import (
    alternative_name_of,
    certificate_request,
    endorse,
    endorse_previous_service,
    parse_subject,
    renew,
    self_signed_caller,
    self_signed_node,
    self_signed_service,
)
from ledger.crypto.keys import Curve, SigningKey

NOW = int(datetime.datetime(2025, 6, 1, 12, tzinfo=datetime.UTC).timestamp())
DAY = 86_400
SANS = ["iPAddress:127.0.0.1", "dNSName:node0.example", "iPAddress:::1"]


class ZeroEntropy:
    def random_bytes(self, count: int) -> bytes:
        return bytes(count)


class Service:
    """A service, one node and their certificates."""

    def __init__(self, curve: Curve) -> None:
        self.key = SigningKey.generate(curve)
        self.certificate = self_signed_service(self.key, "CN=CCF Service", 30, NOW)
        self.node_key = SigningKey.generate(curve)
        self.request = certificate_request(self.node_key, "CN=CCF Node", SANS)
        self.node = endorse(self.request, self.key, self.certificate, NOW, 10)


@pytest.fixture(params=[Curve.P256, Curve.P384], ids=lambda curve: curve.value, scope="module")
def service(request: pytest.FixtureRequest) -> Service:
    return Service(request.param)


def _check_chain(node: Certificate, service: Certificate, between: list[Certificate]) -> None:
    """What ``ccf.receipt.check_cert_chain`` does, at the time of these certificates."""
    moment = datetime.datetime.fromtimestamp(NOW + 100, datetime.UTC)
    verifier = (
        PolicyBuilder()
        .store(Store([service.library_certificate]))
        .time(moment)
        .build_client_verifier()
    )
    verifier.verify(node.library_certificate, [each.library_certificate for each in between])


def test_service_profile(service: Service) -> None:
    certificate = service.certificate
    extensions = certificate.library_certificate.extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=1)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert usage.value.digital_signature
    assert certificate.is_ca
    assert certificate.is_self_signed
    assert certificate.subject == "CN=CCF Service"
    assert (certificate.not_before, certificate.not_after) == (NOW, NOW + 30 * DAY - 1)
    assert certificate.public_key == service.key.public
    extensions.get_extension_for_class(x509.SubjectKeyIdentifier)


def test_node_profile(service: Service) -> None:
    certificate = service.node
    extensions = certificate.library_certificate.extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca
    assert not certificate.is_ca
    assert not certificate.is_self_signed
    assert certificate.sans == tuple(SANS)
    assert (certificate.not_before, certificate.not_after) == (NOW, NOW + 10 * DAY - 1)
    assert certificate.public_key == service.node_key.public
    assert certificate.library_certificate.issuer.rfc4514_string() == "CN=CCF Service"
    service.node.verify_endorsed_by(service.certificate)
    with pytest.raises(VerificationError):
        service.certificate.verify_endorsed_by(service.node)


def test_self_signed_node(service: Service) -> None:
    certificate = self_signed_node(service.node_key, "CN=CCF Node", SANS, 1, NOW)
    assert certificate.is_self_signed
    assert not certificate.is_ca
    assert certificate.sans == tuple(SANS)
    assert certificate.not_after == NOW + DAY - 1


def test_chain_passes_the_library_policy(service: Service) -> None:
    _check_chain(service.node, service.certificate, [])


def test_chain_over_a_previous_service_passes_the_library_policy(service: Service) -> None:
    new_key = SigningKey.generate(service.key.curve)
    new = self_signed_service(new_key, "CN=CCF Service", 30, NOW)
    link = endorse_previous_service(service.certificate, new_key, new, NOW, 30)
    _check_chain(service.node, new, [link])
    service.node.verify_endorsed_by(link)
    link.verify_endorsed_by(new)
    assert link.public_key == service.key.public
    with pytest.raises(x509.verification.VerificationError):
        _check_chain(service.node, new, [])


def _tls_handshake(
    service: Service, trusted: Certificate, presented: Certificate, tmp_path: Path
) -> None:
    """Handshake in memory; the client trusts one certificate and checks the host name."""
    chain = tmp_path / "node.pem"
    chain.write_text(presented.pem + service.node_key.to_pem())
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(chain)
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.load_verify_locations(cadata=trusted.pem)
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert client.getpeercert(binary_form=True) == presented.der


@pytest.fixture
def current_service() -> Service:
    """A service whose certificates are valid at the time of the test's run, as TLS wants it."""
    clock = int(datetime.datetime.now(datetime.UTC).timestamp())  # noqa: TID251
    service = Service(Curve.P384)
    service.certificate = self_signed_service(service.key, "CN=CCF Service", 2, clock - 100)
    service.node = endorse(service.request, service.key, service.certificate, clock - 100, 2)
    return service


def test_tls_client_trusts_the_service_certificate(
    current_service: Service, tmp_path: Path
) -> None:
    _tls_handshake(current_service, current_service.certificate, current_service.node, tmp_path)


def test_tls_client_trusts_a_pinned_self_signed_node(
    current_service: Service, tmp_path: Path
) -> None:
    start = current_service.node.not_before
    alone = self_signed_node(current_service.node_key, "CN=CCF Node", SANS, 2, start)
    # The strict flag of OpenSSL wants an authority key identifier on every trust anchor
    # and no CA constraint on a leaf: both hold.
    _tls_handshake(current_service, alone, alone, tmp_path)


def test_tls_client_refuses_a_node_of_another_service(
    current_service: Service, tmp_path: Path
) -> None:
    other = self_signed_service(
        SigningKey.generate(Curve.P384), "CN=CCF Service", 2, current_service.node.not_before
    )
    with pytest.raises(ssl.SSLCertVerificationError):
        _tls_handshake(current_service, other, current_service.node, tmp_path)


def test_openssl_verifies_the_chain(service: Service, tmp_path: Path) -> None:
    (tmp_path / "service.pem").write_text(service.certificate.pem)
    (tmp_path / "node.pem").write_text(service.node.pem)
    command = ["openssl", "verify", "-x509_strict", "-attime", str(NOW + 100)]
    for purpose in ("sslserver", "sslclient"):
        result = subprocess.run(
            [*command, "-purpose", purpose, "-CAfile", "service.pem", "node.pem"],
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stdout + result.stderr


def test_renewed_certificates_keep_key_and_profile(service: Service) -> None:
    later = NOW + 5 * DAY
    renewed = renew(service.certificate, service.key, None, later, 365)
    assert renewed.public_key == service.key.public
    assert renewed.is_self_signed
    assert (renewed.not_before, renewed.not_after) == (later, later + 365 * DAY - 1)
    assert renewed.id != service.certificate.id
    # A node endorsed under the old certificate chains to the new one: the key is the same.
    service.node.verify_endorsed_by(renewed)
    node = renew(service.node, service.key, renewed, later, 7)
    assert node.sans == service.node.sans
    assert not node.is_ca
    node.verify_endorsed_by(renewed)
    for old, new in [(service.certificate, renewed), (service.node, node)]:
        old_extensions = {
            extension.oid: (extension.critical, extension.value)
            for extension in old.library_certificate.extensions
        }
        new_extensions = {
            extension.oid: (extension.critical, extension.value)
            for extension in new.library_certificate.extensions
        }
        assert old_extensions == new_extensions


def test_issuing_with_the_wrong_key_is_misuse(service: Service) -> None:
    other = SigningKey.generate(service.key.curve)
    with pytest.raises(MisuseError):
        endorse(service.request, other, service.certificate, NOW, 1)
    with pytest.raises(MisuseError):
        renew(service.certificate, other, None, NOW, 1)
    with pytest.raises(MisuseError):
        renew(service.node, other, service.certificate, NOW, 1)


@pytest.mark.parametrize(("days", "start"), [(0, NOW), (-1, NOW), (4_000_000, NOW), (1, 1 << 60)])
def test_impossible_validity_is_misuse(days: int, start: int) -> None:
    with pytest.raises(MisuseError):
        self_signed_service(SigningKey.generate(Curve.P256), "CN=s", days, start)


def test_serials_come_from_injected_entropy() -> None:
    key = SigningKey.generate(Curve.P256, deterministic=True)
    made = [self_signed_service(key, "CN=s", 1, NOW, entropy=ZeroEntropy()).der for _ in range(2)]
    assert made[0] == made[1]
    requests = [certificate_request(key, "CN=n", SANS).pem for _ in range(2)]
    assert requests[0] == requests[1]
    serials = {
        self_signed_service(key, "CN=s", 1, NOW).library_certificate.serial_number for _ in range(4)
    }
    assert len(serials) == 4
    assert all(serial > 0 for serial in serials)


def test_validity_bounds(service: Service) -> None:
    certificate = service.node
    assert not certificate.is_valid_at(NOW - 0.5)
    assert certificate.is_valid_at(NOW)
    assert certificate.is_valid_at(certificate.not_after + 0.5)
    assert not certificate.is_valid_at(certificate.not_after + 1)


def test_certificates_are_read_from_pem_and_der(service: Service) -> None:
    certificate = service.node
    for data in (certificate.pem, certificate.pem.encode(), certificate.der):
        again = Certificate.parse(data)
        assert again == certificate
        assert again.id == certificate.id
        assert again.pem == certificate.pem
    assert certificate.id == certificate.library_certificate.fingerprint(hashes.SHA256()).hex()


def test_bundles(service: Service) -> None:
    both = "a comment\n" + service.node.pem + "\n" + service.certificate.pem
    assert parse_bundle(both) == (service.node, service.certificate)
    with pytest.raises(FormatError, match="want one"):
        Certificate.parse(both)
    with pytest.raises(FormatError):
        parse_bundle("no certificate at all")
    with pytest.raises(FormatError, match="at most"):
        parse_bundle(service.node.pem * 3000)


def test_request_round_trip_and_its_signature(service: Service) -> None:
    request = service.request
    again = CertificateRequest.parse(request.pem)
    assert again == request
    assert again.public_key == service.node_key.public
    assert again.subject == "CN=CCF Node"
    assert again.sans == tuple(SANS)
    der = bytearray(request.library_request.public_bytes(serialization.Encoding.DER))
    assert CertificateRequest.parse(bytes(der)) == request
    der[-1] ^= 1
    with pytest.raises(LedgerError):
        CertificateRequest.parse(bytes(der))
    at = bytes(der).index(b"CCF Node")
    der[-1] ^= 1
    der[at] ^= 1
    with pytest.raises(VerificationError):
        CertificateRequest.parse(bytes(der))


def test_request_of_another_key_type_is_refused() -> None:
    builder = x509.CertificateSigningRequestBuilder(subject_name=parse_subject("CN=x"))
    key = rsa.generate_private_key(65537, 2048)
    signed = builder.sign(key, hashes.SHA256())
    with pytest.raises(FormatError, match="want an ECDSA key"):
        CertificateRequest.parse(signed.public_bytes(serialization.Encoding.PEM))
    with pytest.raises(FormatError):
        CertificateRequest.parse("nothing")


def test_caller_certificate() -> None:
    key = SigningKey.generate(Curve.P384)
    certificate = self_signed_caller(key, "CN=member0", 90, NOW)
    assert certificate.is_self_signed
    assert certificate.subject == "CN=member0"
    algorithm = certificate.library_certificate.signature_hash_algorithm
    # Two-step signing tools hash with the certificate's own hash; it has to be the key's.
    assert isinstance(algorithm, hashes.SHA384)


@pytest.mark.parametrize("subject", ["", "member", "CN", "O=Example", "CN=a,,", "1.2=\x00"])
def test_bad_subjects(subject: str) -> None:
    with pytest.raises(FormatError, match="subject"):
        parse_subject(subject)


@pytest.mark.parametrize(
    "name", ["", "127.0.0.1", "iPAddress:", "iPAddress:host", "dNSName:", "URI:a", "dNSName:\u00e9"]
)
def test_bad_alternative_names(name: str) -> None:
    with pytest.raises(FormatError, match="alternative name"):
        certificate_request(SigningKey.generate(Curve.P256), "CN=n", [name])


def test_alternative_names_of_hosts() -> None:
    assert alternative_name_of("127.3.2.1") == "iPAddress:127.3.2.1"
    assert alternative_name_of("::1") == "iPAddress:::1"
    assert alternative_name_of("node.example") == "dNSName:node.example"


def test_other_key_types_are_read_but_give_no_key() -> None:
    for private in (
        rsa.generate_private_key(65537, 2048),
        ed25519.Ed25519PrivateKey.generate(),
    ):
        builder = (
            x509.CertificateBuilder(subject_name=parse_subject("CN=u"))
            .issuer_name(parse_subject("CN=u"))
            .public_key(private.public_key())
            .serial_number(1)
            .not_valid_before(datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC))
            .not_valid_after(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
        )
        algorithm = hashes.SHA256() if isinstance(private, rsa.RSAPrivateKey) else None
        signed = builder.sign(private, algorithm)
        certificate = Certificate.parse(signed.public_bytes(serialization.Encoding.DER))
        assert certificate.subject == "CN=u"
        assert not certificate.is_self_signed
        with pytest.raises(FormatError, match="want an ECDSA key"):
            _ = certificate.public_key
        service = Service(Curve.P256)
        with pytest.raises(VerificationError):
            certificate.verify_endorsed_by(service.certificate)


@pytest.mark.parametrize(
    "data", ["", b"", "x", b"\x30\x82", "\u2603", b"-----BEGIN CERTIFICATE-----"]
)
def test_no_certificate(data: str | bytes) -> None:
    with pytest.raises(FormatError):
        Certificate.parse(data)


def test_oversized_certificate() -> None:
    with pytest.raises(FormatError, match="at most"):
        Certificate.parse(bytes(64 * 1024 + 1))
    with pytest.raises(FormatError, match="no certificate"):
        Certificate.parse(bytes(64 * 1024))


def test_every_damaged_byte_is_a_certificate_or_an_error_of_ours() -> None:
    """No exception of the library and no warning gets out (a node's stderr stays empty)."""
    certificate = Service(Curve.P256).node
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for position in range(len(certificate.der)):
            for mask in (0x01, 0x02, 0x20, 0x80, 0xFF):
                damaged = bytearray(certificate.der)
                damaged[position] ^= mask
                try:
                    parsed = Certificate.parse(bytes(damaged))
                    assert not parsed.is_self_signed
                    _ = parsed.public_key
                except FormatError:
                    continue
    assert caught == []


def test_every_truncation_is_refused() -> None:
    der = Service(Curve.P256).node.der
    for size in range(len(der)):
        with pytest.raises(FormatError):
            Certificate.parse(der[:size])
