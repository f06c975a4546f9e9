"""One map as a point shows it: reads that stay stable while the store moves on.

These functions serve the rarer reads; ``handle`` has the common one, a get at the newest point,
in line.
"""

from collections.abc import Iterator

from ledger.kv.point import MapPast, Point
from ledger.kv.state import MapState, Record


def past_of(state: MapState, point: Point) -> MapPast | None:
    """Return where the map at the point differs from now; None when it does not."""
    return None if point.next is None else point.past().get(state.name)


def record_at(state: MapState, point: Point, key: bytes) -> Record | None:
    """Return the record of a key at the point."""
    past = past_of(state, point)
    if past is not None and key in past.records:
        return past.records[key]
    return state.records.get(key)


def size_at(state: MapState, point: Point) -> int:
    """Return how many keys the map has at the point."""
    size = len(state.records)
    past = past_of(state, point)
    if past is not None:
        for key, record in past.records.items():
            size += (record is not None) - (key in state.records)
    return size


def version_at(state: MapState, point: Point) -> int:
    """Return the seqno of the last write to the map at the point."""
    past = past_of(state, point)
    return state.version if past is None else past.version


def unordered_keys_at(state: MapState, point: Point) -> list[bytes]:
    """Return the keys at the point in no order, without making the map's order."""
    past = past_of(state, point)
    if past is None:
        return list(state.records)
    keys = [key for key in state.records if key not in past.records]
    keys += [key for key, record in past.records.items() if record is not None]
    return keys


def keys_at(
    state: MapState, point: Point, begin: bytes, end: bytes | None, *, reverse: bool
) -> Iterator[bytes]:
    """Iterate the keys in ``[begin, end)`` at the point, in byte order.

    The store may move on between two keys: each run of keys is taken whole, and the next one is
    looked for from where it ended.
    """
    done = False
    while not done:
        keys, done = state.ordered().run(begin, end, reverse=reverse)
        low, high = begin, end
        if not done and reverse:
            low = end = keys[-1]
        elif not done:
            high = begin = keys[-1] + b"\x00"
        past = past_of(state, point)
        if past is not None:
            keys = _as_it_was(keys, past, low, high, reverse=reverse)
        yield from keys


def _as_it_was(
    keys: list[bytes], past: MapPast, begin: bytes, end: bytes | None, *, reverse: bool
) -> list[bytes]:
    changed = past.changed(begin, end)
    if not changed:
        return keys
    kept = set(keys).difference(changed)
    kept.update(key for key in changed if past.records[key] is not None)
    return sorted(kept, reverse=reverse)
