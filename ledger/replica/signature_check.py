"""What a backup demands of a signature transaction before it takes it.

Exactly the three signature tables; a signer that the nodes table knows and does not list as
Pending; both signatures over the root of this node's own tree. The signer of one that is read back
later may have left: the certificate in it then shows that the service had endorsed its key.
"""

from ledger.base.errors import FormatError, VerificationError
from ledger.base.ids import TxId
from ledger.codec import canonical
from ledger.codec.tables import SINGLETON_KEY
from ledger.codec.writeset import Changes
from ledger.crypto import cose_ledger
from ledger.crypto.certs import Certificate
from ledger.crypto.keys import PublicKey
from ledger.kv.store import Store
from ledger.kv.tx import Tx
from ledger.tables.internal import COSE_SIGNATURES, SIGNATURES, TREE, SignatureInfo
from ledger.tables.nodes import NODES_ENDORSED_CERTIFICATES, NODES_INFO, NodeStatus
from ledger.tables.service import SERVICE_INFO

_TABLES = {SIGNATURES.name, COSE_SIGNATURES.name, TREE.name}


def check_signature_transaction(
    tx_id: TxId, changes: Changes, root: bytes, store: Store, *, is_past: bool = False
) -> None:
    """Check a signature transaction against the state before it.

    Args:
        tx_id: The signature transaction.
        changes: Its tables.
        root: Root of this node's tree over everything before it, 32 bytes.
        store: State before the entry; of one that is past, any later state.
        is_past: It was applied before and is read back.

    Raises:
        FormatError: a table has the wrong shape.
        VerificationError: it is not the signature of this state by a trusted node.
    """
    if set(changes) != _TABLES:
        raise VerificationError(
            f"got signature transaction with {sorted(changes)}, want {sorted(_TABLES)}"
        )
    info = SIGNATURES.value.decode(_singleton(changes, SIGNATURES.name))
    if (info.view, info.seqno) != tx_id:
        raise VerificationError(f"got signature for {info.view}.{info.seqno} in entry {tx_id}")
    if info.root != root.hex():
        raise VerificationError(f"got signed root {info.root}, want {root.hex()}")
    tx = store.begin()
    key = _key_in_certificate(info, tx) if is_past else _listed_key(info, tx)
    key.verify_digest(canonical.b64decode(info.sig), root)
    cose = _singleton(changes, COSE_SIGNATURES.name)
    _check_cose_signature(cose, root, tx_id, tx)


def _singleton(changes: Changes, name: str) -> bytes:
    value = changes[name].get(SINGLETON_KEY)
    if value is None or len(changes[name]) != 1:
        raise FormatError(f"got {len(changes[name])} keys in {name}, want the singleton key")
    return value


def _listed_key(info: SignatureInfo, tx: Tx) -> PublicKey:
    node = tx.table(NODES_INFO).get(info.node)
    if node is None or node.status is NodeStatus.PENDING:
        raise VerificationError(f"got signature of node {info.node}, which is not trusted")
    pem = tx.table(NODES_ENDORSED_CERTIFICATES).get(info.node)
    if pem is None:
        raise VerificationError(f"node {info.node} has no endorsed certificate")
    return Certificate.parse(pem).public_key


def _key_in_certificate(info: SignatureInfo, tx: Tx) -> PublicKey:
    if info.cert is None:
        raise VerificationError(f"got signature of node {info.node} without its certificate")
    certificate = Certificate.parse(info.cert)
    if certificate.public_key.id != info.node:
        raise VerificationError(f"got certificate of {certificate.public_key.id}, not {info.node}")
    certificate.verify_endorsed_by(_service_certificate(tx))
    return certificate.public_key


def _service_certificate(tx: Tx) -> Certificate:
    service = tx.singleton(SERVICE_INFO).get()
    if service is None:
        raise VerificationError("the service has no certificate before this signature")
    return Certificate.parse(service.cert)


def _check_cose_signature(value: bytes, root: bytes, tx_id: TxId, tx: Tx) -> None:
    message = canonical.b64decode(COSE_SIGNATURES.value.decode(value))
    public_key = _service_certificate(tx).public_key
    signature = cose_ledger.parse_root_signature(message)
    cose_ledger.verify_root_signature(signature, public_key, root, tx_id)
