"""Certificates that the service made: do they say what was decided, and did it sign them?"""

from ledger.base.errors import FormatError, VerificationError
from ledger.crypto.certificate import Certificate, CertificateRequest, verify_signed_by
from ledger.crypto.certs import SECONDS_PER_DAY

Validity = tuple[int, int]
"""First second since 1970, and days."""


def node_certificate_problem(
    value: bytes,
    request: CertificateRequest,
    service: Certificate,
    validity: Validity | None,
) -> str | None:
    """Say why a value is not the certificate that a service gives a node, or None.

    Args:
        value: PEM, as the ledger holds it.
        request: What the node asked for.
        service: Certificate of the service.
        validity: What was decided; None when a node decides it by itself.
    """
    try:
        certificate = Certificate.parse(value.decode("ascii"))
        verify_signed_by(certificate, service.public_key)
        key_id = certificate.public_key.id
    except (FormatError, VerificationError, UnicodeDecodeError) as error:
        return f"the node's certificate is refused: {error}"
    if key_id != request.public_key.id:
        return f"the certificate is for key {key_id}, want {request.public_key.id}"
    if certificate.is_ca:
        return "the node's certificate may sign others"
    wanted = tuple(dict.fromkeys(request.sans))
    if certificate.subject != request.subject or certificate.sans != wanted:
        return (
            f"the certificate names {certificate.subject} {list(certificate.sans)}, "
            f"want {request.subject} {list(wanted)}"
        )
    return None if validity is None else _validity_problem(certificate, validity)


def service_certificate_problem(pem: str, before: Certificate, validity: Validity) -> str | None:
    """Say why a text is not the renewed certificate of a service, or None.

    Args:
        pem: As the ledger holds it.
        before: Certificate that is renewed.
        validity: What was decided.
    """
    try:
        certificate = Certificate.parse(pem)
        key_id = certificate.public_key.id
        wanted = before.public_key.id
    except FormatError as error:
        return f"the service's certificate is refused: {error}"
    if key_id != wanted:
        return f"the certificate is for key {key_id}, want the service's {wanted}"
    if not certificate.is_self_signed:
        return "the service's certificate is not signed by its own key"
    if certificate.subject != before.subject or certificate.is_ca != before.is_ca:
        return f"the certificate names {certificate.subject}, want {before.subject} as before"
    return _validity_problem(certificate, validity)


def _validity_problem(certificate: Certificate, validity: Validity) -> str | None:
    not_before, days = validity
    not_after = not_before + days * SECONDS_PER_DAY - 1
    if (certificate.not_before, certificate.not_after) != (not_before, not_after):
        return (
            f"the certificate is valid from {certificate.not_before} to {certificate.not_after}, "
            f"want {not_before} to {not_after}"
        )
    return None
