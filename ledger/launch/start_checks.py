"""What has to hold before any process of a node does anything."""

import os
import sys

from ledger.base.errors import MisuseError


def refuse_optimised_interpreter() -> None:
    """Refuse to run where assertions are off: they guard the ledger in production.

    Raises:
        MisuseError: the interpreter runs with ``-O``, ``-OO`` or ``PYTHONOPTIMIZE``.
    """
    if sys.flags.optimize:
        raise MisuseError("got an interpreter with -O, want one that checks assertions")


def fill_standard_descriptors() -> None:
    """Open standard input, output and error on nothing where the process was started without.

    The next file opened, of the ledger perhaps, would else take their place and get the log.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            assert opened == number, "the lowest free number is taken"
