"""Key-value changes as bytes: the maps part of a ledger entry's public and private domain.

Per map: ``blob(name)``, u64 read version 0, u64 read count 0, u64 write count and that many
``blob(key) blob(value)``, u64 remove count and that many ``blob(key)``; integers little-endian,
``blob`` is a u64 length and the bytes. Maps are ordered by name and keys by bytes, so equal
changes make equal bytes on every node.

``encode`` is on the path of every write: it joins one list and packs small lengths by table.
"""

import itertools
from collections.abc import Iterator

from ledger.base.errors import FormatError

Changes = dict[str, dict[bytes, bytes | None]]
"""Map name to key to value; None removes the key. Changes without keys leave no trace."""

_SMALL = 1024
_U64 = tuple(number.to_bytes(8, "little") for number in range(_SMALL))
_ZERO, _ONE = _U64[0], _U64[1]
_PREFIXES_MAX = 4096
_u64 = int.from_bytes


_prefixes: dict[str, bytes] = {}
"""The constant start of each map's record: ``blob(name)`` and two zero words. A pure memo, bounded:
applications may invent map names without end."""


def _prefix_of(name: str) -> bytes:
    """Return ``blob(name)`` followed by 16 zero bytes."""
    prefix = _prefixes.get(name)
    if prefix is None:
        raw = name.encode()
        prefix = len(raw).to_bytes(8, "little") + raw + bytes(16)
        if len(_prefixes) >= _PREFIXES_MAX:
            _prefixes.clear()
        _prefixes[name] = prefix
    return prefix


def encode(changes: Changes) -> tuple[bytes, bytes]:
    """Serialise changes.

    Args:
        changes: Map name to key to value (None: removed). Maps without keys are left out.

    Returns:
        The maps whose name begins with ``public:``, and all others; each may be empty.
    """
    if len(changes) == 1:
        ((name, writes),) = changes.items()
        maps = _encode_map(name, writes)
        return (maps, b"") if name.startswith("public:") else (b"", maps)
    public: list[bytes] = []
    private: list[bytes] = []
    for name in sorted(changes):
        parts = public if name.startswith("public:") else private
        parts.append(_encode_map(name, changes[name]))
    return b"".join(public), b"".join(private)


def _encode_map(name: str, writes: dict[bytes, bytes | None]) -> bytes:
    """Serialise one map; empty when it has no keys."""
    if len(writes) != 1:
        return _encode_many(name, writes) if writes else b""
    # The common case: nothing to sort, one join.
    ((key, value),) = writes.items()
    prefix = _prefixes.get(name) or _prefix_of(name)
    size = len(key)
    key_size = _U64[size] if size < _SMALL else size.to_bytes(8, "little")
    if value is None:
        return b"".join((prefix, _ZERO, _ONE, key_size, key))
    size = len(value)
    value_size = _U64[size] if size < _SMALL else size.to_bytes(8, "little")
    return b"".join((prefix, _ONE, key_size, key, value_size, value, _ZERO))


