"""One map in one transaction: bytes in, bytes out.

Reads see the transaction's own writes over its snapshot and are remembered for the conflict
check; a read that own writes answer is not. ``get``, ``has`` and ``put`` are on the path of every
request.
"""

from collections.abc import Iterator
from heapq import merge

from ledger.base.errors import MisuseError
from ledger.base.plain import PlainStruct
from ledger.codec.writeset import Changes
from ledger.kv.point import MapPast, Point
from ledger.kv.state import STAMP_SIZE, MapState, Record, version_of_record
from ledger.kv.view import keys_at, record_at, size_at, unordered_keys_at


class KeyRange:
    """Keys ``[begin, end)`` that were read, absent ones too; ``end`` None: no bound."""

    __slots__ = ("begin", "end")

    def __init__(self, begin: bytes, end: bytes | None) -> None:
        self.begin = begin
        self.end = end


class MapHandle(PlainStruct):
    """Reads and writes one map within one transaction. Made by ``Tx.map``.

    Keys and values are ``bytes`` of any size, empty too.
    """

    name: str
    _state: MapState
    _point: Point
    _committed: Point
    _changes: Changes | None
    _writes: dict[bytes, bytes | None] | None = None
    _reads: set[bytes] | None = None
    _ranges: list[KeyRange] | None = None

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, None when it has none."""
        writes = self._writes
        if writes is not None and key in writes:
            return writes[key]
        reads = self._reads
        if reads is None:
            self._reads = {key}
        else:
            reads.add(key)
        if self._point.next is None:
            record = self._state.records.get(key)
        else:
            record = record_at(self._state, self._point, key)
        return None if record is None else record[STAMP_SIZE:]

    def has(self, key: bytes) -> bool:
        """Say whether the key has a value."""
        writes = self._writes
        if writes is not None and key in writes:
            return writes[key] is not None
        reads = self._reads
        if reads is None:
            self._reads = {key}
        else:
            reads.add(key)
        if self._point.next is None:
            return key in self._state.records
        return record_at(self._state, self._point, key) is not None

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value of a key.

        Raises:
            MisuseError: the transaction is read-only, or key or value are not bytes.
        """
        if type(key) is not bytes or type(value) is not bytes:
            raise MisuseError(
                f"got key of type {type(key).__name__} and value of type "
                f"{type(value).__name__} for map {self.name}, want bytes"
            )
        writes = self._writes
        if writes is None:
            writes = self._start_writing()
        writes[key] = value

    def remove(self, key: bytes) -> None:
        """Remove a key. The removal is part of the changes even when the key has no value.

        Raises:
            MisuseError: the transaction is read-only, or the key is not bytes.
        """
        if type(key) is not bytes:
            raise MisuseError(
                f"got key of type {type(key).__name__} for map {self.name}, want bytes"
            )
        writes = self._writes
        if writes is None:
            writes = self._start_writing()
        writes[key] = None

    def clear(self) -> None:
        """Remove every key the transaction sees. Reads the whole map.

        Raises:
            MisuseError: the transaction is read-only.
        """
        writes = self._writes
        if writes is None:
            writes = self._start_writing()
        self._note_range(KeyRange(b"", None))
        for key in writes:
            writes[key] = None
        for key in unordered_keys_at(self._state, self._point):
            writes[key] = None

    def size(self) -> int:
        """Return how many keys the map has. Reads the whole map."""
        self._note_range(KeyRange(b"", None))
        size = size_at(self._state, self._point)
        if self._writes is not None:
            for key, value in self._writes.items():
                before = record_at(self._state, self._point, key)
                size += (value is not None) - (before is not None)
        return size

    def version_of(self, key: bytes) -> int | None:
        """Return the seqno of the last write to a key before this transaction.

        Returns:
            A seqno in ``[1, read_version]``; None when the key has no value in the snapshot.
            Own writes have no seqno yet and do not show here.
        """
        if self._reads is None:
            self._reads = set()
        self._reads.add(key)
        record = record_at(self._state, self._point, key)
        return None if record is None else version_of_record(record)

    def get_committed(self, key: bytes) -> bytes | None:
        """Return the value of a key at the version that was committed when the transaction began.

        Neither sees own writes nor counts as a read for conflicts.
        """
        record = self._state.records.get(key)
        if record is None or version_of_record(record) > self._committed.seqno:
            record = record_at(self._state, self._committed, key)
        return None if record is None else record[STAMP_SIZE:]

    def items(
        self, begin: bytes | None = None, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Iterate keys and values in byte order of the keys.

        Writes made after this call do not show in the iterator. As far as it was consumed, it
        counts as a read of the whole range, absent keys too.

        Args:
            begin: Smallest key; None for no bound.
            end: First key no longer wanted; None for no bound.
            reverse: Descending.
        """
        begin = begin or b""
        own: dict[bytes, bytes | None] = {}
        if self._writes:
            own = {
                key: value
                for key, value in self._writes.items()
                if key >= begin and (end is None or key < end)
            }
        return self._items(begin, end, own, reverse=reverse)

    def prefix(self, prefix: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Iterate keys that begin with the prefix, and their values, as ``items``."""
        return self.items(prefix, end_of_prefix(prefix), reverse=reverse)

    def _items(
        self, begin: bytes, end: bytes | None, own: dict[bytes, bytes | None], *, reverse: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        if end is not None and end <= begin:
            return
        state, point = self._state, self._point
        keys = keys_at(state, point, begin, end, reverse=reverse)
        if own:
            keys = _without_twins(merge(keys, sorted(own, reverse=reverse), reverse=reverse))
        seen: KeyRange | None = None
        for key in keys:
            if seen is None:
                seen = KeyRange(key, end) if reverse else KeyRange(begin, key + b"\x00")
                self._note_range(seen)
            elif reverse:
                seen.begin = key
            else:
                seen.end = key + b"\x00"
            if key in own:
                value = own[key]
            elif point.next is None:
                value = state.records[key][STAMP_SIZE:]
            else:
                record = record_at(state, point, key)
                assert record is not None, "a key at a point has a record there"
                value = record[STAMP_SIZE:]
            if value is not None:
                yield key, value
        if seen is None:
            self._note_range(KeyRange(begin, end))
        else:
            seen.begin, seen.end = begin, end

    def _note_range(self, read: KeyRange) -> None:
        if self._ranges is None:
            self._ranges = []
        self._ranges.append(read)

    def _start_writing(self) -> dict[bytes, bytes | None]:
        if self._changes is None:
            raise MisuseError(f"got a write to map {self.name} in a read-only transaction")
        writes = self._writes = self._changes.setdefault(self.name, {})
        return writes

    # For Tx only: the conflict check, and savepoints.

    def was_overtaken(self, past: MapPast, newest: dict[bytes, Record]) -> bool:
        """Say whether something that was read has changed.

        Args:
            past: Where the map at the transaction's point differs from the newest version.
            newest: The map's records at the newest version.
        """
        then = past.records
        if self._reads is not None:
            for key in self._reads.intersection(then):
                if then[key] != newest.get(key):
                    return True
        for read in self._ranges or ():
            for key in past.changed(read.begin, read.end):
                if then[key] != newest.get(key):
                    return True
        return False

    def forget_writes(self) -> None:
        """Look the writes up in the transaction's changes again, which were replaced."""
        self._writes = None if self._changes is None else self._changes.get(self.name)

    @property
    def was_used(self) -> bool:
        """Whether the map was read or written."""
        return bool(self._reads or self._ranges or self._writes is not None)


def end_of_prefix(prefix: bytes) -> bytes | None:
    """Return the first key after all keys with the prefix; None when there is no such key."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None


def _without_twins(keys: Iterator[bytes]) -> Iterator[bytes]:
    """Drop equal neighbours: keys that are in the snapshot and in the own writes."""
    last: bytes | None = None
    for key in keys:
        if key != last:
            yield key
        last = key
