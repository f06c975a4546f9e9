"""Readers of the leaf values of the configuration: sizes, times, addresses, names, numbers.

Each takes a JSON value and returns a typed one, or raises ``Refused`` with what it wants.
"""

import ipaddress
import re
import warnings
from collections.abc import Callable

from ledger.host.schema import Leaf, Refused

_SIZE = re.compile(r"([0-9]{1,15})(B|KB|MB|GB|TB)?")
_SIZE_UNITS = {None: 1, "B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
_TIME = re.compile(r"([0-9]{1,15})(us|ms|s|min|h)")
_TIME_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "min": 60_000.0, "h": 3_600_000.0}
_HOST_NAME = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_-]{1,63})*\.?"
)
_PORT = re.compile(r"[0-9]{1,5}")
_SUBJECT_PART = re.compile(r"(CN|O|OU|C|ST|L)=[^=,]{1,64}")
_APP = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*")
_TEXT_SIZE_MAX = 4096
_UNFIT = re.compile("[\\x00-\\x1f\\x7f\\ud800-\\udfff]")
"""Control characters and lone surrogates: neither file names nor certificates take them."""


def parse_size(text: str) -> int:
    """Return the bytes of a size such as ``5MB`` (units of 1024) or ``1048576``."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise Refused("a size: an integer and B, KB, MB, GB or TB, e.g. 5MB")
    return int(match[1]) * _SIZE_UNITS[match[2]]


def parse_time_ms(text: str) -> float:
    """Return the milliseconds of a time such as ``100ms`` or ``30min``."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise Refused("a time: an integer and us, ms, s, min or h, e.g. 100ms")
    return int(match[1]) * _TIME_UNITS_MS[match[2]]


def _string(value: object, want: str) -> str:
    if not isinstance(value, str) or len(value) > _TEXT_SIZE_MAX or _UNFIT.search(value):
        raise Refused(want)
    return value


def size(least: int = 1, most: int = 1 << 62) -> Leaf[int]:
    """Read a size within ``[least, most]`` bytes."""

    def read(value: object) -> int:
        want = "a size as a string: an integer and B, KB, MB, GB or TB, e.g. 5MB"
        count = parse_size(_string(value, want))
        if not least <= count <= most:
            raise Refused(f"a size of {least} to {most} bytes")
        return count

    return Leaf(read)


def time_ms(least: str = "0s", most: str = "1000000h") -> Leaf[float]:
    """Read a time within ``[least, most]``, as milliseconds."""

    def read(value: object) -> float:
        want = "a time as a string: an integer and us, ms, s, min or h, e.g. 100ms"
        milliseconds = parse_time_ms(_string(value, want))
        if not parse_time_ms(least) <= milliseconds <= parse_time_ms(most):
            raise Refused(f"a time from {least} to {most}")
        return milliseconds

    return Leaf(read)


def integer(least: int = 0, most: int = (1 << 53) - 1) -> Leaf[int]:
    """Read an integer within ``[least, most]``."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Refused(f"an integer from {least} to {most}")
        return value

    return Leaf(read)


def choice(*values: str, refused: dict[str, str] | None = None) -> Leaf[str]:
    """Read one of ``values``; ``refused`` maps values that exist in CCF to why not here."""
    wanted = " or ".join(f'"{value}"' for value in values)

    def read(value: object) -> str:
        if isinstance(value, str) and value in values:
            return value
        if isinstance(value, str) and refused and value in refused:
            raise Refused(f"{wanted} ({refused[value]})")
        raise Refused(wanted)

    return Leaf(read)


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise Refused("true or false")
    return value


def _text(value: object) -> str:
    return _string(value, f"a string of at most {_TEXT_SIZE_MAX} characters")


def _path(value: object) -> str:
    text = _string(value, "a path")
    if not text:
        raise Refused("a path, not an empty string")
    return text


def split_host_port(text: str) -> tuple[str, int]:
    """Split ``host:port`` or ``[IPv6]:port``.

    Returns:
        The host without brackets, and the port in ``[0, 65535]``.

    Raises:
        Refused: anything else.
    """
    want = "host:port, the port from 0 to 65535 (IPv6 in brackets)"
    host, colon, port = text.rpartition(":")
    if not colon or not _PORT.fullmatch(port) or int(port) > 65535:
        raise Refused(want)
    if host.startswith("[") and host.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(host[1:-1])), int(port)
        except ValueError:
            raise Refused(want) from None
    if not _is_host(host):
        raise Refused(want)
    return host, int(port)


def join_host_port(host: str, port: int) -> str:
    """Return ``host:port``, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_host(host: str) -> bool:
    return _HOST_NAME.fullmatch(host) is not None


def _address(value: object) -> str:
    host, port = split_host_port(_string(value, "host:port as a string"))
    return join_host_port(host, port)


def _host(value: object) -> str:
    """Read a host; a port behind it means nothing, and CCF takes one."""
    text = _string(value, "a host name or address")
    if _is_host(text):
        return text
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        return split_host_port(text)[0]


def _regex(value: object) -> str:
    text = _string(value, "a regular expression as a string")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it would be printed where launchers see an error
            re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise Refused(f"a regular expression ({error})") from None
    return text


def _subject_alt_name(value: object) -> str:
    want = "iPAddress:<address> or dNSName:<name>"
    kind, _, name = _string(value, want).partition(":")
    if kind == "iPAddress":
        try:
            return f"iPAddress:{ipaddress.ip_address(name)}"
        except ValueError:
            raise Refused(want) from None
    if kind == "dNSName" and _is_host(name.removeprefix("*.")):
        return f"dNSName:{name}"
    raise Refused(want)


def _subject_name(value: object) -> str:
    text = _string(value, "a subject name such as CN=CCF Node")
    parts = text.split(",")
    if not all(_SUBJECT_PART.fullmatch(part.strip()) for part in parts):
        raise Refused(
            "a subject name such as CN=CCF Node,O=Example (CN, O, OU, C, ST, L; "
            "values of 1 to 64 characters, commas inside them are not supported)"
        )
    return text


def _application(value: object) -> str:
    text = _string(value, "module:attribute")
    if not _APP.fullmatch(text):
        raise Refused("module:attribute, e.g. banking.app:app")
    return text


def _url(value: object) -> str:
    text = _string(value, "a URL or host name")
    if not text or any(character.isspace() for character in text):
        raise Refused("a URL or host name without spaces")
    return text


def _leaf(read: Callable[[object], str]) -> Leaf[str]:
    return Leaf(read)


BOOLEAN = Leaf(_boolean)
TEXT = _leaf(_text)
PATH = _leaf(_path)
ADDRESS = _leaf(_address)
HOST = _leaf(_host)
REGEX = _leaf(_regex)
SUBJECT_ALT_NAME = _leaf(_subject_alt_name)
SUBJECT_NAME = _leaf(_subject_name)
APPLICATION = _leaf(_application)
URL = _leaf(_url)
