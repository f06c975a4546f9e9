"""X.509 certificates: what we issue, and how those of others are read.

Three kinds are issued, all with version 3 and ECDSA:

* the *service certificate*, self-signed, the trust root of clients: CA with path length 1 (one
  earlier service identity may stand between it and a node), key usage certificate signing;
* *node certificates*, self-signed or endorsed by the service: never a CA, with the addresses
  that clients dial as alternative names. They carry no key usage restriction, because one
  certificate serves as TLS server, as TLS client and as signer of Merkle roots;
* self-signed certificates of members and users, for ``keygen`` and tests.

Times are whole seconds since 1970 (UTC), and a certificate of ``days`` days ends one second
before the same time of day: ``not_after = not_before + days * 86400 - 1``.
The hash of a signature is that of the signing key's curve.

Alternative names are written as in the node's configuration; see ``names``.
"""

import datetime
from collections.abc import Sequence

from cryptography import x509

from ledger.base.clock import Entropy
from ledger.base.errors import MisuseError
from ledger.crypto.certificate import (
    Certificate,
    CertificateRequest,
    parse_bundle,
    verify_signed_by,
)
from ledger.crypto.keys import PublicKey, SigningKey, curve_hash
from ledger.crypto.names import alternative_name_of, parse_alternative_name, parse_subject

__all__ = [
    "Certificate",
    "CertificateRequest",
    "alternative_name_of",
    "certificate_request",
    "endorse",
    "endorse_previous_service",
    "parse_alternative_name",
    "parse_bundle",
    "parse_subject",
    "renew",
    "self_signed_caller",
    "self_signed_node",
    "self_signed_service",
    "verify_signed_by",
]

SECONDS_PER_DAY = 86_400
SERIAL_SIZE = 16
"""Bytes of a serial number drawn from injected entropy; RFC 5280 allows up to 20."""

_SERVICE_CONSTRAINTS = x509.BasicConstraints(ca=True, path_length=1)
_PREVIOUS_SERVICE_CONSTRAINTS = x509.BasicConstraints(ca=True, path_length=0)
_END_ENTITY = x509.BasicConstraints(ca=False, path_length=None)


def self_signed_service(
    key: SigningKey, subject: str, days: int, now: int, *, entropy: Entropy | None = None
) -> Certificate:
    """Return the certificate of a service identity.

    Args:
        key: The service key.
        subject: Distinguished name as in RFC 4514, such as ``CN=CCF Service``.
        days: Length of validity, at least 1.
        now: Start of validity.
        entropy: Where the serial number comes from; the library's generator without it.

    Raises:
        FormatError: the subject does not parse.
        MisuseError: the validity is empty or ends after the year 9999.
    """
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (_SERVICE_CONSTRAINTS, True),
        (_key_usage(certificates=True), True),
    ]
    name = parse_subject(subject)
    return _issue(
        key.public, name, extensions, by=(key, None), validity=(now, days), entropy=entropy
    )


def self_signed_node(
    key: SigningKey,
    subject: str,
    sans: Sequence[str],
    days: int,
    now: int,
    *,
    entropy: Entropy | None = None,
) -> Certificate:
    """Return a node's self-signed certificate, used before the service endorses the node.

    Args:
        key: The node key.
        subject: Distinguished name as in RFC 4514, such as ``CN=CCF Node``.
        sans: Alternative names, ``iPAddress:…`` or ``dNSName:…``; repeats count once.
        days: Length of validity, at least 1.
        now: Start of validity.
        entropy: Where the serial number comes from; the library's generator without it.

    Raises:
        FormatError: the subject or a name does not parse.
        MisuseError: the validity is empty or ends after the year 9999.
    """
    extensions = _node_extensions(sans)
    name = parse_subject(subject)
    return _issue(
        key.public, name, extensions, by=(key, None), validity=(now, days), entropy=entropy
    )


def self_signed_caller(
    key: SigningKey, subject: str, days: int, now: int, *, entropy: Entropy | None = None
) -> Certificate:
    """Return a certificate for a member or a user; arguments as for a service."""
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (_END_ENTITY, True),
        (_key_usage(certificates=False), True),
    ]
    name = parse_subject(subject)
    return _issue(
        key.public, name, extensions, by=(key, None), validity=(now, days), entropy=entropy
    )


def certificate_request(key: SigningKey, subject: str, sans: Sequence[str]) -> CertificateRequest:
    """Return a node's request to be endorsed, signed by the node key.

    Raises:
        FormatError: the subject or a name does not parse.
    """
    builder = x509.CertificateSigningRequestBuilder(subject_name=parse_subject(subject))
    for extension, critical in _node_extensions(sans):
        builder = builder.add_extension(extension, critical=critical)
    signed = builder.sign(
        key.library_key,
        curve_hash(key.curve),
        ecdsa_deterministic=key.deterministic or None,
    )
    return CertificateRequest.wrap(signed)


def endorse(
    request: CertificateRequest,
    service_key: SigningKey,
    service_certificate: Certificate,
    not_before: int,
    days: int,
    *,
    entropy: Entropy | None = None,
) -> Certificate:
    """Return a node certificate that the service vouches for.

    Subject, key and alternative names are those of the request; nothing else of it is taken
    over, so a request cannot ask to become a CA. The request's own signature was checked
    when it was parsed.

    Raises:
        MisuseError: the service certificate is not of the service key, or the validity is
            empty or ends after the year 9999.
    """
    name = request.library_request.subject
    extensions = _node_extensions(request.sans)
    by = (service_key, _issuer(service_key, service_certificate))
    validity = (not_before, days)
    return _issue(request.public_key, name, extensions, by=by, validity=validity, entropy=entropy)


