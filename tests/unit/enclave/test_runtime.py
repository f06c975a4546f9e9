"""Between a replica and the host: what leaves in which order, what is believed of what comes."""

from collections.abc import Callable

import pytest

from ledger.base.errors import FormatError
from ledger.base.ids import TxId
from ledger.boundary import to_enclave, to_host
from ledger.boundary.messages import ENTRIES_SIZE_MAX
from ledger.codec.entry import parse_entry
from ledger.enclave.runtime import Runtime
from ledger.lifecycle.start import FirstNode, Genesis, write_genesis
from ledger.replica.effects import TruncateLedger
from ledger.replica.identity import RootSignatures
from ledger.tables.service import ServiceConfiguration
from tests.unit.replica.harness import Service, TestNode, node_info


class Shell:
    """Keeps frames; runs signing jobs when told."""

    def __init__(self) -> None:
        self.frames: list[tuple[to_host.ToHost, bytes]] = []
        self.jobs: list[tuple[Callable[[], RootSignatures], Callable[[RootSignatures], None]]] = []
        self.wakes: list[float] = []

    def send(self, message: to_host.ToHost, tail: bytes = b"") -> None:
        self.frames.append((message, tail))

    def run_in_thread(
        self, function: Callable[[], RootSignatures], done: Callable[[RootSignatures], None]
    ) -> None:
        self.jobs.append((function, done))

    def wake_in(self, delay_ms: float) -> None:
        self.wakes.append(delay_ms)

    def take(self) -> list[tuple[to_host.ToHost, bytes]]:
        frames, self.frames = self.frames, []
        return frames


class Driven:
    """A node whose replica is driven by a runtime, and a host that does what it is told."""

    def __init__(self) -> None:
        self.node = TestNode(Service())
        self.shell = Shell()
        self.runtime = Runtime(self.shell, self.node.replica, self.node.signer)
        self.ledger = b""
        self.commits: list[TxId] = []
        self.roles: list[tuple[int, bool]] = []
        self.runtime.on_commit.append(self.commits.append)
        self.runtime.on_role.append(lambda view, is_primary: self.roles.append((view, is_primary)))

    def start(self) -> None:
        """Begin a service."""
        replica = self.node.replica
        replica.bootstrap()
        tx = replica.begin()
        certificate = self.node.service.certificate.pem
        first = FirstNode(self.node.id, node_info(), self.node.certificate.pem, "m", "00" * 32)
        configuration = ServiceConfiguration(recovery_threshold=1)
        write_genesis(tx, Genesis((), "", configuration, certificate, None, first))
        assert replica.commit(tx, None) == TxId(2, 1)
        self.settle()

    def turn(self) -> list[to_host.ToHost]:
        """Take one turn and return the frames that it sent."""
        self.node.clock.ms += 20
        self.node.replica.tick(20)
        self.runtime.turn()
        frames = self.shell.take()
        self.ledger += b"".join(tail for _, tail in frames)
        return [message for message, _ in frames]

    def sign(self) -> None:
        jobs, self.shell.jobs = self.shell.jobs, []
        for function, done in jobs:
            done(function())

    def persist(self, seqno: int, truncations: int = 0) -> None:
        self.runtime.from_host(to_enclave.Persisted(seqno, truncations), memoryview(b""))

    def settle(self) -> None:
        for _ in range(6):
            for message in self.turn():
                if isinstance(message, to_host.Append) and message.sync:
                    self.persist(message.first_seqno + message.count - 1)
            self.sign()


@pytest.fixture
def driven() -> Driven:
    made = Driven()
    made.start()
    return made


def test_a_write_is_appended_signed_synced_and_then_committed(driven: Driven) -> None:
    tx_id = driven.node.write("k", "v")
    first = driven.turn()
    assert [type(message) for message in first] == [to_host.Append]
    assert driven.shell.jobs, "the signature is being made in the thread"
    driven.sign()
    (append,) = driven.turn()
    assert isinstance(append, to_host.Append)
    assert append.sync, "it holds a signature"
    assert driven.commits[-1].seqno < tx_id.seqno
    driven.persist(append.first_seqno + append.count - 1)
    (committed,) = driven.turn()
    assert committed == to_host.Committed(tx_id.seqno + 1)
    assert driven.commits[-1] == TxId(2, tx_id.seqno + 1)


