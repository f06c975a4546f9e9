"""Who a node is: its key, its certificates, and how long they last."""

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.base.addresses import host_of
from ledger.base.ids import NodeId
from ledger.boundary.settings import NodeCertificateSettings, Settings
from ledger.crypto.certificate import Certificate, CertificateRequest
from ledger.crypto.certs import (
    alternative_name_of,
    certificate_request,
    endorse,
    self_signed_node,
    self_signed_service,
)
from ledger.crypto.keys import Curve, SigningKey

CURVES = {"Secp384R1": Curve.P384, "Secp256R1": Curve.P256}


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """A node's key and what it shows before the service vouches for it.

    Attributes:
        key: Private key; a fresh one for every process, so a node never comes back as itself.
        self_signed: Certificate that the node made of itself.
        request: What the service endorses.
    """

    key: SigningKey
    self_signed: Certificate
    request: CertificateRequest

    @property
    def id(self) -> NodeId:
        """Node ID: SHA-256 of the public key."""
        return NodeId(self.key.public.id)


@dataclass(frozen=True, slots=True)
class ServiceIdentity:
    """The key that all trusted nodes share, and its certificate."""

    key: SigningKey
    certificate: Certificate

    def endorse(self, request: CertificateRequest, not_before: int, days: int) -> Certificate:
        """Return a node certificate that this service vouches for."""
        return endorse(request, self.key, self.certificate, not_before, days)


def new_node_identity(settings: Settings, now: int) -> NodeIdentity:
    """Make a fresh identity from the node's configuration."""
    certificate = settings.node_certificate
    key = SigningKey.generate(CURVES[certificate.curve_id])
    names = alternative_names(settings)
    days = certificate.initial_validity_days
    return NodeIdentity(
        key=key,
        self_signed=self_signed_node(key, certificate.subject_name, names, days, now),
        request=certificate_request(key, certificate.subject_name, names),
    )


def new_service_identity(subject: str, days: int, now: int, curve: Curve) -> ServiceIdentity:
    """Make a fresh service identity, on the curve of the node that starts it."""
    key = SigningKey.generate(curve)
    return ServiceIdentity(key, self_signed_service(key, subject, days, now))


def alternative_names(settings: Settings) -> Sequence[str]:
    """Return the configured alternative names, or those of all published hosts."""
    configured: NodeCertificateSettings = settings.node_certificate
    if configured.subject_alt_names:
        return configured.subject_alt_names
    addresses = [interface.published_address for interface in settings.interfaces]
    addresses.append(settings.node_to_node.published_address)
    return list(dict.fromkeys(alternative_name_of(host_of(address)) for address in addresses))
