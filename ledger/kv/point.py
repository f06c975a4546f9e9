"""Points: every version of the store, chained from old to new, each with what the step changed.

A transaction holds the point it began at. While that is the newest one, the maps themselves are
its snapshot. Later the point answers with ``past()``: what its maps held where they differ from
now. Nobody registers or counts readers: a point lives as long as someone holds it, and so do the
steps after it.
"""

from bisect import bisect_left
from typing import TYPE_CHECKING

import msgspec

from ledger.base.plain import PlainStruct

if TYPE_CHECKING:
    from ledger.kv.state import Record


class MapPast(PlainStruct):
    """What one map held at a point, where it differs from a later point.

    Attributes:
        version: The map's version at the point.
        records: Key to record at the point (None: absent), for the keys written since. A key that
            was written and rolled back may be here too, with what it now has again.
    """

    version: int
    records: "dict[bytes, Record | None]" = msgspec.field(default_factory=dict)
    _sorted: list[bytes] | None = None

    def changed(self, begin: bytes, end: bytes | None) -> list[bytes]:
        """Return the changed keys in ``[begin, end)``, ascending."""
        ordered = self._sorted
        if ordered is None or len(ordered) != len(self.records):  # keys are only ever added
            ordered = self._sorted = sorted(self.records)
        low = bisect_left(ordered, begin)
        return ordered[low : len(ordered) if end is None else bisect_left(ordered, end)]


Past = dict[str, MapPast]
"""Map name to what the map held."""


class Point(PlainStruct):
    """One version of the store, as it is seen from when the point was made.

    Attributes:
        seqno: The version.
        next: A later point, None while this is the newest one. Not always the one right after:
            ``past`` lets it jump to the newest.
        rollbacks: How many rollbacks came before this point was made.
        undo: What the step right after this point overwrote; empty while there is none.
        known: What ``past`` has found so far, from this point to ``next``; None before its first
            call.
    """

    seqno: int
    rollbacks: int
    next: "Point | None" = None
    undo: Past = msgspec.field(default_factory=dict)
    known: Past | None = None

    def become_newest(self) -> None:
        """Forget what followed, because it was rolled back."""
        self.next = None
        self.undo = {}
        self.known = None

    def past(self) -> Past:
        """Return what the maps held at this point, where they differ from now.

        Costs as much as was changed since the last call, then nothing. The result belongs to the
        point and grows with later calls.
        """
        past = self.known
        node = self if past is None else self.next
        if past is None:
            past = {}
        assert node is not None, "a point with a past has a later point"
        while node.next is not None:
            add_later(past, node.undo if node.known is None else node.known)
            node = node.next
        if node is not self:
            self.known = past
            self.next = node
        return past


def add_later(past: Past, later: Past) -> None:
    """Extend a past by the step that follows it: what is in both, the earlier says."""
    for name, step in later.items():
        known = past.get(name)
        if known is None:
            known = past[name] = MapPast(step.version)
        records = known.records
        for key, record in step.records.items():
            if key not in records:
                records[key] = record
