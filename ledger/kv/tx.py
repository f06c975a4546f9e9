"""One transaction: a stable snapshot, own writes, and what was read.

A transaction is cheap to make and to drop (no registration, no reference cycle) and may stay open
while others commit. Handles are made when asked for; nothing else is allocated before the first
write.
"""

from typing import TypeVar

import msgspec

from ledger.base.plain import PlainStruct
from ledger.codec.tables import SetTable, Singleton, Table
from ledger.codec.writeset import Changes
from ledger.kv.handle import MapHandle
from ledger.kv.point import Point
from ledger.kv.state import MapState
from ledger.kv.typed import SetHandle, SingletonHandle, TableHandle

K = TypeVar("K")
V = TypeVar("V")


class Savepoint:
    """The writes of a transaction at one moment. Opaque; made by ``Tx.savepoint``."""

    __slots__ = ("changes",)

    def __init__(self, changes: Changes) -> None:
        self.changes = {name: dict(writes) for name, writes in changes.items()}


class Tx(PlainStruct):
    """A transaction. Made by ``Store.begin`` and ``Store.begin_committed``.

    Attributes:
        point: The snapshot.
        read_only: Whether writes raise ``MisuseError``.
        changes: Own writes: map name to key to value, None for a removal. Belongs to the
            transaction until it is committed, then to whoever committed it.
    """

    _maps: dict[str, MapState]
    point: Point
    _committed: Point
    read_only: bool
    changes: Changes = msgspec.field(default_factory=dict)
    _handles: dict[str, MapHandle] = msgspec.field(default_factory=dict)

    @property
    def read_version(self) -> int:
        """Seqno of the snapshot."""
        return self.point.seqno

    def map(self, name: str) -> MapHandle:
        """Return the handle of a map; the same one for the same name. Maps need no creation."""
        handle = self._handles.get(name)
        if handle is None:
            # A map that nobody has written yet gets a state of its own, not shown to others: if
            # somebody makes the map later, the point's past says it was empty here.
            state = self._maps.get(name) or MapState(name)
            changes = None if self.read_only else self.changes
            handle = MapHandle(name, state, self.point, self._committed, changes)
            self._handles[name] = handle
        return handle

    def table(self, table: Table[K, V]) -> TableHandle[K, V]:
        """Return a typed handle of a table."""
        return TableHandle(self.map(table.name), table)

    def singleton(self, singleton: Singleton[V]) -> SingletonHandle[V]:
        """Return a typed handle of a map with one value."""
        return SingletonHandle(self.map(singleton.name), singleton)

    def set(self, table: SetTable[K]) -> SetHandle[K]:
        """Return a typed handle of a set of keys."""
        return SetHandle(self.map(table.name), table)

    @property
    def has_writes(self) -> bool:
        """Whether something was written or removed, even if that changes nothing."""
        for writes in self.changes.values():  # noqa: SIM110 - one map, nearly always: beats any()
            if writes:
                return True
        return False

    @property
    def touched(self) -> bool:
        """Whether any map was read or written."""
        return any(handle.was_used for handle in self._handles.values())

    def conflict(self) -> str | None:
        """Return the name of a map in which something that was read has changed since.

        Free when nothing was committed since; else costs what was committed since, once, and the
        reads. Writing to a key that others wrote is no conflict: the last writer wins.
        """
        if self.point.next is None:
            return None
        past = self.point.past()
        for name, handle in self._handles.items():
            changed = past.get(name)
            if changed is not None and handle.was_overtaken(changed, self._maps[name].records):
                return name
        return None

    def savepoint(self) -> Savepoint:
        """Return the writes so far, to come back to."""
        return Savepoint(self.changes)

    def restore(self, savepoint: Savepoint) -> None:
        """Drop the writes made since a savepoint of this transaction. Reads stay remembered.

        A savepoint can be restored any number of times. Handles stay valid.
        """
        self.changes.clear()
        self.changes.update(Savepoint(savepoint.changes).changes)
        for handle in self._handles.values():
            handle.forget_writes()
