"""Keys of one map in byte order, kept only for maps that somebody reads in order.

Writers pay one list append for a key that appears or vanishes (``note``); the next ordered read
sorts these in (``settle``). The keys are held in blocks of bounded size, so that sorting in a
few keys moves a few thousand words however large the map is.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Container, Iterable

_BLOCK = 512
"""Keys per block after a rebuild; a block is split at twice that."""
_REBUILD_SHARE = 8
"""More noted keys than a block and than one in this many: merging all is faster than one by one."""


class KeyOrder:
    """The keys of one map, ascending.

    Args:
        keys: The keys that are present now, in any order.
    """

    __slots__ = ("_blocks", "_count", "_firsts", "_noted")

    def __init__(self, keys: Iterable[bytes]) -> None:
        self._noted: list[bytes] = []
        self._fill(sorted(keys))

    def note(self, key: bytes) -> bool:
        """Remember that a key may have appeared or vanished; sorted in by the next ``settle``.

        Returns:
            False when so much was noted that making a new order is cheaper than keeping this one.
        """
        self._noted.append(key)
        return len(self._noted) <= self._count + _BLOCK

    def settle(self, present: Container[bytes]) -> None:
        """Sort in what was noted.

        Args:
            present: Says whether a noted key is in the map now.
        """
        noted = self._noted
        if not noted:
            return
        self._noted = []
        if len(noted) > _BLOCK and len(noted) * _REBUILD_SHARE > self._count:
            self._merge(set(noted), present)
            return
        for key in noted:
            if key in present:
                self._add(key)
            else:
                self._discard(key)

    def run(self, begin: bytes, end: bytes | None, *, reverse: bool) -> tuple[list[bytes], bool]:
        """Return a first run of the keys in ``[begin, end)``: at most one block of them.

        Args:
            begin: Smallest key wanted.
            end: First key no longer wanted; None for no bound.
            reverse: Start from the end; the run is then descending.

        Returns:
            The keys, and whether they are all there are. An unfinished run is never empty.
        """
        if not self._blocks:
            return [], True
        if reverse:
            return self._run_down(begin, end)
        index = max(bisect_right(self._firsts, begin) - 1, 0)
        block = self._blocks[index]
        low = bisect_left(block, begin)
        if low == len(block):
            index += 1
            if index == len(self._blocks):
                return [], True
            block, low = self._blocks[index], 0
        high = len(block) if end is None else bisect_left(block, end, low)
        return block[low:high], high < len(block) or index + 1 == len(self._blocks)

    def _run_down(self, begin: bytes, end: bytes | None) -> tuple[list[bytes], bool]:
        index = (len(self._blocks) if end is None else bisect_left(self._firsts, end)) - 1
        if index < 0:
            return [], True
        block = self._blocks[index]
        high = len(block) if end is None else bisect_left(block, end)
        low = min(bisect_left(block, begin), high)
        return block[low:high][::-1], low > 0 or index == 0

    def _fill(self, keys: list[bytes]) -> None:
        self._count = len(keys)
        self._blocks = [keys[start : start + _BLOCK] for start in range(0, len(keys), _BLOCK)]
        self._firsts = [block[0] for block in self._blocks]

    def _merge(self, noted: set[bytes], present: Container[bytes]) -> None:
        keys = [key for block in self._blocks for key in block if key not in noted]
        keys += sorted(key for key in noted if key in present)
        keys.sort()  # two ascending runs: linear
        self._fill(keys)

    def _add(self, key: bytes) -> None:
        if not self._blocks:
            self._fill([key])
            return
        index = max(bisect_right(self._firsts, key) - 1, 0)
        block = self._blocks[index]
        place = bisect_left(block, key)
        if place < len(block) and block[place] == key:
            return
        block.insert(place, key)
        self._count += 1
        self._firsts[index] = block[0]
        if len(block) >= 2 * _BLOCK:
            self._blocks[index : index + 1] = [block[:_BLOCK], block[_BLOCK:]]
            insort(self._firsts, block[_BLOCK])

    def _discard(self, key: bytes) -> None:
        index = bisect_right(self._firsts, key) - 1
        if index < 0:
            return
        block = self._blocks[index]
        place = bisect_left(block, key)
        if place == len(block) or block[place] != key:
            return
        del block[place]
        self._count -= 1
        if block:
            self._firsts[index] = block[0]
        else:
            del self._blocks[index], self._firsts[index]
