"""Tables the framework writes for itself: signatures, tree, ledger secrets."""

from typing import Any

import msgspec

from ledger.codec.tables import BYTES, JSON_TEXT, STR, Singleton, Table


class SignatureInfo(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True):
    """The node's signature over the Merkle root before this entry.

    Attributes:
        seqno: Seqno of the signature transaction.
        view: Its view.
        root: Root of the tree over leaves 0 … seqno-1, hex.
        sig: DER ECDSA signature over the root taken as a digest, base64.
        node: ID of the signing node.
        cert: Its service-endorsed certificate, PEM.
        hashed_nonce: Sixty-four zeros, kept for readers that expect it.
        commit_seqno: 0, kept for readers that expect it.
        commit_view: 0, kept for readers that expect it.
    """

    seqno: int
    view: int
    root: str
    sig: str
    node: str
    cert: str | None = None
    hashed_nonce: str
    commit_seqno: int
    commit_view: int


SIGNATURES = Singleton("public:ccf.internal.signatures", SignatureInfo)
COSE_SIGNATURES = Singleton("public:ccf.internal.cose_signatures", JSON_TEXT)
TREE = Singleton("public:ccf.internal.tree", BYTES)
RECOVERY_SHARES = Singleton("public:ccf.internal.recovery_shares", dict[str, Any])
HISTORICAL_LEDGER_SECRET = Singleton(
    "public:ccf.internal.historical_encrypted_ledger_secret", dict[str, Any]
)
ENCRYPTED_LEDGER_SECRETS = Singleton("public:ccf.internal.encrypted_ledger_secrets", dict[str, Any])
SUBMITTED_SHARES = Table("public:ccf.internal.encrypted_submitted_shares", STR, JSON_TEXT)
SERVICE_ENDORSEMENT = Singleton(
    "public:ccf.internal.previous_service_identity_endorsement", dict[str, Any]
)
