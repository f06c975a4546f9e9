"""A Merkle tree by definition: all leaves, everything recomputed, RFC 6962 shape."""

from hashlib import sha256


def split_of(count: int) -> int:
    """Return the largest power of two below ``count``."""
    power = 1
    while power * 2 < count:
        power *= 2
    return power


def root_of(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    split = split_of(len(leaves))
    return sha256(root_of(leaves[:split]) + root_of(leaves[split:])).digest()


def path_of(leaves: list[bytes], index: int) -> list[tuple[bool, bytes]]:
    if len(leaves) == 1:
        return []
    split = split_of(len(leaves))
    if index < split:
        return [*path_of(leaves[:split], index), (False, root_of(leaves[split:]))]
    return [*path_of(leaves[split:], index - split), (True, root_of(leaves[:split]))]


def serialised(leaves: list[bytes], first: int) -> bytes:
    """The tree table's value; the extras are roots of the full subtrees left of ``first``."""
    extras = []
    for bit in range(first.bit_length()):
        if first >> bit & 1:
            end = first >> bit << bit
            extras.append(root_of(leaves[end - (1 << bit) : end]))
    head = (len(leaves) - first).to_bytes(8, "big") + first.to_bytes(8, "big")
    return b"".join([head, *leaves[first:], *extras])
