"""Conditional requests: entity tags, ``if-match`` and ``if-none-match`` (RFC 9110, section 13).

Tags are lower-case hexadecimal in quotes, such as a digest of what is stored. Weak tags are
refused: they cannot guard a write.
"""

import enum
import re

from ledger.app.context import Context
from ledger.endpoints.errors import Code, HttpError

_TAGS = re.compile(r'"[0-9a-f]+"(\s*,\s*"[0-9a-f]+")*')
_TAG = re.compile(r'"([0-9a-f]+)"')


class Verdict(enum.Enum):
    """What the conditions of a request come to."""

    PROCEED = "proceed"
    FAILED = "failed"
    """``if-match`` names none that is current: 412."""
    NOT_MODIFIED = "not modified"
    """``if-none-match`` names the current one: 304 for a read, 412 for a write."""


def judge(ctx: Context, current: str | None) -> Verdict:
    """Judge the conditions of a request.

    Args:
        ctx: The call.
        current: Tag of what is there, without quotes; None when nothing is.

    Raises:
        HttpError: 400, both headers were sent, or one is no list of tags.
    """
    match, none_match = ctx.header("if-match"), ctx.header("if-none-match")
    if match is not None and none_match is not None:
        message = "Only one of If-Match and If-None-Match may be sent."
        raise HttpError(400, Code.INVALID_HEADER_VALUE, message)
    if match is not None:
        return Verdict.PROCEED if _names(match, current, "If-Match") else Verdict.FAILED
    if none_match is not None and _names(none_match, current, "If-None-Match"):
        return Verdict.NOT_MODIFIED
    return Verdict.PROCEED


def set_etag(ctx: Context, tag: str) -> None:
    """Tell the tag of what is stored or shown, given without quotes."""
    ctx.set_header("etag", f'"{tag}"')


def failed() -> HttpError:
    """Return the 412 for a condition that does not hold."""
    return HttpError(412, Code.PRECONDITION_FAILED, "The resource is not in the expected state.")


def _names(value: str, current: str | None, header: str) -> bool:
    if value.strip() == "*":
        return current is not None
    if not _TAGS.fullmatch(value.strip()):
        message = f"{header} is no list of quoted lower-case hexadecimal tags."
        raise HttpError(400, Code.INVALID_HEADER_VALUE, message)
    return current in _TAG.findall(value)
