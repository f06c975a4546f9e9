"""Every key that a running node holds, in one place; nothing here is ever logged."""

from dataclasses import dataclass, field

from ledger.base.errors import UnavailableError
from ledger.base.ids import TxId
from ledger.crypto.rsa import RsaPrivateKey
from ledger.launch.identity import NodeIdentity, ServiceIdentity
from ledger.replica.identity import NodeSigner, RootSignatures


@dataclass(slots=True)
class Keys:
    """The node's own keys, and the service's once the node holds them.

    Attributes:
        node: The node's identity.
        encryption: RSA key that ledger secrets are encrypted to.
        cose_issuer: Claim of COSE signatures.
        cose_subject: Claim of COSE signatures.
    """

    node: NodeIdentity
    encryption: RsaPrivateKey = field(repr=False)
    cose_issuer: str = ""
    cose_subject: str = ""
    _service: ServiceIdentity | None = field(default=None, repr=False)

    @property
    def service(self) -> ServiceIdentity:
        """The service identity.

        Raises:
            UnavailableError: the node has not joined yet.
        """
        if self._service is None:
            raise UnavailableError("this node does not hold the service key yet")
        return self._service

    @property
    def has_service(self) -> bool:
        """Whether the node holds the service key."""
        return self._service is not None

    def hold_service(self, service: ServiceIdentity) -> None:
        """Hold the service key from now on, or its renewed certificate."""
        self._service = service

    def sign(self, tx_id: TxId, root: bytes, issued_at: int) -> RootSignatures:
        """See ``replica.identity.RootSigner``."""
        signer = NodeSigner(self.node.key, self.service.key, self.cose_issuer, self.cose_subject)
        return signer.sign(tx_id, root, issued_at)
