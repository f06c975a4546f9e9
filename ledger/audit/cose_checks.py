"""Checks of the COSE signature in a signature transaction, header by header."""

from collections.abc import Callable
from dataclasses import dataclass

from ledger.audit.findings import Findings, Place
from ledger.base.errors import FormatError, VerificationError
from ledger.base.ids import TxId
from ledger.codec import canonical
from ledger.crypto import cose, cose_ledger
from ledger.crypto.cose import Sign1
from ledger.crypto.keys import PublicKey


@dataclass(frozen=True, slots=True)
class CoseResult:
    """What a message said that later checks need.

    Attributes:
        signed_by: Key ID of the service whose signature over the root it is; empty when it is
            wrong, None when there was no key to check it with.
        issued_at: Seconds since 1970, 0 when it does not say.
        names: Issuer and subject, None when it does not say.
    """

    signed_by: str | None
    issued_at: int
    names: tuple[str, str] | None


def check_cose(
    findings: Findings,
    place: Place,
    value: bytes,
    expected: tuple[TxId, bytes],
    key_for: Callable[[str], PublicKey | None],
) -> CoseResult:
    """Check one value of the COSE signature table.

    Args:
        findings: Takes what is found.
        place: The signature transaction.
        value: A JSON string, base64 of the message.
        expected: The signature transaction and the signed root.
        key_for: By the key ID that the message names (empty without one), the service key to
            check it with; None when nothing says, and the signature is then not looked at.
    """
    try:
        text = canonical.loads(value)
        if not isinstance(text, str):
            raise FormatError(f"got JSON of type {type(text).__name__}, want text")
        message = cose.parse_sign1(canonical.b64decode(text), size_max=cose_ledger.MESSAGE_SIZE_MAX)
    except FormatError as error:
        findings.error("cose-format", place, str(error))
        return CoseResult(signed_by="", issued_at=0, names=None)
    tx_id, root = expected
    before = findings.by_severity.total()
    _check_payload(findings, place, message, root)
    key = _check_kid(findings, place, message, key_for)
    _check_vds(findings, place, message)
    _check_txid(findings, place, message, tx_id)
    issued_at, names = _check_cwt(findings, place, message)
    if findings.by_severity.total() == before:
        _check_exact(findings, place, message)
    if key is None:
        return CoseResult(None, issued_at, names)
    is_valid = _check_signature(findings, place, message, root, key)
    return CoseResult(key.id if is_valid else "", issued_at, names)


def _check_payload(findings: Findings, place: Place, message: Sign1, root: bytes) -> None:
    if message.payload is not None:
        same = "the root" if message.payload == root else "something else than the root"
        findings.error("cose-payload", place, f"got {same} as attached payload, want it detached")
    if message.unprotected:
        findings.error("cose-unprotected", place, "got unprotected headers, want none")


def _check_kid(
    findings: Findings,
    place: Place,
    message: Sign1,
    key_for: Callable[[str], PublicKey | None],
) -> PublicKey | None:
    """Check which key the message names; return the one to check it with."""
    try:
        kid = cose_ledger.key_id_of(message)
    except FormatError as error:
        findings.error("cose-kid", place, str(error))
        return key_for("")
    key = key_for(kid)
    if key is not None and kid != key.id:
        findings.error("cose-kid", place, f"got key id {kid}, want the service's {key.id}")
    return key


def _check_vds(findings: Findings, place: Place, message: Sign1) -> None:
    vds = message.protected.get(cose_ledger.VDS)
    want = cose_ledger.VDS_CCF_LEDGER_SHA256
    if vds != want or isinstance(vds, bool):
        findings.error("cose-vds", place, f"got data structure {str(vds)[:40]}, want {want}")


def _check_txid(findings: Findings, place: Place, message: Sign1, tx_id: TxId) -> None:
    own = message.protected.get(cose_ledger.CCF_V1)
    text = own.get("txid") if isinstance(own, dict) else None
    if text != str(tx_id):
        findings.error("cose-txid", place, f"got txid {str(text)[:40]}, want {tx_id}")


def _check_cwt(
    findings: Findings, place: Place, message: Sign1
) -> tuple[int, tuple[str, str] | None]:
    """Check the CWT claims; return time of signing, issuer and subject."""
    claims = message.protected.get(cose.CWT_CLAIMS)
    if not isinstance(claims, dict):
        findings.error("cose-cwt", place, "got no CWT claims, want time, issuer and subject")
        return 0, None
    issued_at = claims.get(cose_ledger.CWT_IAT)
    issuer = claims.get(cose_ledger.CWT_ISS)
    subject = claims.get(cose_ledger.CWT_SUB)
    if not isinstance(issued_at, int) or isinstance(issued_at, bool) or issued_at <= 0:
        findings.error("cose-cwt", place, f"got time {str(issued_at)[:40]}, want seconds")
        issued_at = 0
    if not isinstance(issuer, str) or not isinstance(subject, str):
        findings.error("cose-cwt", place, "got no issuer or subject of type text")
        return issued_at, None
    return issued_at, (issuer, subject)


def _check_exact(findings: Findings, place: Place, message: Sign1) -> None:
    """Compare the protected header with the bytes that its values should have."""
    try:
        exact = cose_ledger.parse_root_signature(
            cose.assemble(message.protected_bytes, None, message.signature)
        ).has_exact_header
    except FormatError:
        exact = False
    if not exact:
        findings.error(
            "cose-header-form",
            place,
            "got a protected header with another order, encoding or more labels than it should",
        )


def _check_signature(
    findings: Findings, place: Place, message: Sign1, root: bytes, key: PublicKey
) -> bool:
    try:
        cose.verify(message, key, root if message.payload is None else None)
    except VerificationError as error:
        findings.error("cose-signature", place, str(error))
        return False
    return message.payload is None or message.payload == root
