"""What has to hold before any process of a node does anything."""

import sys

from ledger.base.errors import MisuseError


def refuse_optimised_interpreter() -> None:
    """Refuse to run where assertions are off: they guard the ledger in production.

    Raises:
        MisuseError: the interpreter runs with ``-O``, ``-OO`` or ``PYTHONOPTIMIZE``.
    """
    if sys.flags.optimize:
        raise MisuseError("got an interpreter with -O, want one that checks assertions")
