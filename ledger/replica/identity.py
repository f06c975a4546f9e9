"""Who signs: the keys of a node and of its service, and the bytes of a signature transaction."""

from dataclasses import dataclass
from typing import Protocol

from ledger.base.ids import TxId
from ledger.codec import canonical
from ledger.codec.tables import SINGLETON_KEY
from ledger.codec.writeset import Changes
from ledger.crypto import cose_ledger
from ledger.crypto.keys import SigningKey
from ledger.tables.internal import COSE_SIGNATURES, SIGNATURES, TREE

_NO_NONCE = "0" * 64


@dataclass(frozen=True, slots=True)
class RootSignatures:
    """Both signatures over one Merkle root.

    Attributes:
        node: DER ECDSA signature by the node key, the root taken as a digest.
        cose: COSE_Sign1 by the service key, detached payload.
    """

    node: bytes
    cose: bytes


class RootSigner(Protocol):
    """Signs Merkle roots; called off the loop, so it must not touch shared state."""

    def sign(self, tx_id: TxId, root: bytes, issued_at: int) -> RootSignatures:
        """Return both signatures over ``root`` (32 bytes) for the signature ``tx_id``."""
        ...


@dataclass(frozen=True, slots=True)
class NodeSigner:
    """The signer of a running node.

    Attributes:
        node_key: The node's own key.
        service_key: The service's key, which every trusted node holds.
        issuer: COSE claim 1, from the service configuration.
        subject: COSE claim 2, from the service configuration.
    """

    node_key: SigningKey
    service_key: SigningKey
    issuer: str
    subject: str

    def sign(self, tx_id: TxId, root: bytes, issued_at: int) -> RootSignatures:
        """See ``RootSigner``."""
        cose = cose_ledger.sign_root(
            self.service_key,
            root,
            tx_id,
            issued_at=issued_at,
            issuer=self.issuer,
            subject=self.subject,
        )
        return RootSignatures(node=self.node_key.sign_digest(root), cose=cose)


def signature_changes(
    tx_id: TxId,
    root: bytes,
    signatures: RootSignatures,
    node_id: str,
    certificate: str,
    tree: bytes,
) -> Changes:
    """Return the three tables of a signature transaction, and nothing else.

    Args:
        tx_id: ID of the signature transaction.
        root: Root over leaves 0 … seqno-1, 32 bytes.
        signatures: Both signatures over that root.
        node_id: Signing node.
        certificate: Its service-endorsed certificate, PEM.
        tree: Serialised tree at seqno-1.
    """
    info = {
        "cert": certificate,
        "commit_seqno": 0,
        "commit_view": 0,
        "hashed_nonce": _NO_NONCE,
        "node": node_id,
        "root": root.hex(),
        "seqno": tx_id.seqno,
        "sig": canonical.b64encode(signatures.node),
        "view": tx_id.view,
    }
    cose = canonical.dumps(canonical.b64encode(signatures.cose))
    return {
        COSE_SIGNATURES.name: {SINGLETON_KEY: cose},
        SIGNATURES.name: {SINGLETON_KEY: canonical.dumps(info)},
        TREE.name: {SINGLETON_KEY: tree},
    }
