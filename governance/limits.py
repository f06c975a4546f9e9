"""The script limits in force: what members set, or the defaults."""

import msgspec

from governance.scripting import DEFAULT_LIMITS, LIMIT_RANGES, ScriptLimits
from governance.tables import SCRIPT_LIMITS
from ledger.kv.tx import Tx


def limits_in_force(tx: Tx) -> ScriptLimits:
    """Return the limits that scripts of this transaction run under."""
    return tx.singleton(SCRIPT_LIMITS).get() or DEFAULT_LIMITS


def limits_problem(limits: object) -> str | None:
    """Say why a value cannot become the script limits, or None.

    Args:
        limits: Object with any of the names of ``ScriptLimits``, whole numbers within
            ``LIMIT_RANGES``.
    """
    if not isinstance(limits, dict):
        return "got no object, want one with names of script limits"
    for name, value in limits.items():
        bounds = LIMIT_RANGES.get(name)
        if bounds is None:
            return f"got limit {str(name)[:60]!r}, want one of {', '.join(LIMIT_RANGES)}"
        if type(value) is not int or not bounds[0] <= value <= bounds[1]:
            return f"got {name} {str(value)[:40]}, want a whole number in {list(bounds)}"
    msgspec.convert(limits, ScriptLimits)
    return None
