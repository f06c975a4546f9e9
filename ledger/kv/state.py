"""The newest state of one map.

A *record* is 8 bytes little-endian seqno of the write, then the value: one object per key, and
the very bytes that a snapshot file holds for the key.
"""

from ledger.kv.order import KeyOrder

STAMP_SIZE = 8
"""Bytes of the seqno at the start of a record."""

Record = bytes


def version_of_record(record: Record) -> int:
    """Return the seqno at which the record was written."""
    return int.from_bytes(record[:STAMP_SIZE], "little")


class MapState:
    """One map at the newest version.

    Attributes:
        name: The map's name.
        records: Key to record.
        version: Seqno of the last write or removal in the map, 0 when there never was one.
            Invariant: no record is newer.
        order: The sorted keys, or None while nobody needs them.
    """

    __slots__ = ("name", "order", "records", "version")

    def __init__(self, name: str) -> None:
        self.name = name
        self.records: dict[bytes, Record] = {}
        self.version = 0
        self.order: KeyOrder | None = None

    def ordered(self) -> KeyOrder:
        """Return the sorted keys, making or completing them first."""
        order = self.order
        if order is None:
            order = self.order = KeyOrder(self.records)
        else:
            order.settle(self.records)
        return order

    def note(self, key: bytes) -> None:
        """Tell the order, when there is one, that a key appeared or vanished."""
        if self.order is not None and not self.order.note(key):
            self.order = None
