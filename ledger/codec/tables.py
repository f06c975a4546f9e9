"""Typed tables over maps of bytes: names, roles, definitions.

A name that begins with ``public:`` is readable by anyone who has the ledger, every other map is
encrypted in it; the words after that prefix say whose the map is. How keys and values become
bytes is in ``codec.values``, offered here too.
"""

import enum
from typing import Generic, TypeVar

from ledger.base.errors import MisuseError
from ledger.codec.values import (
    BOOL,
    BYTES,
    INT,
    JSON,
    JSON_TEXT,
    STR,
    U64LE,
    Codec,
    codec_for,
    struct_json,
    typed_json,
)

__all__ = [
    "BOOL",
    "BYTES",
    "INT",
    "JSON",
    "JSON_TEXT",
    "PUBLIC_PREFIX",
    "SET_MEMBER",
    "SINGLETON_KEY",
    "STR",
    "U64LE",
    "Codec",
    "MapRole",
    "SetTable",
    "Singleton",
    "Table",
    "check_name",
    "codec_for",
    "is_public",
    "map_role",
    "struct_json",
    "typed_json",
]

K = TypeVar("K")
V = TypeVar("V")

SINGLETON_KEY = bytes(8)
"""The one key of a singleton table."""
SET_MEMBER = bytes(8)
"""The value of every key of a set."""
PUBLIC_PREFIX = "public:"


class Table(Generic[K, V]):
    """The definition of a map with typed keys and values; holds no data.

    Args:
        name: Map name; decides privacy and role.
        key: Type of the keys (see ``codec_for``) or a codec.
        value: Type of the values, or a codec.
    """

    __slots__ = ("key", "name", "value")

    def __init__(self, name: str, key: "type[K] | Codec[K]", value: "type[V] | Codec[V]") -> None:
        self.name = check_name(name)
        self.key: Codec[K] = codec_for(key)
        self.value: Codec[V] = codec_for(value)


class Singleton(Generic[V]):
    """The definition of a map with one value, under ``SINGLETON_KEY``."""

    __slots__ = ("name", "value")

    def __init__(self, name: str, value: "type[V] | Codec[V]") -> None:
        self.name = check_name(name)
        self.value: Codec[V] = codec_for(value)


class SetTable(Generic[K]):
    """The definition of a map that is a set of keys; every value is ``SET_MEMBER``."""

    __slots__ = ("key", "name")

    def __init__(self, name: str, key: "type[K] | Codec[K]") -> None:
        self.name = check_name(name)
        self.key: Codec[K] = codec_for(key)


class MapRole(enum.Enum):
    """Whose a map is; decides who may read and write it."""

    INTERNAL = "internal"
    GOVERNANCE = "governance"
    RESERVED = "reserved"
    APPLICATION = "application"


_ROLE_PREFIXES = (
    ("ccf.internal.", MapRole.INTERNAL),
    ("ccf.gov.", MapRole.GOVERNANCE),
    ("ccf.", MapRole.RESERVED),
    ("quorate.internal.", MapRole.INTERNAL),
    ("quorate.gov.", MapRole.GOVERNANCE),
    ("quorate.", MapRole.RESERVED),
)


def is_public(name: str) -> bool:
    """Say whether the map is written to the ledger in the clear."""
    return name.startswith(PUBLIC_PREFIX)


def map_role(name: str) -> MapRole:
    """Return whose the map is, from its name after an optional ``public:``."""
    bare = name.removeprefix(PUBLIC_PREFIX)
    for prefix, role in _ROLE_PREFIXES:
        if bare.startswith(prefix):
            return role
    return MapRole.APPLICATION


def check_name(name: str) -> str:
    """Return the name when it can name a map.

    Raises:
        MisuseError: empty, or without a UTF-8 form.
    """
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise MisuseError(f"got map name {name!r}, want text that has a UTF-8 form") from error
    if size == 0:
        raise MisuseError("got an empty map name, want at least one character")
    return name
