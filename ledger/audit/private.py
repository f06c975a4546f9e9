"""Checks that need ledger secrets: tag, ciphertext, commit evidence, private write set."""

from collections.abc import Mapping

from ledger.audit.findings import Findings
from ledger.audit.form import check_canonical
from ledger.audit.reader import Located
from ledger.base.errors import FormatError, VerificationError
from ledger.codec import writeset
from ledger.codec.entry import EntryType
from ledger.codec.tables import is_public
from ledger.crypto.hashing import sha256
from ledger.crypto.sealing import EntrySealer


class Secrets:
    """Ledger secrets by the first seqno at which each is valid.

    Attributes:
        first_seqnos: Ascending; empty when no secret is known.
    """

    def __init__(self, secrets: Mapping[int, bytes]) -> None:
        """Prepare sealers.

        Args:
            secrets: First seqno to 32 bytes.

        Raises:
            MisuseError: a secret has another size.
        """
        self.first_seqnos = sorted(secrets)
        self._sealers = {first: EntrySealer(secret) for first, secret in secrets.items()}

    def at(self, seqno: int) -> EntrySealer | None:
        """Return the sealer of a seqno, None before the first known secret."""
        starts = [first for first in self.first_seqnos if first <= seqno]
        return self._sealers[starts[-1]] if starts else None


def check_private(located: Located, secrets: Secrets, findings: Findings) -> bool:
    """Check one entry's private domain.

    Returns:
        Whether a secret for it was known.
    """
    entry = located.entry
    sealer = secrets.at(located.position)
    if sealer is None or entry.entry_type is EntryType.SNAPSHOT:
        return False
    place = located.place
    if entry.evidence_digest is not None:
        evidence = sealer.commit_evidence(entry.view, located.position)
        if sha256(evidence.encode()) != entry.evidence_digest:
            findings.error(
                "commit-evidence",
                place,
                "got a commit evidence digest that is not the digest of the commit evidence",
            )
    try:
        maps = sealer.open_domain(entry)
    except VerificationError as error:
        findings.error("private-domain", place, str(error))
        return True
    try:
        changes = writeset.decode(maps, strict=False)
    except FormatError as error:
        findings.error("private-write-set", place, str(error))
        return True
    check_canonical(findings, place, maps)
    for name in changes:
        if is_public(name):
            findings.error(
                "public-map-hidden", place, f"got public map {name!r} in the private domain"
            )
    return True
