"""From what a transaction did to its leaf in the Merkle tree.

The leaf is the SHA-256 over up to three digests of 32 bytes: of the entry (the write set), of
the commit evidence, and of what the application claims. Commit evidence is the text
``ce:view.seqno:`` with 64 hex characters behind it that only a node of the service can compute;
it is given out once the transaction is committed, so a receipt cannot be made of a ledger that
was never agreed on.
"""

import re
from hashlib import sha256

from ledger.base.errors import FormatError
from ledger.base.ids import TxId

NO_CLAIMS = bytes(32)
"""Claims digest of a transaction whose application set none."""

_EVIDENCE = re.compile(r"ce:([0-9]{1,20}\.[0-9]{1,20}):[0-9a-f]{64}")


def claims_digest(claims: bytes) -> bytes:
    """Return the usual claims digest of a statement: its SHA-256, 32 bytes."""
    return sha256(claims).digest()


def leaf_digest(
    write_set_digest: bytes, commit_evidence: str | None, claims: bytes | None
) -> bytes:
    """Return a transaction's leaf, 32 bytes.

    Args:
        write_set_digest: SHA-256 of the whole entry, 32 bytes.
        commit_evidence: The evidence text; None for entries from before there was any.
        claims: The claims digest, 32 bytes; None for entries from before there was any.
    """
    evidence = b"" if commit_evidence is None else sha256(commit_evidence.encode()).digest()
    if commit_evidence is None and claims is None:
        return write_set_digest
    return sha256(write_set_digest + evidence + (claims or b"")).digest()


def transaction_of(commit_evidence: str) -> TxId:
    """Return the transaction that commit evidence names.

    Raises:
        FormatError: the text is no commit evidence.
    """
    match = _EVIDENCE.fullmatch(commit_evidence)
    if match is None:
        raise FormatError(
            f"got commit evidence {commit_evidence[:120]!r}, want ce:<view>.<seqno>:<64 hex>"
        )
    return TxId.parse(match[1])
