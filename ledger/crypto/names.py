"""Names in certificates: subjects, and the addresses that clients dial.

A subject is written as in RFC 4514, such as ``CN=CCF Node``; alternative names as in the node's
configuration: ``iPAddress:127.0.0.1`` and ``dNSName:node0.example``.
"""

import ipaddress

from cryptography import x509
from cryptography.x509.oid import NameOID

from ledger.base.errors import FormatError


def parse_subject(subject: str) -> x509.Name:
    """Read a distinguished name such as ``CN=CCF Node,O=Example``.

    Raises:
        FormatError: the text does not parse, or names nothing.
    """
    try:
        name = x509.Name.from_rfc4514_string(subject)
    except ValueError as error:
        raise FormatError(f"got subject {subject[:100]!r}, want a name like CN=CCF Node") from error
    if not name.get_attributes_for_oid(NameOID.COMMON_NAME):
        raise FormatError(f"got subject {subject[:100]!r} without a common name (CN)")
    return name


def parse_alternative_name(text: str) -> x509.GeneralName:
    """Read ``iPAddress:…`` or ``dNSName:…``.

    Raises:
        FormatError: the text has another form.
    """
    kind, separator, value = text.partition(":")
    try:
        if separator and kind == "iPAddress":
            return x509.IPAddress(ipaddress.ip_address(value))
        if separator and kind == "dNSName" and value:
            return x509.DNSName(value)
    except ValueError as error:
        raise FormatError(f"got alternative name {text[:100]!r}: {error}") from error
    raise FormatError(f"got alternative name {text[:100]!r}, want iPAddress:… or dNSName:…")


def alternative_name_of(host: str) -> str:
    """Return the alternative name of a host that clients dial, an IP address or a DNS name."""
    try:
        return f"iPAddress:{ipaddress.ip_address(host)}"
    except ValueError:
        return f"dNSName:{host}"
