"""Which service a ledger is of: the key that signatures are checked with, and what they prove.

A whole ledger names its service in its first entry, and everything after it hangs on that name;
a reader may compare it with what he knows. A ledger without its beginning names nobody, and then
anybody can have signed it. The auditor may be given the certificate of the service that must have
signed, which settles both cases.
"""

from ledger.audit.findings import Findings, Place
from ledger.audit.state import PublicState
from ledger.base.errors import VerificationError
from ledger.crypto.certs import Certificate, verify_signed_by
from ledger.crypto.keys import PublicKey


class Identity:
    """Knows the service by its row in the ledger and by the certificate that was given.

    The row counts first, because a ledger that went through a recovery has several services, of
    which the certificate is that of the last: a signature before a row is only taken for the
    wanted service's when it says so itself.

    Args:
        findings: Takes what is found.
        state: Kept by the caller.
        wanted: Certificate of the service that must have signed, None when nobody said.

    Attributes:
        wanted_id: Hex SHA-256 of the wanted service's public key; empty without one.
        claimed_id: The same of the key that the newest COSE signature names, checked or not.
        signed_by: The same of the service that the newest verified signature is tied to; empty
            when it is tied to none.
    """

    def __init__(
        self, findings: Findings, state: PublicState, wanted: Certificate | None = None
    ) -> None:
        self._findings = findings
        self._state = state
        self._wanted = wanted.public_key if wanted is not None else None
        self._endorsements: dict[tuple[bytes, str], bool] = {}
        self._is_tied = False
        self.wanted_id = self._wanted.id if self._wanted is not None else ""
        self.claimed_id = ""
        self.signed_by = ""

    def key_for(self, claimed_id: str) -> PublicKey | None:
        """Return the service key to check a COSE signature with, None when none is known.

        Args:
            claimed_id: Key ID in the signature, empty when it has none that parses.
        """
        self.claimed_id = claimed_id or self.claimed_id
        if self._state.service is not None:
            return self._state.service.certificate.public_key
        return self._wanted if claimed_id == self.wanted_id else None

    def endorser(self, certificate: Certificate) -> str:
        """Return the key ID of the service that signed a node's certificate, empty for none."""
        service = self._state.service
        key = service.certificate.public_key if service is not None else self._wanted
        if key is None:
            return ""
        pair = (certificate.der, key.id)
        if pair not in self._endorsements:
            self._endorsements[pair] = _is_signed_by(certificate, key)
        return key.id if self._endorsements[pair] else ""

    def note_signature(self, service_id: str, *, is_newest: bool) -> None:
        """Remember a signature that is right.

        Args:
            service_id: Key ID of the service it is tied to, empty for none.
            is_newest: It is also over the entries at hand, with nothing wrong beside it.
        """
        self._is_tied = self._is_tied or bool(service_id)
        if is_newest:
            self.signed_by = service_id

    def finish(self) -> None:
        """Say whether the ledger is the wanted service's, or anybody's."""
        claim = f" (the newest claims key {self.claimed_id})" if self.claimed_id else ""
        untied = f"no signature that can be checked with a service's key{claim}"
        if self._wanted is None:
            if not self._is_tied:
                message = f"got {untied}: anybody can have made this ledger"
                self._findings.warning("service-untied", Place(), message)
        elif self.signed_by != self.wanted_id:
            got = f"the newest signature by service {self.signed_by}" if self.signed_by else untied
            message = f"got {got}, want service {self.wanted_id}"
            self._findings.error("service-other", Place(), message)


def _is_signed_by(certificate: Certificate, key: PublicKey) -> bool:
    try:
        verify_signed_by(certificate, key)
    except VerificationError:
        return False
    return True
