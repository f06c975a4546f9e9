"""The host's end of the pair: back-pressure, descriptors, ends good and bad."""

import array
import contextlib
import socket
from collections.abc import Iterator

import pytest

from ledger.boundary.frames import TO_ENCLAVE, FrameDecoder, encode
from ledger.boundary.to_enclave import Dialled, Entries, Persisted, ToEnclave
from ledger.boundary.to_host import Append, Committed, ToHost, Truncate
from ledger.host.link import EnclaveLink, stream_pair
from ledger.host.loop import Loop


class Harness:
    def __init__(self) -> None:
        self.loop = Loop()
        self.loop.call_later(20, lambda: pytest.fail("nothing happened"))
        ours, self.theirs = stream_pair()
        self.theirs.settimeout(10)
        self.messages: list[tuple[ToHost, bytes]] = []
        self.turns = 0
        self.ends: list[str | None] = []
        self.link = EnclaveLink(self.loop, ours, self.take, self.end)

    def take(self, messages: list[tuple[ToHost, memoryview]]) -> None:
        self.turns += 1
        self.messages += [(message, bytes(tail)) for message, tail in messages]

    def end(self, problem: str | None) -> None:
        self.ends.append(problem)
        self.loop.stop()

    def close(self) -> None:
        self.link.close()
        self.theirs.close()
        self.loop.close()


@pytest.fixture
def harness() -> Iterator[Harness]:
    with contextlib.closing(Harness()) as made:
        yield made


def received(stream: socket.socket, count: int) -> list[tuple[ToEnclave, bytes]]:
    decoder = FrameDecoder(TO_ENCLAVE)
    found: list[tuple[ToEnclave, bytes]] = []
    while len(found) < count:
        found += [(m, bytes(t)) for m, t in decoder.feed(stream.recv(1 << 20))]
    return found


def test_messages_of_one_turn_come_together(harness: Harness) -> None:
    sent: list[tuple[ToHost, bytes]] = [
        (Append(1, 2, sync=True), b"entries"),
        (Truncate(1), b""),
        (Committed(1), b""),
    ]
    for message, tail in sent:
        harness.theirs.sendall(b"".join(encode(message, [tail])))
    harness.loop.turn()
    assert (harness.messages, harness.turns) == (sent, 1)


def test_the_end_comes_after_the_last_message(harness: Harness) -> None:
    harness.theirs.sendall(b"".join(encode(Committed(3))))
    harness.theirs.close()
    harness.loop.run()
    assert harness.messages == [(Committed(3), b"")]
    assert harness.ends == [None]


def test_an_end_with_unread_messages_of_ours_is_an_end(harness: Harness) -> None:
    harness.link.send(Persisted(1, 0))
    harness.theirs.sendall(b"".join(encode(Committed(3))))
    harness.theirs.close()
    harness.loop.run()
    assert harness.messages == [(Committed(3), b"")]
    assert harness.ends == [None]


def test_messages_before_a_malformed_one_are_carried_out(harness: Harness) -> None:
    harness.theirs.sendall(b"".join(encode(Committed(3))) + b"\xff" * 10)
    harness.loop.run()
    assert harness.messages == [(Committed(3), b"")]
    assert harness.ends[0] is not None
    assert "Malformed message from the enclave: got a frame of 4294967295" in harness.ends[0]


def test_large_answers_wait_for_a_slow_reader(harness: Harness) -> None:
    pieces = [bytes([number]) * (3 << 20) for number in range(7)]
    harness.link.send(Entries(1, 1, 7), pieces)
    harness.link.send(Persisted(9, 0))
    decoder = FrameDecoder(TO_ENCLAVE)
    found: list[tuple[ToEnclave, bytes]] = []
    while len(found) < 2:
        harness.loop.post(lambda: None)  # the turn must not wait: we may be the slow side
        harness.loop.turn()
        found += [(m, bytes(t)) for m, t in decoder.feed(harness.theirs.recv(1 << 20))]
    assert found == [(Entries(1, 1, 7), b"".join(pieces)), (Persisted(9, 0), b"")]


def test_descriptors_travel_with_their_frames(harness: Harness) -> None:
    left, right = socket.socketpair()
    harness.link.send(Persisted(1, 0))
    harness.link.send(Dialled(5), descriptor=left)
    harness.link.send(Dialled(6, "refused"))
    found: list[tuple[ToEnclave, int]] = []
    decoder = FrameDecoder(TO_ENCLAVE)
    descriptors = array.array("i")
    while len(found) < 3:
        data, ancillary, _, _ = harness.theirs.recvmsg(1 << 16, socket.CMSG_SPACE(64))
        for _, _, content in ancillary:
            descriptors.frombytes(content)
        found += [(message, len(descriptors)) for message, _ in decoder.feed(data)]
    assert [message for message, _ in found] == [Persisted(1, 0), Dialled(5), Dialled(6, "refused")]
    assert len(descriptors) == 1
    assert left.fileno() == -1, "the host keeps no copy"
    with socket.socket(fileno=descriptors[0]) as passed:
        passed.sendall(b"hello")
        assert right.recv(10) == b"hello"
    right.close()


def test_nothing_is_sent_after_the_end(harness: Harness) -> None:
    harness.theirs.close()
    harness.loop.run()
    left, right = socket.socketpair()
    harness.link.send(Dialled(5), descriptor=left)
    assert left.fileno() == -1
    assert right.recv(1) == b""
    right.close()
