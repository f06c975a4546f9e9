"""Who signs for a member: a key in a file, or something that keeps the key to itself.

A vault, an HSM or a smart card gets a digest and returns a signature, in one of the forms that
they like: ``r || s`` (PKCS#11, JSON Web Algorithms) or DER (OpenSSL, most cloud services), as bytes
or in base64 of either alphabet.
"""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ledger.base.errors import FormatError, UnavailableError
from ledger.client.identity import Identity
from ledger.crypto.certificate import Certificate
from ledger.crypto.curves import Curve, raw_signature

SIGNATURE_SIZE_MAX = 4096
"""Longest output of a signing command that is read as a signature."""
SignDigest = Callable[[bytes], Awaitable[bytes]]
"""A digest of 32, 48 or 64 bytes, by the curve of the key, to the signature of it."""


@dataclass(frozen=True, slots=True)
class VaultSigner:
    """A member whose key is elsewhere.

    Attributes:
        certificate: The member's certificate; its ``id`` is the member's ID.
        sign_digest: Signs; the signature may have any form that ``parse_signature`` reads.
    """

    certificate: Certificate
    sign_digest: SignDigest = field(repr=False)

    @property
    def id(self) -> str:
        """64 hex characters: SHA-256 of the certificate."""
        return self.certificate.id

    async def sign(self, digest: bytes) -> bytes:
        """Return ``r || s``.

        Raises:
            FormatError: what came back is no signature of the certificate's curve.
            UnavailableError: there is no signature to be had.
        """
        signature = await self.sign_digest(digest)
        return parse_signature(signature, self.certificate.public_key.curve)


Signer = Identity | VaultSigner


def command_signer(command: str) -> SignDigest:
    """Return what signs with a command: the digest on its standard input, the signature back.

    Args:
        command: A shell command, for example ``pkcs11-tool --sign --mechanism ECDSA --id 01``. It
            may take as long as it likes: somebody may have to type a PIN or touch a token.
    """

    async def sign(digest: bytes) -> bytes:
        process = await asyncio.create_subprocess_shell(
            command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate(digest)
        if process.returncode != 0:
            raise UnavailableError(f"the signing command ended with {process.returncode}")
        return output

    return sign


def parse_signature(data: bytes | str, curve: Curve) -> bytes:
    """Return a signature as ``r || s``.

    Args:
        data: ``r || s`` or DER, as it is or in base64 of either alphabet, padded or not.
        curve: Curve of the key that signed.

    Raises:
        FormatError: it is none of these.
    """
    given = data.encode() if isinstance(data, str) else data
    if len(given) > SIGNATURE_SIZE_MAX:
        raise FormatError(
            f"got a signature of {len(given)} bytes, want at most {SIGNATURE_SIZE_MAX}"
        )
    for form in (given, _from_base64(given)):
        if form is not None:
            raw = raw_signature(form, curve)
            if raw is not None:
                return raw
    raise FormatError(
        f"got {len(given)} bytes that are no signature, want {2 * curve.size} bytes r || s, "
        "or DER, or base64 of either"
    )


def _from_base64(data: bytes) -> bytes | None:
    bare = b"".join(data.split()).rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
    try:
        return base64.b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
