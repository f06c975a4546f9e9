"""What an application may say in the head of an answer."""

import re
from typing import Any

from ledger.base.errors import MisuseError

_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_RESERVED = frozenset(
    {"connection", "content-length", "transfer-encoding", "x-ms-ccf-transaction-id"}
)


def check_status(status: Any) -> None:  # noqa: ANN401
    """Refuse what is no status of a final answer.

    Raises:
        MisuseError: no number, or outside ``[200, 599]``.
    """
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise MisuseError(f"got status {status!r:.40}, want a number in [200, 599]")


def is_header_name(name: str) -> bool:
    """Say whether a name in lower case is a token (RFC 9110, 5.6.2) that the node does not set."""
    return _NAME.fullmatch(name) is not None and name not in _RESERVED


def is_header_value(value: str) -> bool:
    """Say whether a value has only characters that HTTP allows, each at most U+00FF."""
    return _VALUE.fullmatch(value) is not None
