"""The loop: descriptors, timers, threads, signals."""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from ledger.host.loop import Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    with contextlib.closing(Loop()) as made:
        made.call_later(20, lambda: pytest.fail("the loop did not stop"))
        yield made


def test_timers_run_in_order_and_cancelled_ones_do_not(loop: Loop) -> None:
    seen: list[str] = []
    loop.call_later(0.02, lambda: seen.append("second"))
    loop.call_later(0.01, lambda: seen.append("first"))
    loop.call_later(0.015, lambda: seen.append("never")).cancel()
    loop.call_later(0.03, loop.stop)
    loop.run()
    assert seen == ["first", "second"]


def test_readers_and_writers(loop: Loop) -> None:
    ours, theirs = socket.socketpair()
    seen: list[bytes] = []

    def read() -> None:
        seen.append(theirs.recv(100))
        loop.forget(theirs.fileno())
        loop.stop()

    def write() -> None:
        ours.send(b"x")
        loop.stop_writing(ours.fileno())

    loop.read_when_ready(theirs.fileno(), read)
    loop.write_when_ready(ours.fileno(), write)
    loop.run()
    assert seen == [b"x"]
    loop.forget(ours.fileno())
    ours.close()
    theirs.close()


def test_the_end_of_a_stream_wakes_its_reader(loop: Loop) -> None:
    ours, theirs = socket.socketpair()
    loop.read_when_ready(ours.fileno(), loop.stop)
    theirs.close()
    loop.run()
    loop.forget(ours.fileno())
    ours.close()


def test_calls_from_threads_wake_the_loop(loop: Loop) -> None:
    threads: list[threading.Thread] = []

    def called() -> None:
        threads.append(threading.current_thread())
        loop.stop()

    thread = threading.Thread(target=lambda: loop.post(called))
    thread.start()
    loop.run()
    thread.join()
    assert threads == [threading.main_thread()]


def test_signals_arrive_in_the_loop_and_are_restored() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    seen: list[int] = []
    with contextlib.closing(Loop()) as loop:

        def arrived(number: int) -> None:
            seen.append(number)
            loop.stop()

        loop.on_signal(signal.SIGUSR1, arrived)
        os.kill(os.getpid(), signal.SIGUSR1)
        loop.run()
    assert seen == [signal.SIGUSR1]
    assert signal.getsignal(signal.SIGUSR1) is before


def test_a_flood_of_wake_ups_does_not_block(loop: Loop) -> None:
    for _ in range(100_000):
        loop.post(lambda: None)
    loop.post(loop.stop)
    started = time.monotonic()
    loop.run()
    assert time.monotonic() - started < 10
