"""Points in time as members write them: ``valid_from`` of certificates.

Four forms, all UTC: ``YYMMDDHHMMSSZ`` and ``YYYYMMDDHHMMSSZ`` (X.509), ISO 8601 with ``T`` and
``Z`` or ``+00:00``, and the same with a space and no zone. Two-digit years below 50 are of the
21st century (RFC 5280, section 4.1.2.5.1).
"""

import datetime
import re

from ledger.base.errors import FormatError

_SHORT = re.compile(r"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z", re.ASCII)
_LONG = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z", re.ASCII)
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.\d{1,9})?(?:Z|\+00:00)?", re.ASCII
)


def parse_moment(text: str) -> int:
    """Return seconds since 1970.

    Raises:
        FormatError: none of the four forms, or no such day or time.
    """
    for pattern in (_LONG, _SHORT, _ISO):
        match = pattern.fullmatch(text)
        if match is not None:
            return _seconds([int(part) for part in match.groups()], text)
    raise FormatError(f"got time {text[:60]!r}, want YYYYMMDDHHMMSSZ or ISO 8601 in UTC")


def _seconds(parts: list[int], text: str) -> int:
    year, month, day, hour, minute, second = parts
    if year < 100:
        year += 2000 if year < 50 else 1900
    try:
        moment = datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.UTC)
    except ValueError as error:
        raise FormatError(f"got time {text[:60]!r}: {error}") from error
    return int(moment.timestamp())
