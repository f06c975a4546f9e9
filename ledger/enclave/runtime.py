"""Between the replica and the outside: executes effects, feeds completion back.

Once per loop turn the replica is flushed and what it asks for leaves as frames to the host, jobs
for the signing thread and messages for peers. The host's answers come in through ``from_host``.
Nothing here waits.

Rule: a frame that the host could not have sent for a good reason stops the node; a crash is
better than a wrong ledger.
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from ledger.base.errors import FormatError, UnavailableError
from ledger.base.ids import NodeId, TxId
from ledger.boundary import to_enclave, to_host
from ledger.boundary.messages import ENTRIES_SIZE_MAX
from ledger.codec.entry import entry_size
from ledger.consensus.messages import Message
from ledger.history.reading import EntriesDone
from ledger.replica.effects import (
    LedgerCommitted,
    RetirementCleanup,
    RoleChanged,
    SendMessage,
    SignRoot,
    TruncateLedger,
    WriteEntries,
)
from ledger.replica.identity import RootSignatures, RootSigner
from ledger.replica.replica import Replica


class Shell(Protocol):
    """What the runtime asks of the process around it."""

    def send(self, message: to_host.ToHost, tail: bytes = b"") -> None:
        """Queue a frame for the host."""
        ...

    def run_in_thread(
        self, function: Callable[[], RootSignatures], done: Callable[[RootSignatures], None]
    ) -> None:
        """Run ``function`` in the signing thread and ``done`` with its result on the loop."""
        ...

    def wake_in(self, delay_ms: float) -> None:
        """Have a loop turn happen after this time at the latest."""
        ...


class PeerSender(Protocol):
    """Carries consensus messages to other nodes."""

    def send(self, to: NodeId, message: Message) -> None:
        """Send or drop; never blocks."""
        ...


class Runtime:
    """Drives one replica.

    Attributes:
        peers: Carries messages to other nodes; set before there are any.
        on_commit: Called with the new commit point, in order of registration.
        on_role: Called with the view and whether this node is primary.
        on_retirement: Called when committed retirements wait to be marked in the store.
    """

    def __init__(self, shell: Shell, replica: Replica, signer: RootSigner) -> None:
        self._shell = shell
        self._replica = replica
        self._signer = signer
        self.peers: PeerSender | None = None
        self._reads: dict[int, _Read] = {}
        self._next_read = 0
        self._asked: list[to_host.ReadEntries] = []
        self.on_commit: list[Callable[[TxId], None]] = []
        self.on_role: list[Callable[[int, bool], None]] = []
        self.on_retirement: list[Callable[[], None]] = []

    # -- once per loop turn ------------------------------------------------------------

    def turn(self) -> None:
        """Flush the replica and carry out what it asks for."""
        replica = self._replica
        for effect in replica.flush():
            match effect:
                case WriteEntries():
                    self._write(effect)
                case SignRoot():
                    self._sign(effect)
                case LedgerCommitted(tx_id=tx_id):
                    self._shell.send(to_host.Committed(tx_id.seqno))
                    for committed in self.on_commit:
                        committed(tx_id)
                case SendMessage(to=to, message=message):
                    assert self.peers is not None, "a node with peers is connected to them"
                    self.peers.send(to, message)
                case TruncateLedger(seqno=seqno):
                    self._shell.send(to_host.Truncate(seqno))
                case RoleChanged(view=view, is_primary=is_primary):
                    for changed in self.on_role:
                        changed(view, is_primary)
                case RetirementCleanup():
                    for clean in self.on_retirement:
                        clean()
        self._send_reads()
        if replica.awaits_signature:  # an alarm that rings early is followed by another
            self._shell.wake_in(replica.wait_ms())

    def _write(self, effect: WriteEntries) -> None:
        data = effect.data
        if len(data) <= ENTRIES_SIZE_MAX:
            count = effect.last - effect.first + 1
            self._shell.send(to_host.Append(effect.first, count, effect.sync), data)
            return
        begin, first = 0, effect.first
        while begin < len(data):
            end, count = _whole_entries(data, begin)
            sync = effect.sync and end == len(data)
            self._shell.send(to_host.Append(first, count, sync), data[begin:end])
            begin, first = end, first + count

    def _sign(self, effect: SignRoot) -> None:
        sign = partial(self._signer.sign, effect.tx_id, effect.root, effect.issued_at)
        self._shell.run_in_thread(sign, partial(self._replica.signature_made, effect.tx_id))

    # -- from the host -----------------------------------------------------------------

    def from_host(self, message: to_enclave.ToEnclave, tail: memoryview) -> None:
        """Handle one frame of the running phase.

        Raises:
            FormatError: the host sent something that no correct host sends.
        """
        match message:
            case to_enclave.Persisted(seqno=seqno, truncations=truncations):
                # A report from before a roll-back speaks of entries that are gone.
                if truncations == self._replica.truncations:
                    self._persisted(seqno)
            case to_enclave.Entries():
                self._entries(message, tail)
            case _:
                raise FormatError(f"got {type(message).__name__} from the host while running")

    def _persisted(self, seqno: int) -> None:
        if seqno > self._replica.store.version:
            raise FormatError(
                f"got persisted seqno {seqno}, want at most {self._replica.store.version}"
            )
        self._replica.persisted(seqno)

    def read_entries(self, first: int, last: int, done: EntriesDone) -> None:
        """Read committed entries back from the ledger files; ``done`` comes on a later turn."""
        self._next_read += 1
        self._reads[self._next_read] = _Read(first, last, done)
        self._asked.append(to_host.ReadEntries(self._next_read, first, last))

    def _send_reads(self) -> None:
        """Ask for entries behind the batches of the same turn, which may hold them."""
        asked, self._asked = self._asked, []
        for message in asked:
            self._shell.send(message)

    def _entries(self, message: to_enclave.Entries, tail: memoryview) -> None:
        read = self._reads.pop(message.id, None)
        if read is None or message.first != read.first or message.last > read.last:
            raise FormatError(f"got entries for read {message.id}, which nobody asked for")
        if message.problem is not None:
            read.done(None, message.problem)
        else:
            read.done(bytes(tail), "")


class _Read:
    """A read that the host has not answered yet."""

    __slots__ = ("done", "first", "last")

    def __init__(self, first: int, last: int, done: EntriesDone) -> None:
        self.first = first
        self.last = last
        self.done = done


def _whole_entries(data: bytes, begin: int) -> tuple[int, int]:
    """Return end and number of the entries from ``begin`` that fit one frame."""
    end, count = begin, 0
    while end < len(data):
        size = entry_size(data, end)
        if end + size - begin > ENTRIES_SIZE_MAX:
            break
        end, count = end + size, count + 1
    if count == 0:
        raise UnavailableError(
            f"got an entry above {ENTRIES_SIZE_MAX} bytes, the most that one frame takes"
        )
    return end, count
