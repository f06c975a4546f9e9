"""Whether a certificate is for the server that was dialled (RFC 6125, section 6).

For the TLS implementation that does not say so by itself. Only alternative names count; the
common name does not.
"""

import ipaddress

from ledger.base.errors import FormatError
from ledger.crypto.certificate import Certificate

_DNS = "dNSName:"
_IP = "iPAddress:"


def certificate_is_for(der: bytes, name: str) -> bool:
    """Say whether a certificate is for a host.

    Args:
        der: The certificate.
        name: Host name or IP address, as it was dialled.

    Returns:
        False also for a certificate that does not parse.
    """
    try:
        names = Certificate.parse(der).sans
    except FormatError:
        return False
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        host = name.lower().rstrip(".")
        return any(
            _names_host(each.removeprefix(_DNS).lower(), host)
            for each in names
            if each.startswith(_DNS)
        )
    return f"{_IP}{address}" in names


def _names_host(pattern: str, host: str) -> bool:
    """Compare labels; ``*`` alone may stand for the first of at least three."""
    if not pattern.startswith("*."):
        return pattern == host
    first, _, rest = host.partition(".")
    return bool(first) and "." in rest and pattern[2:] == rest
