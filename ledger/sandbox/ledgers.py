"""Comparing the ledgers of several nodes: committed chunks are the same bytes everywhere."""

from collections.abc import Sequence
from pathlib import Path

from ledger.base.errors import FormatError, VerificationError
from ledger.files.names import parse_chunk_name


def committed_chunks(ledger: Path) -> dict[str, Path]:
    """Return the committed chunks in a ledger directory by name, oldest first."""
    found = []
    for path in ledger.iterdir():
        try:
            name = parse_chunk_name(path.name)
        except FormatError:
            continue
        if name.is_committed and not name.is_ignored:
            found.append((name.first, path))
    return {path.name: path for _, path in sorted(found)}


def compare_ledgers(ledgers: Sequence[Path]) -> list[str]:
    """Check that committed chunks are byte-identical; a node may have fewer of them.

    Args:
        ledgers: Ledger directories of nodes of one service.

    Returns:
        Names of the chunks that every node has.

    Raises:
        VerificationError: two nodes have other bytes, or cut their chunks at other places.
    """
    held = [committed_chunks(ledger) for ledger in ledgers]
    longest = max(held, key=len)
    for ledger, chunks in zip(ledgers, held, strict=True):
        if list(chunks) != list(longest)[: len(chunks)]:
            raise VerificationError(f"got chunks {list(chunks)} in {ledger}, want {list(longest)}")
        for name, path in chunks.items():
            if path.read_bytes() != longest[name].read_bytes():
                raise VerificationError(f"{path} and {longest[name]} differ, want the same bytes")
    return list(longest)[: min(map(len, held))]
