"""Identifiers and positions of the ledger.

A transaction is named by its *view* (election epoch; the first is 2) and its *seqno*
(position in the ledger, from 1). Printed ``view.seqno``.
"""

import re
from typing import NamedTuple, NewType

from typing_extensions import override

from ledger.base.errors import FormatError

View = NewType("View", int)
Seqno = NewType("Seqno", int)
NodeId = NewType("NodeId", str)
"""64 lower-case hex characters: SHA-256 of the node's public key (SPKI DER)."""
MemberId = NewType("MemberId", str)
"""64 lower-case hex characters: SHA-256 of the member's certificate (DER)."""
UserId = NewType("UserId", str)
"""64 lower-case hex characters: SHA-256 of the user's certificate (DER)."""

FIRST_VIEW = View(2)
FIRST_SEQNO = Seqno(1)

_TX_ID = re.compile(r"([0-9]{1,20})\.([0-9]{1,20})")
_HEX_ID = re.compile(r"[0-9a-f]{64}")


class TxId(NamedTuple):
    """A transaction ID, ordered by view and then by seqno."""

    view: int
    seqno: int

    @override
    def __str__(self) -> str:
        return f"{self.view}.{self.seqno}"

    @classmethod
    def parse(cls, text: str) -> "TxId":
        """Read ``view.seqno``, both decimal and at least 1.

        Raises:
            FormatError: the text has another form.
        """
        match = _TX_ID.fullmatch(text)
        if match is None:
            raise FormatError(f"got transaction ID {text[:60]!r}, want <view>.<seqno> in decimal")
        view, seqno = int(match[1]), int(match[2])
        if view < 1 or seqno < 1:
            raise FormatError(f"got transaction ID {text!r}, want view and seqno of at least 1")
        return cls(view, seqno)


def is_hex_id(text: str) -> bool:
    """Say whether the text has the form of a node, member, user or proposal ID."""
    return _HEX_ID.fullmatch(text) is not None
