"""The host of a simulated node: takes the enclave's frames in order, keeps the ledger, answers.

It refuses what the real one refuses (``ledger.host.disk``), so a frame that no correct enclave
sends fails the simulation. One turn carries out every frame that has come, syncs once and answers
with one ``Persisted``; when turns happen, and when their answers arrive, the schedule says.
"""

from collections import deque

from ledger.base.errors import FormatError
from ledger.boundary.to_enclave import Entries, Persisted, ToEnclave
from ledger.boundary.to_host import Append, Committed, ReadEntries, ToHost, Truncate
from ledger.codec.entry import entry_size

Answer = tuple[ToEnclave, bytes]


class SimulatedHost:
    """One host.

    Attributes:
        entries: The entries in the ledger files, the one at ``seqno`` under ``seqno - 1``.
        durable: How many of them are on disk; the last sync came so far.
        committed: Newest seqno known to be committed.
        answers: What is on its way to the enclave.
        read_size: Bytes after which one answer to a read stops.
        untouched: How many entries stayed in their place since this was last set.
    """

    __slots__ = (
        "_frames",
        "_sync_due",
        "_truncations",
        "answers",
        "committed",
        "durable",
        "entries",
        "read_size",
        "untouched",
    )

    def __init__(self, read_size: int) -> None:
        self.entries: list[bytes] = []
        self.durable = 0
        self.committed = 0
        self.answers: deque[Answer] = deque()
        self.read_size = read_size
        self.untouched = 0
        self._frames: deque[tuple[ToHost, bytes]] = deque()
        self._truncations = 0
        self._sync_due = False

    @property
    def has_work(self) -> bool:
        """Whether frames wait."""
        return bool(self._frames)

    def send(self, message: ToHost, tail: bytes = b"") -> None:
        """Take a frame; see ``enclave.runtime.Shell``."""
        self._frames.append((message, tail))

    def turn(self) -> None:
        """Carry out every frame that has come."""
        while self._frames:
            message, tail = self._frames.popleft()
            match message:
                case Append():
                    self._append(message, tail)
                case Truncate(seqno=seqno):
                    self._truncate(seqno)
                case Committed(seqno=seqno):
                    self._commit(seqno)
                case ReadEntries():
                    self._read(message)
                case _:
                    raise FormatError(f"got {type(message).__name__}, which no replica sends")
        if self._sync_due:
            self._sync_due = False
            self.durable = len(self.entries)
            if self.entries:
                self.answers.append((Persisted(self.durable, self._truncations), b""))

    def _append(self, message: Append, tail: bytes) -> None:
        if message.first_seqno != len(self.entries) + 1:
            raise FormatError(
                f"got entries from {message.first_seqno} on, want {len(self.entries) + 1}"
            )
        offset = 0
        for _ in range(message.count):
            size = entry_size(tail, offset)
            self.entries.append(tail[offset : offset + size])
            offset += size
        if offset != len(tail):
            raise FormatError(f"got {len(tail)} bytes of {message.count} entries, want {offset}")
        self._sync_due |= message.sync

    def _truncate(self, seqno: int) -> None:
        if seqno < self.committed:
            raise FormatError(f"got a roll-back to {seqno}, want at least {self.committed}")
        del self.entries[seqno:]
        self.durable = min(self.durable, seqno)
        self.untouched = min(self.untouched, seqno)
        self._truncations += 1

    def _commit(self, seqno: int) -> None:
        if seqno > len(self.entries):
            raise FormatError(f"got commit of {seqno}, want at most {len(self.entries)}")
        self.committed = max(self.committed, seqno)

    def _read(self, message: ReadEntries) -> None:
        first = message.first
        if first > len(self.entries):
            answer = Entries(message.id, first, first - 1, f"entry {first} is not there")
            self.answers.append((answer, b""))
            return
        pieces: list[bytes] = []
        left = self.read_size
        for data in self.entries[first - 1 : message.last]:
            if pieces and len(data) > left:
                break
            left -= len(data)
            pieces.append(data)
        answer = Entries(message.id, first, first + len(pieces) - 1)
        self.answers.append((answer, b"".join(pieces)))
