"""The state machine that simulated nodes replicate: small, exact about what it has read.

It holds a few keys and, for each, the transaction that wrote it last. A write carries the version
it saw when it was executed, and every node that applies it compares that with its own: so each
entry of a log is proved to have read exactly the state before it. A chain of digests names the
state at each seqno.
"""

from hashlib import blake2b
from struct import Struct

from ledger.base.ids import TxId
from ledger.consensus.types import PLAIN, EntryRole
from ledger.testing import scenario_payload as payload

NO_VERSION = TxId(0, 0)
DIGEST_SIZE = 8
START = bytes(DIGEST_SIZE)

_WRITE = Struct(">cBIII")
"""A write: its mark, the key, the client's operation, view and seqno of the version seen."""


def encode_write(key: int, operation: int, seen: TxId) -> bytes:
    """Return the entry of a write."""
    return _WRITE.pack(b"w", key, operation, seen.view, seen.seqno)


def decode_write(data: bytes) -> tuple[int, int, int, int]:
    """Return key, operation, and view and seqno of the version seen."""
    _, key, operation, view, seqno = _WRITE.unpack(data)
    return key, operation, view, seqno


def operation_of(data: bytes) -> int | None:
    """Return the client's operation of an entry, None for an entry of another kind."""
    if data[:1] != b"w":
        return None
    return decode_write(data)[1]


def role_of(data: bytes) -> EntryRole:
    """Return the role of an entry."""
    if data[:1] == b"w":
        return PLAIN
    applied = payload.apply(0, 0, data)
    assert applied is not None, f"entry {data!r} is of no known kind"
    return applied


class ChainMachine:
    """State of one node.

    Attributes:
        version: Seqno of the newest entry applied.
        latest: Per key, the transaction that wrote it last.
    """

    __slots__ = ("_digests", "_undo", "latest", "version")

    def __init__(self) -> None:
        self.version = 0
        self.latest: dict[int, TxId] = {}
        self._digests = [START]
        self._undo: list[tuple[int, int, TxId]] = []

    def read(self, key: int) -> TxId:
        """Return the transaction that wrote a key last."""
        return self.latest.get(key, NO_VERSION)

    def digest(self, seqno: int) -> bytes:
        """Return the name of the state at ``seqno``."""
        return self._digests[seqno]

    def apply(self, view: int, seqno: int, data: bytes) -> EntryRole | None:
        """Apply the entry ``view.seqno``, taking back what was applied from ``seqno`` on."""
        if seqno <= self.version:
            self.rollback(seqno - 1)
        assert seqno == self.version + 1, f"got entry {seqno} after entry {self.version}"
        role: EntryRole = PLAIN
        if data[:1] == b"w":
            key, _, seen_view, seen_seqno = decode_write(data)
            found: TxId = self.latest.get(key, NO_VERSION)
            assert found == (seen_view, seen_seqno), (
                f"entry {view}.{seqno} was executed on {seen_view}.{seen_seqno}, "
                f"here the key is at {found}"
            )
            self._undo.append((seqno, key, found))
            self.latest[key] = TxId(view, seqno)
        else:
            role = role_of(data)
        self.version = seqno
        chained = blake2b(data, digest_size=DIGEST_SIZE, key=self._digests[-1])
        chained.update(b"%d" % view)
        self._digests.append(chained.digest())
        return role

    def rollback(self, seqno: int) -> None:
        """Take back everything above ``seqno``."""
        if seqno >= self.version:
            return
        undo = self._undo
        while undo and undo[-1][0] > seqno:
            _, key, previous = undo.pop()
            self.latest[key] = previous
        del self._digests[seqno + 1 :]
        self.version = seqno

    def copy_until(self, seqno: int) -> "ChainMachine":
        """Return the state at ``seqno`` as a machine of its own."""
        copy = ChainMachine()
        copy.version = self.version
        copy.latest = dict(self.latest)
        copy._digests = list(self._digests)
        copy._undo = list(self._undo)
        copy.rollback(seqno)
        return copy
