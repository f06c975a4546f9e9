"""Entries of scenarios and simulations as bytes that say what role they have."""

from collections.abc import Sequence

from ledger.base.ids import NodeId
from ledger.consensus.types import PLAIN, Applied, Entry, Proposed

SIGNATURE = Applied(committable=True)


def raw(seqno: int, text: str) -> Proposed:
    """Return an entry without a role that carries a text."""
    return Proposed(seqno, b"r" + text.encode())


def signature(seqno: int) -> Proposed:
    """Return a signature."""
    return Proposed(seqno, b"s", committable=True)


def configuration(seqno: int, nodes: frozenset[NodeId]) -> Proposed:
    """Return an entry that sets the nodes."""
    return Proposed(seqno, b"c" + _join(nodes), configuration=nodes)


def retired_committed(seqno: int, nodes: frozenset[NodeId]) -> Proposed:
    """Return an entry that marks nodes as removable."""
    return Proposed(seqno, b"x" + _join(nodes), retired_committed=nodes)


def apply(view: int, seqno: int, data: bytes) -> Applied | None:
    """Say what an entry does; None for bytes that none of the functions above makes."""
    del view, seqno
    match data[:1]:
        case b"r":
            return PLAIN
        case b"s":
            return SIGNATURE
        case b"c":
            return Applied(configuration=_split(data[1:]))
        case b"x":
            return Applied(retired_committed=_split(data[1:]))
        case _:
            return None


def membership(
    entries: Sequence[Entry],
) -> tuple[list[tuple[int, frozenset[NodeId]]], frozenset[NodeId]]:
    """Return what a committed log says of its nodes.

    Returns:
        Its newest configuration, in a list of one, and the nodes that have left without being
        marked as removable.
    """
    newest: list[tuple[int, frozenset[NodeId]]] = []
    left: set[NodeId] = set()
    for entry in entries:
        role = apply(entry.view, entry.seqno, entry.data) or PLAIN
        if role.configuration is not None:
            left |= (newest[0][1] if newest else frozenset()) - role.configuration
            newest = [(entry.seqno, role.configuration)]
        left -= role.retired_committed or frozenset()
    return newest, frozenset(left)


def _join(nodes: frozenset[NodeId]) -> bytes:
    return ",".join(sorted(nodes)).encode()


def _split(data: bytes) -> frozenset[NodeId]:
    return frozenset(NodeId(node) for node in data.decode().split(","))
