"""Majorities, always counted in each configuration by itself and never over a union of them."""

from collections.abc import Collection, Mapping, Sequence

from ledger.base.ids import NodeId


def quorum_size(count: int) -> int:
    """Return the smallest majority of a configuration of ``count`` nodes."""
    return count // 2 + 1


def has_quorum(configurations: Sequence[Collection[NodeId]], granted: Collection[NodeId]) -> bool:
    """Say whether ``granted`` holds a majority of every active configuration.

    Args:
        configurations: Active configurations; without any there is no quorum.
        granted: Nodes that said yes, members or not.
    """
    if not configurations:
        return False
    for nodes in configurations:
        votes = sum(1 for node in nodes if node in granted)
        if votes < quorum_size(len(nodes)):
            return False
    return True


def committable_seqno(
    configurations: Sequence[Collection[NodeId]], acked: Mapping[NodeId, int]
) -> int:
    """Return the highest seqno held by a majority of every active configuration.

    Args:
        configurations: Active configurations, oldest first; at least one, none empty.
        acked: Highest seqno each node is known to hold. Absent nodes count as 0.

    Returns:
        A seqno in ``[0, max(acked)]``; 0 when some configuration has no majority yet.
    """
    assert configurations, "a node that counts commits knows at least one configuration"
    return min(_majority_seqno(nodes, acked) for nodes in configurations)


def _majority_seqno(nodes: Collection[NodeId], acked: Mapping[NodeId, int]) -> int:
    """Return the highest seqno that a majority of the nodes has reached."""
    assert nodes, "a configuration has at least one node"
    seqnos = sorted(acked.get(node, 0) for node in nodes)
    return seqnos[(len(seqnos) - 1) // 2]
