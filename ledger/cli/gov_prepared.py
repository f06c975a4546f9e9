"""Messages signed elsewhere, in a vault or an HSM: prepare, sign, finish.

A prepared message is a JSON file, ``{"algorithm", "digest", "protected", "payload", "path"}``, byte
strings in base64. The signer signs ``digest`` and returns ``r || s``.
"""

from pathlib import Path

import msgspec

from ledger.base.errors import FormatError
from ledger.crypto.cose_governance import PreparedRequest
from ledger.crypto.keys import Curve

_CURVES = {"ES256": Curve.P256, "ES384": Curve.P384, "ES512": Curve.P521}


class PreparedFile(msgspec.Struct, kw_only=True):
    """A message without its signature, and where it is to be sent.

    Attributes:
        algorithm: ES256, ES384 or ES512.
        digest: What the signer signs.
        protected: Encoded protected header.
        payload: Body of the request.
        path: Path and query to post the finished message to.
    """

    algorithm: str
    digest: bytes
    protected: bytes
    payload: bytes
    path: str


def write_prepared(file: Path, prepared: PreparedRequest, path: str) -> None:
    """Write a prepared message.

    Raises:
        FormatError: the file cannot be written.
    """
    content = PreparedFile(
        algorithm=prepared.algorithm,
        digest=prepared.digest,
        protected=prepared.protected_bytes,
        payload=prepared.payload,
        path=path,
    )
    try:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
    except OSError as error:
        raise FormatError(f"cannot write {file}: {error.strerror}") from error


def read_prepared(file: Path) -> tuple[PreparedRequest, str]:
    """Return a prepared message and its path.

    Raises:
        FormatError: the file cannot be read, or holds something else.
    """
    try:
        content = msgspec.json.decode(file.read_bytes(), type=PreparedFile)
    except OSError as error:
        raise FormatError(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise FormatError(f"got {file}, which is no prepared message: {error}") from error
    curve = _CURVES.get(content.algorithm)
    if curve is None:
        raise FormatError(f"got algorithm {content.algorithm[:40]!r}, want {', '.join(_CURVES)}")
    return PreparedRequest(curve, content.protected, content.payload), content.path
