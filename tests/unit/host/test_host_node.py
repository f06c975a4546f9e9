"""What the host does with each message, and with an enclave that asks for the impossible."""

import contextlib
import io
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.boundary.frames import TO_ENCLAVE, FrameDecoder, encode
from ledger.boundary.messages import Message
from ledger.boundary.to_enclave import Dialled, Entries, Persisted, ToEnclave
from ledger.boundary.to_host import (
    Append,
    Committed,
    Dial,
    Log,
    ReadEntries,
    Started,
    Stopping,
    Truncate,
)
from ledger.codec.entry import frame, iv_for, public_domain
from ledger.host.disk import start_ledger
from ledger.host.link import EnclaveLink, stream_pair
from ledger.host.log import Logger
from ledger.host.loop import Loop
from ledger.host.node import HostNode, HostOptions
from ledger.host.process import EnclaveProcess

HOUR_MS = 3_600_000.0


def entry(seqno: int, flags: int = 0, size: int = 0) -> bytes:
    public = public_domain(seqno, bytes(32), bytes(32), b"")
    return frame(flags, bytes(16), iv_for(2, seqno), public, bytes(size))


class FakeProcess:
    """Stands for the enclave process: killed by a closed stream."""

    def __init__(self) -> None:
        self.kills = 0

    def kill(self) -> None:
        self.kills += 1


class Harness:
    def __init__(self, directory: Path, slow_ms: float = HOUR_MS) -> None:
        self.loop = Loop()
        self.loop.call_later(20, lambda: pytest.fail("nothing happened"))
        self.stream = io.StringIO()
        self.files = start_ledger(directory / "ledger", sync=True)
        self.started: list[Started] = []
        self.process = FakeProcess()
        self.node = HostNode(
            self.loop,
            Logger(stream=self.stream),
            self.files,
            self.started.append,
            HostOptions(slow_operation_ms=slow_ms),
        )
        ours, self.theirs = stream_pair()
        self.theirs.settimeout(10)
        self.link: EnclaveLink = self.node.attach(ours, self._start)
        self.decoder = FrameDecoder(TO_ENCLAVE)

    def _start(self) -> EnclaveProcess:
        return self.process  # type: ignore[return-value]  # only ``kill`` is used

    def say(self, *messages: tuple[Message, bytes] | Message) -> None:
        data = b""
        for item in messages:
            message, tail = item if isinstance(item, tuple) else (item, b"")
            data += b"".join(encode(message, [tail] if tail else []))
        self.theirs.sendall(data)
        self.loop.turn()

    def hear(self) -> list[tuple[ToEnclave, bytes]]:
        found: list[tuple[ToEnclave, bytes]] = []
        while not found or self.decoder.buffered:
            found += [(m, bytes(t)) for m, t in self.decoder.feed(self.theirs.recv(1 << 20))]
        return found

    def silent(self) -> bool:
        self.theirs.setblocking(False)
        try:
            return self.theirs.recv(1) == b""
        except BlockingIOError:
            return True
        finally:
            self.theirs.settimeout(10)

    @property
    def log(self) -> str:
        return self.stream.getvalue()

    def close(self) -> None:
        self.link.close()
        self.theirs.close()
        self.files.close()
        self.loop.close()


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    with contextlib.closing(Harness(tmp_path)) as made:
        yield made


def test_a_ledger_file_that_was_removed_ends_the_node(harness: Harness, tmp_path: Path) -> None:
    harness.say((Append(1, 1, sync=True), entry(1)))
    assert harness.hear() == [(Persisted(1, 0), b"")]
    (tmp_path / "ledger" / "ledger_1").unlink()
    harness.say((Append(2, 1, sync=True), entry(2)))
    assert harness.process.kills
    assert harness.silent()
    harness.node.on_exit(-9)
    assert "The ledger on disk is not what was written: " in harness.log
    assert "ledger_1 was removed or renamed while the node wrote it" in harness.log
    assert harness.node.exit_code == 1


def test_one_answer_covers_the_batches_of_a_turn(harness: Harness) -> None:
    harness.say(
        (Append(1, 2, sync=True), entry(1) + entry(2)),
        (Append(3, 1, sync=True), entry(3)),
        (Append(4, 1, sync=False), entry(4)),
    )
    assert harness.hear() == [(Persisted(4, 0), b"")]


def test_batches_without_sync_are_not_answered(harness: Harness) -> None:
    harness.say((Append(1, 1, sync=False), entry(1)))
    assert harness.silent()
    assert harness.files.last == 1


def test_answers_tell_roll_backs_apart(harness: Harness) -> None:
    harness.say((Append(1, 3, sync=True), entry(1) + entry(2) + entry(3)))
    harness.say(Truncate(1), (Append(2, 1, sync=True), entry(2, size=5)))
    assert harness.hear() == [(Persisted(3, 0), b""), (Persisted(2, 1), b"")]


