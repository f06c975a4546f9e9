"""What quorums and view histories mean, by trying everything; slow, and easy to believe."""

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations

from ledger.base.ids import NodeId


def is_majority(granted: Collection[NodeId], members: Collection[NodeId]) -> bool:
    """Say whether more than half of the members are in a set."""
    return 2 * len(set(granted) & set(members)) > len(members)


def has_quorum(configurations: Sequence[Collection[NodeId]], granted: Collection[NodeId]) -> bool:
    """Say whether a set meets every majority that could be formed against it."""
    if not configurations:
        return False
    for members in configurations:
        against = [node for node in members if node not in granted]
        for size in range(len(against) + 1):
            if any(is_majority(group, members) for group in combinations(against, size)):
                return False
        if not is_majority(granted, members):
            return False
    return True


def committable_seqno(
    configurations: Sequence[Collection[NodeId]], acked: Mapping[NodeId, int]
) -> int:
    """Return the highest seqno held by a majority of each configuration."""
    best = 0
    for seqno in range(1, max(acked.values(), default=0) + 1):
        holders = [node for node, held in acked.items() if held >= seqno]
        if all(is_majority(holders, members) for members in configurations):
            best = seqno
    return best


def starts_of(views: Sequence[int]) -> list[int]:
    """Return the first seqno of each view of a log, given the view of each entry."""
    newest = max(views, default=0)
    return [
        next(seqno for seqno, held in enumerate(views, start=1) if held >= view)
        for view in range(1, newest + 1)
    ]


def best_match(views: Sequence[int], view: int, seqno: int) -> int:
    """Return the highest seqno of a log that could agree with somebody's ``view.seqno``."""
    candidates = range(min(seqno, len(views)), 0, -1)
    return next((n for n in candidates if views[n - 1] <= view), 0)


def end_within(sizes: Sequence[int], first: int, last: int, bytes_max: int) -> int:
    """Return the end of the longest batch from ``first`` that fits, at least one entry."""
    end = first
    while end < last and sum(sizes[first - 1 : end + 1]) <= bytes_max:
        end += 1
    return end
