"""Entries of the past, as the host's files give them back."""

from collections.abc import Callable
from typing import Protocol

EntriesDone = Callable[[bytes | None, str], None]
"""Called with whole entries back to back, or with None and the reason there are none."""


class EntryReader(Protocol):
    """Reads entries back from the ledger files. Nothing it returns is to be trusted."""

    def read_entries(self, first: int, last: int, done: EntriesDone) -> None:
        """Read entries ``first`` to ``last``; ``done`` is called once, later."""
        ...
