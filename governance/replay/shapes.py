"""Values that only keys can make: are they at least built like ours?"""

import re

from ledger.base.errors import FormatError
from ledger.codec import canonical

_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_BASE64_SIZE_MIN = 40
"""Shorter texts are words, not sealed bytes."""


def shape_problem(recorded: object, made: object, path: str = "") -> str | None:
    """Say in what a value differs from one that was made the same way with other keys.

    Args:
        recorded: What the ledger holds, parsed.
        made: What a replay made: the same names, numbers and words are wanted, and where it has
            base64 of sealed bytes, base64 of as many bytes.
        path: Names down to here, for the answer.

    Returns:
        One sentence, or None.
    """
    where = path or "the value"
    if isinstance(made, dict):
        if not isinstance(recorded, dict):
            return f"{where} is no object"
        if recorded.keys() != made.keys():
            odd = sorted(map(str, recorded.keys() ^ made.keys()))
            return f"{where} has or lacks {', '.join(odd)[:200]}"
        parts = (
            (recorded[name], each, f"{path}.{name}".lstrip(".")) for name, each in made.items()
        )
        return next((problem for part in parts if (problem := shape_problem(*part))), None)
    if isinstance(made, list):
        if not isinstance(recorded, list) or len(recorded) != len(made):
            return f"{where} is no list of {len(made)}"
        pairs = enumerate(zip(recorded, made, strict=True))
        parts = ((one, other, f"{path}[{index}]") for index, (one, other) in pairs)
        return next((problem for part in parts if (problem := shape_problem(*part))), None)
    if isinstance(made, str) and _is_sealed(made):
        size, want = _base64_size(recorded), _base64_size(made)
        return None if size == want else f"{where} has {size} bytes in base64, want {want}"
    if type(recorded) is not type(made) or recorded != made:
        return f"{where} is {str(recorded)[:80]!r}, want {str(made)[:80]!r}"
    return None


def _is_sealed(text: str) -> bool:
    return len(text) >= _BASE64_SIZE_MIN and _BASE64.fullmatch(text) is not None


def _base64_size(value: object) -> int:
    """Return the bytes of base64 text; -1 for anything else."""
    if not isinstance(value, str):
        return -1
    try:
        return len(canonical.b64decode(value))
    except FormatError:
        return -1
