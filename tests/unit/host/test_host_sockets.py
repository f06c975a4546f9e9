"""Listening sockets: ports resolved, published addresses completed, failures named."""

import contextlib
import socket

import pytest

from ledger.host.sockets import BindError, listen


def test_port_zero_is_resolved_and_published() -> None:
    with contextlib.closing(listen("main", "127.0.0.1:0", None)) as listener:
        port = listener.socket.getsockname()[1]
        assert port > 0
        assert listener.bound == listener.published == f"127.0.0.1:{port}"
        assert not listener.socket.getblocking()
        assert not listener.socket.get_inheritable()
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


PUBLISHED: list[tuple[str | None, str]] = [
    (None, "localhost:{port}"),
    ("", "localhost:{port}"),
    ("node.example:0", "node.example:{port}"),
    ("node.example:443", "node.example:443"),
    ("[::1]:0", "[::1]:{port}"),
]


@pytest.mark.parametrize(("configured", "wanted"), PUBLISHED)
def test_published_address(configured: str | None, wanted: str) -> None:
    with contextlib.closing(listen("main", "localhost:0", configured)) as listener:
        port = listener.bound.rpartition(":")[2]
        assert listener.published == wanted.format(port=port)
        assert not listener.bound.startswith("localhost")


def test_taken_address_is_named() -> None:
    with contextlib.closing(listen("main", "127.0.0.1:0", None)) as first:
        want = f"Interface other: cannot listen on {first.bound}: the address is in use"
        with pytest.raises(BindError, match=want):
            listen("other", first.bound, None)


def test_foreign_address_is_refused() -> None:
    with pytest.raises(BindError, match=r"Interface main: cannot listen on 192\.0\.2\.1:0"):
        listen("main", "192.0.2.1:0", None)
