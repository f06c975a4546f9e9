"""The store: the newest version of every map, and the way back to the committed one.

Example::

    store = Store()
    tx = store.begin()
    tx.map("accounts").put(b"alice", b"100")
    outcome = store.commit(tx, store.version + 1)  # the changes, or a Conflict
    store.compact(store.version)                   # no way back behind this any more
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ledger.base.errors import MisuseError
from ledger.codec.writeset import Changes
from ledger.kv.contents import MapContents, check_versions, whole_state
from ledger.kv.point import MapPast, Past, Point, add_later
from ledger.kv.state import STAMP_SIZE, MapState
from ledger.kv.tx import Tx


@dataclass(frozen=True, slots=True)
class Conflict:
    """The transaction cannot be committed: run it again on a new snapshot.

    Attributes:
        map_name: Map in which something that was read has changed; None when the whole snapshot
            was rolled back.
    """

    map_name: str | None


class Store:
    """Maps of bytes to bytes with a version per seqno.

    Args:
        seqno: Version of the empty store; the first change has the next one.

    Attributes:
        version: Seqno of the newest version.
        committed: Seqno up to which nothing can be rolled back. Invariant: at most ``version``.
    """

    __slots__ = ("_head", "_maps", "_rollbacks", "_window", "committed", "version")

    def __init__(self, seqno: int = 0) -> None:
        self.version = seqno
        self.committed = seqno
        self._maps: dict[str, MapState] = {}
        self._rollbacks: list[int] = []  # the seqno of each rollback so far
        self._head = Point(seqno, 0)
        # The points of versions committed … version, so the first shows the committed state.
        self._window: deque[Point] = deque([self._head])

    def begin(self, *, read_only: bool = False) -> Tx:
        """Return a transaction on the newest version."""
        return Tx(self._maps, self._head, self._window[0], read_only)

    def begin_committed(self) -> Tx:
        """Return a read-only transaction on the committed version."""
        committed = self._window[0]
        return Tx(self._maps, committed, committed, True)

    def begin_previous(self) -> Tx:
        """Return a read-only transaction on the version before the newest one.

        The newest version must not be committed yet: there is no way back behind that.
        """
        assert self.version > self.committed, f"version {self.version} is committed already"
        return Tx(self._maps, self._window[-2], self._window[0], True)

    def check(self, tx: Tx) -> bool:
        """Say whether everything the transaction read is still so."""
        return not self._was_dropped(tx.point) and tx.conflict() is None

    def commit(self, tx: Tx, seqno: int) -> Changes | Conflict:
        """Apply a transaction's writes, when nothing that it read has changed since it began.

        Args:
            tx: A transaction of this store with writes, not committed before.
            seqno: ``version + 1``.

        Returns:
            The changes, which nobody may alter any more, or why there are none.
        """
        if tx.point.next is not None:
            if self._was_dropped(tx.point):
                return Conflict(None)
            map_name = tx.conflict()
            if map_name is not None:
                return Conflict(map_name)
        changes = tx.changes
        self.apply(seqno, changes)
        return changes

    def apply(self, seqno: int, changes: Changes) -> None:
        """Make a new version by changes that somebody else checked.

        Args:
            seqno: ``version + 1``.
            changes: Map name to key to value, None to remove.

        Raises:
            MisuseError: another seqno.
        """
        if seqno != self.version + 1:
            raise MisuseError(f"got changes for seqno {seqno}, want {self.version + 1}")
        undo: Past = {}
        stamp = seqno.to_bytes(STAMP_SIZE, "little")
        maps = self._maps
        for name, writes in changes.items():
            if not writes:
                continue
            state = maps.get(name)
            if state is None:
                state = maps[name] = MapState(name)
            step = undo[name] = MapPast(state.version)
            state.version = seqno
            records, before = state.records, step.records
            for key, value in writes.items():
                old = records.get(key)
                if value is not None:
                    records[key] = stamp + value
                    before[key] = old
                    if old is None:
                        state.note(key)
                elif old is not None:
                    del records[key]
                    before[key] = old
                    state.note(key)
        point = Point(seqno, len(self._rollbacks))
        head = self._head
        head.undo = undo
        head.next = self._head = point
        self._window.append(point)
        self.version = seqno

    def advance(self, seqno: int) -> None:
        """Make a new version that changes no map.

        Raises:
            MisuseError: the seqno is not ``version + 1``.
        """
        self.apply(seqno, {})

    def fill(self, seqno: int, changes: Changes) -> None:
        """Give a version made by ``advance`` the changes that were not known then.

        For signature transactions, whose seqno is reserved before their bytes exist. Transactions
        that began before this call do not see the changes, and conflict when they read what has
        changed, as with any other version.

        Args:
            seqno: In ``(committed, version]``, made by ``advance``.
            changes: Puts in maps that nobody wrote since ``seqno``.
        """
        assert self.committed < seqno <= self.version, f"seqno {seqno} is not open to be filled"
        undo = self._window[seqno - 1 - self.committed].undo
        assert not undo, f"seqno {seqno} has changes already"
        stamp = seqno.to_bytes(STAMP_SIZE, "little")
        for name, writes in changes.items():
            state = self._maps.get(name)
            if state is None:
                state = self._maps[name] = MapState(name)
            assert state.version < seqno, f"map {name} was written after seqno {seqno}"
            step = undo[name] = MapPast(state.version)
            state.version = seqno
            for key, value in writes.items():
                assert value is not None, "a reserved version is filled with puts"
                old = step.records[key] = state.records.get(key)
                state.records[key] = stamp + value
                if old is None:
                    state.note(key)
        self._renew_points(seqno, undo)

    def _renew_points(self, seqno: int, undo: Past) -> None:
        """Give every version from ``seqno`` on a fresh point after it was filled.

        Whoever holds an old one has not seen the changes, and finds at the end of the old chain
        what they overwrote; so a step there that is filled later still stays empty.
        """
        rollbacks = len(self._rollbacks)
        later: Point | None = None
        for index in range(self.version - self.committed, seqno - self.committed - 1, -1):
            old = self._window[index]
            point = self._window[index] = Point(old.seqno, rollbacks)
            point.undo, point.next = old.undo or {}, later
            later = point
        self._head.undo = undo
        self._head.next = newest = self._window[-1]
        self._head = newest

    def rollback(self, seqno: int) -> None:
        """Return to an earlier version. Costs what was changed since it.

        Transactions that began at later versions keep their snapshots and cannot commit.

        Args:
            seqno: In ``[committed, version]``.

        Raises:
            MisuseError: outside that range.
        """
        if not self.committed <= seqno <= self.version:
            raise MisuseError(
                f"got a rollback to seqno {seqno}, want one in [{self.committed}, {self.version}]"
            )
        if seqno == self.version:
            return
        undo: Past = {}  # from the kept version to the newest: the oldest record of a key wins
        for index in range(seqno - self.committed, self.version - self.committed):
            add_later(undo, self._window[index].undo)
        for _ in range(self.version - seqno):
            self._window.pop()
        self._rollbacks.append(seqno)
        redo = {name: self._restore(self._maps[name], step) for name, step in undo.items()}
        # Readers of the dropped versions come to the kept one through what the rollback overwrote.
        self._head.undo = redo
        self._head.next = kept = self._window[-1]
        kept.become_newest()
        self._head = kept
        self.version = seqno

    def compact(self, seqno: int) -> None:
        """Give up the way back to versions before ``seqno``. Costs the versions given up.

        Args:
            seqno: In ``[committed, version]``.

        Raises:
            MisuseError: outside that range.
        """
        if not self.committed <= seqno <= self.version:
            raise MisuseError(
                f"got a compaction at seqno {seqno}, want one in [{self.committed}, {self.version}]"
            )
        forget = self._window.popleft
        for _ in range(seqno - self.committed):
            forget()
        self.committed = seqno

    def map_version(self, name: str) -> int:
        """Return the seqno of the last write or removal in a map, 0 when there never was one."""
        state = self._maps.get(name)
        return 0 if state is None else state.version

    def map_names(self) -> list[str]:
        """Return the names of the maps that were ever written at the newest version, sorted.

        A map whose keys were all removed is among them.
        """
        return sorted(name for name, state in self._maps.items() if state.version > 0)

    def contents(self) -> Iterator[MapContents]:
        """Iterate the whole committed state, maps by name: what a snapshot holds.

        The state is the one at the call, however long the iteration takes and whatever is
        committed meanwhile.
        """
        return whole_state(dict(self._maps), self._window[0])

    def load(self, seqno: int, maps: Iterable[MapContents]) -> None:
        """Fill an empty store with a whole state, which is committed.

        Args:
            seqno: The version of the state.
            maps: The maps, each once.

        Raises:
            MisuseError: the store is not empty, or something in the state is newer than it or
                has no version.
        """
        if self._maps or self.version > 0:
            raise MisuseError(f"got a state for a store at seqno {self.version}, want an empty one")
        loaded: dict[str, MapState] = {}
        for contents in maps:
            state = loaded[contents.name] = MapState(contents.name)
            state.version = contents.version
            state.records = dict(contents.records)
            check_versions(state, seqno)
        self._maps.update(loaded)
        self.version = self.committed = seqno
        self._head = Point(seqno, 0)
        self._window = deque([self._head])

    def _was_dropped(self, point: Point) -> bool:
        """Say whether a rollback removed the version that the point shows."""
        return any(seqno < point.seqno for seqno in self._rollbacks[point.rollbacks :])

    def _restore(self, state: MapState, step: MapPast) -> MapPast:
        """Put a map back, and return what was there."""
        redo = MapPast(state.version)
        state.version = step.version
        records = state.records
        for key, old in step.records.items():
            redo.records[key] = records.get(key)
            if old is not None:
                records[key] = old
            else:
                records.pop(key, None)
            state.note(key)
        return redo
