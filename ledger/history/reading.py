"""Entries of the past, as the host's files give them back."""

from collections.abc import Callable
from typing import Protocol

EntriesDone = Callable[[bytes | None, str], None]
"""Called with whole entries back to back, or with None and the reason there are none.

An answer begins with the first entry asked for and is bounded in size: of several entries the
last ones may be missing, and have to be asked for again."""


class EntryReader(Protocol):
    """Reads entries back from the ledger files. Nothing it returns is to be trusted."""

    def read_entries(self, first: int, last: int, done: EntriesDone) -> None:
        """Read entries ``first`` to ``last``; ``done`` is called once, later."""
        ...
