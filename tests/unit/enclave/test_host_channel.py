"""The stream to the host: frames, descriptors that belong to them, a host that misbehaves."""

import os
import resource
import socket
from array import array
from collections.abc import Iterator

import pytest

from ledger.base.errors import FormatError
from ledger.boundary.frames import TO_HOST, FrameDecoder, encode
from ledger.boundary.to_enclave import Dialled, Entries, Persisted, Signal, ToEnclave
from ledger.boundary.to_host import Append, Committed
from ledger.enclave.host_channel import HostChannel


class Ends:
    """Both ends of the pair; frames that arrived, each with its socket."""

    def __init__(self) -> None:
        ours, self.host = socket.socketpair()
        self.got: list[tuple[ToEnclave, bytes, socket.socket | None]] = []
        self.channel = HostChannel(
            ours, lambda message, tail, passed: self.got.append((message, bytes(tail), passed))
        )

    def say(self, data: bytes, *descriptors: int) -> None:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))]
        assert self.host.sendmsg([data], ancillary if descriptors else []) == len(data)

    def messages(self) -> list[ToEnclave]:
        return [message for message, _, _ in self.got]


@pytest.fixture(name="ends")
def _ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    for _, _, passed in ends.got:
        if passed is not None:
            passed.close()
    ends.host.close()
    ends.channel.flush_and_close()


@pytest.fixture(name="dialled")
def _dialled() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with (
            socket.create_connection(listener.getsockname()) as first,
            socket.create_connection(listener.getsockname()) as second,
        ):
            yield first, second


def framed(message: ToEnclave, tail: bytes = b"") -> bytes:
    return b"".join(encode(message, [tail] if tail else []))


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counting, no paths


def test_frames_arrive_whole_however_they_are_cut(ends: Ends) -> None:
    entries = Entries(7, 1, 2)
    data = framed(Persisted(3, 0)) + framed(entries, b"entries") + framed(Signal("SIGHUP"))
    for byte in data:
        ends.say(bytes([byte]))
        assert ends.channel.read()
    assert ends.got == [
        (Persisted(3, 0), b"", None),
        (entries, b"entries", None),
        (Signal("SIGHUP"), b"", None),
    ]


def test_nothing_to_read_is_no_end(ends: Ends) -> None:
    assert ends.channel.read()
    ends.host.close()
    assert not ends.channel.read()


def test_descriptors_belong_to_the_messages_that_announce_them(
    ends: Ends, dialled: tuple[socket.socket, socket.socket]
) -> None:
    ends.say(framed(Persisted(1, 0)) + framed(Dialled(1, "refused")))
    ends.say(framed(Dialled(2)), dialled[0].fileno())
    ends.say(framed(Persisted(2, 0)))
    ends.say(framed(Dialled(3)), dialled[1].fileno())
    ends.say(framed(Dialled(4, "timed out")))
    for _ in range(3):
        assert ends.channel.read()
    assert ends.messages() == [
        Persisted(1, 0), Dialled(1, "refused"), Dialled(2), Persisted(2, 0), Dialled(3),
        Dialled(4, "timed out"),
    ]  # fmt: skip
    names = [None if passed is None else passed.getsockname() for _, _, passed in ends.got]
    assert names == [
        None, None, dialled[0].getsockname(), None, dialled[1].getsockname(), None
    ]  # fmt: skip


def test_a_connection_that_is_gone_already_leaves_the_stream_whole(ends: Ends) -> None:
    """Its other side, anybody whom we dialled, must not end us by a reset at the right moment."""
    before = open_descriptors()
    gone = socket.socket()
    ends.say(framed(Dialled(1)) + framed(Persisted(2, 0)), gone.fileno())
    gone.close()
    assert ends.channel.read()
    assert ends.got == [(Dialled(1), b"", None), (Persisted(2, 0), b"", None)]
    assert open_descriptors() == before


