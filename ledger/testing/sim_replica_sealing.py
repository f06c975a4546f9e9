"""Watches every seal: one (view, seqno) under one secret is sealed with one content only.

Two different contents would repeat an IV of AES-GCM, which gives the key stream away.
"""

from collections.abc import Iterable

from typing_extensions import override

from ledger.crypto.hashing import sha256
from ledger.crypto.sealing import EntrySealer, Ordered
from ledger.testing.checkers import require


class SealedOnce:
    """All seals of one service.

    Attributes:
        count: How many there were.
    """

    def __init__(self) -> None:
        self._digests: dict[tuple[bytes, int, int], bytes] = {}
        self.count = 0

    def sealer(self, secret: bytes) -> EntrySealer:
        """Return a sealer that is watched."""
        return _Watched(secret, self)

    def note(self, secret: bytes, view: int, seqno: int, entry: bytes) -> None:
        """Note a seal.

        Raises:
            InvariantError: the IV was used for another content.
        """
        self.count += 1
        digest = sha256(entry)
        known = self._digests.setdefault((secret, view, seqno), digest)
        require(known == digest, "SealedOnce", f"{view}.{seqno} is sealed with another content")


class _Watched(EntrySealer):
    """A sealer that tells of its seals."""

    __slots__ = ("_seals", "_secret")

    def __init__(self, secret: bytes, seals: SealedOnce) -> None:
        super().__init__(secret)
        self._secret = secret
        self._seals = seals

    @override
    def seal_all(
        self, view: int, transactions: Iterable[Ordered]
    ) -> tuple[list[bytes], list[bytes]]:
        """See ``EntrySealer``."""
        sealed = list(transactions)
        entries, leaves = super().seal_all(view, sealed)
        for (seqno, *_), entry in zip(sealed, entries, strict=True):
            self._seals.note(self._secret, view, seqno, entry)
        return entries, leaves
