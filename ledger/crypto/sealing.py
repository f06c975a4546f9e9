"""Ledger entries sealed under a ledger secret: encryption, commit evidence, Merkle leaf.

The result is a function of secret, transaction ID and content. One (view, seqno) must never be
sealed twice with different content under one secret: the IV would repeat.

This is the path of every write, so ``EntrySealer.seal_all`` is one flat loop on
precomputed states instead of calls to ``codec.entry``; tests hold the two equal.
"""

from collections.abc import Iterable
from hashlib import sha256

from cryptography.exceptions import InvalidTag

from ledger.base.errors import FormatError, VerificationError
from ledger.base.limits import VIEW_MAX, WRITTEN_ENTRY_SIZE_MAX
from ledger.codec import writeset
from ledger.codec.entry import NO_CLAIMS, Entry, EntrySizeError, EntryType, parse_entry
from ledger.codec.writeset import Changes
from ledger.crypto import aead
from ledger.crypto.hashing import hmac_states
from ledger.crypto.kdf import commit_secret

_SMALL = 4096
_U64 = tuple(number.to_bytes(8, "little") for number in range(_SMALL))
_RESERVED = bytes(8)
_TYPE = EntryType.WITH_EVIDENCE_AND_CLAIMS
_MAPS_AT = 125
"""Offset of the first public map in a type 4 entry."""
_MAPS_SIZE_MAX = WRITTEN_ENTRY_SIZE_MAX - _MAPS_AT


Ordered = tuple[int, int, bytes, bytes, bytes]
"""A transaction to seal: seqno, flags, claims digest, public maps, private maps."""


def ordered(seqno: int, flags: int, changes: Changes, claims: bytes | None) -> Ordered:
    """Serialise what a transaction changes, to be sealed later.

    Args:
        seqno: In ``[1, SEQNO_MAX]``.
        flags: Chunk flags of ``codec.entry``, 0 for all but some signatures and recoveries.
        changes: At least one write or remove.
        claims: 32-byte claims digest, or None.

    Raises:
        EntrySizeError: the entry would be larger than ``WRITTEN_ENTRY_SIZE_MAX``.
    """
    public_maps, private_maps = writeset.encode(changes)
    if len(public_maps) + len(private_maps) > _MAPS_SIZE_MAX:
        raise EntrySizeError(_MAPS_AT + len(public_maps) + len(private_maps))
    if claims is None:
        claims = NO_CLAIMS
    assert len(claims) == 32, "a claims digest has 32 bytes"
    return seqno, flags, claims, public_maps, private_maps


