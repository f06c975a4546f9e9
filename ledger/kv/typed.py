"""Codecs in front of a map handle: tables, singletons, sets.

Values that do not decode raise ``FormatError``: the ledger holds something that this table's
definition did not write. Keys iterate in the byte order of their encodings.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

from ledger.base.plain import PlainStruct
from ledger.codec.tables import SET_MEMBER, SINGLETON_KEY, SetTable, Singleton, Table
from ledger.kv.handle import MapHandle

K = TypeVar("K")
V = TypeVar("V")


class TableHandle(PlainStruct, Generic[K, V]):
    """A typed map within one transaction. See ``MapHandle`` for what each method means.

    Attributes:
        map: The same map as bytes.
    """

    map: MapHandle
    _table: Table[K, V]

    def get(self, key: K) -> V | None:
        """Return the value of a key, None when it has none."""
        data = self.map.get(self._table.key.encode(key))
        return None if data is None else self._table.value.decode(data)

    def put(self, key: K, value: V) -> None:
        """Set the value of a key."""
        self.map.put(self._table.key.encode(key), self._table.value.encode(value))

    def remove(self, key: K) -> None:
        """Remove a key."""
        self.map.remove(self._table.key.encode(key))

    def has(self, key: K) -> bool:
        """Say whether the key has a value."""
        return self.map.has(self._table.key.encode(key))

    def clear(self) -> None:
        """Remove every key."""
        self.map.clear()

    def size(self) -> int:
        """Return how many keys there are."""
        return self.map.size()

    def version_of(self, key: K) -> int | None:
        """Return the seqno of the last write to a key before this transaction."""
        return self.map.version_of(self._table.key.encode(key))

    def get_committed(self, key: K) -> V | None:
        """Return the value of a key at the last committed version."""
        data = self.map.get_committed(self._table.key.encode(key))
        return None if data is None else self._table.value.decode(data)

    def items(
        self, begin: K | None = None, end: K | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[K, V]]:
        """Iterate keys in ``[begin, end)`` and their values, in byte order of the keys."""
        encode = self._table.key.encode
        found = self.map.items(
            None if begin is None else encode(begin),
            None if end is None else encode(end),
            reverse=reverse,
        )
        return self._decoded(found)

    def prefix(self, prefix: bytes, *, reverse: bool = False) -> Iterator[tuple[K, V]]:
        """Iterate keys whose encoding begins with the given bytes, and their values."""
        return self._decoded(self.map.prefix(prefix, reverse=reverse))

    def _decoded(self, found: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[K, V]]:
        key_of, value_of = self._table.key.decode, self._table.value.decode
        return ((key_of(key), value_of(value)) for key, value in found)


class SingletonHandle(PlainStruct, Generic[V]):
    """The one value of a map within one transaction.

    Attributes:
        map: The same map as bytes.
    """

    map: MapHandle
    _singleton: Singleton[V]

    def get(self) -> V | None:
        """Return the value, None when there is none."""
        data = self.map.get(SINGLETON_KEY)
        return None if data is None else self._singleton.value.decode(data)

    def put(self, value: V) -> None:
        """Set the value."""
        self.map.put(SINGLETON_KEY, self._singleton.value.encode(value))

    def remove(self) -> None:
        """Remove the value."""
        self.map.remove(SINGLETON_KEY)

    def has(self) -> bool:
        """Say whether there is a value."""
        return self.map.has(SINGLETON_KEY)

    def version(self) -> int | None:
        """Return the seqno of the last write before this transaction."""
        return self.map.version_of(SINGLETON_KEY)

    def get_committed(self) -> V | None:
        """Return the value at the last committed version."""
        data = self.map.get_committed(SINGLETON_KEY)
        return None if data is None else self._singleton.value.decode(data)


class SetHandle(PlainStruct, Generic[K]):
    """A set of keys within one transaction.

    Attributes:
        map: The same map as bytes; every value is ``SET_MEMBER``.
    """

    map: MapHandle
    _table: SetTable[K]

    def add(self, key: K) -> None:
        """Put a key into the set."""
        self.map.put(self._table.key.encode(key), SET_MEMBER)

    def remove(self, key: K) -> None:
        """Take a key out of the set."""
        self.map.remove(self._table.key.encode(key))

    def has(self, key: K) -> bool:
        """Say whether the key is in the set."""
        return self.map.has(self._table.key.encode(key))

    def clear(self) -> None:
        """Take every key out."""
        self.map.clear()

    def size(self) -> int:
        """Return how many keys there are."""
        return self.map.size()

    def version_of(self, key: K) -> int | None:
        """Return the seqno at which the key was last put in, before this transaction."""
        return self.map.version_of(self._table.key.encode(key))

    def keys(
        self, begin: K | None = None, end: K | None = None, *, reverse: bool = False
    ) -> Iterator[K]:
        """Iterate the keys in ``[begin, end)``, in byte order of their encodings."""
        encode, decode = self._table.key.encode, self._table.key.decode
        found = self.map.items(
            None if begin is None else encode(begin),
            None if end is None else encode(end),
            reverse=reverse,
        )
        return (decode(key) for key, _ in found)
