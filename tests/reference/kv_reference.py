"""The store as slow plain dicts: every version is a full copy; a read that now differs conflicts.

Says what ``ledger.kv`` should do, in the shortest way; knows nothing of points, undo or order.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from ledger.codec.writeset import Changes

State = dict[str, dict[bytes, tuple[int, bytes]]]
"""Map name to key to (seqno of the write, value)."""


@dataclass
class Fate:
    """Whether a version was rolled back; shared by everything it was before and after a fill."""

    dropped: bool = False


@dataclass
class Version:
    """One version: everything in the store, and the last write of each map."""

    seqno: int
    state: State
    map_versions: dict[str, int]
    fate: Fate = field(default_factory=Fate)


@dataclass
class ReferenceTx:
    """A transaction: the version it began at, what it read and wrote."""

    version: Version
    committed: Version
    writes: Changes = field(default_factory=dict)
    reads: list[Callable[[str, bytes], bool]] = field(default_factory=list)

    def own(self, name: str) -> dict[bytes, bytes | None]:
        return self.writes.setdefault(name, {})

    def records(self, name: str) -> dict[bytes, tuple[int, bytes]]:
        return self.version.state.get(name, {})

    def get(self, name: str, key: bytes) -> bytes | None:
        if key in self.own(name):
            return self.own(name)[key]
        self._note_key(name, key)
        record = self.records(name).get(key)
        return None if record is None else record[1]

    def version_of(self, name: str, key: bytes) -> int | None:
        self._note_key(name, key)
        record = self.records(name).get(key)
        return None if record is None else record[0]

    def get_committed(self, name: str, key: bytes) -> bytes | None:
        record = self.committed.state.get(name, {}).get(key)
        return None if record is None else record[1]

    def visible(self, name: str) -> dict[bytes, bytes]:
        merged: dict[bytes, bytes | None] = {k: r[1] for k, r in self.records(name).items()}
        merged.update(self.own(name))
        return {key: value for key, value in sorted(merged.items()) if value is not None}

    def size(self, name: str) -> int:
        self._note_range(name, b"", None)
        return len(self.visible(name))

    def clear(self, name: str) -> None:
        self._note_range(name, b"", None)
        for key in [*self.records(name), *self.own(name)]:
            self.own(name)[key] = None

    def items(
        self, name: str, begin: bytes, end: bytes | None, *, reverse: bool, limit: int
    ) -> list[tuple[bytes, bytes]]:
        """Return at most ``limit`` pairs; only what was walked over counts as read."""
        if end is not None and end <= begin:
            return []
        found = [
            pair
            for pair in self.visible(name).items()
            if pair[0] >= begin and (end is None or pair[0] < end)
        ]
        if reverse:
            found.reverse()
        if limit == 0:
            return []
        if len(found) < limit:
            self._note_range(name, begin, end)
        elif reverse:
            self._note_range(name, found[limit - 1][0], end)
        else:
            self._note_range(name, begin, found[limit - 1][0] + b"\x00")
        return found[:limit]

    def _note_key(self, name: str, key: bytes) -> None:
        self.reads.append(lambda n, k: (n, k) == (name, key))

    def _note_range(self, name: str, begin: bytes, end: bytes | None) -> None:
        self.reads.append(lambda n, k: n == name and k >= begin and (end is None or k < end))


class ReferenceStore:
    """Full copies of every version since the committed one."""

    def __init__(self) -> None:
        self.versions = [Version(0, {}, {})]

    @property
    def newest(self) -> Version:
        return self.versions[-1]

    @property
    def committed(self) -> Version:
        return self.versions[0]

    def begin(self) -> ReferenceTx:
        return ReferenceTx(self.newest, self.committed)

    def begin_committed(self) -> ReferenceTx:
        return ReferenceTx(self.committed, self.committed)

    def conflicts(self, tx: ReferenceTx) -> bool:
        if tx.version.fate.dropped:
            return True
        then, now = tx.version.state, self.newest.state
        return any(
            read(name, key)
            for name in {*then, *now}
            for key in {*then.get(name, {}), *now.get(name, {})}
            if then.get(name, {}).get(key) != now.get(name, {}).get(key)
            for read in tx.reads
        )

    def apply(self, changes: Changes) -> None:
        seqno = self.newest.seqno + 1
        state = {name: dict(records) for name, records in self.newest.state.items()}
        map_versions = dict(self.newest.map_versions)
        for name, writes in changes.items():
            records = state.setdefault(name, {})
            for key, value in writes.items():
                map_versions[name] = seqno
                if value is not None:
                    records[key] = (seqno, value)
                else:
                    records.pop(key, None)
        self.versions.append(Version(seqno, state, map_versions))

    def fill(self, seqno: int, changes: Changes) -> None:
        """Change a version and all later ones; whoever has begun keeps the old ones."""
        for place, old in enumerate(self.versions):
            if old.seqno >= seqno:
                state = {name: dict(records) for name, records in old.state.items()}
                for name, writes in changes.items():
                    for key, value in writes.items():
                        assert value is not None
                        state.setdefault(name, {})[key] = (seqno, value)
                map_versions = old.map_versions | dict.fromkeys(changes, seqno)
                self.versions[place] = Version(old.seqno, state, map_versions, old.fate)

    def rollback(self, seqno: int) -> None:
        while self.newest.seqno > seqno:
            self.newest.fate.dropped = True
            self.versions.pop()

    def compact(self, seqno: int) -> None:
        while self.committed.seqno < seqno:
            del self.versions[0]
