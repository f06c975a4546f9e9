"""Passed descriptors: only a TCP socket in the announced state is taken, the rest is closed."""

import os
import socket
import struct
from collections.abc import Callable, Iterator

import pytest

from ledger.base.errors import FormatError, UnavailableError
from ledger.enclave.descriptors import SocketState, take_socket


@pytest.fixture(name="listener", params=[socket.AF_INET, socket.AF_INET6], ids=["4", "6"])
def _listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    with socket.socket(request.param) as listener:
        try:
            listener.bind(("127.0.0.1" if request.param == socket.AF_INET else "::1", 0))
        except OSError as error:
            pytest.skip(f"no loopback of this family: {error}")
        listener.listen()
        yield listener


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_listening_socket_is_taken(listener: socket.socket) -> None:
    with take_socket(os.dup(listener.fileno()), SocketState.LISTENING) as taken:
        assert taken.getsockname() == listener.getsockname()
        assert not taken.getblocking()


def test_connected_socket_is_taken(listener: socket.socket) -> None:
    with (
        socket.create_connection(listener.getsockname()[:2]) as dialled,
        take_socket(os.dup(dialled.fileno()), SocketState.CONNECTED) as taken,
    ):
        assert taken.getpeername() == listener.getsockname()
        assert not taken.getblocking()


def test_a_connection_that_was_reset_is_nobodys_fault(listener: socket.socket) -> None:
    """Whoever accepts can reset at once, before the socket has come to us."""
    with socket.create_connection(listener.getsockname()[:2]) as dialled:
        reset(listener)
        descriptor = os.dup(dialled.fileno())
        with pytest.raises(UnavailableError, match="at once"):
            take_socket(descriptor, SocketState.CONNECTED)
        assert not is_open(descriptor)


def reset(listener: socket.socket) -> None:
    """Accept a connection and end it with a reset."""
    accepted, _ = listener.accept()
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    accepted.close()


def test_listening_socket_is_not_connected(listener: socket.socket) -> None:
    refused(os.dup(listener.fileno()), SocketState.CONNECTED, "listening")


def test_connected_socket_does_not_listen(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()[:2]) as dialled:
        refused(os.dup(dialled.fileno()), SocketState.LISTENING, "does not listen")


def refused(descriptor: int, state: SocketState, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        take_socket(descriptor, state)
    assert not is_open(descriptor)


def _pipe() -> int:
    reading, writing = os.pipe()
    os.close(writing)
    return reading


OTHERS: dict[str, Callable[[], int]] = {
    "no socket": _pipe,
    "no sock.t": lambda: os.open("/dev/null", os.O_RDONLY),
    "type": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach(),
    "family": lambda: socket.socket(socket.AF_UNIX).detach(),
}


@pytest.mark.parametrize(("reason", "make"), OTHERS.items(), ids=OTHERS.keys())
def test_anything_else_is_refused_and_closed(reason: str, make: Callable[[], int]) -> None:
    refused(make(), SocketState.CONNECTED, reason)


def test_unix_pair_is_refused_and_closed() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        refused(ours.detach(), SocketState.CONNECTED, "family")
