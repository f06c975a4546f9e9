"""Who signed: a node that may, and in each view only one.

The primary of a view is the only node that writes in it, and it begins with a signature, which
names it. Nothing can make another node primary of the same view: a recovery begins a new one.
"""

from ledger.audit.findings import Findings, Place
from ledger.audit.service import ServiceChecker
from ledger.audit.state import PublicState
from ledger.base.errors import FormatError
from ledger.crypto.certs import Certificate

_MAY_SIGN = frozenset({"Trusted", "Retired"})
"""Statuses of nodes that sign: a retired one goes on until its retirement is committed."""


class Signers:
    """Checks the nodes behind signatures, in order.

    Args:
        findings: Takes what is found.
        state: State before each signature transaction.
        service: Checks node certificates.
    """

    def __init__(self, findings: Findings, state: PublicState, service: ServiceChecker) -> None:
        self._findings = findings
        self._state = state
        self._service = service
        self._view = 0
        self._primary: str | None = None

    def certificate(
        self, place: Place, node_id: str, inline: object, view: int
    ) -> Certificate | None:
        """Return the certificate of a node, having checked that it may sign.

        Args:
            place: The signature transaction.
            node_id: As the signature says.
            inline: The certificate beside the signature.
            view: View of the signature transaction.
        """
        row = self._state.node(node_id)
        pem = self._state.node_certificate(node_id)
        if row is None or pem is None:
            if self._state.is_partial and row is None and isinstance(inline, str):
                self._findings.note("signer-unknown", place, "got no node rows to check it with")
                return self._service.endorsed(place, node_id, inline.encode())
            self._findings.error("signer-unknown", place, f"got signer {node_id[:64]}, not a node")
            return None
        status = row.get("status")
        if not isinstance(status, str) or status not in _MAY_SIGN:
            got = f"got a signer with status {str(status)[:40]!r}"
            self._findings.error("signer-status", place, f"{got}, want Trusted")
        elif row.get("retired_committed") is True and self._has_left(node_id, view):
            self._findings.error("signer-status", place, "got a signer that had left for good")
        certificate = self._service.endorsed(place, node_id, pem)
        if certificate is not None and isinstance(inline, str):
            self._check_inline(place, certificate, inline)
        return certificate

    def signed(self, place: Place, node_id: str, view: int) -> None:
        """Note that a node's signature is right: nobody else signs in this view."""
        if view > self._view:
            self._view, self._primary = view, node_id
        elif view == self._view and node_id != self._primary:
            self._findings.error(
                "signer-other",
                place,
                f"got signer {node_id[:64]} in view {view}, want {self._primary}, "
                "which signed before in it",
            )

    def _has_left(self, node_id: str, view: int) -> bool:
        """Say whether a node that is marked as gone for good was gone in a view.

        A primary may mark itself. It then has to sign that, and goes on until it knows that the
        mark is committed, which no ledger shows; but it is never primary of a later view. Where
        entries are missing, the signature that named the primary may be among them.
        """
        if view == self._view:
            return node_id != self._primary
        left_in = self._state.left_in(node_id)
        return not self._state.is_partial or left_in is None or left_in < view

    def _check_inline(self, place: Place, certificate: Certificate, inline: str) -> None:
        try:
            same = Certificate.parse(inline).public_key == certificate.public_key
        except FormatError as error:
            self._findings.error("signer-certificate", place, str(error))
            return
        if not same:
            self._findings.error(
                "signer-certificate", place, "got a certificate with another key than the node's"
            )