def test_a_descriptor_that_the_kernel_had_no_room_for_leaves_the_stream_whole(
    ends: Ends, dialled: tuple[socket.socket, socket.socket]
) -> None:
    """Clients may hold all that we may open; that ends no node."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    ends.say(framed(Dialled(1)) + framed(Persisted(2, 0)), dialled[0].fileno())
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        assert ends.channel.read()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert ends.got == [(Dialled(1), b"", None), (Persisted(2, 0), b"", None)]
    ends.say(framed(Dialled(3)), dialled[1].fileno())
    assert ends.channel.read()
    _, _, passed = ends.got[2]
    assert passed is not None


def test_descriptor_waits_for_the_rest_of_its_frame(
    ends: Ends, dialled: tuple[socket.socket, socket.socket]
) -> None:
    data = framed(Dialled(1))
    ends.say(data[:5], dialled[0].fileno())
    assert ends.channel.read()
    assert ends.got == []
    ends.say(data[5:])
    assert ends.channel.read()
    assert ends.messages() == [Dialled(1)]


def test_message_without_its_descriptor_is_refused(ends: Ends) -> None:
    ends.say(framed(Dialled(1)))
    with pytest.raises(FormatError, match="without its descriptor"):
        ends.channel.read()


@pytest.mark.parametrize("message", [Persisted(1, 0), Dialled(1, "refused")])
def test_descriptor_that_nothing_announced_is_refused_and_closed(
    ends: Ends, dialled: tuple[socket.socket, socket.socket], message: ToEnclave
) -> None:
    before = open_descriptors()
    ends.say(framed(message), dialled[0].fileno())
    with pytest.raises(FormatError, match="no message announced"):
        ends.channel.read()
    assert open_descriptors() == before


def test_second_descriptor_of_a_message_is_refused_and_closed(
    ends: Ends, dialled: tuple[socket.socket, socket.socket]
) -> None:
    before = open_descriptors()
    ends.say(framed(Dialled(1)), dialled[0].fileno(), dialled[1].fileno())
    with pytest.raises(FormatError, match="no message announced"):
        ends.channel.read()
    assert open_descriptors() == before + 1


def test_flood_of_descriptors_is_refused_and_closed(
    ends: Ends, dialled: tuple[socket.socket, socket.socket]
) -> None:
    before = open_descriptors()
    ends.say(framed(Persisted(1, 0)), *[dialled[0].fileno()] * 100)
    with pytest.raises(FormatError, match="at once"):
        ends.channel.read()
    assert open_descriptors() == before


def test_descriptor_of_another_kind_is_refused_and_closed(ends: Ends) -> None:
    before = open_descriptors()
    ends.say(framed(Dialled(1)), ends.host.fileno())
    with pytest.raises(FormatError, match="want a connected TCP socket"):
        ends.channel.read()
    assert open_descriptors() == before


def test_garbage_is_a_format_error(ends: Ends) -> None:
    ends.say(b"\xff" * 100)
    with pytest.raises(FormatError):
        ends.channel.read()


def test_frames_leave_whole_even_when_the_host_is_slow(ends: Ends) -> None:
    sent: list[tuple[object, bytes]] = []
    for seqno in range(1, 300):
        tail = bytes([seqno % 256]) * (seqno * 37)
        ends.channel.send(encode(Append(seqno, 1, sync=False), [tail[:5], tail[5:]]))
        ends.channel.send(encode(Committed(seqno)))
        sent += [(Append(seqno, 1, sync=False), tail), (Committed(seqno), b"")]
    total = ends.channel.queued_size
    ends.channel.write()
    assert 0 < ends.channel.queued_size < total
    assert ends.channel.wants_to_write
    decoder = FrameDecoder(TO_HOST)
    got: list[tuple[object, bytes]] = []
    while len(got) < len(sent):
        got += [(message, bytes(tail)) for message, tail in decoder.feed(ends.host.recv(10_000))]
        ends.channel.write()
    assert got == sent
    assert ends.channel.queued_size == 0
    assert not ends.channel.wants_to_write


def test_queue_is_sent_before_the_end(ends: Ends) -> None:
    ends.channel.send(encode(Committed(1)))
    ends.channel.flush_and_close()
    data = ends.host.recv(1000)
    assert [message for message, _ in FrameDecoder(TO_HOST).feed(data)] == [Committed(1)]
    assert ends.host.recv(1) == b""


def test_host_that_is_gone_does_not_hold_up_the_end(ends: Ends) -> None:
    ends.channel.send(encode(Committed(1)))
    ends.host.close()
    with pytest.raises(BrokenPipeError):
        ends.channel.write()
    ends.channel.flush_and_close()
