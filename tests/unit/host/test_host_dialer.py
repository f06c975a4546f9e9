"""Connecting for the enclave: success, refusal, names, timeouts, nonsense."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator

import pytest

from ledger.host import dialer
from ledger.host.dialer import Dialer
from ledger.host.loop import Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    with contextlib.closing(Loop()) as made:
        made.call_later(30, lambda: pytest.fail("nothing happened"))
        yield made


def dial(
    loop: Loop, address: str, timeout_ms: int = 10_000, source: str | None = None
) -> tuple[socket.socket | None, str | None]:
    results: list[tuple[socket.socket | None, str | None]] = []

    def dialled(connected: socket.socket | None, problem: str | None) -> None:
        results.append((connected, problem))
        loop.post(loop.stop)

    Dialer(loop, source).dial(address, timeout_ms, dialled)
    loop.run()
    assert len(results) == 1
    return results[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_connects(loop: Loop, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        connected, problem = dial(loop, f"{host}:{server.getsockname()[1]}")
        assert problem is None
        assert connected is not None
        peer, _ = server.accept()
        with connected, peer:
            connected.sendall(b"x")
            assert peer.recv(1) == b"x"
            assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_connects_from_the_configured_address(loop: Loop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        connected, _ = dial(loop, address, source="127.9.8.7")
        assert connected is not None
        peer, place = server.accept()
        assert place[0] == "127.9.8.7"
        connected.close()
        peer.close()


def test_refusal_says_who_refused(loop: Loop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    connected, problem = dial(loop, f"127.0.0.1:{port}")
    assert connected is None
    assert problem == f"cannot connect to 127.0.0.1:{port}: Connection refused"


@pytest.mark.parametrize("code", [errno.EAFNOSUPPORT, errno.EMFILE])
def test_a_kernel_that_has_no_socket_for_us_is_a_refusal(
    loop: Loop, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer names the address: IPv6, where there is none here, must not end the node."""

    def no_socket(family: socket.AddressFamily) -> socket.socket:
        del family
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(dialer, "_new_socket", no_socket)
    connected, problem = dial(loop, "[::1]:1")
    assert connected is None
    assert problem == f"cannot connect to [::1]:1: {os.strerror(code)}"


def test_full_backlog_times_out(loop: Loop) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        connected, problem = dial(loop, f"127.0.0.1:{server.getsockname()[1]}", timeout_ms=50)
        assert (connected, problem) == (None, "timed out")


NONSENSE = ["", "127.0.0.1", "127.0.0.1:99999", "a b:80", "[::1:80", "x" * 5000]


@pytest.mark.parametrize("address", NONSENSE)
def test_nonsense_is_refused(loop: Loop, address: str) -> None:
    connected, problem = dial(loop, address)
    assert connected is None
    assert problem is not None
    assert "want host:port" in problem


def test_name_without_address_is_named(loop: Loop) -> None:
    connected, problem = dial(loop, "no-such-host.invalid:80")
    assert connected is None
    assert problem is not None
    assert problem.startswith("cannot resolve no-such-host.invalid") or problem == "timed out"


def test_many_at_once_are_bounded(loop: Loop) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        dialer = Dialer(loop)
        results: list[tuple[socket.socket | None, str | None]] = []

        def dialled(connected: socket.socket | None, problem: str | None) -> None:
            results.append((connected, problem))
            if len(results) == 300:
                loop.stop()

        for _ in range(300):
            dialer.dial(address, 10_000, dialled)
        loop.run()
        refused = [problem for connected, problem in results if connected is None]
        assert len(refused) == 44
        assert set(refused) == {"256 connections are being made already"}
        for connected, _ in results:
            if connected is not None:
                connected.close()