def endorse_previous_service(
    previous: Certificate,
    service_key: SigningKey,
    service_certificate: Certificate,
    not_before: int,
    days: int,
    *,
    entropy: Entropy | None = None,
) -> Certificate:
    """Return a certificate of an earlier service identity, signed by the present one.

    It links node certificates that the earlier identity endorsed to the present service.

    Raises:
        FormatError: the earlier certificate's key is not ECDSA.
        MisuseError: as for ``endorse``.
    """
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (_PREVIOUS_SERVICE_CONSTRAINTS, True),
        (_key_usage(certificates=True), True),
    ]
    name = previous.library_certificate.subject
    by = (service_key, _issuer(service_key, service_certificate))
    validity = (not_before, days)
    return _issue(previous.public_key, name, extensions, by=by, validity=validity, entropy=entropy)


def renew(
    certificate: Certificate,
    issuer_key: SigningKey,
    issuer_certificate: Certificate | None,
    not_before: int,
    days: int,
    *,
    entropy: Entropy | None = None,
) -> Certificate:
    """Return a certificate with the same key, subject and profile and another validity.

    Args:
        certificate: One that this module issued.
        issuer_key: The service key, or the certificate's own key when it is self-signed.
        issuer_certificate: The service certificate, or None when it is self-signed.
        not_before: Start of validity.
        days: Length of validity, at least 1.
        entropy: Where the serial number comes from; the library's generator without it.

    Raises:
        MisuseError: ``issuer_key`` is not the key of the issuer, or the validity is empty or
            ends after the year 9999.
    """
    if issuer_certificate is None and issuer_key.public != certificate.public_key:
        raise MisuseError("got another key, want the certificate's own to renew it self-signed")
    issuer = None if issuer_certificate is None else _issuer(issuer_key, issuer_certificate)
    derived = (x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier)
    extensions = [
        (extension.value, extension.critical)
        for extension in certificate.library_certificate.extensions
        if not isinstance(extension.value, derived)
    ]
    name = certificate.library_certificate.subject
    validity = (not_before, days)
    return _issue(
        certificate.public_key,
        name,
        extensions,
        by=(issuer_key, issuer),
        validity=validity,
        entropy=entropy,
    )


def _node_extensions(sans: Sequence[str]) -> list[tuple[x509.ExtensionType, bool]]:
    extensions: list[tuple[x509.ExtensionType, bool]] = [(_END_ENTITY, True)]
    names = [parse_alternative_name(name) for name in dict.fromkeys(sans)]
    if names:
        extensions.append((x509.SubjectAlternativeName(names), False))
    return extensions


def _key_usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _issuer(key: SigningKey, certificate: Certificate) -> Certificate:
    if key.public != certificate.public_key:
        raise MisuseError(
            f"got a certificate of key {certificate.public_key.id}, want one of {key.public.id}"
        )
    return certificate


def _issue(
    public: PublicKey,
    subject: x509.Name,
    extensions: Sequence[tuple[x509.ExtensionType, bool]],
    *,
    by: tuple[SigningKey, Certificate | None],
    validity: tuple[int, int],
    entropy: Entropy | None,
) -> Certificate:
    """Sign a certificate. ``by``: key and certificate of the issuer, None when self-signed.

    ``validity``: start and days.
    """
    issuer_key, issuer = by
    first, last = _validity(*validity)
    issuer_name = subject if issuer is None else issuer.library_certificate.subject
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(public.library_key)
        .serial_number(_serial(entropy))
        .not_valid_before(first)
        .not_valid_after(last)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    builder = builder.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(public.library_key), critical=False
    ).add_extension(_authority(issuer_key, issuer), critical=False)
    signed = builder.sign(
        issuer_key.library_key,
        curve_hash(issuer_key.curve),
        ecdsa_deterministic=issuer_key.deterministic or None,
    )
    return Certificate.wrap(signed)


def _authority(key: SigningKey, issuer: Certificate | None) -> x509.AuthorityKeyIdentifier:
    # A service certificate made by CCF may carry an identifier that was computed in another
    # way; path builders compare the two, so the issuer's own is taken over.
    if issuer is not None:
        try:
            own = issuer.library_certificate.extensions.get_extension_for_class(
                x509.SubjectKeyIdentifier
            )
        except x509.ExtensionNotFound:
            pass
        else:
            return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own.value)
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public.library_key)


def _validity(not_before: int, days: int) -> tuple[datetime.datetime, datetime.datetime]:
    if days < 1:
        raise MisuseError(f"got a validity of {days} days, want at least 1")
    try:
        first = datetime.datetime.fromtimestamp(not_before, datetime.UTC)
        last = datetime.datetime.fromtimestamp(
            not_before + days * SECONDS_PER_DAY - 1, datetime.UTC
        )
    except (ValueError, OverflowError, OSError) as error:
        raise MisuseError(
            f"got a validity of {days} days from {not_before}, want one that ends before 10000"
        ) from error
    return first, last


def _serial(entropy: Entropy | None) -> int:
    if entropy is None:
        return x509.random_serial_number()
    # The top bit stays clear, so that DER needs no 17th byte, and the number is never 0.
    drawn = int.from_bytes(entropy.random_bytes(SERIAL_SIZE), "big")
    return (drawn & ((1 << (8 * SERIAL_SIZE - 1)) - 1)) | 1
