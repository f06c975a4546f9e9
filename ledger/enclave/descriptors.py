"""Descriptors that the untrusted host hands over, checked before anything uses them."""

import enum
import socket

from ledger.base.errors import FormatError, UnavailableError

_INTERNET = (socket.AF_INET, socket.AF_INET6)


class SocketState(enum.Enum):
    """What a passed socket is announced to be."""

    LISTENING = "listening"
    CONNECTED = "connected"


def take_socket(descriptor: int, state: SocketState) -> socket.socket:
    """Return the passed socket, non-blocking; it owns the descriptor.

    Raises:
        FormatError: not a TCP socket in the announced state. The descriptor is closed.
        UnavailableError: announced as connected, but the other side has reset the connection since;
            anybody whom we dial can do that, so the host is not to blame. It is closed too.
    """
    try:
        passed = socket.socket(fileno=descriptor)
    except OSError as error:
        socket.close(descriptor)
        raise FormatError(f"got a descriptor that is no socket: {error.strerror}") from error
    problem = _problem(passed, state)
    if problem is not None:
        passed.close()
        raise FormatError(f"got a descriptor of {problem}, want a {state.value} TCP socket")
    if state is SocketState.CONNECTED and not _has_peer(passed):
        passed.close()
        raise UnavailableError("the other side closed the connection at once")
    passed.setblocking(False)
    return passed


def _problem(passed: socket.socket, state: SocketState) -> str | None:
    if passed.family not in _INTERNET:
        return f"family {passed.family!r}"
    if passed.type != socket.SOCK_STREAM or passed.proto not in (0, socket.IPPROTO_TCP):
        return f"type {passed.type!r} and protocol {passed.proto}"
    listens = bool(passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    if state is SocketState.LISTENING:
        return None if listens else "a socket that does not listen"
    return "a listening socket" if listens else None


def _has_peer(passed: socket.socket) -> bool:
    try:
        passed.getpeername()
    except OSError:
        return False
    return True