def _encode_many(name: str, writes: dict[bytes, bytes | None]) -> bytes:
    parts: list[bytes] = []
    removed: list[bytes] = []
    for key in sorted(writes):
        value = writes[key]
        if value is None:
            removed += (len(key).to_bytes(8, "little"), key)
        else:
            parts += (len(key).to_bytes(8, "little"), key, len(value).to_bytes(8, "little"), value)
    written = (len(parts) // 4).to_bytes(8, "little")
    count = (len(removed) // 2).to_bytes(8, "little")
    return b"".join((_prefix_of(name), written, *parts, count, *removed))


def decode(data: bytes, *, strict: bool = True) -> Changes:
    """Parse the maps of one domain.

    Args:
        data: Public maps or decrypted private maps.
        strict: Accept only what ``encode`` makes: sorted, no duplicates, no empty map, read
            version 0, no reads. Otherwise reads are skipped and the last of equal keys wins.

    Raises:
        FormatError: the bytes end early or a map name is not UTF-8; when strict, also any form
            that ``encode`` does not make.
    """
    changes: Changes = {}
    for name, _, _, writes, removes in _records(data):
        target = changes.setdefault(name, {})
        target.update(writes)
        for key in removes:
            target[key] = None
    if strict and (data not in encode(changes) or "" in changes):
        found = deviations(data) or ["got public and private maps in one domain"]
        raise FormatError(found[0])
    return changes


def deviations(data: bytes) -> list[str]:
    """Return in what the bytes differ from what ``encode`` makes; empty for canonical bytes.

    Raises:
        FormatError: the bytes do not parse even leniently.
    """
    found: list[str] = []
    previous = ""
    for name, version, reads, writes, removes in _records(data):
        _note_map(found, name, previous, (version, reads))
        _note_changes(found, name, [key for key, _ in writes], removes)
        previous = name
    return found


_Record = tuple[str, int, int, list[tuple[bytes, bytes]], list[bytes]]
"""Map name, read version, read count, writes, removes."""


def _records(data: bytes) -> Iterator[_Record]:
    """Yield the maps of a domain as they stand; the end of the data bounds every count."""
    size = len(data)
    at = 0
    while at < size:
        begin = at + 8
        at = begin + _u64(data[at:begin], "little")
        if at + 32 > size:
            raise FormatError(f"got {size} bytes of maps, want a whole map name and counts")
        try:
            name = data[begin:at].decode()
        except UnicodeDecodeError as error:
            raise FormatError(f"got a map name at {begin} that is not UTF-8") from error
        version = _u64(data[at : at + 8], "little")
        reads = _u64(data[at + 8 : at + 16], "little")
        at = _skip_reads(data, at + 16, reads) if reads else at + 16
        at, writes = _read_writes(data, at)
        at, removes = _read_removes(data, at)
        yield name, version, reads, writes, removes


def _skip_reads(data: bytes, at: int, count: int) -> int:
    """Return the position after ``count`` reads of a key and its version."""
    for _ in range(count):
        at += 16 + _u64(data[at : at + 8], "little")
        if at > len(data):
            raise FormatError(f"got {len(data)} bytes of maps, want {count} whole reads")
    return at


def _read_writes(data: bytes, at: int) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Return the position after the writes, and the writes as key and value."""
    size = len(data)
    count = _u64(data[at : at + 8], "little")
    at += 8
    writes = []
    for _ in range(count):
        key_at = at + 8
        key_end = key_at + _u64(data[at:key_at], "little")
        value_at = key_end + 8
        at = value_at + _u64(data[key_end:value_at], "little")
        if at > size:
            raise FormatError(f"got {size} bytes of maps, want {count} whole writes")
        writes.append((data[key_at:key_end], data[value_at:at]))
    return at, writes


def _read_removes(data: bytes, at: int) -> tuple[int, list[bytes]]:
    """Return the position after the removes, and their keys."""
    size = len(data)
    if at + 8 > size:
        raise FormatError(f"got {size} bytes of maps, want a remove count at {at}")
    count = _u64(data[at : at + 8], "little")
    at += 8
    removes = []
    for _ in range(count):
        begin = at + 8
        at = begin + _u64(data[at:begin], "little")
        if at > size:
            raise FormatError(f"got {size} bytes of maps, want {count} whole removes")
        removes.append(data[begin:at])
    return at, removes


def _note_map(found: list[str], name: str, previous: str, reads: tuple[int, int]) -> None:
    """Append what is not canonical in the header of one map."""
    if not name:
        found.append("got an empty map name")
    elif name == previous:
        found.append(f"got map {name!r} twice")
    elif name < previous:
        found.append(f"got map {name!r} after {previous!r}, want them ordered")
    if reads[0]:
        found.append(f"got read version {reads[0]} in map {name!r}, want 0")
    if reads[1]:
        found.append(f"got {reads[1]} reads in map {name!r}, want none")


def _note_changes(found: list[str], name: str, written: list[bytes], removed: list[bytes]) -> None:
    """Append what is not canonical in the keys of one map."""
    if not written and not removed:
        found.append(f"got map {name!r} without writes and removes")
    for kind, keys in (("written", written), ("removed", removed)):
        for before, key in itertools.pairwise(keys):
            if key == before:
                found.append(f"got {kind} key {_brief(key)} twice in map {name!r}")
            elif key < before:
                found.append(f"got {kind} key {_brief(key)} out of order in map {name!r}")
    if written and removed:
        found.extend(
            f"got key {_brief(key)} written and removed in map {name!r}"
            for key in sorted(set(written).intersection(removed))
        )


def _brief(key: bytes) -> str:
    return key[:32].hex()
