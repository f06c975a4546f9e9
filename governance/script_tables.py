"""Tables as scripts see them: keys are text, values are what JSON can say.

Built-in tables keep their own encodings, and a value that one of them cannot hold is refused with
the table's name. A table that nobody defined has UTF-8 keys and JSON values. The single value of
a singleton has the key None.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from governance import tables as governance_tables
from governance.script_access import Access, Phase, require
from governance.scripting import HostError
from ledger.base.errors import FormatError, MisuseError
from ledger.codec import canonical
from ledger.codec.tables import (
    BYTES,
    JSON,
    JSON_TEXT,
    SET_MEMBER,
    SINGLETON_KEY,
    STR,
    Codec,
    SetTable,
    Singleton,
    Table,
    check_name,
)
from ledger.kv.handle import MapHandle
from ledger.kv.tx import Tx
from ledger.tables import internal, members, nodes, service

Definition = Table[Any, Any] | Singleton[Any] | SetTable[Any]

LISTING_SIZE_MAX = 4 * 1024 * 1024
"""Largest ``keys`` or ``items`` answer, in encoded bytes: it is one frame to the script."""


def _definitions() -> dict[str, Definition]:
    found: dict[str, Definition] = {}
    for module in (internal, members, nodes, service, governance_tables):
        for value in vars(module).values():
            if isinstance(value, Table | Singleton | SetTable):
                found[value.name] = value
    return found


BUILT_IN = _definitions()
"""Definitions of every table that the framework knows, by name."""

VOLATILE = frozenset({internal.SIGNATURES.name, internal.COSE_SIGNATURES.name, internal.TREE.name})
"""Tables that change with every signature, which users cause: many times a second."""


class ScriptTables:
    """The tables of one transaction, for one phase of one script."""

    __slots__ = ("_phase", "_refuse_volatile", "_tx", "refused_table")

    def __init__(self, tx: Tx, phase: Phase, *, refuse_volatile: bool = False) -> None:
        self._tx = tx
        self._phase = phase
        self._refuse_volatile = refuse_volatile
        self.refused_table: str | None = None

    def get(self, table: str, key: str | None) -> Any:  # noqa: ANN401 - JSON of any shape
        """Return the value of a key, None when it has none; of a set: True, or None."""
        data = self._map(table, Access.READ).get(_key_bytes(table, key))
        return None if data is None else _value_of(table, data)

    def has(self, table: str, key: str | None) -> bool:
        """Say whether a key has a value."""
        return self._map(table, Access.READ).has(_key_bytes(table, key))

    def put(self, table: str, key: str | None, value: object) -> None:
        """Set the value of a key; the value for a set is True."""
        handle = self._map(table, Access.WRITE)
        handle.put(_key_bytes(table, key), _value_bytes(table, value))

    def remove(self, table: str, key: str | None) -> None:
        """Remove a key; nothing happens when it has no value."""
        self._map(table, Access.WRITE).remove(_key_bytes(table, key))

    def clear(self, table: str) -> None:
        """Remove every key."""
        self._map(table, Access.WRITE).clear()

    def size(self, table: str) -> int:
        """Return how many keys there are."""
        return self._map(table, Access.READ).size()

    def keys(self, table: str) -> list[str | None]:
        """Return all keys in byte order."""
        return [_key_of(table, key) for key, _ in self._listing(table)]

    def items(self, table: str) -> list[list[Any]]:
        """Return all keys with their values, in byte order of the keys."""
        return [[_key_of(table, key), _value_of(table, data)] for key, data in self._listing(table)]

    def put_bytes(self, table: str, key: bytes, value: bytes) -> None:
        """Set bytes as they are, for tables with encodings of an application's own."""
        handle = self._map(table, Access.WRITE)
        if table in BUILT_IN:
            raise HostError(f"table {table} has its own encoding: use kv.put")
        handle.put(key, value)

    def remove_bytes(self, table: str, key: bytes) -> None:
        """Remove the key with these bytes."""
        self._map(table, Access.WRITE).remove(key)

    def _map(self, table: str, wanted: Access) -> MapHandle:
        try:
            check_name(table)
        except MisuseError as error:
            raise HostError(str(error)) from error
        require(self._phase, table, wanted)
        if self._refuse_volatile and table in VOLATILE:
            self.refused_table = table
            raise HostError(f"table {table} changes faster than this script runs")
        return self._tx.map(table)

    def _listing(self, table: str) -> Iterator[tuple[bytes, bytes]]:
        size = 0
        for key, value in self._map(table, Access.READ).items():
            size += len(key) + len(value)
            if size > LISTING_SIZE_MAX:
                raise HostError(
                    f"table {table} is too large to list: more than {LISTING_SIZE_MAX} bytes"
                )
            yield key, value


def _key_bytes(table: str, key: str | None) -> bytes:
    definition = BUILT_IN.get(table)
    if key is None:
        if isinstance(definition, Table | SetTable):
            raise HostError(f"got no key for table {table}, want text")
        return SINGLETON_KEY
    if isinstance(definition, Singleton):
        raise HostError(f"got a key for table {table}, which has a single value: want None")
    try:
        return key.encode()
    except UnicodeEncodeError as error:
        raise HostError(f"got a key for table {table} without a UTF-8 form") from error


def _key_of(table: str, key: bytes) -> str | None:
    definition = BUILT_IN.get(table)
    if isinstance(definition, Singleton):
        return None
    if definition is None and key == SINGLETON_KEY:
        return None
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise HostError(f"table {table} has a key that is no text") from None


def _codec(table: str) -> Codec[Any] | None:
    """Return how values of a table are encoded; None for a set."""
    definition = BUILT_IN.get(table)
    if definition is None:
        return JSON
    return None if isinstance(definition, SetTable) else definition.value


def _value_of(table: str, data: bytes) -> Any:  # noqa: ANN401 - JSON of any shape
    codec = _codec(table)
    try:
        if codec is None:
            return True
        if codec is BYTES:
            return canonical.b64encode(data)
        if codec is STR or codec is JSON_TEXT:
            return codec.decode(data)
        return canonical.loads(data)
    except FormatError:
        raise HostError(f"table {table} holds a value that scripts cannot read") from None


def _value_bytes(table: str, value: object) -> bytes:
    codec = _codec(table)
    try:
        if codec is None:
            if value is not True:
                raise HostError(f"got another value for set {table}, want True")
            return SET_MEMBER
        if codec is BYTES:
            if not isinstance(value, str):
                raise HostError(f"got another value for table {table}, want base64 text")
            return canonical.b64decode(value)
        if codec is STR or codec is JSON_TEXT:
            return codec.encode(value)
        return codec.encode(codec.decode(canonical.dumps(value)))
    except (FormatError, MisuseError, msgspec.MsgspecError) as error:
        raise HostError(f"table {table} cannot hold this value: {error}") from error
