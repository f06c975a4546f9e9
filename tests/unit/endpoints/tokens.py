"""Tokens of issuers that tests make up."""

import base64
import functools
import json
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from ledger.codec.canonical import b64encode

ISSUER = "https://issuer.example.com"
NOW = 1_750_000_000
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@functools.cache
def rsa_key(number: int = 0) -> rsa.RSAPrivateKey:
    """Return an RSA key."""
    del number
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@functools.cache
def ec_key(curve: type[ec.EllipticCurve] = ec.SECP256R1) -> ec.EllipticCurvePrivateKey:
    """Return an ECDSA key."""
    return ec.generate_private_key(curve())


def der_of(key: PrivateKey) -> bytes:
    """Return the public key as DER."""
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def row(key: PrivateKey, issuer: str = ISSUER, constraint: str | None = None) -> dict[str, str]:
    """Return a key as the table of signing keys holds it."""
    made = {"public_key": b64encode(der_of(key)), "issuer": issuer}
    return made if constraint is None else made | {"constraint": constraint}


def b64url(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def sign(key: PrivateKey, signed: bytes) -> bytes:
    """Sign as tokens are signed."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
    size = (key.key_size + 7) // 8
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def token(
    key: PrivateKey,
    header: dict[str, Any] | None = None,
    payload: dict[str, Any] | None = None,
    *,
    without: tuple[str, ...] = (),
) -> str:
    """Return a token; ``without`` leaves names out of header and payload."""
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    head = {"alg": algorithm, "kid": "kid", "typ": "JWT"} | (header or {})
    body = {"iss": ISSUER, "exp": NOW + 100, "nbf": NOW - 100, "sub": "me"} | (payload or {})
    parts = [
        b64url(json.dumps({name: each[name] for name in each if name not in without}).encode())
        for each in (head, body)
    ]
    signed = ".".join(parts)
    return f"{signed}.{b64url(sign(key, signed.encode()))}"
