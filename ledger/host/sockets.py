"""Listening sockets: bound by the host, accepted in the enclave.

Every address is bound before the enclave starts, so a port that is taken stops the node at
once and port 0 is resolved before anything is published.
"""

import errno
import socket
from dataclasses import dataclass

from ledger.base.errors import LedgerError
from ledger.host.values import join_host_port, split_host_port

_BACKLOG = 1024


class BindError(LedgerError):
    """An interface could not be bound."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound, listening, non-blocking socket.

    Attributes:
        name: Name of the interface.
        bound: Address it listens on, numeric, port resolved.
        published: Address for others, port resolved.
    """

    name: str
    socket: socket.socket
    bound: str
    published: str

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


def listen(name: str, bind_address: str, published_address: str | None) -> Listener:
    """Bind an interface.

    Args:
        name: For messages.
        bind_address: ``host:port``; port 0 takes a free one.
        published_address: ``host:port``, port 0 for the bound one; empty or None publishes the
            host as configured with the bound port.

    Raises:
        BindError: the name does not resolve, or the address cannot be had.
    """
    host, port = split_host_port(bind_address)
    bound = _bind(name, host, port)
    resolved_host, resolved_port = bound.getsockname()[:2]
    return Listener(
        name,
        bound,
        join_host_port(resolved_host, resolved_port),
        published(bind_address, published_address, resolved_port),
    )


def published(bind_address: str, published_address: str | None, bound_port: int) -> str:
    """Return the address for others, its port resolved; see ``listen``."""
    host, port = split_host_port(published_address or bind_address)
    return join_host_port(host, port or bound_port)


def _bind(name: str, host: str, port: int) -> socket.socket:
    address = join_host_port(host, port)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise BindError(f"Interface {name}: cannot resolve {address}: {error}") from error
    family, kind, protocol, _, place = found[0]
    bound = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        why = "the address is in use" if error.errno == errno.EADDRINUSE else str(error)
        raise BindError(f"Interface {name}: cannot listen on {address}: {why}") from error
    return bound
