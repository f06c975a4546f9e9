"""Checks scripts ask for: certificates, keys, times, addresses. None means nothing is wrong."""

import re

from governance.jwk import JwkError, public_key_of_jwk
from governance.moments import parse_moment
from ledger.base.errors import FormatError
from ledger.codec import canonical
from ledger.crypto.certificate import Certificate, parse_bundle
from ledger.crypto.rsa import RsaPublicKey

URL_SIZE_MAX = 2048
"""Longest address, in characters."""
BUNDLE_COUNT_MAX = 100
"""Most certificates of a bundle: whoever asks for the check makes everybody wait for it."""
_URL = re.compile(
    r"https://(?P<host>[A-Za-z0-9.\-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>\d{1,5}))?"
    r"(?P<path>/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*)?",
    re.ASCII,
)


def certificate_problem(pem: object) -> str | None:
    """Say why a value is no certificate of a member or user: one PEM certificate, ECDSA key."""
    if not isinstance(pem, str):
        return f"got {_type_name(pem)}, want a PEM certificate"
    try:
        Certificate.parse(pem).public_key  # noqa: B018 - reading it checks it
    except FormatError as error:
        return str(error)
    return None


def certificate_bundle_problem(pem: object) -> str | None:
    """Say why a value is no list of PEM certificates, one after the other."""
    if not isinstance(pem, str):
        return f"got {_type_name(pem)}, want PEM certificates"
    count = pem.count("-----BEGIN")
    if count > BUNDLE_COUNT_MAX:
        return f"got {count} certificates, want at most {BUNDLE_COUNT_MAX}"
    try:
        parse_bundle(pem)
    except FormatError as error:
        return str(error)
    return None


def encryption_key_problem(pem: object) -> str | None:
    """Say why a value is no RSA public key that shares can be encrypted to."""
    if not isinstance(pem, str):
        return f"got {_type_name(pem)}, want a PEM public key"
    try:
        RsaPublicKey.from_pem(pem)
    except FormatError as error:
        return str(error)
    return None


def jwk_problem(jwk: object) -> str | None:
    """Say why a value is no JSON Web Key that can verify tokens."""
    try:
        public_key_of_jwk(jwk)
    except JwkError as error:
        return str(error)
    return None


def url_problem(url: object) -> str | None:
    """Say why a value is no https address without query and fragment."""
    if not isinstance(url, str):
        return f"got {_type_name(url)}, want an https address"
    match = _URL.fullmatch(url) if len(url) <= URL_SIZE_MAX else None
    if match is None or int(match["port"] or 443) > 65535:
        return f"got {url[:120]!r}, want an https address without query and fragment"
    return None


def time_problem(moment: object) -> str | None:
    """Say why a value is no point in time."""
    if not isinstance(moment, str):
        return f"got {_type_name(moment)}, want a time as text"
    try:
        parse_moment(moment)
    except FormatError as error:
        return str(error)
    return None


def is_hex(text: object, bytes_count: object) -> bool:
    """Say whether a value is lower-case hexadecimal, of a number of bytes when that is given."""
    if not isinstance(text, str) or text != text.lower():
        return False
    try:
        canonical.from_hex(text, bytes_count if isinstance(bytes_count, int) else None)
    except FormatError:
        return False
    return True


def _type_name(value: object) -> str:
    names = {type(None): "nothing", bool: "a bool", int: "a number", float: "a number"}
    names |= {str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), "another value")
