"""A service with one node and a few signed transactions, to make receipts of."""

from hashlib import sha256

from ledger.base.ids import TxId
from ledger.crypto.certs import (
    Certificate,
    certificate_request,
    endorse,
    endorse_previous_service,
    self_signed_service,
)
from ledger.crypto.cose_ledger import sign_root
from ledger.crypto.keys import Curve, SigningKey
from ledger.receipts.build import Leaf, SignedRoot
from ledger.receipts.claims import claims_digest
from tests.reference import merkle

NOW = 1_750_000_000


class World:
    """Transactions 2.1 … 2.``count``, signed at 2.``count + 1``.

    ``curve`` is the curve of node and service; ``now`` starts the certificates, for readers
    that look at dates.
    """

    def __init__(self, curve: Curve = Curve.P256, count: int = 9, now: int = NOW) -> None:
        self.now = now
        self.service_key = SigningKey.generate(curve)
        self.service = self_signed_service(self.service_key, "CN=CCF Service", 30, now)
        self.node_key = SigningKey.generate(curve)
        request = certificate_request(self.node_key, "CN=CCF Node", ["iPAddress:127.0.0.1"])
        self.node = endorse(request, self.service_key, self.service, now, 30)
        self.entries = [self._leaf(seqno) for seqno in range(1, count + 1)]
        self.tree = [bytes(32), *(entry.digest for entry in self.entries)]
        self.root = merkle.root_of(self.tree)
        self.signature_tx = TxId(2, count + 1)
        self.signed = SignedRoot(
            root=self.root,
            node_id=self.node_key.public.id,
            certificate=self.node.pem,
            signature=self.node_key.sign_digest(self.root),
            cose=sign_root(
                self.service_key,
                self.root,
                self.signature_tx,
                issuer="service",
                subject="ledger",
                issued_at=now,
            ),
        )

    def leaf(self, seqno: int) -> Leaf:
        return self.entries[seqno - 1]

    def path(self, seqno: int) -> list[tuple[bool, bytes]]:
        return merkle.path_of(self.tree, seqno)

    def recovered(self) -> tuple[SigningKey, Certificate, Certificate]:
        """A new service key and certificate, and the certificate that links the old one to it."""
        key = SigningKey.generate(self.service_key.curve)
        service = self_signed_service(key, "CN=CCF Service", 30, self.now)
        link = endorse_previous_service(self.service, key, service, self.now, 30)
        return key, service, link

    @staticmethod
    def _leaf(seqno: int) -> Leaf:
        return Leaf(
            write_set_digest=sha256(b"entry %d" % seqno).digest(),
            commit_evidence=f"ce:2.{seqno}:{sha256(b'secret %d' % seqno).hexdigest()}",
            claims_digest=claims_digest(b"claim %d" % seqno) if seqno % 2 else bytes(32),
        )
