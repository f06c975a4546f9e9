"""Which tables an application may touch.

| table | application may |
|---|---|
| its own, private or ``public:`` | read and write |
| ``public:ccf.gov.…``, ``public:ccf.internal.…`` | read |
| ``ccf.internal.…``, other ``ccf.`` names, any ``quorate.`` name | neither |

Names are case-sensitive. Everything that an application could do to governance goes through
proposals; what it reads of it is on the public part of the ledger anyway.
"""

import enum
from collections.abc import Iterator
from typing import NoReturn, cast

from ledger.base.errors import MisuseError
from ledger.codec.tables import MapRole, is_public, map_role
from ledger.kv.handle import MapHandle
from ledger.kv.tx import Tx

_NAMES_CACHED_MAX = 1024
_OURS = "quorate."


class Access(enum.Enum):
    """What an application may do with a table."""

    READ_WRITE = "read and write"
    READ = "only read"
    NONE = "neither read nor write"


_READ_WRITE = Access.READ_WRITE
"""Named here because looking a member up in its class costs more than a call, on every access."""

_accesses: dict[str, Access] = {}


def access_to(name: str) -> Access:
    """Return what an application may do with the table of this name."""
    access = _accesses.get(name)
    if access is None:
        access = _judge(name)
        if len(_accesses) >= _NAMES_CACHED_MAX:
            _accesses.clear()  # names may come from clients
        _accesses[name] = access
    return access


def open_map(tx: Tx, name: str) -> MapHandle:
    """Return a table of the transaction, behind a guard where it may only be read.

    Raises:
        MisuseError: an application may not touch it; the message names table and rule.
    """
    access = _accesses.get(name) or access_to(name)
    if access is _READ_WRITE:
        return tx.map(name)
    if access is Access.NONE:
        raise _violation(name, access)
    return cast("MapHandle", ReadOnlyMap(tx.map(name)))


class ReadOnlyMap:
    """The reading half of a map handle; writes raise ``MisuseError`` with the rule."""

    __slots__ = ("_map", "name")

    def __init__(self, handle: MapHandle) -> None:
        self._map = handle
        self.name = handle.name

    def get(self, key: bytes) -> bytes | None:
        """See ``MapHandle``."""
        return self._map.get(key)

    def has(self, key: bytes) -> bool:
        """See ``MapHandle``."""
        return self._map.has(key)

    def size(self) -> int:
        """See ``MapHandle``."""
        return self._map.size()

    def version_of(self, key: bytes) -> int | None:
        """See ``MapHandle``."""
        return self._map.version_of(key)

    def get_committed(self, key: bytes) -> bytes | None:
        """See ``MapHandle``."""
        return self._map.get_committed(key)

    def items(
        self, begin: bytes | None = None, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """See ``MapHandle``."""
        return self._map.items(begin, end, reverse=reverse)

    def prefix(self, prefix: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """See ``MapHandle``."""
        return self._map.prefix(prefix, reverse=reverse)

    def put(self, key: bytes, value: bytes) -> NoReturn:
        """Refuse."""
        del key, value
        raise _violation(self.name, Access.READ)

    def remove(self, key: bytes) -> NoReturn:
        """Refuse."""
        del key
        raise _violation(self.name, Access.READ)

    def clear(self) -> NoReturn:
        """Refuse."""
        raise _violation(self.name, Access.READ)


def _judge(name: str) -> Access:
    if name.removeprefix("public:").startswith(_OURS):
        return Access.NONE
    role = map_role(name)
    if role is MapRole.APPLICATION:
        return Access.READ_WRITE
    if role in {MapRole.GOVERNANCE, MapRole.INTERNAL} and is_public(name):
        return Access.READ
    return Access.NONE


def _violation(name: str, access: Access) -> MisuseError:
    role = map_role(name).value
    return MisuseError(
        f"table {name} is {role}: an application may {access.value} it "
        "(tables of an application have no ccf. or quorate. in front)"
    )