def test_the_frames_hold_the_ledger(driven: Driven) -> None:
    for number in range(30):
        driven.node.write(f"k{number}", "v")
    driven.settle()
    offset, seqno = 0, 0
    while offset < len(driven.ledger):
        entry = parse_entry(driven.ledger, offset)
        seqno += 1
        assert entry.seqno == seqno
        offset += entry.size
    assert seqno == driven.node.replica.store.version


def test_more_than_a_frame_holds_leaves_in_several(driven: Driven) -> None:
    half = "x" * (ENTRIES_SIZE_MAX // 2 + 1000)
    first = driven.node.replica.store.version + 1
    for number in range(3):
        driven.node.write(f"k{number}", half)
    appends = [message for message in driven.turn() if isinstance(message, to_host.Append)]
    assert [(append.first_seqno, append.count) for append in appends] == [
        (first, 1), (first + 1, 1), (first + 2, 1)
    ]  # fmt: skip
    driven.settle()
    assert driven.commits[-1].seqno == driven.node.replica.store.version


def test_an_unsigned_entry_has_a_turn_come_in_time(driven: Driven) -> None:
    driven.shell.wakes.clear()
    driven.node.write("k", "v")
    driven.runtime.turn()
    driven.node.write("k", "v")
    driven.runtime.turn()
    assert driven.shell.wakes or driven.shell.jobs


def test_a_report_from_before_a_roll_back_is_not_believed(driven: Driven) -> None:
    """It speaks of entries that are gone; their places may hold others now."""
    replica = driven.node.replica
    before = replica.raft.state.persisted
    driven.node.write("k", "v")
    driven.settle()
    driven.node.write("k", "w")
    driven.turn()
    replica.truncations += 1
    replica._outputs.add(TruncateLedger(before))
    # From here on reports of the time before are outdated, though the host does not know yet.
    persisted, last = replica.raft.state.persisted, replica.raft.last
    assert persisted < last
    driven.persist(last, truncations=0)
    assert replica.raft.state.persisted == persisted
    assert to_host.Truncate(before) in driven.turn()
    driven.persist(last, truncations=1)
    assert replica.raft.state.persisted == last


def test_the_host_cannot_have_persisted_what_was_never_written(driven: Driven) -> None:
    with pytest.raises(FormatError, match="want at most"):
        driven.persist(driven.node.replica.store.version + 1)


def test_other_frames_are_refused_while_running(driven: Driven) -> None:
    with pytest.raises(FormatError, match="while running"):
        driven.runtime.from_host(to_enclave.Signal("SIGTERM"), memoryview(b""))


# -- reading back ------------------------------------------------------------------------


class Reading:
    """One read and what came of it."""

    def __init__(self, driven: Driven, first: int = 1, last: int = 3) -> None:
        self.driven = driven
        self.outcomes: list[tuple[bytes | None, str]] = []
        driven.shell.take()
        done = lambda data, problem: self.outcomes.append((data, problem))  # noqa: E731
        driven.runtime.read_entries(first, last, done)
        assert driven.shell.take() == [], "it leaves behind the batches of the same turn"
        driven.runtime.turn()
        ((asked, _),) = driven.shell.take()
        assert isinstance(asked, to_host.ReadEntries)
        assert (asked.first, asked.last) == (first, last)
        self.id = asked.id

    def answer(
        self, first: int, last: int, tail: bytes = b"data", problem: str | None = None
    ) -> None:
        message = to_enclave.Entries(self.id, first, last, problem)
        self.driven.runtime.from_host(message, memoryview(tail))


def test_entries_come_back_whole_or_in_part(driven: Driven) -> None:
    for last in (1, 3):
        reading = Reading(driven)
        reading.answer(1, last)
        assert reading.outcomes == [(b"data", "")]


def test_a_problem_is_handed_on(driven: Driven) -> None:
    reading = Reading(driven)
    reading.answer(1, 0, b"", "the file is gone")
    assert reading.outcomes == [(None, "the file is gone")]


@pytest.mark.parametrize(("first", "last"), [(2, 3), (1, 4)])
def test_entries_that_were_not_asked_for_end_the_node(
    first: int, last: int, driven: Driven
) -> None:
    reading = Reading(driven)
    with pytest.raises(FormatError, match="nobody asked for"):
        reading.answer(first, last)
    assert reading.outcomes == []


def test_an_answer_comes_once(driven: Driven) -> None:
    reading = Reading(driven)
    reading.answer(1, 3)
    with pytest.raises(FormatError, match="nobody asked for"):
        reading.answer(1, 3)
    assert len(reading.outcomes) == 1
