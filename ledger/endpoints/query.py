"""Query strings.

The text is split at ``&`` and ``=`` first and each part decoded then, once: an escaped separator
is part of its value. (CCF used to decode the whole text before splitting, so that ``a%3Db=c`` gave
``a`` the value ``b=c``; ours is the deviation its later versions made too.) ``+`` is a space. An
escape that is none (``%zz``) stays as it was sent.
"""

from urllib.parse import unquote_plus

from ledger.endpoints.errors import Code, HttpError


def parse(text: str) -> dict[str, str]:
    """Return the parameters of a query; of a repeated name the first value counts.

    Args:
        text: What follows ``?``, still encoded; empty for none.

    Raises:
        HttpError: 400, a part is not UTF-8 once decoded.
    """
    if not text:
        return {}
    if "%" not in text and "+" not in text and "&" not in text:
        name, _, value = text.partition("=")
        return {name: value}
    parameters: dict[str, str] = {}
    for name, value in pairs(text):
        parameters.setdefault(name, value)
    return parameters


def pairs(text: str) -> list[tuple[str, str]]:
    """Return all parameters of a query in order, repeated names included.

    A part without ``=`` has an empty value; an empty part is skipped.

    Raises:
        HttpError: 400, a part is not UTF-8 once decoded.
    """
    found = []
    for part in text.split("&"):
        if part:
            name, _, value = part.partition("=")
            found.append((_decode(name), _decode(value)))
    return found


def required(parameters: dict[str, str], name: str) -> str:
    """Return a parameter that has to be there.

    Raises:
        HttpError: 400, it is not.
    """
    value = parameters.get(name)
    if value is None:
        raise invalid(f"Query string must contain a '{name}' parameter.")
    return value


def boolean(parameters: dict[str, str], name: str) -> bool:
    """Return a parameter that is ``true`` or ``false``; False when absent.

    Raises:
        HttpError: 400, any other value.
    """
    value = parameters.get(name, "false")
    if value not in {"true", "false"}:
        raise invalid(f"Invalid value for {name}, must be one of [true, false] when present.")
    return value == "true"


def invalid(message: str) -> HttpError:
    """Return the error for a query that cannot be used."""
    return HttpError(400, Code.INVALID_QUERY_PARAMETER_VALUE, message)


def _decode(text: str) -> str:
    if "%" not in text and "+" not in text:
        return text
    try:
        return unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        raise invalid(f"'{text}' is not UTF-8 text once percent-decoded.") from None
