"""Key-value changes as bytes: the maps part of a ledger entry's public and private domain.

Per map: ``blob(name)``, u64 read version 0, u64 read count 0, u64 write count and that many
``blob(key) blob(value)``, u64 remove count and that many ``blob(key)``; integers little-endian,
``blob`` is a u64 length and the bytes. Maps are ordered by name and keys by bytes, so equal
changes make equal bytes on every node.

``encode`` is on the path of every write: it joins one list and packs small lengths by table.
"""

import itertools

from ledger.base.errors import FormatError

Changes = dict[str, dict[bytes, bytes | None]]
"""Map name to key to value; None removes the key. Changes without keys leave no trace."""

_SMALL = 1024
_U64 = tuple(number.to_bytes(8, "little") for number in range(_SMALL))
_ZERO, _ONE = _U64[0], _U64[1]
_PREFIXES_MAX = 4096


class MapPrefixCache:
    """Remembers the constant start of each map's record: ``blob(name)`` and two zero words.

    A pure memo, bounded: applications may invent map names without end.
    """

    __slots__ = ("_prefixes",)

    def __init__(self) -> None:
        self._prefixes: dict[str, bytes] = {}

    def get(self, name: str) -> bytes:
        """Return ``blob(name)`` followed by 16 zero bytes."""
        prefix = self._prefixes.get(name)
        if prefix is None:
            raw = name.encode()
            prefix = len(raw).to_bytes(8, "little") + raw + bytes(16)
            if len(self._prefixes) >= _PREFIXES_MAX:
                self._prefixes.clear()
            self._prefixes[name] = prefix
        return prefix


_cache = MapPrefixCache()
_prefix_of = _cache.get


def encode(changes: Changes) -> tuple[bytes, bytes]:
    """Serialise changes.

    Args:
        changes: Map name to key to value (None: removed). Maps without keys are left out.

    Returns:
        The maps whose name begins with ``public:``, and all others; each may be empty.
    """
    public: list[bytes] = []
    private: list[bytes] = []
    for name in changes if len(changes) == 1 else sorted(changes):
        writes = changes[name]
        parts = public if name.startswith("public:") else private
        if len(writes) == 1:
            _append_single(parts, name, writes)
        elif writes:
            _append_many(parts, name, writes)
    return b"".join(public), b"".join(private)


def _append_single(parts: list[bytes], name: str, writes: dict[bytes, bytes | None]) -> None:
    """Append a map with one change, the common case: nothing to sort, one extend."""
    for key, value in writes.items():
        size = len(key)
        key_size = _U64[size] if size < _SMALL else size.to_bytes(8, "little")
        if value is None:
            parts += (_prefix_of(name), _ZERO, _ONE, key_size, key)
        else:
            size = len(value)
            value_size = _U64[size] if size < _SMALL else size.to_bytes(8, "little")
            parts += (_prefix_of(name), _ONE, key_size, key, value_size, value, _ZERO)


def _append_many(parts: list[bytes], name: str, writes: dict[bytes, bytes | None]) -> None:
    parts.append(_prefix_of(name))
    removed: list[bytes] = []
    count_at = len(parts)
    parts.append(_ZERO)
    count = 0
    for key in sorted(writes):
        value = writes[key]
        if value is None:
            removed.append(key)
        else:
            parts += (len(key).to_bytes(8, "little"), key, len(value).to_bytes(8, "little"), value)
            count += 1
    parts[count_at] = count.to_bytes(8, "little")
    parts.append(len(removed).to_bytes(8, "little"))
    for key in removed:
        parts += (len(key).to_bytes(8, "little"), key)


class _Reader:
    """A cursor over the maps of a domain that never reads past its end."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def u64(self) -> int:
        begin = self.position
        end = begin + 8
        if end > len(self.data):
            raise FormatError(f"got {len(self.data) - begin} bytes at {begin}, want a u64")
        self.position = end
        return int.from_bytes(self.data[begin:end], "little")

    def blob(self) -> bytes:
        size = self.u64()
        begin = self.position
        end = begin + size
        if end > len(self.data):
            raise FormatError(f"got {len(self.data) - begin} bytes at {begin}, want {size}")
        self.position = end
        return self.data[begin:end]

    def name(self) -> str:
        at = self.position
        try:
            return self.blob().decode()
        except UnicodeDecodeError as error:
            raise FormatError(f"got a map name at {at} that is not UTF-8") from error


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
    found: list[str] | None = [] if strict else None
    changes = _decode(data, found)
    if found:
        raise FormatError(found[0])
    return changes


def deviations(data: bytes) -> list[str]:
    """Return in what the bytes differ from what ``encode`` makes; empty for canonical bytes.

    Raises:
        FormatError: the bytes do not parse even leniently.
    """
    found: list[str] = []
    _decode(data, found)
    return found


def _decode(data: bytes, found: list[str] | None) -> Changes:
    reader = _Reader(data)
    changes: Changes = {}
    previous = ""
    while reader.position < len(data):
        name = reader.name()
        version = reader.u64()
        reads = reader.u64()
        _skip_reads(reader, reads)
        writes, removes = _read_changes(reader)
        if found is not None:
            _note_map(found, name, previous, (version, reads))
            _note_changes(found, name, [key for key, _ in writes], removes)
        previous = name
        target = changes.setdefault(name, {})
        target.update(writes)
        target.update(dict.fromkeys(removes))
    return changes


def _skip_reads(reader: _Reader, count: int) -> None:
    for _ in range(count):
        reader.blob()
        reader.u64()


def _read_changes(reader: _Reader) -> tuple[list[tuple[bytes, bytes]], list[bytes]]:
    """Read writes and removes; the end of the data bounds both counts."""
    writes = []
    for _ in range(reader.u64()):
        key = reader.blob()
        writes.append((key, reader.blob()))
    removes = [reader.blob() for _ in range(reader.u64())]
    return writes, removes


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
