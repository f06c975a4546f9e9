"""Reading certificates and certificate requests of anyone, as values.

A certificate is read whole or refused: nothing that is asked of it later can fail for its
bytes, except its public key when that is not ECDSA (users may bring RSA certificates).
"""

import contextlib
import datetime
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning

from ledger.base.errors import FormatError, VerificationError
from ledger.crypto.keys import PublicKey

CERTIFICATE_SIZE_MAX = 64 * 1024
"""Longest certificate or request that is read, PEM or DER; ours take about 600 bytes of DER."""

BUNDLE_SIZE_MAX = 1 << 20
"""Longest PEM bundle that is read: some 500 CA certificates."""

_PEM_BEGIN = b"-----BEGIN CERTIFICATE-----"
_LINK = re.compile(r" See https?://\S+ for more details\.")
"""What the library adds for its own users; ours read it in an answer of a service."""
# What the library raises for bytes that it does not like, at parsing or at first access.
_LIBRARY_ERRORS = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    CryptographyDeprecationWarning,
)


@dataclass(frozen=True, slots=True)
class Certificate:
    """An X.509 certificate. Equal when the encoded certificates are equal.

    Attributes:
        id: 64 lower-case hex characters, SHA-256 of ``der``: the id of a member or user.
        subject: Distinguished name in the form of RFC 4514.
        not_before: First second of validity, since 1970 (UTC).
        not_after: Last second of validity.
        sans: IP and DNS alternative names, ``iPAddress:…`` and ``dNSName:…``, in their order.
        is_ca: The basic constraints say that it may sign other certificates.
        der: The encoded certificate.
        pem: The same as PEM text that ends in a newline.
        library_certificate: The library's object; for modules of this package only.
    """

    id: str
    subject: str = field(compare=False)
    not_before: int = field(compare=False)
    not_after: int = field(compare=False)
    sans: tuple[str, ...] = field(compare=False)
    is_ca: bool = field(compare=False)
    der: bytes = field(repr=False)
    pem: str = field(repr=False, compare=False)
    library_certificate: x509.Certificate = field(repr=False, compare=False)

    @classmethod
    def parse(cls, data: str | bytes) -> "Certificate":
        """Read one certificate: PEM text, PEM bytes or DER.

        Raises:
            FormatError: the data is no certificate, or PEM with more or less than one.
        """
        encoded = _encoded(data, CERTIFICATE_SIZE_MAX)
        if isinstance(data, bytes) and _PEM_BEGIN not in encoded:
            return cls.wrap(_load_der(encoded))
        certificates = parse_bundle(encoded)
        if len(certificates) != 1:
            raise FormatError(f"got PEM text of {len(certificates)} certificates, want one")
        return certificates[0]

    @classmethod
    def wrap(cls, certificate: x509.Certificate) -> "Certificate":
        """Read everything out of the library's object; for modules of this package only.

        Raises:
            FormatError: a part of the certificate does not parse.
        """
        with _refusals("got a certificate with a part that does not parse"):
            return cls(
                id=certificate.fingerprint(hashes.SHA256()).hex(),
                subject=certificate.subject.rfc4514_string(),
                not_before=_seconds(certificate.not_valid_before_utc),
                not_after=_seconds(certificate.not_valid_after_utc),
                sans=_alternative_names(certificate.extensions),
                is_ca=_is_ca(certificate.extensions),
                der=certificate.public_bytes(Encoding.DER),
                pem=certificate.public_bytes(Encoding.PEM).decode("ascii"),
                library_certificate=certificate,
            )

    @property
    def public_key(self) -> PublicKey:
        """The certificate's key.

        Raises:
            FormatError: the key is not ECDSA on P-256, P-384 or P-521.
        """
        with _refusals("got a certificate whose public key does not parse"):
            key = self.library_certificate.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise FormatError(f"got a certificate with a {type(key).__name__}, want an ECDSA key")
        return PublicKey.wrap(key)

    def is_valid_at(self, now: float) -> bool:
        """Say whether a time, in seconds since 1970, lies within the validity."""
        return self.not_before <= now < self.not_after + 1

    def verify_endorsed_by(self, issuer: "Certificate") -> None:
        """Check that the issuer's key signed this certificate.

        Only the signature is looked at: no dates, names, constraints or usages.

        Raises:
            FormatError: the issuer's key is not ECDSA.
            VerificationError: the signature is not the issuer's.
        """
        verify_signed_by(self, issuer.public_key)

    @property
    def is_self_signed(self) -> bool:
        """The certificate's own ECDSA key signed it."""
        try:
            verify_signed_by(self, self.public_key)
        except (FormatError, VerificationError):
            return False
        return True


