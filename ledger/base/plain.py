"""Objects that are made for every request."""

import msgspec


class PlainStruct(msgspec.Struct, eq=False):
    """Base of classes whose objects the hot path makes: costs half of ``__slots__`` to make.

    Objects are equal only to themselves, and print without their content, which may be private.
    """

    __repr__ = object.__repr__
