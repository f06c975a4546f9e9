"""A whole state of the store, out and in: what a snapshot file holds."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ledger.base.errors import MisuseError
from ledger.kv.point import Point
from ledger.kv.state import STAMP_SIZE, MapState, Record, version_of_record
from ledger.kv.view import record_at, unordered_keys_at, version_at


@dataclass(frozen=True, slots=True)
class MapContents:
    """One map of a whole state, as snapshots hold it.

    Attributes:
        name: The map's name.
        version: Seqno of the last write or removal in the map.
        records: Key and record (8 bytes little-endian seqno of the write, then the value), each
            key once, in no order.
    """

    name: str
    version: int
    records: Iterable[tuple[bytes, Record]]


def whole_state(maps: dict[str, MapState], point: Point) -> Iterator[MapContents]:
    """Iterate the maps that were ever written at a point, by name.

    Args:
        maps: All maps; not changed by the caller while this runs.
        point: What to show, however long the iteration takes.
    """
    for name in sorted(maps):
        state = maps[name]
        version = version_at(state, point)
        if version > 0:
            yield MapContents(name, version, _records(state, point))


def _records(state: MapState, point: Point) -> Iterator[tuple[bytes, Record]]:
    for key in unordered_keys_at(state, point):
        record = record_at(state, point, key)
        assert record is not None, "a key at a point has a record there"
        yield key, record


def check_versions(state: MapState, seqno: int) -> None:
    """Refuse a map whose versions cannot be in a state at ``seqno``.

    Raises:
        MisuseError: a record is newer than the map, or the map than the state, or has no version.
    """
    shortest = min(map(len, state.records.values()), default=STAMP_SIZE)
    assert shortest >= STAMP_SIZE, f"a record of map {state.name} has {shortest} bytes"
    newest = max((version_of_record(record) for record in state.records.values()), default=0)
    if not newest <= state.version <= seqno or state.version == 0:
        raise MisuseError(
            f"got map {state.name} with version {state.version} and records up to {newest} in a "
            f"state of seqno {seqno}, want records <= map <= state and none without a version"
        )