def verify_signed_by(certificate: Certificate, issuer_key: PublicKey) -> None:
    """Check an ECDSA signature on a certificate, and nothing else about it.

    Raises:
        VerificationError: the certificate is not signed by this key.
    """
    library = certificate.library_certificate
    try:
        algorithm = library.signature_hash_algorithm
        if algorithm is None:
            raise VerificationError(f"certificate {certificate.id} is not signed with ECDSA")
        issuer_key.library_key.verify(
            library.signature, library.tbs_certificate_bytes, ec.ECDSA(algorithm)
        )
    except (InvalidSignature, *_LIBRARY_ERRORS):
        raise VerificationError(
            f"certificate {certificate.id} is not signed by key {issuer_key.id}"
        ) from None


def parse_bundle(data: str | bytes) -> tuple[Certificate, ...]:
    """Read PEM text of at least one certificate; text between them is skipped.

    Raises:
        FormatError: there is no certificate, or one that does not parse.
    """
    encoded = _encoded(data, BUNDLE_SIZE_MAX)
    with _refusals("got text that is no PEM certificate"):
        loaded = x509.load_pem_x509_certificates(encoded)
    return tuple(Certificate.wrap(certificate) for certificate in loaded)


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """A request to be endorsed (PKCS#10), whose own signature is right.

    Attributes:
        public_key: The key that the requester holds.
        subject: Distinguished name in the form of RFC 4514.
        sans: IP and DNS alternative names, ``iPAddress:…`` and ``dNSName:…``, in their order.
        pem: PEM text that ends in a newline.
        library_request: The library's object; for modules of this package only.
    """

    public_key: PublicKey
    subject: str
    sans: tuple[str, ...]
    pem: str = field(repr=False)
    library_request: x509.CertificateSigningRequest = field(repr=False, compare=False)

    @classmethod
    def parse(cls, data: str | bytes) -> "CertificateRequest":
        """Read a request, PEM or DER, and check that its key signed it.

        Raises:
            FormatError: the data is no request with an ECDSA key.
            VerificationError: the signature is not by the key of the request.
        """
        encoded = _encoded(data, CERTIFICATE_SIZE_MAX)
        with _refusals("got data that is no certificate request"):
            if isinstance(data, str) or b"-----BEGIN" in encoded:
                request = x509.load_pem_x509_csr(encoded)
            else:
                request = x509.load_der_x509_csr(encoded)
        return cls.wrap(request)

    @classmethod
    def wrap(cls, request: x509.CertificateSigningRequest) -> "CertificateRequest":
        """Read everything out of the library's object; for modules of this package only."""
        with _refusals("got a certificate request with a part that does not parse"):
            key = request.public_key()
            signed = request.is_signature_valid
            if not isinstance(key, ec.EllipticCurvePublicKey):
                raise FormatError(f"got a request for a {type(key).__name__}, want an ECDSA key")
            if not signed:
                raise VerificationError("certificate request is not signed by its own key")
            return cls(
                public_key=PublicKey.wrap(key),
                subject=request.subject.rfc4514_string(),
                sans=_alternative_names(request.extensions),
                pem=request.public_bytes(Encoding.PEM).decode("ascii"),
                library_request=request,
            )


def _load_der(der: bytes) -> x509.Certificate:
    with _refusals(f"got {len(der)} bytes that are no certificate"):
        return x509.load_der_x509_certificate(der)


@contextlib.contextmanager
def _refusals(message: str) -> Iterator[None]:
    """Turn what the library raises for bad bytes into a FormatError.

    The library warns of certificates that a later release will refuse (a negative serial
    number). A warning is a line on stderr that any client could cause, so they are refused now.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", CryptographyDeprecationWarning)
            yield
    except _LIBRARY_ERRORS as error:
        raise FormatError(f"{message}: {_LINK.sub('', str(error))}") from error


def _encoded(data: str | bytes, size_max: int) -> bytes:
    if len(data) > size_max:
        raise FormatError(f"got a certificate of {len(data)} bytes, want at most {size_max}")
    if isinstance(data, bytes):
        return data
    try:
        return data.encode("ascii")
    except UnicodeEncodeError:
        raise FormatError("got a PEM with characters outside ASCII") from None


def _seconds(moment: datetime.datetime) -> int:
    return int(moment.timestamp())


def _alternative_names(extensions: x509.Extensions) -> tuple[str, ...]:
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    found = []
    for name in names:
        if isinstance(name, x509.IPAddress):
            found.append(f"iPAddress:{name.value}")
        elif isinstance(name, x509.DNSName):
            found.append(f"dNSName:{name.value}")
    return tuple(found)


def _is_ca(extensions: x509.Extensions) -> bool:
    try:
        return extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