def test_entries_are_read_back(harness: Harness) -> None:
    harness.say((Append(1, 3, sync=False), entry(1) + entry(2, 1) + entry(3)), Committed(2))
    harness.say(ReadEntries(7, 2, 9))
    assert harness.hear() == [(Entries(7, 2, 3), entry(2, 1) + entry(3))]
    harness.say(ReadEntries(8, 4, 9))
    problem = "Cannot find ledger file for seqno 4"
    assert harness.hear() == [(Entries(8, 4, 3, problem), b"")]
    assert "[fail ] ledger/host/node.py" in harness.log
    harness.say(ReadEntries(9, 3, 1))
    assert harness.hear() == [(Entries(9, 3, 2), b"")]


def test_dialling_hands_over_a_connection(harness: Harness) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        harness.say(Dial(3, f"127.0.0.1:{server.getsockname()[1]}"))
        harness.loop.turn()
        data, ancillary, _, _ = harness.theirs.recvmsg(100, socket.CMSG_SPACE(16))
        assert [message for message, _ in harness.decoder.feed(data)] == [Dialled(3)]
        number = int.from_bytes(ancillary[0][2], "little")
        with socket.socket(fileno=number) as connected:
            assert connected.getpeername() == server.getsockname()


def test_log_lines_and_start_are_passed_on(harness: Harness) -> None:
    started = Started("ab" * 32, "node", None)
    harness.say(Log("fail", "careful\nnow", "app", "x.py", 3, 2), started)
    assert "[fail ][app] x.py:3" in harness.log
    assert "careful\\nnow" in harness.log
    assert harness.started == [started]


@pytest.mark.parametrize("code", [0, 7])
def test_the_enclaves_reason_and_code_are_the_nodes(harness: Harness, code: int) -> None:
    harness.theirs.sendall(b"".join(encode(Stopping("asked", code))))
    harness.node.on_exit(code)
    assert harness.node.exit_code == code
    assert harness.log.endswith("| Node stopped: asked\n")
    assert ("[fatal]" in harness.log) == (code != 0)


IMPOSSIBLE: list[tuple[list[tuple[Message, bytes]], str]] = [
    ([(Append(2, 1, sync=True), entry(2))], "got entries from seqno 2 on, want 1"),
    ([(Append(1, 2, sync=True), entry(1))], "got 1 entries in a batch, want 2"),
    ([(Append(1, 1, sync=True), b"\x02" * 50)], "got no whole entry at 0"),
    ([(Committed(1), b"")], "got commit of 1, want at most 0"),
    (
        [(Append(1, 2, sync=False), entry(1) + entry(2)), (Committed(2), b""), (Truncate(1), b"")],
        "got a roll-back to 1, want at least 2",
    ),
]


@pytest.mark.parametrize(("messages", "why"), IMPOSSIBLE)
def test_the_impossible_ends_the_node(
    harness: Harness, messages: list[tuple[Message, bytes]], why: str
) -> None:
    harness.say(*messages)
    assert harness.process.kills == 1
    harness.node.on_exit(-9)
    assert harness.node.exit_code == 1
    assert f"| Malformed message from the enclave: {why}" in harness.log


def test_a_full_disk_ends_the_node(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ledger.host.chunk_file.os.pwrite", full)
    harness.say((Append(1, 1, sync=True), entry(1)))
    harness.node.on_exit(-9)
    assert "Cannot write the ledger or an output file: [Errno 28] No space left" in harness.log
    assert harness.silent(), "what is not durable is not acknowledged"


def test_slow_operations_are_logged_once_a_second(tmp_path: Path) -> None:
    with contextlib.closing(Harness(tmp_path, slow_ms=0.0)) as harness:
        for seqno in range(1, 30):
            harness.say((Append(seqno, 1, sync=True), entry(seqno)))
        assert harness.log.count("Slow I/O: ") == 1
        assert "more than the configured 0 ms" in harness.log


def test_random_requests_never_break_the_host(tmp_path: Path) -> None:
    """Whatever well-formed messages say, the host goes on or ends with a reason."""
    chance = random.Random(5)
    for run in range(60):
        with contextlib.closing(Harness(tmp_path / str(run))) as harness:
            for _ in range(30):
                last = harness.files.last
                number = chance.choice((0, 1, last, last + 1, last + 2, 1 << 62))
                batch = entry(last + 1, chance.choice((0, 0, 1, 2)))
                choices: list[tuple[Message, bytes]] = [
                    (Append(last + 1, 1, sync=chance.random() < 0.5), batch),
                    (Append(last + 1, 1, sync=False), batch),
                    (Append(max(1, number), 1, sync=False), batch[: chance.randrange(1, 200)]),
                    (Truncate(number), b""),
                    (Committed(max(1, number)), b""),
                    (ReadEntries(1, max(1, number), chance.choice((1, last + 1, 1 << 62))), b""),
                ]
                weights = (20, 20, 1, 3, 4, 10)
                harness.say(chance.choices(choices, weights)[0])
                if harness.process.kills:
                    break
            harness.node.on_exit(-9)
            if harness.process.kills:
                assert "Malformed message from the enclave: got " in harness.log