class EntrySealer:
    """Seals and opens entries under one ledger secret.

    Args:
        ledger_secret: 32 bytes.

    Raises:
        MisuseError: the secret has another size.
    """

    __slots__ = ("_cipher", "_encrypt", "_inner", "_outer")

    def __init__(self, ledger_secret: bytes) -> None:
        self._cipher = aead.cipher(ledger_secret)
        self._encrypt = self._cipher.encrypt
        self._inner, self._outer = hmac_states(commit_secret(ledger_secret))

    def seal(
        self, view: int, seqno: int, flags: int, changes: Changes, claims: bytes | None = None
    ) -> tuple[bytes, bytes]:
        """Make the type 4 entry of one transaction; ``ordered`` and ``seal_all`` in one.

        Returns:
            The entry and its 32-byte Merkle leaf.

        Raises:
            EntrySizeError: as ``ordered``; nothing was sealed.
        """
        (entry,), (leaf,) = self.seal_all(view, (ordered(seqno, flags, changes, claims),))
        return entry, leaf

    def seal_all(
        self, view: int, transactions: Iterable[Ordered]
    ) -> tuple[list[bytes], list[bytes]]:
        """Make the type 4 entries of transactions of one view.

        Args:
            view: In ``[1, VIEW_MAX]``.
            transactions: What ``ordered`` returned.

        Returns:
            The entries, and their 32-byte Merkle leaves.
        """
        assert 0 < view <= VIEW_MAX, "the view must leave bit 31 of its word to snapshots"
        evidence_of, encrypt = self._evidence, self._encrypt
        view_bits = view << 64
        entries, leaves = [], []
        for seqno, flags, claims, public_maps, private_maps in transactions:
            evidence = sha256(evidence_of(view, seqno)).digest()
            iv = (seqno | view_bits).to_bytes(12, "little")
            public = b"".join(
                ((seqno << 8 | 4).to_bytes(9, "little"), claims, evidence, _RESERVED, public_maps)
            )
            size = len(public)
            sealed = encrypt(iv, private_maps, public)
            entry = b"".join(
                (
                    (size + len(sealed) + 20 << 16 | flags << 8 | 1).to_bytes(8, "little"),
                    sealed[-16:],
                    iv,
                    _U64[size] if size < _SMALL else size.to_bytes(8, "little"),
                    public,
                    sealed[:-16],
                )
            )
            entries.append(entry)
            leaves.append(sha256(sha256(entry).digest() + evidence + claims).digest())
        return entries, leaves

    def commit_evidence(self, view: int, seqno: int) -> str:
        """Return the evidence string of a transaction; give it out only once that is committed."""
        return self._evidence(view, seqno).decode("ascii")

    def open(self, entry: Entry) -> Changes:
        """Check the tag and the commit evidence of an entry and return all of its changes.

        Args:
            entry: Of any type but a snapshot.

        Raises:
            VerificationError: another secret, a changed entry, or an evidence digest that is not
                the digest of the evidence.
            FormatError: authentic maps that are not canonical, or in the wrong domain.
        """
        return _joined(entry.public_maps, self.open_private(entry))

    def open_at(self, view: int, seqno: int, data: bytes) -> tuple[Changes, bytes]:
        """Open the type 4 entry of a transaction: the way of every entry on a backup.

        Checks all that ``parse_entry`` and ``open`` check, in one flat function; tests hold the
        two equal.

        Args:
            view: View that the entry must have.
            seqno: Seqno that the entry must have.
            data: The whole entry.

        Returns:
            Its changes and its 32-byte Merkle leaf.

        Raises:
            FormatError: the bytes are no canonical entry of this type.
            VerificationError: another transaction, another secret, a changed entry.
        """
        size = len(data)
        public_end = 44 + int.from_bytes(data[36:44], "little")
        head = int.from_bytes(data[:8], "little")
        if (
            head & 0xFF != 1 or head >> 8 & 0xFC or head >> 16 != size - 8
            or public_end > size or public_end < _MAPS_AT or data[44] != _TYPE
        ):  # fmt: skip
            entry = parse_entry(data)  # says what is wrong with it
            raise FormatError(
                f"got entry {entry.view}.{entry.seqno} of type {entry.entry_type}, want 4"
            )
        iv = data[24:36]
        if iv != (seqno | view << 64).to_bytes(12, "little") or data[45:53] != iv[:8]:
            raise VerificationError(f"got an entry of another transaction, want {view}.{seqno}")
        public = data[44:public_end]
        try:
            private_maps = self._cipher.decrypt(iv, data[public_end:] + data[8:24], public)
        except InvalidTag as error:
            raise VerificationError(
                f"got entry {view}.{seqno} that its AES-GCM tag does not authenticate"
            ) from error
        digests = data[53:117]
        if data[85:117] != sha256(self._evidence(view, seqno)).digest():
            raise VerificationError(
                f"got a commit evidence digest at {view}.{seqno} "
                "that is not the digest of its commit evidence"
            )
        if data[117:_MAPS_AT] != _RESERVED:
            raise FormatError(f"got a reserved word that is not 0 in entry {view}.{seqno}")
        changes = _joined(public[_MAPS_AT - 44 :], private_maps)
        leaf = sha256(sha256(data).digest() + digests[32:] + digests[:32]).digest()
        return changes, leaf

    def open_private(self, entry: Entry) -> bytes:
        """Check the tag and the commit evidence of an entry and return its private maps.

        Raises:
            VerificationError: as ``open``.
        """
        private_maps = self.open_domain(entry)
        digest = entry.evidence_digest
        if digest is not None:
            evidence = self._evidence(entry.view, entry.seqno)
            if digest != sha256(evidence).digest():
                raise VerificationError(
                    f"got a commit evidence digest at {entry.view}.{entry.seqno} "
                    "that is not the digest of its commit evidence"
                )
        return private_maps

    def open_domain(self, entry: Entry) -> bytes:
        """Check only the tag of an entry, a snapshot included, and return its private domain.

        Raises:
            VerificationError: another secret or a changed entry.
        """
        try:
            return aead.unseal_with(self._cipher, entry.iv, entry.tag, entry.private, entry.public)
        except VerificationError as error:
            raise VerificationError(
                f"got entry {entry.view}.{entry.seqno} that its AES-GCM tag does not authenticate"
            ) from error

    def _evidence(self, view: int, seqno: int) -> bytes:
        """Return ``ce:view.seqno:hex(HMAC(commit secret, "view.seqno"))``."""
        tx_id = b"%d.%d" % (view, seqno)
        inner = self._inner.copy()
        inner.update(tx_id)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return b"ce:%b:%b" % (tx_id, outer.hexdigest().encode())


def _joined(public_maps: bytes, private_maps: bytes) -> Changes:
    """Return the changes of both domains, each with its own kind of names."""
    changes: Changes = {}
    if public_maps:
        changes = writeset.decode(public_maps)
        for name in changes:
            if not name.startswith("public:"):
                raise FormatError(f"got private map {name!r} in the public domain")
    if private_maps:
        private = writeset.decode(private_maps)
        for name in private:
            if name.startswith("public:"):
                raise FormatError(f"got public map {name!r} in the private domain")
        if not changes:
            return private
        changes.update(private)
    return changes


def leaf_of(entry: bytes) -> bytes:
    """Return the 32-byte Merkle leaf of an entry, without any secret.

    Args:
        entry: The whole entry, of any type but a snapshot.

    Raises:
        FormatError: it does not parse, or is a snapshot.
    """
    return leaf_of_parsed(parse_entry(entry))


def leaf_of_parsed(entry: Entry) -> bytes:
    """Return the 32-byte Merkle leaf of a parsed entry.

    Raises:
        FormatError: it is a snapshot.
    """
    header = entry.header
    if header.entry_type is EntryType.SNAPSHOT:
        raise FormatError("got a snapshot, which has no Merkle leaf of its own")
    write_set = sha256(entry.data).digest()
    if header.evidence_digest is None and header.claims_digest is None:
        return write_set
    bound = (header.evidence_digest or b"") + (header.claims_digest or b"")
    return sha256(write_set + bound).digest()
